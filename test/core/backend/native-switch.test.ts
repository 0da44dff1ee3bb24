import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type TestContext, test } from 'node:test'
import { createTunnelProxy, listenForUpgrades } from '@ws-tunnel/core'
import fc from 'fast-check'
import type { Backend } from '../../support/backend.ts'
import { upgradeRequest } from '../../support/client.ts'
import { eventually } from '../../support/gate.ts'
import { connectClient, startBackend } from '../../support/harness.ts'
import { native } from '../../support/pump.ts'
import { appOf, closeAfter, listen } from '../../support/server.ts'

type Middleware = (req: IncomingMessage, res: ServerResponse) => void

/** A gateway with middleware, on a thread or in JavaScript. */
async function startGateway(t: TestContext, backend: Backend, async: boolean, middleware: Middleware): Promise<number> {
  const proxy = createTunnelProxy({ target: `ws://${backend.address}/`, async, keepAlive: 0, drainTimeout: 0 })
  t.after(() => proxy.close())
  const handle = appOf(proxy)
  const app: typeof handle = (req, res) => {
    middleware(req, res)
    handle(req, res)
  }
  const server = createServer(app)
  closeAfter(t, server)
  listenForUpgrades(server, app)
  return listen(server)
}

/** A backend that reads the request, writes what `bytes` returns in one piece, and then may send FIN with it. */
function answering(t: TestContext, bytes: () => Buffer, ends = true): Promise<Backend> {
  return startBackend(t, async connection => {
    await connection.request()
    if (ends) connection.socket.end(bytes())
    else connection.socket.write(bytes())
  })
}

const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n'

const name = fc.constantFrom(
  'X-One',
  'x-one',
  'Set-Cookie',
  'Vary',
  'Sec-WebSocket-Protocol',
  'Via',
  'Date',
  'X-Powered-By',
  'Server',
  'Keep-Alive',
  'Link',
)
const value = fc.string({
  unit: fc.constantFrom('a', 'B', '1', ' ', '\t', ',', ';', '=', '"', '\xe9', '\xff'),
  maxLength: 12,
})
const fields = fc.array(fc.tuple(name, value), { maxLength: 6 })
const reason = fc.constantFrom('Switching Protocols', '', ' OK', 'Fine ')
const rest = fc.uint8Array({ maxLength: 40 })

test('gives the client the same bytes as Node does, whatever the 101 and the fields of middleware', native, async t => {
  let answer = Buffer.from(SWITCH)
  let own: [string, string][] = []
  const middleware: Middleware = (_req, res) => {
    for (const [each, text] of own) res.appendHeader(each, text)
  }
  const backend = await answering(t, () => answer)
  const ports = [
    await startGateway(t, backend, true, middleware),
    await startGateway(t, backend, false, middleware),
  ] as const
  const received = async (port: number): Promise<string> => {
    const client = (await connectClient(t, port)).send(`${upgradeRequest('/')}early`)
    const bytes = (await client.readAll()).toString('latin1')
    client.destroy()
    return bytes
  }
  await fc.assert(
    fc.asyncProperty(reason, fields, fields, rest, async (phrase, theirs, ours, after) => {
      own = ours
      const lines = theirs.map(([each, text]) => `${each}: ${text}\r\n`).join('')
      const head = `HTTP/1.1 101 ${phrase}\r\n${lines}Upgrade: WebSocket\r\nConnection: upgrade\r\n\r\n`
      answer = Buffer.concat([Buffer.from(head, 'latin1'), after])
      const [thread, node] = [await received(ports[0]), await received(ports[1])]
      assert.equal(thread, node)
      assert.ok(thread.endsWith(Buffer.from(after).toString('latin1')))
    }),
    { numRuns: 60 },
  )
})

for (const [what, bytes, ends] of [
  ['a FIN that comes with the 101', Buffer.from(SWITCH), true],
  [
    'more than one read of bytes that come with the 101',
    Buffer.concat([Buffer.from(SWITCH), Buffer.alloc(100_000, 'x')]),
    false,
  ],
] as const) {
  test(`delivers ${what} to a client that sends nothing`, native, async t => {
    const backend = await answering(t, () => bytes, ends)
    const port = await startGateway(t, backend, true, () => {})
    const client = (await connectClient(t, port)).send(upgradeRequest('/'))
    assert.equal((await client.responseHead()).statusCode, 101)
    const size = bytes.length - SWITCH.length
    if (ends) assert.equal((await client.readAll()).length, size)
    else assert.equal((await client.readExact(size)).length, size)
    client.destroy()
  })
}

test('reports the 101 as sent, in the response and in the byte counts of the socket', native, async t => {
  const seen: unknown[] = []
  const head: number[] = []
  for (const async of [true, false]) {
    const backend = await answering(t, () => Buffer.from(`${SWITCH}four`))
    const { promise: closed, resolve } = Promise.withResolvers<void>()
    const port = await startGateway(t, backend, async, (req, res) => {
      res.setHeader('X-App', 'yes')
      res.on('close', () => {
        seen.push([res.statusCode, res.statusMessage, res.headersSent, res.getHeader('x-app'), req.socket.bytesWritten])
        resolve()
      })
    })
    const client = (await connectClient(t, port)).send(upgradeRequest('/'))
    head.push((await client.readAll()).length)
    client.end()
    await closed
    await eventually(() => seen.length === head.length)
  }
  assert.deepEqual(seen[0], seen[1])
  assert.deepEqual(seen[0], [101, 'Switching Protocols', true, 'yes', head[0]])
})
