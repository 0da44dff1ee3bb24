import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BalancerOptions, MemberOptions, WsTunnelOptions } from '@ws-tunnel/core'
import type { BalancerMember } from '../../../packages/core/dist/balancer/balancer-member.js'
import { echo, responding } from '../../support/backend.ts'
import { plainRequest, upgradeRequest } from '../../support/client.ts'
import type { CoreGateway } from '../../support/frameworks.ts'
import { eventually } from '../../support/gate.ts'
import { connectTunnel, sendRequest, startBackend, startGateway } from '../../support/harness.ts'

const balanced = (members: readonly MemberOptions[], more: Partial<BalancerOptions> = {}): WsTunnelOptions => ({
  routes: [{ path: '/', target: 'balancer://b/' }],
  balancers: { b: { members, ...more } },
})

const disabled: readonly MemberOptions[] = [{ url: 'ws://127.0.0.1:1/', status: 'D' }]

const waitingFor = (gateway: CoreGateway): number => gateway.proxy.routes[0]?.open ?? 0

test('makes upgrades wait for a slot, and gives it to the first whose client is still there', async t => {
  const backend = await startBackend(t, echo())
  const gateway = await startGateway(t, {
    target: `ws://${backend.address}/`,
    workers: [{ url: `ws://${backend.address}`, maxTunnels: 1, acquireTimeout: 60_000 }],
  })
  const holder = await connectTunnel(t, gateway)
  const leaving = await sendRequest(t, gateway, upgradeRequest('/'))
  await eventually(() => waitingFor(gateway) === 2)
  const staying = await sendRequest(t, gateway, upgradeRequest('/'))
  await eventually(() => waitingFor(gateway) === 3)
  leaving.destroy()
  await eventually(() => gateway.errors.length === 1)
  assert.equal((gateway.errors[0] as { code: string }).code, 'WST_ERR_CLIENT_GONE')
  assert.equal(backend.seen.length, 1)
  holder.destroy()
  assert.equal((await staying.responseHead()).statusCode, 101)
  staying.send('mine')
  assert.equal((await staying.readExact(4)).toString(), 'mine')
  assert.equal(backend.seen.length, 2)
})

test('503s an upgrade that gets no slot in time', async t => {
  const backend = await startBackend(t, echo())
  const gateway = await startGateway(t, {
    target: `ws://${backend.address}/`,
    workers: [{ url: `ws://${backend.address}`, maxTunnels: 1, acquireTimeout: 50 }],
  })
  await connectTunnel(t, gateway)
  assert.equal((await (await sendRequest(t, gateway, upgradeRequest('/'))).responseHead()).statusCode, 503)
  assert.equal((gateway.errors[0] as { code: string }).code, 'WST_ERR_TUNNEL_LIMIT')
})

test('waits for a slot of the selected member, then tries the next one', async t => {
  const [first, second] = [await startBackend(t, echo()), await startBackend(t, echo())]
  const gateway = await startGateway(
    t,
    balanced([
      { url: `ws://${first.address}/`, maxTunnels: 1, acquireTimeout: 50, loadFactor: 100 },
      { url: `ws://${second.address}/` },
    ]),
  )
  await connectTunnel(t, gateway)
  const [a, b] = gateway.proxy.balancers.get('b')?.members ?? []
  assert.ok(a && b)
  await connectTunnel(t, gateway)
  assert.deepEqual([a.busy, a.status, b.busy, second.seen.length], [1, '', 1, 1])
})

test('retries a member that was full, if the balancer waits', async t => {
  const backend = await startBackend(t, echo())
  const gateway = await startGateway(
    t,
    balanced([{ url: `ws://${backend.address}/`, maxTunnels: 1 }], { timeout: 60_000, maxAttempts: 1 }),
  )
  const holder = await connectTunnel(t, gateway)
  const waiting = await sendRequest(t, gateway, upgradeRequest('/'))
  await eventually(() => waitingFor(gateway) === 2)
  holder.destroy()
  assert.equal((await waiting.responseHead()).statusCode, 101)
})

test('ends all waits for a slot or a member when it closes, of upgrades and plain requests', async t => {
  const backend = await startBackend(t, echo())
  const full = await startGateway(t, {
    target: `ws://${backend.address}/`,
    workers: [{ url: `ws://${backend.address}`, maxTunnels: 1, acquireTimeout: 60_000 }],
  })
  await connectTunnel(t, full)
  const slotless = await sendRequest(t, full, upgradeRequest('/'))
  await eventually(() => waitingFor(full) === 2)
  const empty = await startGateway(t, balanced(disabled, { timeout: 60_000 }))
  const upgrade = await sendRequest(t, empty, upgradeRequest('/'))
  const plain = await sendRequest(t, empty, plainRequest('/'))
  await eventually(() => empty.proxy.routes[0]?.hits === 2)
  await Promise.all([full.proxy.close({ drainTimeout: 0 }), empty.proxy.close({ drainTimeout: 0 })])
  for (const client of [slotless, upgrade, plain]) assert.equal((await client.responseHead()).statusCode, 503)
  for (const { errors } of [full, empty])
    assert.ok(errors.every(error => (error as { code: string }).code === 'WST_ERR_CLOSING'))
})

test('ends the wait of an upgrade after a failed member when it closes, or when the client leaves', async t => {
  const gateway = await startGateway(
    t,
    balanced([{ url: `ws://127.0.0.1:1/` }, ...disabled], { timeout: 60_000, forceRecovery: false }),
  )
  const [dead] = (gateway.proxy.balancers.get('b')?.members ?? []) as readonly BalancerMember[]
  const leaving = await sendRequest(t, gateway, upgradeRequest('/'))
  await eventually(() => dead?.failures === 1)
  leaving.end()
  await eventually(() => gateway.errors.length === 1)
  assert.equal((gateway.errors[0] as { code: string }).code, 'WST_ERR_CLIENT_GONE')
  dead?.recover(true)
  const client = await sendRequest(t, gateway, upgradeRequest('/'))
  await eventually(() => dead?.failures === 2)
  await gateway.proxy.close({ drainTimeout: 0 })
  assert.equal((await client.responseHead()).statusCode, 503)
  assert.equal((gateway.errors[1] as { code: string }).code, 'WST_ERR_CLOSING')
})

test('ends the wait of a plain request when its client leaves', async t => {
  const gateway = await startGateway(t, balanced(disabled, { timeout: 60_000 }))
  const client = await sendRequest(t, gateway, plainRequest('/'))
  await eventually(() => gateway.proxy.routes[0]?.hits === 1)
  client.destroy()
  await eventually(() => gateway.errors.length === 1)
  assert.equal((gateway.errors[0] as { code: string }).code, 'WST_ERR_CLIENT_GONE')
})

test('reports a client that leaves while its plain request waits after a failed member', async t => {
  const gateway = await startGateway(
    t,
    balanced([{ url: 'ws://127.0.0.1:1/' }, ...disabled], { timeout: 60_000, forceRecovery: false }),
  )
  const [failed] = (gateway.proxy.balancers.get('b')?.members ?? []) as readonly BalancerMember[]
  const client = await sendRequest(t, gateway, plainRequest('/'))
  await eventually(() => failed?.failures === 1)
  client.destroy()
  await eventually(() => gateway.errors.length === 1)
  assert.equal((gateway.errors[0] as { code: string }).code, 'WST_ERR_CLIENT_GONE')
})

test('does not wait for a slot of a member that does not allow the upgrade', async t => {
  const backend = await startBackend(t, echo())
  const gateway = await startGateway(t, {
    routes: [{ path: '/', target: async () => 'balancer://b/', upgrade: 'ANY', fallback: false }],
    balancers: {
      b: { members: [{ url: `ws://${backend.address}/`, upgrade: 'other', maxTunnels: 1, acquireTimeout: 60_000 }] },
    },
  })
  await connectTunnel(t, gateway, '/', { token: 'other' })
  const client = await sendRequest(t, gateway, upgradeRequest('/'))
  assert.equal((await client.responseHead()).statusCode, 426)
})

test('counts a member as busy until its refusal of an upgrade is delivered completely', async t => {
  const whole = Promise.withResolvers<void>()
  const backend = await startBackend(t, async connection => {
    await connection.request()
    connection.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nno')
    await whole.promise
    connection.write('pe')
  })
  const gateway = await startGateway(t, balanced([{ url: `ws://${backend.address}/` }]))
  const client = await sendRequest(t, gateway, upgradeRequest('/'))
  assert.equal((await client.responseHead()).statusCode, 403)
  const [member] = gateway.proxy.balancers.get('b')?.members ?? []
  assert.equal(member?.busy, 1)
  whole.resolve()
  await eventually(() => member?.busy === 0)
})

test('sets the session cookie on the 101 and on plain responses, and follows it', async t => {
  const [first, second] = [await startBackend(t, echo()), await startBackend(t, responding({ body: 'plain' }))]
  const gateway = await startGateway(
    t,
    balanced(
      [
        { url: `ws://${first.address}/`, routeId: 'one' },
        { url: `http://${second.address}/`, routeId: 'two' },
      ],
      { stickySession: { cookie: 'SID', set: true } },
    ),
  )
  const switched = await (await sendRequest(t, gateway, upgradeRequest('/'))).responseHead()
  assert.deepEqual(switched.headers('set-cookie'), ['SID=.one; Path=/; HttpOnly; SameSite=Lax'])
  const plain = await (await sendRequest(t, gateway, plainRequest('/'))).responseHead()
  assert.deepEqual(plain.headers('set-cookie'), ['SID=.two; Path=/; HttpOnly; SameSite=Lax'])
  const again = await (
    await sendRequest(t, gateway, upgradeRequest('/', { headers: { Cookie: 'SID=.one' } }))
  ).responseHead()
  assert.deepEqual([again.statusCode, again.headers('set-cookie')], [101, []])
  const gone = await (
    await sendRequest(t, gateway, upgradeRequest('/', { headers: { Cookie: 'SID=.old' } }))
  ).responseHead()
  assert.equal(gone.headers('set-cookie').length, 1)
})
