import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { suite, type TestContext, test } from 'node:test'
import { createHttp2Server, createTunnelProxy, type WsTunnelOptions } from '@ws-tunnel/core'
import { echo, responding, silent, switching } from '../support/backend.ts'
import { eventually, within } from '../support/gate.ts'
import { startBackend } from '../support/harness.ts'
import { FRAME, FrameClient, frame, headerBlock } from '../support/http2-frames.ts'

const END_HEADERS = 4
const END_STREAM = 1

const CONNECT = headerBlock({
  ':method': 'CONNECT',
  ':protocol': 'websocket',
  ':scheme': 'http',
  ':path': '/',
  ':authority': 'front.example',
})
const GET = headerBlock({ ':method': 'GET', ':scheme': 'http', ':path': '/own', ':authority': 'front.example' })
const POST = headerBlock({ ':method': 'POST', ':scheme': 'http', ':path': '/own', ':authority': 'front.example' })

/** The limit of what one hostile client may cost, in bytes of the heap and of buffers. */
const MAX_GROWTH = 64 * 1024 * 1024

interface Victim {
  port: number
  /** Ends the hostile part: another client gets its page in time, and memory has not grown. */
  unharmed: () => Promise<void>
  tunnels: () => number
}

async function startVictim(t: TestContext, options: WsTunnelOptions): Promise<Victim> {
  const proxy = createTunnelProxy({ drainTimeout: 0, ...options })
  const server = createHttp2Server({ settings: { enableConnectProtocol: true } }, (req, res) => {
    if (req.url === '/own') res.end('own')
    else proxy.handle(req, res).catch(error => res.writeHead(error.statusCode).end(error.code))
  })
  server.on('sessionError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(async () => {
    await proxy.close()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const before = process.memoryUsage()
  return {
    port,
    tunnels: () => proxy.tunnels.size,
    unharmed: async () => {
      const session = connect(`http://127.0.0.1:${port}`)
      t.after(() => session.destroy())
      for (let i = 0; i < 3; i++) {
        const stream = session.request({ ':path': '/own' })
        const [headers] = await within(1_000, 'a page beside the attack', once(stream, 'response'))
        assert.equal((headers as unknown as Record<string, number>)[':status'], 200)
        stream.resume()
      }
      session.destroy()
      const now = process.memoryUsage()
      const grown = now.heapUsed + now.external - before.heapUsed - before.external
      assert.ok(grown < MAX_GROWTH, `memory has grown by ${grown} bytes`)
    },
  }
}

const clientOf = (t: TestContext, port: number, values?: Record<number, number>): FrameClient => {
  const client = new FrameClient(port, values)
  t.after(() => client.socket.destroy())
  return client
}

suite('hostile clients of HTTP/2', { timeout: 60_000 }, () => {
  test('a request without TLS is forwarded as http', async t => {
    const backend = await startBackend(t, responding())
    const { port } = await startVictim(t, { target: backend.url })
    const session = connect(`http://127.0.0.1:${port}`)
    t.after(() => session.destroy())
    await once(session.request({ ':path': '/x' }).resume(), 'end')
    assert.equal((await backend.request()).header('x-forwarded-proto'), 'http')
  })

  test('rapid reset: a client that resets its streams at once is cut off', async t => {
    const backend = await startBackend(t, silent())
    const victim = await startVictim(t, { target: backend.url })
    const client = clientOf(t, victim.port)
    for (let i = 0; i < 10_000 && client.isOpen; i++) {
      const id = 1 + 2 * i
      client.send(
        frame(FRAME.headers, END_HEADERS, id, CONNECT),
        frame(FRAME.resetStream, 0, id, Buffer.from([0, 0, 0, 8])),
      )
      if (i % 100 === 0) {
        await client.flushed()
        await new Promise(resolve => setImmediate(resolve))
      }
    }
    await within(5_000, 'the end of the session', client.closed)
    await victim.unharmed()
    assert.equal(victim.tunnels(), 0)
    await eventually(() => assert.ok(backend.open < 100, `${backend.open} connections of the backend are open`))
  })

  test('CONTINUATION flood: a head without an end is refused', async t => {
    const victim = await startVictim(t, { target: 'ws://127.0.0.1:9/' })
    const client = clientOf(t, victim.port)
    client.send(frame(FRAME.headers, 0, 1, GET))
    const more = headerBlock({ 'x-more': 'y'.repeat(100) })
    for (let i = 0; i < 50_000 && client.isOpen; i++) {
      if (!client.send(frame(FRAME.continuation, 0, 1, Buffer.concat(Array(10).fill(more))))) await client.flushed()
    }
    await within(5_000, 'the end of the session', client.closed)
    await victim.unharmed()
  })

  test('header bomb: a head of many fields is refused', async t => {
    const victim = await startVictim(t, { target: 'ws://127.0.0.1:9/' })
    const client = clientOf(t, victim.port)
    const fields = Object.fromEntries(Array.from({ length: 400 }, (_, i) => [`x-${i}`, 'z'.repeat(20)]))
    const block = Buffer.concat([GET, headerBlock(fields)])
    client.send(frame(FRAME.headers, END_HEADERS | END_STREAM, 1, block))
    await eventually(() =>
      assert.ok(!client.isOpen || client.received.has(FRAME.resetStream) || client.received.has(FRAME.goAway)),
    )
    assert.equal(client.received.has(FRAME.headers), false, 'no response')
    await victim.unharmed()
  })

  test('SETTINGS and PING floods cost no memory', async t => {
    const victim = await startVictim(t, { target: 'ws://127.0.0.1:9/' })
    for (const one of [frame(FRAME.settings, 0, 0), frame(FRAME.ping, 0, 0, Buffer.alloc(8))]) {
      const client = clientOf(t, victim.port)
      // The client does not read the acknowledgements.
      client.socket.pause()
      const many = Buffer.concat(Array(500).fill(one))
      for (let i = 0; i < 400 && client.isOpen; i++) {
        client.send(many)
        if (client.socket.writableLength > 1_000_000) break
        await new Promise(resolve => setImmediate(resolve))
      }
      await victim.unharmed()
      client.socket.destroy()
    }
  })

  test('more streams than the limit are refused, and the session goes on', async t => {
    const backend = await startBackend(t, echo())
    const victim = await startVictim(t, { target: backend.url })
    const client = clientOf(t, victim.port)
    await eventually(() => assert.ok(client.received.has(FRAME.settings)))
    for (let i = 0; i < 300; i++) client.send(frame(FRAME.headers, END_HEADERS, 1 + 2 * i, CONNECT))
    await eventually(() => assert.equal(client.received.get(FRAME.headers), 100), 15_000)
    assert.ok((client.received.get(FRAME.resetStream) ?? 0) > 0 || !client.isOpen)
    assert.ok(victim.tunnels() <= 100)
    await victim.unharmed()
  })

  test('windows of zero: 100 tunnels whose client takes no byte hold little', async t => {
    const backend = await startBackend(
      t,
      switching({
        after: async connection => {
          for (let i = 0; i < 400 && !connection.socket.destroyed; i++) await connection.write(Buffer.alloc(65_536))
        },
      }),
    )
    const victim = await startVictim(t, { target: backend.url })
    const client = clientOf(t, victim.port, { 4: 0 })
    for (let i = 0; i < 100; i++) client.send(frame(FRAME.headers, END_HEADERS, 1 + 2 * i, CONNECT))
    await eventually(() => assert.equal(victim.tunnels(), 100), 15_000)
    await victim.unharmed()
  })

  test('bodies that never come: 100 streams of one session hold no other up', async t => {
    const victim = await startVictim(t, { target: 'ws://127.0.0.1:9/' })
    const client = clientOf(t, victim.port)
    for (let i = 0; i < 100; i++) client.send(frame(FRAME.headers, END_HEADERS, 1 + 2 * i, POST))
    await eventually(() => assert.equal(client.received.get(FRAME.headers), 100), 15_000)
    await victim.unharmed()
  })

  test('frames that make no sense end the session and nothing else', async t => {
    const victim = await startVictim(t, { target: 'ws://127.0.0.1:9/' })
    const wrong = [
      frame(FRAME.data, 0, 7, Buffer.from('no stream')),
      frame(FRAME.headers, END_HEADERS, 2, GET),
      frame(FRAME.headers, END_HEADERS, 1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff])),
      frame(FRAME.windowUpdate, 0, 0, Buffer.alloc(4)),
      frame(FRAME.settings, 0, 0, Buffer.alloc(5)),
      frame(200, 255, 0x7fffffff, Buffer.alloc(16_384)),
      Buffer.alloc(100_000, 0x41),
    ]
    for (const bytes of wrong) {
      const client = clientOf(t, victim.port)
      client.send(bytes)
      await victim.unharmed()
      client.socket.destroy()
    }
  })
})
