import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { type AddressInfo, connect as connectTcp, createServer, Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { type Backend, echo, record, switching } from '../../support/backend.ts'
import { connect, upgradeRequest } from '../../support/client.ts'
import type { CoreGateway } from '../../support/frameworks.ts'
import { eventually, within } from '../../support/gate.ts'
import {
  connectClient,
  connectTunnel,
  endsOf,
  setUp,
  startBackend,
  startGateway,
  WIRES,
} from '../../support/harness.ts'
import { async } from '../../support/pump.ts'
import * as certificates from '../../support/tls.ts'
import { offer, receiveRandomly, seeded, sendRandomly } from '../../support/traffic.ts'

for (const [front, back] of WIRES) {
  test(`carries both directions byte for byte, both full at once, from ${front} to ${back}`, async t => {
    const { gateway, open } = await setUp(t, record(), {}, { clientWire: front, backendWire: back })
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

test('delivers bytes that arrive in the same packet as the heads before all others, in both directions', async t => {
  const { gateway, backend } = await setUp(t, echo({ early: 'glued to the 101, ' }))
  const client = await connectClient(t, gateway)
  client.send(`${upgradeRequest('/')}glued to the request, `)
  await backend.connection()
  assert.equal((await client.responseHead()).statusCode, 101)
  client.end('and more')
  assert.equal((await client.readAll()).toString(), 'glued to the 101, glued to the request, and more')
  const { bytesFromClient, bytesFromBackend } = await gateway.end()
  assert.deepEqual([bytesFromClient, bytesFromBackend], [30, 48])
})

for (const [front, back] of WIRES) {
  for (const first of ['client', 'backend'] as const) {
    test(`passes the FIN of the ${first} on and keeps the other direction open, from ${front} to ${back}`, async t => {
      const { gateway, open } = await setUp(t, record(), {}, { clientWire: front, backendWire: back })
      const [gone, stays] = endsOf(await open(), first)
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
  test(`ends as finished after a FIN of the ${first} without any bytes`, async t => {
    const { gateway, open } = await setUp(t, record())
    const [gone, stays] = endsOf(await open(), first)
    gone.end()
    await stays.readAll()
    stays.end()
    assert.equal((await gone.readAll()).length, 0)
    assert.equal((await gateway.end()).reason, 'finished')
  })

  test(`accepts a FIN of the ${first} in the same packet as its head`, async t => {
    const { gateway, backend } = await setUp(
      t,
      switching({
        early: first === 'backend' ? 'bye' : '',
        after: connection => {
          if (first === 'backend') connection.end()
        },
      }),
    )
    if (first === 'backend') {
      const client = await connectTunnel(t, gateway, '/')
      assert.equal((await client.readAll()).toString(), 'bye')
      client.end('hello')
      assert.equal((await (await backend.connection()).readAll()).toString(), 'hello')
      assert.equal((await gateway.end()).reason, 'finished')
    } else {
      // A client that sends its FIN before the 101 counts as gone: it would not read the response to its end.
      const client = await connect(gateway.port)
      client.end(upgradeRequest('/'))
      await eventually(() => gateway.errors.length === 1)
      assert.match(String(gateway.errors[0]), /WST_ERR_CLIENT_GONE/)
      assert.equal(gateway.opened.length, 0)
    }
  })
}

/** A TCP proxy that can send RST, because a TLS socket cannot. */
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
      const backend = await startBackend(t, record(), back === 'TLS' ? { tls: certificates.server } : {})
      const behind = await breakable(t, backend.port)
      const gateway = await startGateway(
        t,
        { target: `${back === 'TLS' ? 'wss' : 'ws'}://localhost:${behind.port}/`, tls: { ca: certificates.ca } },
        front === 'TLS' ? { tls: certificates.server } : {},
      )
      const before = await breakable(t, gateway.port)
      const client = await connectTunnel(t, { ...gateway, port: before.port })
      const connection = await backend.connection()
      const [gone, stays] = endsOf({ client, connection }, first)
      const words = Buffer.alloc(200_000, 'last words ')
      gone.socket.write(words)
      const [tunnel] = gateway.opened
      await eventually(() => tunnel?.[first === 'client' ? 'bytesFromClient' : 'bytesFromBackend'] === words.length)
      if (first === 'client') before.reset('to')
      else behind.reset('from')
      assert.ok((await within(1_000, 'FIN', stays.readAll())).equals(words))
      assert.equal(stays.error, undefined, 'RST was passed on')
      // The other end replies to the FIN with its own, as a well-behaved one does.
      stays.end()
      const end = await within(1_000, 'the end', gateway.end())
      assert.equal(end.reason, `${first}-error`)
      assert.equal((end.error as NodeJS.ErrnoException).code, 'ECONNRESET')
    })
  }
}

for (const first of ['client', 'backend'] as const) {
  test(`delivers what the ${first} sent before its RST to a slow reader`, async t => {
    const { open } = await setUp(t, record())
    const one = await open()
    const [gone, stays] = endsOf(one, first)
    stays.socket.pause()
    const words = Buffer.alloc(1_000_000, 'last words ')
    gone.socket.write(words)
    await eventually(() => one.tunnel[first === 'client' ? 'bytesFromClient' : 'bytesFromBackend'] === words.length)
    gone.reset()
    stays.socket.resume()
    assert.ok((await stays.readAll()).equals(words))
  })

  test(`ends within two seconds after a RST of the ${first} that arrives while the other end reads nothing`, async t => {
    const { gateway, open } = await setUp(t, record())
    const [gone, stays] = endsOf(await open(), first)
    stays.socket.pause()
    await offer(gone.socket)
    gone.reset()
    const { reason } = await within(2_000, 'the end', gateway.end())
    assert.equal(reason, `${first}-error`)
  })

  test(`ends when the ${first} destroys its socket`, async t => {
    const { gateway, open } = await setUp(t, record())
    const [gone, stays] = endsOf(await open(), first)
    gone.socket.destroy()
    assert.equal((await within(1_000, 'FIN', stays.readAll())).length, 0)
    stays.end()
    await gateway.end()
  })
}

test('ends once by tunnel.close(), after it has delivered what was received', async t => {
  const { gateway, open } = await setUp(t, record())
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
  test(`delivers what was received and not yet moved at close() to a ${stalled} that reads again`, async t => {
    const { gateway, open } = await setUp(t, record())
    const one = await open()
    const [reader, sender] = endsOf(one, stalled)
    const key = stalled === 'client' ? 'bytesFromBackend' : 'bytesFromClient'
    const socket = reader.release()
    await offer(sender.socket)
    const moved = one.tunnel[key]
    const closed = one.tunnel.close()
    const { bytes } = await receiveRandomly(socket, () => 1)
    socket.end()
    const end = await closed
    assert.equal(bytes, end[key])
    assert.ok(moved > 0 && bytes >= moved, 'nothing was waiting')
    assert.equal(end, await gateway.end())
  })
}

test('destroys an end that does not read its FIN, within a second', async t => {
  const { gateway, open } = await setUp(t, record())
  const { client, connection, tunnel } = await open()
  client.socket.pause()
  connection.socket.pause()
  const { reason } = await within(1_500, 'the end', tunnel.close())
  assert.equal(reason, 'closed')
  assert.equal(gateway.proxy.tunnels.size, 0)
})

test('reports its info, bytes and idle time while it is open', async t => {
  const { gateway, backend } = await setUp(t, echo({ token: 'WEBSOCKET' }))
  const before = Date.now()
  const client = await connectTunnel(t, gateway, '/room?x=1', { token: 'WebSocket' })
  const [tunnel] = gateway.proxy.tunnels
  assert.ok(tunnel)
  assert.equal(tunnel.offloaded, async)
  const { handshakeTime, ...info } = tunnel.info
  assert.ok(handshakeTime > 0 && handshakeTime < 60_000)
  assert.deepEqual(info, {
    clientAddress: '127.0.0.1',
    url: '/room?x=1',
    route: 0,
    target: backend.address,
    member: undefined,
    protocol: 'WebSocket',
  })
  assert.ok(tunnel.openedAt >= before && tunnel.openedAt <= Date.now())
  client.send('12345')
  await client.readExact(5)
  assert.deepEqual([tunnel.bytesFromClient, tunnel.bytesFromBackend], [5, 5])
  assert.ok(tunnel.idle >= 0 && tunnel.idle < 60_000)
})

test('enables no-delay at both ends, and TCP keep-alive when the tunnel is more than a second old', async t => {
  const spies = {
    setNoDelay: t.mock.method(Socket.prototype, 'setNoDelay'),
    setKeepAlive: t.mock.method(Socket.prototype, 'setKeepAlive'),
  }
  const { gateway, backend, open } = await setUp(t, echo(), { keepAlive: 12_345, async: false })
  const { tunnel } = await open()
  const last = (name: keyof typeof spies, is: (socket: Socket) => boolean): unknown[] | undefined =>
    spies[name].mock.calls.findLast(call => is(call.this as unknown as Socket))?.arguments
  const ends: ((socket: Socket) => boolean)[] = [
    ({ localPort }) => localPort === gateway.port,
    ({ remotePort }) => remotePort === backend.port,
  ]
  for (const is of ends) assert.deepEqual([last('setNoDelay', is), last('setKeepAlive', is)], [[true], undefined])
  await eventually(() => {
    for (const is of ends) assert.deepEqual(last('setKeepAlive', is), [true, 12_345])
  }, 10_000)
  assert.ok(Date.now() - tunnel.openedAt > 900)
})

/** Inodes of this process's sockets: other processes may have connections with the same port numbers. */
function ownSockets(): Set<string> {
  const links = readdirSync('/proc/self/fd').map(fd => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`)
    } catch {
      return ''
    }
  })
  return new Set(links.flatMap(link => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []))
}

test('enables keep-alive in the kernel, and not for 0', { skip: !existsSync('/proc/net/tcp') }, async t => {
  /** Kind of the timer that runs for each of the gateway's connections: 2 is keep-alive. */
  const timers = (gateway: CoreGateway, backend: Backend): string[] => {
    const hex = (port: number): string => port.toString(16).toUpperCase().padStart(4, '0')
    const own = ownSockets()
    return readFileSync('/proc/net/tcp', 'utf8')
      .split('\n')
      .map(line => line.trim().split(/\s+/))
      .filter(
        ([, local = '', remote = '', state, , , , , , inode = '']) =>
          state === '01' &&
          own.has(inode) &&
          (local.endsWith(`:${hex(gateway.port)}`) || remote.endsWith(`:${hex(backend.port)}`)),
      )
      .map(([, , , , , timer = '']) => timer.slice(0, 2))
  }
  const on = await setUp(t, echo(), { keepAlive: 30_000 })
  await on.open()
  await eventually(() => assert.deepEqual(timers(on.gateway, on.backend), ['02', '02']), 10_000)
  const off = await setUp(t, echo(), { keepAlive: 0 })
  await off.open()
  const later = await setUp(t, echo(), { keepAlive: 30_000 })
  await later.open()
  await eventually(() => assert.deepEqual(timers(later.gateway, later.backend), ['02', '02']), 10_000)
  assert.deepEqual(timers(off.gateway, off.backend), ['00', '00'])
})

test('gives each tunnel a number of its own, in the order of opening', async t => {
  const { open } = await setUp(t, record())
  const ids: number[] = []
  for (let i = 0; i < 3; i++) ids.push((await open()).tunnel.id)
  assert.deepEqual(
    ids,
    [...new Set(ids)].toSorted((a, b) => a - b),
  )
})

test('keeps its counts after the end, is not idle, and a further close() changes nothing', async t => {
  const { open } = await setUp(t, echo(), {}, { finAfterFin: true })
  const { client, tunnel } = await open()
  await client.send('hello').readExact(5)
  const { offloaded } = tunnel
  const end = await tunnel.close('lifetime')
  assert.deepEqual([tunnel.bytesFromClient, tunnel.bytesFromBackend, tunnel.idle], [5, 5, 0])
  assert.equal(tunnel.offloaded, offloaded)
  assert.equal(await tunnel.close('closed'), end)
  assert.equal(end.reason, 'lifetime')
})
