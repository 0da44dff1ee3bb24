import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { createHash, type Hash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { type AddressInfo, connect as connectTcp, createServer, Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import type { Tunnel, WsTunnelOptions } from '@ws-tunnel/core'
import {
  type Backend,
  type BackendConnection,
  echo,
  record,
  type Script,
  silent,
  startBackend,
  switching,
} from '../support/backend.ts'
import { connect, openTunnel, type RawClient, upgradeRequest } from '../support/client.ts'
import { eventually, openHandles, socketPath, within } from '../support/gate.ts'
import * as certificates from '../support/tls.ts'
import { type Gateway, startGateway } from './gateway.ts'

type Wire = 'TCP' | 'TLS' | 'unix'

interface Stage {
  gateway: Gateway
  backend: Backend
  /** Opens one more tunnel. */
  open: () => Promise<{ client: RawClient; connection: BackendConnection; tunnel: Tunnel }>
}

interface StageOptions extends Omit<WsTunnelOptions & object, 'target' | 'routes'> {
  front?: Wire
  back?: Wire
  /** Both ends answer FIN with FIN. */
  polite?: boolean
}

/** A backend and a gateway before it, over the wires asked for. */
async function stage(
  t: TestContext,
  script: Script,
  { front = 'TCP', back = 'TCP', polite: isPolite = false, ...options }: StageOptions = {},
): Promise<Stage> {
  const frontSocket = front === 'unix' ? await socketPath() : undefined
  const backSocket = back === 'unix' ? await socketPath() : undefined
  const clients: RawClient[] = []
  const backend = await startBackend(script, {
    ...(back === 'TLS' ? { tls: certificates.server } : {}),
    ...(backSocket === undefined ? {} : { path: backSocket.path }),
  })
  t.after(async () => {
    for (const client of clients) client.destroy()
    await backend.close()
    await frontSocket?.remove()
    await backSocket?.remove()
  })
  const target = {
    TCP: `ws://127.0.0.1:${backend.port}/`,
    TLS: `wss://localhost:${backend.port}/`,
    unix: `unix:${backSocket?.path}|ws://backend/`,
  }[back]
  const gateway = await startGateway(t, { ...options, target, tls: { ca: certificates.ca } } as WsTunnelOptions, {
    ...(front === 'TLS' ? { tls: certificates.server } : {}),
    ...(frontSocket === undefined ? {} : { path: frontSocket.path }),
  })
  const open: Stage['open'] = async () => {
    const n = gateway.opened.length
    const { client } = await openTunnel(gateway.port, '/', {
      ...(front === 'TLS' ? { tls: { ca: certificates.ca, servername: 'localhost' } } : {}),
      ...(frontSocket === undefined ? {} : { unixPath: frontSocket.path }),
    })
    clients.push(client)
    const connection = await backend.connection(n)
    if (isPolite) polite({ client, connection })
    return { client, connection, tunnel: gateway.opened[n] as Tunnel }
  }
  return { gateway, backend, open }
}

const WIRES: [front: Wire, back: Wire][] = [
  ['TCP', 'TCP'],
  ['TLS', 'TCP'],
  ['TCP', 'TLS'],
  ['TLS', 'TLS'],
  ['unix', 'unix'],
]

/** Numbers in [0, 1) that a seed repeats. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const MAX_CHUNK = 128 * 1024

/** What is sent is cut out of this. */
const POOL = randomBytes(4 * MAX_CHUNK)

/** Writes `total` bytes in pieces of 1 B to 128 KiB, as fast as the socket takes them but for some pauses, then FIN. */
async function sendRandomly(socket: Socket, total: number, random: () => number): Promise<string> {
  const hash = createHash('sha256')
  for (let left = total; left > 0; ) {
    const size = Math.min(left, Math.max(1, Math.floor(MAX_CHUNK ** random())))
    const from = Math.floor(random() * (POOL.length - size))
    const chunk = POOL.subarray(from, from + size)
    hash.update(chunk)
    left -= size
    if (!socket.write(chunk)) await once(socket, 'drain')
    const dice = random()
    if (dice < 0.05) await sleep(dice * 100)
    else if (dice < 0.3) await turn()
  }
  socket.end()
  return hash.digest('hex')
}

/** Reads until FIN, with pauses. */
async function receiveRandomly(socket: Socket, random: () => number): Promise<{ digest: string; bytes: number }> {
  const hash: Hash = createHash('sha256')
  let bytes = 0
  socket.on('data', chunk => {
    hash.update(chunk)
    bytes += chunk.length
    const dice = random()
    if (dice > 0.05) return
    socket.pause()
    setTimeout(() => socket.resume(), dice * 200)
  })
  socket.resume()
  await once(socket, 'end')
  return { digest: hash.digest('hex'), bytes }
}

for (const [front, back] of WIRES) {
  test(`carries both directions byte for byte, both full at once, from ${front} to ${back}`, async t => {
    const { gateway, open } = await stage(t, record(), { front, back })
    const seed = Math.floor(Math.random() * 2 ** 31)
    t.diagnostic(`seed ${seed}`)
    const { client, connection } = await open()
    const [near, far] = [client.release(), connection.release()]
    const [up, down] = [3_000_000, 4_000_000]
    const [sentUp, sentDown, gotUp, gotDown] = await Promise.all([
      sendRandomly(near, up, seeded(seed)),
      sendRandomly(far, down, seeded(seed + 1)),
      receiveRandomly(far, seeded(seed + 2)),
      receiveRandomly(near, seeded(seed + 3)),
    ])
    assert.deepEqual(gotUp, { digest: sentUp, bytes: up })
    assert.deepEqual(gotDown, { digest: sentDown, bytes: down })
    const { reason, bytesFromClient, bytesFromBackend, error } = await gateway.end()
    assert.deepEqual([reason, bytesFromClient, bytesFromBackend, error], ['finished', up, down, undefined])
  })
}

test('carries what came in the same packet as the heads, both ways, before all else', async t => {
  const { gateway, backend } = await stage(t, echo({ early: 'glued to the 101, ' }))
  const client = await connect(gateway.port)
  t.after(() => client.destroy())
  client.send(`${upgradeRequest('/')}glued to the request, `)
  await backend.connection()
  assert.equal((await client.answer()).statusCode, 101)
  client.end('and more')
  assert.equal((await client.readAll()).toString(), 'glued to the 101, glued to the request, and more')
  const { bytesFromClient, bytesFromBackend } = await gateway.end()
  assert.deepEqual([bytesFromClient, bytesFromBackend], [30, 48])
})

type End = RawClient | BackendConnection

/** Answers FIN with FIN, as a peer does that has no more to say. */
function polite({ client, connection }: { client: RawClient; connection: BackendConnection }): void {
  for (const { socket } of [client, connection]) {
    if (socket.readableEnded) socket.end()
    else socket.once('end', () => socket.end())
  }
}

const ended = (
  { client, connection }: { client: RawClient; connection: BackendConnection },
  first: 'client' | 'backend',
): [End, End] => (first === 'client' ? [client, connection] : [connection, client])

for (const [front, back] of WIRES) {
  for (const first of ['client', 'backend'] as const) {
    test(`passes the FIN of the ${first} on and lets the other direction live, from ${front} to ${back}`, async t => {
      const { gateway, open } = await stage(t, record(), { front, back })
      const [gone, stays] = ended(await open(), first)
      gone.end('last words')
      assert.equal((await stays.readAll()).toString(), 'last words')
      const after = Buffer.alloc(300_000, 'after the FIN ')
      stays.socket.write(after)
      assert.ok((await gone.readExact(after.length)).equals(after))
      assert.equal(gateway.ends.length, 0)
      stays.end('and bye')
      assert.equal((await gone.readAll()).toString(), 'and bye')
      const end = await gateway.end()
      const [fromGone, fromStays] =
        first === 'client' ? [end.bytesFromClient, end.bytesFromBackend] : [end.bytesFromBackend, end.bytesFromClient]
      assert.deepEqual([end.reason, fromGone, fromStays], ['finished', 10, 300_007])
    })
  }
}

for (const first of ['client', 'backend'] as const) {
  test(`lets the ${first} close at once, and still hears the other out`, async t => {
    const { gateway, open } = await stage(t, record())
    const [gone, stays] = ended(await open(), first)
    gone.end()
    await stays.readAll()
    stays.end()
    assert.equal((await gone.readAll()).length, 0)
    assert.equal((await gateway.end()).reason, 'finished')
  })

  test(`takes a FIN of the ${first} in the same packet as its head`, async t => {
    const { gateway, backend } = await stage(
      t,
      switching({
        early: first === 'backend' ? 'bye' : '',
        after: connection => {
          if (first === 'backend') connection.end()
        },
      }),
    )
    if (first === 'backend') {
      const { client } = await openTunnel(gateway.port, '/')
      t.after(() => client.destroy())
      assert.equal((await client.readAll()).toString(), 'bye')
      client.end('hello')
      assert.equal((await (await backend.connection()).readAll()).toString(), 'hello')
      assert.equal((await gateway.end()).reason, 'finished')
    } else {
      // A client that sends its FIN before the 101 has left: nobody is there to read the answer to the end.
      const client = await connect(gateway.port)
      client.end(upgradeRequest('/'))
      await eventually(() => gateway.errors.length === 1)
      assert.match(String(gateway.errors[0]), /WST_ERR_CLIENT_GONE/)
      assert.equal(gateway.opened.length, 0)
    }
  })
}

/** A TCP hop that can break off with RST: a TLS socket has no way to. */
async function breakable(
  t: TestContext,
  port: number,
): Promise<{ port: number; reset: (side: 'from' | 'to') => void }> {
  const hops: Record<'from' | 'to', Socket>[] = []
  const server = createServer({ allowHalfOpen: true }, from => {
    const to = connectTcp({ port, host: '127.0.0.1', allowHalfOpen: true })
    hops.push({ from, to })
    for (const socket of [from, to]) socket.on('error', () => {})
    from.pipe(to)
    to.pipe(from)
  })
  t.after(() => {
    server.close()
    for (const { from, to } of hops) {
      from.destroy()
      to.destroy()
    }
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return { port: (server.address() as AddressInfo).port, reset: side => hops.at(-1)?.[side].resetAndDestroy() }
}

for (const [front, back] of WIRES.filter(wires => !wires.includes('unix'))) {
  for (const first of ['client', 'backend'] as const) {
    test(`delivers what the ${first} sent before its RST, then FIN within a second, from ${front} to ${back}`, async t => {
      const backend = await startBackend(record(), back === 'TLS' ? { tls: certificates.server } : {})
      t.after(backend.close)
      const behind = await breakable(t, backend.port)
      const gateway = await startGateway(
        t,
        { target: `${back === 'TLS' ? 'wss' : 'ws'}://localhost:${behind.port}/`, tls: { ca: certificates.ca } },
        front === 'TLS' ? { tls: certificates.server } : {},
      )
      const before = await breakable(t, gateway.port)
      const { client } = await openTunnel(
        before.port,
        '/',
        front === 'TLS' ? { tls: { ca: certificates.ca, servername: 'localhost' } } : {},
      )
      t.after(() => client.destroy())
      const connection = await backend.connection()
      const [gone, stays] = ended({ client, connection }, first)
      const words = Buffer.alloc(200_000, 'last words ')
      gone.socket.write(words)
      const [tunnel] = gateway.opened
      await eventually(() => tunnel?.[first === 'client' ? 'bytesFromClient' : 'bytesFromBackend'] === words.length)
      if (first === 'client') before.reset('to')
      else behind.reset('from')
      assert.ok((await within(1_000, 'FIN', stays.readAll())).equals(words))
      assert.equal(stays.error, undefined, 'RST was passed on')
      // The other side answers the FIN with its own, as a well-behaved one does.
      stays.end()
      const end = await within(1_000, 'the end', gateway.end())
      assert.equal(end.reason, `${first}-error`)
      assert.equal((end.error as NodeJS.ErrnoException).code, 'ECONNRESET')
    })
  }
}

for (const first of ['client', 'backend'] as const) {
  test(`delivers to a slow reader what came before the RST of the ${first}`, async t => {
    const { open } = await stage(t, record())
    const one = await open()
    const [gone, stays] = ended(one, first)
    stays.socket.pause()
    const words = Buffer.alloc(1_000_000, 'last words ')
    gone.socket.write(words)
    await eventually(() => one.tunnel[first === 'client' ? 'bytesFromClient' : 'bytesFromBackend'] === words.length)
    gone.reset()
    stays.socket.resume()
    assert.ok((await stays.readAll()).equals(words))
  })

  test(`ends within two seconds on a RST of the ${first} that comes while the other side reads nothing`, async t => {
    const { gateway, open } = await stage(t, record())
    const [gone, stays] = ended(await open(), first)
    stays.socket.pause()
    await offer(gone.socket)
    gone.reset()
    const { reason } = await within(2_000, 'the end', gateway.end())
    assert.equal(reason, `${first}-error`)
  })

  test(`ends on a socket of the ${first} that is destroyed without FIN being awaited`, async t => {
    const { gateway, open } = await stage(t, record())
    const [gone, stays] = ended(await open(), first)
    gone.socket.destroy()
    assert.equal((await within(1_000, 'FIN', stays.readAll())).length, 0)
    stays.end()
    await gateway.end()
  })
}

/** A gateway in its own process, so that nothing but it counts in its memory. */
async function measuredGateway(t: TestContext, options: WsTunnelOptions, tls: boolean) {
  const child: ChildProcess = fork(
    new URL('measured-gateway.ts', import.meta.url),
    [JSON.stringify(options), tls ? 'tls' : ''],
    {
      execArgv: ['--expose-gc', '--disable-warning=ExperimentalWarning'],
    },
  )
  t.after(() => {
    child.kill('SIGKILL')
  })
  const [{ port }] = (await once(child, 'message')) as [{ port: number }]
  return {
    port,
    memory: async (): Promise<NodeJS.MemoryUsage> => {
      child.send('memory')
      const [usage] = (await once(child, 'message')) as [NodeJS.MemoryUsage]
      return usage
    },
  }
}

const GIGABYTE = 2 ** 30

/** Offers a gigabyte; gives how much was taken when nothing has been for 300 ms. */
async function offer(socket: Socket): Promise<number> {
  const chunk = Buffer.alloc(MAX_CHUNK, 'x')
  let taken = 0
  while (taken < GIGABYTE) {
    taken += chunk.length
    if (socket.write(chunk)) continue
    const drained = await Promise.race([once(socket, 'drain'), sleep(300)])
    if (drained === undefined) return taken
  }
  return taken
}

const stalls: [stalled: 'client' | 'backend', wire: 'TCP' | 'TLS'][] = [
  ['client', 'TCP'],
  ['backend', 'TCP'],
  ['client', 'TLS'],
  ['backend', 'TLS'],
]

for (const [stalled, wire] of stalls) {
  test(`grows by no more than 4 MB while a gigabyte is offered to a ${stalled} that reads nothing, over ${wire}`, async t => {
    const tls = wire === 'TLS'
    const backend = await startBackend(switching({ after: () => {} }), tls ? { tls: certificates.server } : {})
    t.after(backend.close)
    const target = `${tls ? 'wss' : 'ws'}://localhost:${backend.port}/`
    const gateway = await measuredGateway(t, { target, tls: { ca: certificates.ca } }, tls)
    const open = async (n: number): Promise<[reader: Socket, sender: Socket]> => {
      const { client } = await openTunnel(
        gateway.port,
        '/',
        tls ? { tls: { ca: certificates.ca, servername: 'localhost' } } : {},
      )
      t.after(() => client.destroy())
      const [near, far] = [client.release(), (await backend.connection(n)).release()]
      return stalled === 'client' ? [near, far] : [far, near]
    }

    // The first bytes let the allocator and the compiler take what they need once.
    for (let n = 0; n < 2; n++) {
      const [reader, sender] = await open(n)
      const all = receiveRandomly(reader, () => 1)
      for (let left = 500; left > 0; left--) if (!sender.write(Buffer.alloc(MAX_CHUNK))) await once(sender, 'drain')
      sender.end()
      assert.equal((await all).bytes, 500 * MAX_CHUNK)
      reader.end()
    }
    const before = await gateway.memory()
    const [reader, sender] = await open(2)
    reader.pause()
    const taken = await within(20_000, 'backpressure', offer(sender))
    const during = await gateway.memory()
    assert.ok(taken < GIGABYTE / 4, `${taken} bytes were taken for a reader that reads nothing`)
    const grown = (key: 'rss' | 'external' | 'arrayBuffers'): number => during[key] - before[key]
    t.diagnostic(
      `taken ${taken}, grown: rss ${grown('rss')}, external ${grown('external')}, arrayBuffers ${grown('arrayBuffers')}`,
    )
    for (const key of ['rss', 'external', 'arrayBuffers'] as const) {
      assert.ok(grown(key) <= 4_000_000, `${key} grew by ${grown(key)}`)
    }
    const all = receiveRandomly(reader, () => 1)
    sender.end()
    assert.equal((await all).bytes, taken)
  })
}

for (const from of ['client', 'backend'] as const) {
  test(`puts idleTimeout off with each byte of the ${from}, and counts nothing else`, async t => {
    const { gateway, open } = await stage(t, record(), { polite: true, idleTimeout: 250 })
    const [sender] = ended(await open(), from)
    for (let i = 0; i < 6; i++) {
      await sleep(80)
      sender.socket.write('.')
    }
    assert.equal(gateway.ends.length, 0)
    const end = await gateway.end()
    assert.deepEqual([end.reason, end.error], ['idle', undefined])
    assert.ok(end.duration >= 480 + 250 - 20, `ended after ${end.duration} ms`)
  })
}

test('ends an idle tunnel with FIN to both sides and not a byte more', async t => {
  const { gateway, open } = await stage(t, record(), { idleTimeout: 100 })
  const { client, connection } = await open()
  assert.equal((await client.readAll()).length + (await connection.readAll()).length, 0)
  assert.deepEqual([client.error, connection.error], [undefined, undefined])
  const { reason, duration } = await gateway.end()
  assert.equal(reason, 'idle')
  assert.ok(duration >= 90, `ended after ${duration} ms`)
})

for (const stalled of ['client', 'backend'] as const) {
  test(`takes a ${stalled} that stops reading for idle, however much is offered`, async t => {
    const { gateway, open } = await stage(t, record(), { idleTimeout: 200 })
    const [reader, sender] = ended(await open(), stalled)
    reader.socket.pause()
    const socket = sender.release()
    socket.on('error', () => {})
    socket.resume()
    // The end may well come while something is still being offered.
    await within(5_000, 'backpressure', offer(socket)).catch(() => {})
    assert.equal((await gateway.end()).reason, 'idle')
  })
}

for (const first of ['client', 'backend'] as const) {
  test(`ends a tunnel that is silent for halfOpenTimeout after the FIN of the ${first}, and no sooner`, async t => {
    const { gateway, open } = await stage(t, record(), { halfOpenTimeout: 250 })
    const [gone, stays] = ended(await open(), first)
    gone.end()
    await stays.readAll()
    for (let i = 0; i < 5; i++) {
      await sleep(80)
      stays.socket.write('.')
    }
    assert.equal(gateway.ends.length, 0)
    assert.equal((await gone.readAll()).toString(), '.....')
    assert.equal((await gateway.end()).reason, 'half-open')
  })
}

test('lets the shorter of idleTimeout and halfOpenTimeout end a half-open tunnel', async t => {
  const shortIdle = await stage(t, record(), { idleTimeout: 100, halfOpenTimeout: 60_000 })
  const { client } = await shortIdle.open()
  client.end()
  assert.equal((await shortIdle.gateway.end()).reason, 'idle')
  const shortHalf = await stage(t, record(), { idleTimeout: 60_000, halfOpenTimeout: 100 })
  const { connection } = await shortHalf.open()
  connection.end()
  assert.equal((await shortHalf.gateway.end()).reason, 'half-open')
})

test('ends a tunnel after maxLifetime, however busy', async t => {
  const { gateway, open } = await stage(t, echo(), { polite: true, maxLifetime: 200, idleTimeout: 60_000 })
  const { client } = await open()
  while (!client.ended) {
    client.send('.')
    await sleep(10)
  }
  const { reason, duration } = await gateway.end()
  assert.equal(reason, 'lifetime')
  assert.ok(duration >= 190, `ended after ${duration} ms`)
})

test('keeps a silent tunnel without limits', async t => {
  const { gateway, open } = await stage(t, echo(), { halfOpenTimeout: 0, connectTimeout: 50, handshakeTimeout: 50 })
  gateway.server.keepAliveTimeout = 20
  gateway.server.timeout = 50
  const { client } = await open()
  await sleep(300)
  assert.equal((await client.send('still here').readExact(10)).toString(), 'still here')
  assert.equal(gateway.ends.length, 0)
})

const noAnswer: [what: string, options: Partial<WsTunnelOptions>, code: string][] = [
  ['a name lookup that gives no answer', { lookup: () => {}, connectTimeout: 100 }, 'WST_ERR_CONNECT_TIMEOUT'],
  [
    'such a lookup without connectTimeout',
    { lookup: () => {}, connectTimeout: 0, handshakeTimeout: 100 },
    'WST_ERR_HANDSHAKE_TIMEOUT',
  ],
]

for (const [what, options, code] of noAnswer) {
  test(`504s ${what}`, async t => {
    const gateway = await startGateway(t, { target: 'ws://backend.example/', ...options } as WsTunnelOptions)
    const client = await connect(gateway.port)
    t.after(() => client.destroy())
    const answer = await client.send(upgradeRequest('/')).whole()
    assert.deepEqual([answer.statusCode, answer.body], [504, JSON.stringify({ code })])
  })
}

const silences: [what: string, scheme: string, options: Partial<WsTunnelOptions>, code: string][] = [
  ['a TLS handshake that gets no answer', 'wss', { connectTimeout: 100 }, 'WST_ERR_CONNECT_TIMEOUT'],
  ['an upgrade that gets no answer', 'ws', { handshakeTimeout: 100, connectTimeout: 20 }, 'WST_ERR_HANDSHAKE_TIMEOUT'],
]

for (const [what, scheme, options, code] of silences) {
  test(`504s ${what}, and lets go of the backend`, async t => {
    const backend = await startBackend(() => {})
    t.after(backend.close)
    const gateway = await startGateway(t, { target: `${scheme}://${backend.address}/`, ...options } as WsTunnelOptions)
    const client = await connect(gateway.port)
    t.after(() => client.destroy())
    const answer = await client.send(upgradeRequest('/')).whole()
    assert.deepEqual([answer.statusCode, answer.body], [504, JSON.stringify({ code })])
    await (await backend.connection()).readAll()
  })
}

test('503s past maxTunnels until a tunnel has ended, however it ends', async t => {
  const { gateway, open } = await stage(t, record(), { polite: true, maxTunnels: 2 })
  const refused = async (): Promise<void> => {
    const client = await connect(gateway.port)
    client.send(upgradeRequest('/'))
    assert.equal((await client.whole()).statusCode, 503)
    client.destroy()
  }
  await open()
  const ways: ((one: Awaited<ReturnType<Stage['open']>>) => void)[] = [
    ({ client }) => client.reset(),
    ({ connection }) => connection.reset(),
    ({ client, connection }) => {
      client.end()
      connection.end()
    },
    ({ tunnel }) => void tunnel.close(),
  ]
  for (const [n, end] of ways.entries()) {
    const one = await open()
    await refused()
    end(one)
    await gateway.end(n)
  }
  await open()
  await refused()
})

test('gives up handshakes and ends tunnels after drainTimeout, with the reason', async t => {
  const { gateway, backend, open } = await stage(t, record(), { polite: true, drainTimeout: 150 })
  const { client, connection } = await open()
  backend.play(silent())
  const waiting = await connect(gateway.port)
  t.after(() => waiting.destroy())
  waiting.send(upgradeRequest('/'))
  await backend.request(1)
  const startedAt = performance.now()
  const closed = gateway.proxy.close()
  const late = await connect(gateway.port)
  t.after(() => late.destroy())
  late.send(upgradeRequest('/'))
  assert.equal((await late.whole()).statusCode, 503)
  client.send('still open')
  assert.equal((await connection.readExact(10)).toString(), 'still open')
  await closed
  assert.ok(performance.now() - startedAt >= 140)
  assert.equal((await waiting.whole()).statusCode, 503)
  assert.deepEqual([(await client.readAll()).length, (await connection.readAll()).length], [0, 0])
  assert.equal((await gateway.end()).reason, 'shutdown')
  assert.equal(gateway.proxy.tunnels.size, 0)
})

test('waits no longer than for the last tunnel to end by itself', async t => {
  const { gateway, open } = await stage(t, echo(), { drainTimeout: 60_000 })
  const { client } = await open()
  const closed = gateway.proxy.close()
  client.end('bye')
  assert.equal((await client.readAll()).toString(), 'bye')
  await within(2_000, 'close()', closed)
  assert.equal((await gateway.end()).reason, 'finished')
  await new Promise<void>(resolve => gateway.server.close(() => resolve()))
})

test('lets close() say another drainTimeout, 0 for at once, and be called again', async t => {
  const { gateway, open } = await stage(t, record(), { polite: true, drainTimeout: 60_000 })
  const { client } = await open()
  const patient = gateway.proxy.close()
  await within(2_000, 'the hasty close()', gateway.proxy.close({ drainTimeout: 0 }))
  await within(2_000, 'the patient close()', patient)
  assert.equal((await client.readAll()).length, 0)
  await gateway.proxy.close()
})

test('ends a tunnel by its own close(), once, delivering what was received', async t => {
  const { gateway, open } = await stage(t, record())
  const { client, connection, tunnel } = await open()
  client.send('from the client')
  await connection.write('from the backend')
  await eventually(() => tunnel.bytesFromClient === 15 && tunnel.bytesFromBackend === 16)
  const [first, second] = await Promise.all([tunnel.close(), tunnel.close('shutdown')])
  assert.equal(first, second)
  assert.equal(first.reason, 'closed')
  assert.equal((await client.readAll()).toString(), 'from the backend')
  assert.equal((await connection.readAll()).toString(), 'from the client')
  assert.equal(await tunnel.ended, first)
  assert.deepEqual(
    gateway.ends.map(({ end }) => end),
    [first],
  )
})

for (const stalled of ['client', 'backend'] as const) {
  test(`delivers to a ${stalled} that reads again what was received and not yet moved at close()`, async t => {
    const { gateway, open } = await stage(t, record())
    const one = await open()
    const [reader, sender] = ended(one, stalled)
    const key = stalled === 'client' ? 'bytesFromBackend' : 'bytesFromClient'
    const socket = reader.release()
    await offer(sender.socket)
    const moved = one.tunnel[key]
    const closed = one.tunnel.close()
    const { bytes } = await receiveRandomly(socket, () => 1)
    socket.end()
    const end = await closed
    assert.equal(bytes, end[key])
    assert.ok(bytes > moved, 'nothing was waiting')
    assert.equal(end, await gateway.end())
  })
}

test('cuts an end that does not hear its FIN, within a second', async t => {
  const { gateway, open } = await stage(t, record())
  const { client, connection, tunnel } = await open()
  client.socket.pause()
  connection.socket.pause()
  const { reason } = await within(1_500, 'the end', tunnel.close())
  assert.equal(reason, 'closed')
  assert.equal(gateway.proxy.tunnels.size, 0)
})

test('tells what is known of a tunnel while it is open', async t => {
  const { gateway, backend } = await stage(t, echo({ token: 'WEBSOCKET' }))
  const before = Date.now()
  const { client } = await openTunnel(gateway.port, '/room?x=1', { token: 'WebSocket' })
  t.after(() => client.destroy())
  const [tunnel] = gateway.proxy.tunnels
  assert.ok(tunnel)
  assert.deepEqual(tunnel.facts, {
    clientAddress: '127.0.0.1',
    url: '/room?x=1',
    route: 0,
    target: backend.address,
    protocol: 'WebSocket',
  })
  assert.ok(tunnel.openedAt >= before && tunnel.openedAt <= Date.now())
  client.send('12345')
  await client.readExact(5)
  assert.deepEqual([tunnel.bytesFromClient, tunnel.bytesFromBackend], [5, 5])
  assert.ok(tunnel.idle >= 0 && tunnel.idle < 60_000)
})

test('turns TCP keep-alive and no-delay on at both ends', async t => {
  const spies = {
    setNoDelay: t.mock.method(Socket.prototype, 'setNoDelay'),
    setKeepAlive: t.mock.method(Socket.prototype, 'setKeepAlive'),
  }
  const { gateway, backend, open } = await stage(t, echo(), { keepAlive: 12_345 })
  await open()
  const last = (name: keyof typeof spies, is: (socket: Socket) => boolean): unknown[] | undefined =>
    spies[name].mock.calls.findLast(call => is(call.this as unknown as Socket))?.arguments
  const ends: ((socket: Socket) => boolean)[] = [
    ({ localPort }) => localPort === gateway.port,
    ({ remotePort }) => remotePort === backend.port,
  ]
  for (const is of ends) {
    assert.deepEqual(last('setNoDelay', is), [true])
    assert.deepEqual(last('setKeepAlive', is), [true, 12_345])
  }
})

test('arms keep-alive in the kernel, and leaves it off for 0', { skip: !existsSync('/proc/net/tcp') }, async t => {
  /** Kind of the timer that runs for the gateway's ends: 2 is keep-alive. */
  const timers = (gateway: Gateway, backend: Backend): string[] => {
    const hex = (port: number): string => port.toString(16).toUpperCase().padStart(4, '0')
    return readFileSync('/proc/net/tcp', 'utf8')
      .split('\n')
      .map(line => line.trim().split(/\s+/))
      .filter(
        ([, local = '', remote = '', state]) =>
          state === '01' && (local.endsWith(`:${hex(gateway.port)}`) || remote.endsWith(`:${hex(backend.port)}`)),
      )
      .map(([, , , , , timer = '']) => timer.slice(0, 2))
  }
  const on = await stage(t, echo(), { keepAlive: 30_000 })
  await on.open()
  await eventually(() => assert.deepEqual(timers(on.gateway, on.backend), ['02', '02']))
  const off = await stage(t, echo(), { keepAlive: 0 })
  await off.open()
  await eventually(() => assert.deepEqual(timers(off.gateway, off.backend), ['00', '00']))
})

test('leaves no socket, timer or listener of 2,000 tunnels', async t => {
  const { gateway, backend } = await stage(t, record(), { idleTimeout: 60_000, maxLifetime: 120_000 })
  const ways: ((client: RawClient, connection: BackendConnection, tunnel: Tunnel) => void)[] = [
    client => client.end(),
    (_, connection) => connection.end(),
    client => client.reset(),
    (_, connection) => connection.reset(),
    client => client.destroy(),
    (_, __, tunnel) => void tunnel.close(),
    (client, connection) => {
      client.end()
      connection.reset()
    },
    (client, connection) => {
      client.reset()
      connection.reset()
    },
    (client, _, tunnel) => {
      client.send('x')
      void tunnel.close()
    },
  ]
  const one = async (i: number): Promise<void> => {
    const { client } = await openTunnel(gateway.port, `/${i}`)
    const tunnel = gateway.opened.findLast(({ facts }) => facts.url === `/${i}`)
    const connection = backend.connections.findLast(({ requests }) => requests[0]?.path === `/${i}`)
    assert.ok(tunnel && connection)
    polite({ client, connection })
    ways[i % ways.length]?.(client, connection, tunnel)
    await Promise.all([client.closed, connection.closed, tunnel.ended])
  }
  const run = async (from: number, to: number): Promise<void> => {
    for (let at = from; at < to; at += 100) {
      await Promise.all(Array.from({ length: Math.min(100, to - at) }, (_, i) => one(at + i)))
    }
    await eventually(() => new Promise<boolean>(resolve => gateway.server.getConnections((_, n) => resolve(n === 0))))
    assert.equal(gateway.proxy.tunnels.size, 0)
  }
  const listeners = (): unknown[] =>
    [gateway.server, backend.server, process].map(emitter =>
      emitter.eventNames().map(name => [name, emitter.listenerCount(name as 'exit')]),
    )
  await run(0, 100)
  const [handles, heard] = [openHandles(), listeners()]
  await run(100, 2_100)
  await eventually(() => assert.deepEqual(openHandles(), handles))
  assert.deepEqual(listeners(), heard)
  assert.deepEqual([gateway.opened.length, gateway.ends.length], [2_100, 2_100])
  assert.equal(new Set(gateway.ends.map(({ tunnel }) => tunnel)).size, 2_100)
})
