import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { createServer } from 'node:http'
import { type AddressInfo, connect as connectTcp } from 'node:net'
import test from 'node:test'
import { fileURLToPath } from 'node:url'
import type { TunnelEnd } from '@ws-tunnel/core'
import { listenForUpgrades, wsTunnel } from '@ws-tunnel/express'
import express5 from 'express'

import {
  type Backend,
  type BackendConnection,
  echo,
  raw,
  record,
  responding,
  silent,
  switching,
} from '../support/backend.ts'
import { plainRequest, type RawClient, upgradeRequest } from '../support/client.ts'
import { type Gateway, type Middleware, startExpress5 } from '../support/frameworks.ts'
import { closedPort, eventually, openHandles, within } from '../support/gate.ts'
import { backendReleased, connectClient, type SetUp, setUpOn, startBackend, statusesOf } from '../support/harness.ts'
import type { BackendPorts, Command, Report } from './fuzz-gateway.ts'

const setUp = setUpOn(startExpress5)

const MIB = 1024 * 1024

/** A client whose tunnel is open, and the backend's end of the tunnel. */
async function opened(
  { connect, backend }: SetUp,
  path = '/',
): Promise<{ client: RawClient; peer: BackendConnection }> {
  const client = await connect()
  const nth = backend.connections.length
  client.send(upgradeRequest(path))
  assert.equal((await client.responseHead()).statusCode, 101)
  return { client, peer: await backend.connection(nth) }
}

const connectionsOf = (gateway: Gateway): Promise<number> =>
  new Promise(resolve => gateway.server.getConnections((_error, count) => resolve(count)))

const lastEnd = (gateway: Gateway): Promise<TunnelEnd> =>
  eventually(() => {
    const { end } = gateway.ends.at(-1) ?? {}
    assert.ok(end !== undefined)
    return end
  })

/** Whether the socket received the peer's FIN or RST. */
const receivedEnd = (end: RawClient | BackendConnection): Promise<boolean> =>
  eventually(() => end.ended || end.socket.destroyed, 1_500)

test('ends the other end within a second after a RST of the client or of the backend', async t => {
  const one = await setUp(t, record())
  const reset = await opened(one)
  reset.client.reset()
  await within(1_000, 'the end of the backend', receivedEnd(reset.peer))
  assert.equal((await lastEnd(one.gateway)).reason, 'client-error')

  const other = await opened(one)
  other.peer.reset()
  await within(1_000, 'the end of the client', receivedEnd(other.client))
  await eventually(() => one.gateway.ends.length === 2)
  assert.equal(one.gateway.ends[1]?.end.reason, 'backend-error')
  assert.equal(one.gateway.tunnels.size, 0)
})

for (const stalled of ['client', 'peer'] as const) {
  const pushing = stalled === 'client' ? 'peer' : 'client'

  test(`stops reading from the ${pushing === 'peer' ? 'backend' : 'client'} while the other end reads nothing, and ends both after a RST`, async t => {
    const all = await setUp(t, record())
    const ends = await opened(all)
    const bystander = await opened(all)
    ends[stalled].socket.pause()
    const before = process.memoryUsage().arrayBuffers
    const block = Buffer.alloc(MIB)
    const total = 512
    for (let i = 0; i < total; i++) ends[pushing].socket.write(block)
    let waiting = -1
    await eventually(async () => {
      const settled = ends[pushing].socket.writableLength === waiting
      waiting = ends[pushing].socket.writableLength
      await new Promise(resolve => setTimeout(resolve, 100))
      return settled
    }, 10_000)
    // The rest of the bytes that were sent is in the buffers of the kernel; the writes above share one block.
    assert.ok(waiting > (total / 2) * MIB, `${waiting / MIB} MiB still wait`)
    const grown = process.memoryUsage().arrayBuffers - before
    assert.ok(grown < 8 * MIB, `${grown / MIB} MiB more in the gateway`)

    bystander.client.send('meanwhile')
    assert.equal((await bystander.peer.readExact(9)).toString(), 'meanwhile')

    ends[pushing].reset()
    await within(
      1_500,
      'the tunnel to end',
      eventually(() => all.gateway.tunnels.size === 1),
    )
    ends[stalled].socket.destroy()
  })

  test(`cuts a tunnel whose ${stalled === 'peer' ? 'backend' : 'client'} reads nothing for longer than idleTimeout`, async t => {
    const all = await setUp(t, record(), { idleTimeout: 200 })
    const ends = await opened(all)
    ends[stalled].socket.pause()
    for (let i = 0; i < 64; i++) ends[pushing].socket.write(Buffer.alloc(MIB))
    const { reason } = await lastEnd(all.gateway)
    assert.equal(reason, 'idle')
    assert.equal(all.gateway.tunnels.size, 0)
  })

  test(`forwards the FIN of the ${stalled === 'peer' ? 'backend' : 'client'}, and keeps the other direction open for halfOpenTimeout`, async t => {
    const all = await setUp(t, record(), { halfOpenTimeout: 250 })
    const ends = await opened(all)
    const [first, second] = [ends[stalled], ends[pushing]]
    first.end('last words')
    assert.equal((await second.readAll()).toString(), 'last words')
    for (let i = 0; i < 8; i++) {
      second.socket.write('more')
      assert.equal((await first.readExact(4)).toString(), 'more')
      await new Promise(resolve => setTimeout(resolve, 60))
    }
    assert.equal(all.gateway.tunnels.size, 1, 'bytes keep a half-open tunnel alive')
    assert.equal((await lastEnd(all.gateway)).reason, 'half-open')
    await receivedEnd(first)
  })
}

test('notices the RST of a client that has sent more bytes before the 101 than are read', async t => {
  const { backend, connect, gateway } = await setUp(t, silent())
  const client = await connect()
  client.send(upgradeRequest('/')).send(Buffer.alloc(MIB))
  const peer = await backend.connection()
  await backend.request()
  client.reset()
  await within(1_500, 'the end of the backend', receivedEnd(peer))
  await eventually(() => gateway.errors.length === 1)
  assert.equal(gateway.errors[0]?.code, 'WST_ERR_CLIENT_GONE')
})

test('serves others while clients never finish their heads, which the timers of the server end', async t => {
  const all = await setUp(
    t,
    echo(),
    {},
    { serverOptions: { headersTimeout: 400, requestTimeout: 400, connectionsCheckingInterval: 50 } },
  )
  const tunnel = await opened(all)
  const slow = await Promise.all(Array.from({ length: 150 }, () => all.connect()))
  for (const client of slow) client.send('GET / HTTP/1.1\r\nHost: front.example\r\nUpgrade: web')
  const probe = await opened(all)
  probe.client.send('probe')
  assert.equal((await within(2_000, 'the probe', probe.client.readExact(5))).toString(), 'probe')
  assert.match(await all.sendAndReadAll(plainRequest('/own', { headers: ['Connection: close'] })), /own$/)
  for (const client of slow) assert.deepEqual(statusesOf((await client.readAll()).toString()), [408])
  tunnel.client.send('still open')
  assert.equal((await tunnel.client.readExact(10)).toString(), 'still open')
  assert.equal(all.backend.connections.length, 2)
})

test('serves others while backends never respond, and ends those requests in time', async t => {
  const mute = await startBackend(t, silent())
  const all = await setUp(t, echo(), ({ address }) => ({
    routes: [
      { path: '/slow', target: `ws://${mute.address}`, handshakeTimeout: 500 },
      { path: '/', target: `ws://${address}` },
    ],
  }))
  const slow = await Promise.all(Array.from({ length: 150 }, () => all.connect()))
  for (const client of slow) client.send(upgradeRequest('/slow'))
  await mute.request(100)
  const probe = await opened(all)
  probe.client.send('probe')
  assert.equal((await within(2_000, 'the probe', probe.client.readExact(5))).toString(), 'probe')
  for (const client of slow) assert.equal((await client.whole()).statusCode, 504)
  // The gateway ends its connection to a backend by FIN. These backends never end theirs.
  await eventually(() => mute.connections.every(({ ended }) => ended))
})

test('leaves no timer, socket or slot, however tunnels end', async t => {
  const all = await setUp(t, echo(), {
    connectTimeout: 60_000,
    handshakeTimeout: 60_000,
    idleTimeout: 60_000,
    halfOpenTimeout: 60_000,
    maxLifetime: 60_000,
    maxTunnels: 40,
  })
  const { Timeout: timers = 0 } = openHandles()
  for (let round = 0; round < 3; round++) {
    const tunnels: Awaited<ReturnType<typeof opened>>[] = []
    while (tunnels.length < 40) tunnels.push(await opened(all))
    assert.ok((openHandles()['Timeout'] ?? 0) >= timers + 40, 'the limits have timers')
    for (const [i, { client, peer }] of tunnels.entries()) {
      if (i % 4 === 0) client.end()
      else if (i % 4 === 1) client.reset()
      else if (i % 4 === 2) peer.end()
      else client.destroy()
    }
    // An end that has received FIN ends too.
    for (const { client } of tunnels)
      void client.readAll().then(
        () => client.end(),
        () => {},
      )
    await eventually(() => all.gateway.tunnels.size === 0)
  }
  assert.equal(all.gateway.ends.length, 120)
  await backendReleased(all.backend)
  await eventually(async () => (await connectionsOf(all.gateway)) === 0)
  await eventually(() => (openHandles()['Timeout'] ?? 0) <= timers)
})

test('releases the slot of a tunnel when its handshake fails, is refused or is aborted', async t => {
  const { backend, connect, sendAndReadAll, gateway } = await setUp(
    t,
    async (connection, each) => {
      const { path } = await connection.request()
      if (path === '/refused') connection.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n')
      else if (path === '/broken') connection.reset()
      else if (path === '/open')
        await connection.write('HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n')
      else each.seen.length = 0
    },
    { maxTunnels: 1, handshakeTimeout: 10_000 },
  )
  for (let i = 0; i < 5; i++) {
    assert.deepEqual(statusesOf(await sendAndReadAll(upgradeRequest('/refused'))), [403])
    assert.deepEqual(statusesOf(await sendAndReadAll(upgradeRequest('/broken'))), [502])
    const leaving = await connect()
    leaving.send(upgradeRequest('/silent'))
    await eventually(() => backend.connections.at(-1)?.requests[0]?.path === '/silent')
    assert.deepEqual(statusesOf(await sendAndReadAll(upgradeRequest('/open'))), [503])
    leaving.reset()
    await eventually(() => gateway.errors.at(-1)?.code === 'WST_ERR_CLIENT_GONE')
  }
  const client = await connect()
  client.send(upgradeRequest('/open'))
  assert.equal((await client.responseHead()).statusCode, 101)
  const late = await sendAndReadAll(upgradeRequest('/open'))
  assert.match(late, /^HTTP\/1\.1 503 .*WST_ERR_TUNNEL_LIMIT/s)
})

for (const kind of ['an upgrade', 'a plain request', 'a plain request with a body'] as const) {
  const request =
    kind === 'an upgrade'
      ? upgradeRequest('/')
      : kind === 'a plain request'
        ? plainRequest('/')
        : plainRequest('/', { method: 'POST', headers: ['Transfer-Encoding: chunked'], body: '5\r\nhello\r\n' })

  test(`sends ${kind} to no backend if its client left while earlier middleware was running`, async t => {
    const waiting: (() => void)[] = []
    const thinking: Middleware = (_req, _res, next) => void waiting.push(next)
    const { backend, connect, gateway } = await setUp(t, silent(), { handshakeTimeout: 0 }, { before: [thinking] })
    const client = await connect()
    client.send(request)
    await eventually(() => waiting.length === 1)
    client.reset()
    await eventually(async () => (await connectionsOf(gateway)) === 0)
    waiting[0]?.()
    // The second client comes after everything that the first one may have started.
    const other = await connect()
    other.send(upgradeRequest('/other'))
    await eventually(() => waiting.length === 2)
    waiting[1]?.()
    await eventually(() => backend.seen.some(({ path }) => path === '/other'))
    assert.deepEqual(
      backend.seen.map(({ path }) => path),
      ['/other'],
    )
  })

  test(`504s ${kind} when the target function never settles, and drops it when the client leaves`, async t => {
    const settlers: ((target: string) => void)[] = []
    const target = () => new Promise<string>(resolve => settlers.push(resolve))
    const { backend, connect, sendAndReadAll } = await setUp(t, record(), { target, handshakeTimeout: 200 })
    const whole = kind === 'a plain request with a body' ? `${request}0\r\n\r\n` : request
    const client = await connect()
    client.send(whole)
    assert.equal((await client.whole()).statusCode, 504)
    settlers[0]?.(`ws://${backend.address}`)

    const leaving = await connect()
    leaving.send(whole)
    await eventually(() => settlers.length === 2)
    leaving.reset()
    await leaving.closed
    settlers[1]?.(`ws://${backend.address}`)
    assert.match(await sendAndReadAll(plainRequest('/own', { headers: ['Connection: close'] })), /own$/)
    assert.deepEqual(backend.connections, [])
  })
}

for (const how of ['throws', 'rejects'] as const) {
  test(`keeps tunnel and process unaffected by observers that ${how}, and emits a warning`, async t => {
    const warnings: string[] = []
    const onWarning = ({ message }: Error): void => void warnings.push(message)
    process.on('warning', onWarning)
    t.after(() => process.off('warning', onWarning))
    const fail = (what: string) => (): never | Promise<never> => {
      const error = new Error(`the observer of ${what} ${how}`)
      if (how === 'rejects') return Promise.reject(error)
      throw error
    }
    const backend = await startBackend(t, async (connection, each) => {
      await (each.connections[0] === connection ? echo() : raw(''))(connection, each)
    })
    const app = express5()
    app.use(
      wsTunnel({
        target: `ws://${backend.address}`,
        onOpen: fail('onOpen') as () => void,
        onClose: fail('onClose') as () => void,
        onError: fail('onError') as () => void,
      }),
    )
    const server = createServer(app.set('env', 'test'))
    listenForUpgrades(server, app)
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    t.after(() => server.close())
    const { port } = server.address() as AddressInfo

    const client = await connectClient(t, port)
    client.send(upgradeRequest('/'))
    assert.equal((await client.responseHead()).statusCode, 101)
    client.send('still echoed')
    assert.equal((await client.readExact(12)).toString(), 'still echoed')
    client.end()
    await client.readAll()
    const refused = await connectClient(t, port)
    refused.send(upgradeRequest('/'))
    assert.equal((await refused.whole()).statusCode, 502)
    refused.destroy()
    for (const what of ['onOpen', 'onClose', 'onError']) {
      await eventually(() => warnings.includes(`the observer of ${what} ${how}`))
    }
  })
}

test('500s a request whose trust function throws', async t => {
  const { backend, sendAndReadAll } = await setUp(t, echo(), {
    trustProxy: () => {
      throw new Error('no trust')
    },
  })
  assert.deepEqual(statusesOf(await sendAndReadAll(upgradeRequest('/'))), [500])
  assert.deepEqual(statusesOf(await sendAndReadAll(plainRequest('/', { headers: ['Connection: close'] }))), [500])
  assert.deepEqual(backend.seen, [])
})

test('leaves an upgrade to other listeners when the `only` function throws', async t => {
  const { sendAndReadAll } = await setUp(
    t,
    responding({ headers: ['Connection: close'] }),
    {},
    {
      only: () => {
        throw new Error('whose is it?')
      },
    },
  )
  const statuses = statusesOf(await sendAndReadAll(upgradeRequest('/', { headers: { Connection: 'Upgrade, close' } })))
  assert.equal(statuses.length, 1)
  assert.match(await sendAndReadAll(plainRequest('/own', { headers: ['Connection: close'] })), /own$/)
})

test('continues after an error handler of the app has thrown', async t => {
  const failing: Middleware = (_req, res, next) => {
    const end = res.end.bind(res)
    res.end = ((...args: []) => {
      res.end = end
      if (res.statusCode === 502) throw new Error('the handler fails')
      return end(...args)
    }) as typeof res.end
    next()
  }
  const { sendAndReadAll } = await setUp(t, raw(''), {}, { before: [failing] })
  const [status] = statusesOf(await sendAndReadAll(upgradeRequest('/')))
  assert.ok(status !== undefined && status >= 500)
  assert.match(await sendAndReadAll(plainRequest('/own', { headers: ['Connection: close'] })), /own$/)
})

/** The fuzzer's gateway in a process that may open this many descriptors, where a shell can set that limit. */
async function limitedGateway(
  descriptors: number,
  ports: BackendPorts,
): Promise<{ child: ChildProcess; port: number; faults: string[] }> {
  const script = fileURLToPath(new URL('./fuzz-gateway.ts', import.meta.url))
  const child = spawn('/bin/sh', ['-c', `ulimit -n ${descriptors} && exec "$0" "$@"`, process.execPath, script], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, NODE_ENV: 'test' },
  })
  const faults: string[] = []
  child.on('message', (report: Report) => {
    if ('fault' in report) faults.push(report.stack)
  })
  child.send({ start: ports } satisfies Command)
  const gone = once(child, 'exit').then(([code]) => {
    throw new Error(`the gateway exited with ${code} before it listened`)
  })
  gone.catch(() => {})
  const [report] = (await Promise.race([once(child, 'message'), gone])) as [Report]
  assert.ok('port' in report)
  return { child, port: report.port, faults }
}

test('503s when descriptors run out, keeps the open tunnels, and recovers fully', {
  skip: process.platform === 'win32',
}, async t => {
  const backend: Backend = await startBackend(t, echo())
  const refuses = await closedPort()
  const { port: scripted } = backend
  const { child, port, faults } = await limitedGateway(128, {
    scripted,
    encrypted: refuses,
    resets: refuses,
    ends: refuses,
    speaks: refuses,
    refuses,
  })
  t.after(() => child.kill('SIGKILL'))
  const list = `/proc/${child.pid}/fd`
  const descriptors = (): number | undefined => (existsSync(list) ? readdirSync(list).length : undefined)

  /** Opens a tunnel. @returns it, or the status of the refusal, or nothing if the connection could not be accepted. */
  const attempt = async (): Promise<RawClient | number | undefined> => {
    const client = await connectClient(t, port)
    client.send(upgradeRequest('/ws'))
    try {
      const { statusCode } = await client.responseHead()
      if (statusCode === 101) return client
      client.destroy()
      return statusCode
    } catch {
      client.destroy()
      return undefined
    }
  }
  const tunnels: RawClient[] = []
  t.after(() => {
    for (const tunnel of tunnels) tunnel.destroy()
  })
  const fill = async (most: number): Promise<(number | undefined)[]> => {
    const excess: (number | undefined)[] = []
    for (let i = 0; i < most; i++) {
      const got = await attempt()
      if (typeof got === 'object') tunnels.push(got)
      else excess.push(got)
    }
    return excess
  }
  const echoes = async (): Promise<void> => {
    for (const [i, tunnel] of tunnels.entries()) {
      tunnel.send(`tunnel ${i}\n`)
      assert.equal((await tunnel.readThrough('\n')).toString(), `tunnel ${i}\n`)
    }
  }
  const drain = async (): Promise<void> => {
    for (const tunnel of tunnels.splice(0)) tunnel.destroy()
    await eventually(() => backend.open === 0)
  }

  await fill(1)
  await drain()
  const before = descriptors()
  const seen = new Set<number | undefined>()
  for (const spare of [0, 1]) {
    // A tunnel takes two descriptors: with one more or less in use, the client or the backend gets none.
    const idle = Array.from({ length: spare }, () => connectTcp(port, '127.0.0.1'))
    await Promise.all(idle.map(socket => once(socket, 'connect')))
    const excess = await fill(80)
    for (const status of excess) seen.add(status)
    assert.ok(tunnels.length > 20, `${tunnels.length} tunnels fit`)
    assert.ok(excess.length > 10, `${excess.length} did not`)
    await echoes()
    for (const socket of idle) socket.destroy()
    await drain()
    if (before !== undefined) await eventually(() => (descriptors() as number) <= before)
  }
  assert.ok(seen.delete(503), 'the backend could not be connected')
  seen.delete(undefined)
  assert.deepEqual([...seen], [])
  const [again] = await fill(20)
  assert.equal(again, undefined)
  assert.equal(tunnels.length, 20)
  await echoes()
  assert.deepEqual(faults, [])
  assert.equal(child.exitCode, null)
})

test('ends a tunnel once, in whatever order the ends, errors and closes of its sockets occur', async t => {
  const all = await setUp(t, switching({ after: () => {} }), { halfOpenTimeout: 500 })
  const moves: ((ends: { client: RawClient; peer: BackendConnection }) => void)[] = [
    ({ client }) => client.end(),
    ({ peer }) => peer.end(),
    ({ client }) => client.reset(),
    ({ peer }) => peer.reset(),
    ({ client }) => client.destroy(),
    ({ peer }) => void peer.socket.destroy(),
    ({ client }) => void client.send('bytes'),
    ({ peer }) => void peer.socket.write('bytes'),
  ]
  let expected = 0
  for (const first of moves) {
    for (const second of moves) {
      const ends = await opened(all)
      expected++
      first(ends)
      second(ends)
      setImmediate(() => {
        ends.client.destroy()
        ends.peer.socket.destroy()
      })
    }
  }
  await eventually(() => all.gateway.tunnels.size === 0)
  assert.equal(all.gateway.ends.length, expected)
  assert.equal(new Set(all.gateway.ends.map(({ tunnel }) => tunnel)).size, expected)
})
