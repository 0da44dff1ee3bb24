import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import type { BalancerOptions, HealthCheckOptions, HealthMessage, WsTunnelOptions } from '@ws-tunnel/core'
import type { BalancerMember } from '../../../packages/core/dist/balancer/balancer-member.js'
import { echo, echoing, responding, type Script, silent, switchingHead } from '../../support/backend.ts'
import { openTunnel } from '../../support/client.ts'
import type { CoreGateway } from '../../support/frameworks.ts'
import { closedPort, eventually } from '../../support/gate.ts'
import { connectTunnel, startBackend, startGateway } from '../../support/harness.ts'
import * as certificates from '../../support/tls.ts'

const QUICK = { method: 'GET', interval: 100, uri: '/up' } as const

interface Checked {
  gateway: CoreGateway
  members: readonly BalancerMember[]
}

async function gatewayTo(
  t: TestContext,
  urls: readonly string[],
  balancer: Partial<BalancerOptions>,
  options: Partial<WsTunnelOptions> = {},
): Promise<Checked> {
  const members = urls.map(url => ({ url, retry: 60_000 }))
  const gateway = await startGateway(t, {
    balancers: { x: { members, ...balancer } },
    target: 'balancer://x/',
    ...options,
  } as WsTunnelOptions)
  return { gateway, members: gateway.proxy.balancers.get('x')?.members as readonly BalancerMember[] }
}

/** Responds with 200 or 503, depending on `well` at that moment. */
const wellOrNot =
  (state: { well: boolean }): Script =>
  async connection => {
    const request = await connection.request()
    const statusCode = state.well ? '200 Fine' : '503 Sorry'
    if (request.header('upgrade') === undefined) connection.end(`HTTP/1.1 ${statusCode}\r\nContent-Length: 0\r\n\r\n`)
  }

test('takes a member out when its check fails, and makes it usable when it passes', async t => {
  const state = { well: false }
  const sick = await startBackend(t, wellOrNot(state))
  const other = await startBackend(t, echo())
  const { gateway, members } = await gatewayTo(t, [`ws://${sick.address}/base`, `ws://${other.address}`], {
    members: [{ url: `ws://${sick.address}/base`, healthCheck: QUICK }, { url: `ws://${other.address}` }],
  })
  const [member, unchecked] = members as [BalancerMember, BalancerMember]
  await eventually(() => member.status === 'C')
  assert.equal(member.usable, false)
  assert.deepEqual([member.health?.ok, member.health?.detail], [false, 'status 503'])
  for (let i = 0; i < 4; i++) (await openTunnel(gateway.port, '/')).client.destroy()
  assert.deepEqual([member.selected, unchecked.selected], [0, 4])
  state.well = true
  await eventually(() => member.status === '')
  assert.deepEqual([member.health?.ok, member.health?.detail], [true, 'status 200'])
  assert.equal(unchecked.health, undefined)
  assert.ok(sick.seen.every(({ startLine }) => startLine === 'GET /base/up HTTP/1.0'))
})

test('checks a member at the port of the options, with that port in Host', async t => {
  const service = await startBackend(t, echo())
  const health = await startBackend(t, responding({ statusCode: 503 }))
  const port = Number(health.address.split(':')[1])
  const { members } = await gatewayTo(t, [`ws://${service.address}`], { healthCheck: { ...QUICK, port } })
  const [member] = members as [BalancerMember]
  await eventually(() => member.status === 'C')
  assert.equal(health.seen[0]?.header('host'), health.address)
  assert.equal(service.connections.length, 0)
})

test('clears the error of a member when its check passes, before its retry time', async t => {
  const backend = await startBackend(t, responding())
  const { members } = await gatewayTo(t, [`ws://${backend.address}`], { healthCheck: QUICK })
  const [member] = members as [BalancerMember]
  member.fail()
  assert.equal(member.status, 'E')
  await eventually(() => member.status === '')
})

test('counts passed and failed checks as httpd does', async t => {
  const backend = await startBackend(t, responding())
  const healthCheck: HealthCheckOptions = { method: 'TCP', interval: 60_000, passes: 2, fails: 2 }
  const { members } = await gatewayTo(t, [`ws://${backend.address}`], { healthCheck })
  const [member] = members as [BalancerMember]
  const states = Array.from('-+-++-+--++', sign => {
    member.recordCheck({ ok: sign === '+', detail: '', duration: 1 })
    return member.status || '.'
  })
  // A passed check does not reset the failed ones before it, nor the other way round.
  assert.equal(states.join(''), '..CC...' + 'CCC.')
  member.fail()
  member.recordCheck({ ok: false, detail: '', duration: 1 })
  assert.equal(member.status, 'E')
  for (let i = 0; i < 2; i++) member.recordCheck({ ok: true, detail: '', duration: 1 })
  assert.equal(member.status, '')
})

test('reports when the last check ended, how long it took, and since when all had this result', async t => {
  const backend = await startBackend(t, responding())
  const { members } = await gatewayTo(t, [`ws://${backend.address}`], { healthCheck: QUICK })
  const [member] = members as [BalancerMember]
  assert.equal(member.health, undefined)
  const first = await eventually(() => {
    assert.ok(member.health)
    return member.health
  })
  assert.ok(Math.abs(Date.now() - first.checkedAt) < 3_000)
  assert.ok(first.duration > 0)
  const later = await eventually(() => {
    assert.ok(member.health !== first && member.health !== undefined)
    return member.health
  })
  assert.equal(later.since, first.since)
})

test('publishes every check, and the change of state that it causes', async t => {
  const results: string[] = []
  const healthListener = (message: unknown): void => {
    const { member, health } = message as HealthMessage
    if (member === sick) results.push(`${health.ok} ${health.detail}`)
  }
  const changes: string[] = []
  const memberListener = (message: unknown): void => {
    const { member, after } = message as { member: BalancerMember; after: string }
    if (member === sick) changes.push(after)
  }
  subscribe('ws-tunnel:health', healthListener)
  subscribe('ws-tunnel:member', memberListener)
  t.after(() => {
    unsubscribe('ws-tunnel:health', healthListener)
    unsubscribe('ws-tunnel:member', memberListener)
  })
  const backend = await startBackend(t, responding({ statusCode: 500 }))
  const { members } = await gatewayTo(t, [`ws://${backend.address}`], { healthCheck: QUICK })
  const [sick] = members as [BalancerMember]
  await eventually(() => results.length >= 2)
  assert.deepEqual(results.slice(0, 2), ['false status 500', 'false status 500'])
  assert.deepEqual(changes, ['C'])
})

test('checks disabled members, but not stopped ones', async t => {
  const stopped = await startBackend(t, responding())
  const disabled = await startBackend(t, responding())
  const { members } = await gatewayTo(t, [], {
    healthCheck: QUICK,
    members: [
      { url: `ws://${stopped.address}`, status: 'S' },
      { url: `ws://${disabled.address}`, status: 'D' },
    ],
  })
  await eventually(() => disabled.seen.length >= 3)
  assert.equal(stopped.seen.length, 0)
  assert.equal(members[1]?.status, 'D')
  ;(members[0] as BalancerMember).status = '-S'
  await stopped.request()
})

test('starts to check an added member, and stops to check a removed one', async t => {
  const backend = await startBackend(t, silent())
  const { gateway } = await gatewayTo(t, [], { healthCheck: { ...QUICK, timeout: 60_000 } })
  const balancer = gateway.proxy.balancers.get('x')
  const member = balancer?.add({ url: `ws://${backend.address}` }) as BalancerMember
  const unchecked = balancer?.add({ url: `ws://127.0.0.1:${await closedPort()}`, healthCheck: false }) as BalancerMember
  const { socket } = await backend.connection()
  balancer?.remove(member)
  await once(socket, 'end')
  assert.equal(member.health, undefined)
  assert.equal(unchecked.status, '')
})

test('ends every check when the proxy closes, and starts no other', async t => {
  const waiting = await startBackend(t, silent())
  const well = await startBackend(t, responding())
  const { gateway, members } = await gatewayTo(t, [`ws://${waiting.address}`, `ws://${well.address}`], {
    healthCheck: { ...QUICK, timeout: 60_000 },
  })
  const { socket } = await waiting.connection()
  await eventually(() => members[1]?.health?.ok === true)
  const ended = once(socket, 'end')
  await gateway.proxy.close({ drainTimeout: 0 })
  await ended
  const { length } = well.seen
  const added = gateway.proxy.balancers.get('x')?.add({ url: `ws://127.0.0.1:${well.port}/late` })
  await new Promise(resolve => setTimeout(resolve, 250))
  assert.equal(well.seen.length, length)
  assert.deepEqual([members[0]?.health, added?.health], [undefined, undefined])
})

/** A lookup that finds 127.0.0.1 for every name. */
const localLookup =
  (onLookup: () => void): WsTunnelOptions['lookup'] =>
  (_host, options, done) => {
    onLookup()
    if (options.all) done(null, [{ address: '127.0.0.1', family: 4 }])
    else done(null, '127.0.0.1', 4)
  }

test('runs one check per member, and at most 16 at a time', async t => {
  let inProgress = 0
  let most = 0
  const begin = (): void => {
    most = Math.max(most, ++inProgress)
  }
  const end = (): void => {
    inProgress--
  }
  subscribe('ws-tunnel:health', end)
  t.after(() => unsubscribe('ws-tunnel:health', end))
  // The first check of each member starts within a second.
  const allDue = new Promise(resolve => setTimeout(resolve, 1_200))
  const backend = await startBackend(t, async connection => {
    await connection.request()
    await allDue
    connection.end('HTTP/1.1 200 Fine\r\nContent-Length: 0\r\n\r\n')
  })
  const urls = Array.from({ length: 40 }, (_, i) => `ws://name.test:${backend.port}/${i}`)
  const healthCheck = { method: 'GET', interval: 30_000 } as const
  const { members } = await gatewayTo(t, urls, { healthCheck }, { lookup: localLookup(begin) })
  await eventually(() => members.every(({ health }) => health !== undefined), 10_000)
  assert.deepEqual(
    members.map(({ health }) => health?.ok),
    urls.map(() => true),
  )
  assert.equal(most, 16)
  assert.equal(new Set(backend.seen.map(({ path }) => path)).size, backend.seen.length)
})

test('connects with the settings of the first route to the balancer, TLS included', async t => {
  const backend = await startBackend(t, responding(), { tls: certificates.server })
  const url = `wss://localhost:${backend.port}/`
  const { members } = await gatewayTo(t, [url], { healthCheck: QUICK }, {
    target: undefined,
    routes: [
      { path: '/no', target: 'ws://127.0.0.1:1/' },
      { path: '/yes', target: 'Balancer://X/y', tls: { ca: certificates.ca } },
    ],
  } as never)
  await eventually(() => members[0]?.health?.ok === true)
  const beside = await gatewayTo(t, [url], { healthCheck: QUICK }, {
    target: undefined,
    routes: [{ target: () => 'balancer://x/' }],
    tls: { ca: certificates.ca },
  } as never)
  await eventually(() => beside.members[0]?.health?.ok === true)
  const blind = await gatewayTo(t, [url], { healthCheck: QUICK })
  await eventually(() => /WST_ERR_TLS/.test(blind.members[0]?.health?.detail ?? ''))
})

test('keeps the tunnels of a member whose checks fail, and opens no new ones', async t => {
  let well = true
  const backend = await startBackend(t, async (connection, self) => {
    const request = await connection.request()
    if (request.header('upgrade') === undefined)
      return connection.end(`HTTP/1.1 ${well ? 200 : 500} x\r\nContent-Length: 0\r\n\r\n`)
    await connection.write(switchingHead(request))
    await echoing(connection, self)
  })
  const { gateway, members } = await gatewayTo(t, [`ws://${backend.address}`], { healthCheck: QUICK })
  const client = await connectTunnel(t, gateway, '/')
  well = false
  await eventually(() => members[0]?.status === 'C')
  client.send('still here')
  assert.equal((await client.readExact(10)).toString(), 'still here')
  await assert.rejects(openTunnel(gateway.port, '/'), /503/)
})

test('spreads the checks that are due at once after the process was suspended', async t => {
  const backend = await startBackend(t, responding())
  const interval = 200
  let begun = 0
  const lookup = localLookup(() => {
    begun++
  })
  const urls = Array.from({ length: 20 }, (_, i) => `ws://name.test:${backend.port}/${i}`)
  const { members } = await gatewayTo(t, urls, { healthCheck: { method: 'TCP', interval } }, { lookup })
  await eventually(() => members.every(({ health }) => health !== undefined))
  const before = begun
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3 * interval)
  // The overdue timers fire before this one.
  await new Promise(resolve => setTimeout(resolve, 1))
  assert.ok(begun - before < 10, `${begun - before} of 20 started at once`)
  await eventually(() => begun - before >= 20)
})
