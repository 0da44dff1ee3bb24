import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { plainRoundTrip } from '../../../packages/core/src/backend/plain-round-trip.ts'
import { RequestBody } from '../../../packages/core/src/backend/request-body.ts'
import type { Worker } from '../../../packages/core/src/backend/worker.ts'
import { WsTunnelError } from '../../../packages/core/src/errors.ts'
import { HeaderList } from '../../../packages/core/src/http/header-list.ts'
import type { PlainResponse } from '../../../packages/core/src/http/plain-response.ts'
import { type Backend, raw, responding, type Script, silent } from '../../support/backend.ts'
import { plainRequest, type RawClient } from '../../support/client.ts'
import { closedPort, eventually } from '../../support/gate.ts'
import { connectClient, startBackend } from '../../support/harness.ts'
import { startServer } from '../../support/server.ts'
import { listenersOf, optionsOf, workerOf } from './workers.ts'

interface Settings {
  /** What a body parser of the app has made of the body, which it has read. */
  parsed?: unknown
  handshakeTimeout?: number
  stallTimeout?: number
  headers?: string[]
}

interface Forwarding {
  backend: Backend
  worker: Worker
  /** Sends a request on a connection of its own. */
  send: (text: string) => Promise<RawClient>
  /** What the round trips resolved or rejected with, in order. */
  results: (PlainResponse | WsTunnelError)[]
  controller: AbortController
  /** Of each request that failed: whether a byte of its body was read, and the listeners that are left. */
  left: { read: boolean; listeners: number }[]
}

/** A server that forwards every request with the same path and header fields. */
async function forwarding(t: TestContext, to: Script | number, settings: Settings = {}): Promise<Forwarding> {
  const {
    parsed,
    handshakeTimeout = 0,
    stallTimeout = 0,
    headers = ['Host', 'b.test', 'X-A', '1', 'X-A', '2'],
  } = settings
  const backend = await startBackend(t, typeof to === 'number' ? silent() : to)
  const worker = workerOf(t, `http://127.0.0.1:${typeof to === 'number' ? to : backend.port}/`)
  const results: Forwarding['results'] = []
  const left: Forwarding['left'] = []
  const controller = new AbortController()
  const { options } = optionsOf(controller.signal, { handshakeTimeout })
  const { port } = await startServer(t, async (req, res) => {
    if (parsed !== undefined) await buffer(req)
    const list = HeaderList.from(headers)
    for (const name of ['content-length', 'transfer-encoding', 'content-encoding'])
      if (req.headers[name] !== undefined) list.append(name, String(req.headers[name]))
    const { method = '' } = req
    const body = new RequestBody(req, parsed)
    try {
      const trip = { ...options, worker, method, path: '/sent?q', headers: list, body, req, res }
      const response = await plainRoundTrip({ ...trip, limits: { ...options.limits, stallTimeout } })
      results.push(response)
      copy(response, res)
    } catch (error) {
      results.push(error as WsTunnelError)
      left.push({ read: req.readableDidRead, listeners: req.listenerCount('data') + req.listenerCount('end') })
      res.statusCode = 502
      res.end()
    }
  })
  const send = async (text: string): Promise<RawClient> => (await connectClient(t, port)).send(text)
  return { backend, worker, send, results, controller, left }
}

function copy(response: PlainResponse, res: ServerResponse): void {
  res.statusCode = response.statusCode
  res.on('close', () => response.destroy())
  response.read({
    lends: false,
    isDrained: false,
    onData: chunk => res.write(chunk),
    onEnd: () => res.end(),
    onCut: () => res.destroy(),
  })
  if (!res.headersSent) res.flushHeaders()
}

const codesOf = ({ results }: Forwarding): unknown[] =>
  results.map(result => (result instanceof WsTunnelError ? result.code : result.statusCode))

test('sends path and fields as given, and resolves with the response', async t => {
  const { backend, send } = await forwarding(t, responding({ statusCode: 299, body: 'hello' }))
  const { statusCode, body } = await (await send(plainRequest('/other', { headers: ['X-Client: 1'] }))).whole()
  assert.deepEqual([statusCode, body], [299, 'hello'])
  const { startLine, rawHeaders } = await backend.request()
  assert.equal(startLine, 'GET /sent?q HTTP/1.1')
  const fields = rawHeaders.filter(([name]) => name !== 'Connection')
  assert.deepEqual(fields, [
    ['Host', 'b.test'],
    ['X-A', '1'],
    ['X-A', '2'],
  ])
})

test('uses a connection of the pool again', async t => {
  const { backend, send } = await forwarding(t, responding())
  for (let i = 0; i < 3; i++) assert.equal((await (await send(plainRequest('/'))).whole()).statusCode, 200)
  assert.equal(backend.connections.length, 1)
})

for (const [framing, text] of [
  ['a length', plainRequest('/', { method: 'POST', body: 'hello' })],
  [
    'chunks',
    plainRequest('/', { method: 'POST', headers: ['Transfer-Encoding: chunked'], body: '5\r\nhello\r\n0\r\n\r\n' }),
  ],
]) {
  test(`streams a body with ${framing}`, async t => {
    const { send } = await forwarding(t, responding({ body: (_request, bytes) => `got ${bytes}` }))
    assert.equal((await (await send(text as string)).whole()).body, 'got hello')
  })
}

test('sends the head before the first byte of the body arrives', async t => {
  const { backend, send } = await forwarding(t, responding({ body: (_request, bytes) => String(bytes) }))
  const client = await send('POST / HTTP/1.1\r\nHost: f.test\r\nContent-Length: 5\r\n\r\n')
  await backend.request()
  client.send('hello')
  assert.equal((await client.whole()).body, 'hello')
})

/** Responds to the first request of a connection, and closes it when a second one comes. */
const closesAtSecond: Script = async connection => {
  await connection.request()
  await connection.write('HTTP/1.1 200 Fine\r\nContent-Length: 0\r\n\r\n')
  await connection.request()
  connection.reset()
}

test('retries a GET once on a new connection if the backend closes a kept one', async t => {
  const { backend, send } = await forwarding(t, closesAtSecond)
  for (let i = 0; i < 2; i++) assert.equal((await (await send(plainRequest('/'))).whole()).statusCode, 200)
  assert.equal(backend.connections.length, 2)
})

for (const [what, text] of [
  ['a POST', plainRequest('/', { method: 'POST' })],
  ['a GET with a body', plainRequest('/', { body: 'hello' })],
]) {
  test(`does not retry ${what} on a new connection`, async t => {
    const all = await forwarding(t, closesAtSecond)
    await (await all.send(plainRequest('/'))).whole()
    await (await all.send(text as string)).whole()
    assert.deepEqual(codesOf(all), [200, 'WST_ERR_NO_RESPONSE'])
    assert.equal(all.backend.connections.length, 1)
  })
}

test('does not retry a GET that fails on a new connection', async t => {
  const all = await forwarding(t, raw('', 'reset'))
  await (await all.send(plainRequest('/'))).whole()
  assert.deepEqual(codesOf(all), ['WST_ERR_NO_RESPONSE'])
  assert.equal(all.backend.connections.length, 1)
})

test('reads nothing of the body for a backend that cannot be reached: another one may get it', async t => {
  const all = await forwarding(t, await closedPort())
  await (await all.send(plainRequest('/', { method: 'POST', body: 'hello' }))).responseHead()
  assert.deepEqual(codesOf(all), ['WST_ERR_CONNECT'])
  assert.deepEqual(all.left, [{ read: false, listeners: 0 }])
})

test('refuses a 101 that was not requested, and closes the connection', async t => {
  const all = await forwarding(t, raw('HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n', 'keep'))
  await (await all.send(plainRequest('/'))).responseHead()
  assert.deepEqual(codesOf(all), ['WST_ERR_BAD_SWITCH'])
  const [connection] = all.backend.connections
  await eventually(() => connection?.ended || connection?.socket.destroyed)
})

test('rejects with the reason of an abort, and closes the connection', async t => {
  const all = await forwarding(t, silent())
  const client = await all.send(plainRequest('/'))
  await all.backend.request()
  const reason = new WsTunnelError('WST_ERR_CLOSING')
  all.controller.abort(reason)
  await client.responseHead()
  assert.deepEqual([all.results[0], listenersOf(all.controller.signal)], [reason, 0])
  const [connection] = all.backend.connections
  await eventually(() => connection?.ended || connection?.socket.destroyed)
})

test('leaves no listener of the signal when the response has come', async t => {
  const { send, controller } = await forwarding(t, responding())
  await (await send(plainRequest('/'))).whole()
  assert.equal(listenersOf(controller.signal), 0)
})

test('closes the connection of a response that the client does not wait for', async t => {
  const { backend, send } = await forwarding(t, raw('HTTP/1.1 200 Fine\r\nContent-Length: 9\r\n\r\npart', 'keep'))
  const client = await send(plainRequest('/'))
  await client.responseHead()
  client.destroy()
  const [connection] = backend.connections
  await eventually(() => connection?.ended || connection?.socket.destroyed)
})

test('closes the connection if the response ends before the body has arrived', async t => {
  const { backend, send } = await forwarding(t, raw('HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n', 'keep'))
  const client = await send('POST / HTTP/1.1\r\nHost: f.test\r\nContent-Length: 99\r\n\r\npart')
  assert.equal((await client.responseHead()).statusCode, 413)
  const [connection] = backend.connections
  await eventually(() => connection?.ended || connection?.socket.destroyed)
})

test('counts handshakeTimeout from the start when a request is repeated on a new connection', async t => {
  let connections = 0
  const script: Script = async connection => {
    if (++connections > 1) return
    await connection.request()
    await connection.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
    await connection.request()
    setTimeout(() => connection.end(), 700)
  }
  const all = await forwarding(t, script, { handshakeTimeout: 1_000 })
  await (await all.send(plainRequest('/'))).whole()
  const started = performance.now()
  await (await all.send(plainRequest('/'))).responseHead()
  const passed = performance.now() - started
  assert.deepEqual([codesOf(all), all.backend.connections.length], [[200, 'WST_ERR_HANDSHAKE_TIMEOUT'], 2])
  assert.ok(passed < 1_600, `the request failed after ${passed} ms`)
})

test('fails after handshakeTimeout without a byte of the body, and not while bytes arrive', async t => {
  const all = await forwarding(t, silent(), { handshakeTimeout: 200 })
  const client = await all.send('POST / HTTP/1.1\r\nHost: f.test\r\nContent-Length: 99\r\n\r\n')
  for (let i = 0; i < 5; i++) {
    await new Promise(resolve => setTimeout(resolve, 60))
    client.send('x')
  }
  assert.deepEqual(all.results, [])
  await client.responseHead()
  assert.deepEqual(codesOf(all), ['WST_ERR_HANDSHAKE_TIMEOUT'])
})
