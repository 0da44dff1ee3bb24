import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import { acceptProxyProtocol, createHttp2Server, listenForUpgrades } from '@ws-tunnel/core'
import { type ClientOptions, WebSocket } from 'ws'
import { echo, responding } from '../../support/backend.ts'
import {
  type Gateway,
  startConnect,
  startCore,
  startExpress4,
  startExpress5,
  startFastify,
} from '../../support/frameworks.ts'
import { within } from '../../support/gate.ts'
import { hasHaproxy, startHaproxy } from '../../support/haproxy.ts'
import { connectClient, sendRequest, startBackend, startGatewayOn } from '../../support/harness.ts'
import { closeAfter, listen } from '../../support/server.ts'
import * as certificates from '../../support/tls.ts'

/** The address that the client connects from. HAProxy connects from 127.0.0.1. */
const CLIENT = '127.0.0.9'

const prepare = (server: Gateway['server']): void => acceptProxyProtocol(server, { from: '127.0.0.1', timeout: 300 })

for (const [framework, start] of Object.entries({
  'node:http': startCore,
  'Express 5': startExpress5,
  'Express 4': startExpress4,
  Connect: startConnect,
  Fastify: startFastify,
})) {
  for (const word of ['send-proxy', 'send-proxy-v2']) {
    for (const tls of [undefined, certificates.server]) {
      const what = `${framework}: a WebSocket through HAProxy with ${word}${tls ? ' and TLS' : ''}`
      test(`${what} has the client's address`, { skip: !hasHaproxy() }, async t => {
        const backend = await startBackend(t, echo())
        const gateway = await startGatewayOn(
          t,
          start,
          '/',
          { target: `ws://${backend.address}` },
          { prepare, ...(tls && { tls }) },
        )
        const port = await startHaproxy(t, gateway.port, { server: word })
        const socket = new WebSocket(`${tls ? 'wss' : 'ws'}://127.0.0.1:${port}/`, {
          localAddress: CLIENT,
          ca: certificates.ca,
          servername: 'localhost',
          // `ws` passes it to net.connect; its types do not have it.
        } as ClientOptions)
        t.after(() => socket.terminate())
        await within(5_000, 'a WebSocket', once(socket, 'open'))
        assert.equal(backend.seen[0]?.header('x-forwarded-for'), CLIENT)
        const [tunnel] = gateway.opened
        assert.equal(tunnel?.info.clientAddress, CLIENT)
        assert.equal(tunnel?.offloaded, tls === undefined && process.env['PUMP'] !== 'js')
      })
    }
  }
}

test('HTTP/2 and HTTP/1.1 on one server: requests through HAProxy have the address of the client', {
  skip: !hasHaproxy(),
}, async t => {
  const server = createHttp2Server(certificates.server, (req, res) => void res.end(req.socket.remoteAddress))
  prepare(server as never)
  closeAfter(t, server as never)
  const port = await startHaproxy(t, await listen(server as never), { server: 'send-proxy-v2' })
  for (const protocol of ['h2', 'http/1.1']) {
    const options = { ca: certificates.ca, servername: 'localhost', ALPNProtocols: [protocol], localAddress: CLIENT }
    const socket = connectTls({ ...options, port, host: '127.0.0.1' } as ConnectionOptions)
    await within(5_000, 'a handshake', once(socket, 'secureConnect'))
    const req =
      protocol === 'h2'
        ? connectHttp2('https://localhost', { createConnection: () => socket }).request({ ':path': '/' })
        : socket
    t.after(() => socket.destroy())
    if (protocol !== 'h2') socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
    assert.match(await within(5_000, 'a response', text(req)), /(?:^|\D)127\.0\.0\.9(?:$|\D)/, protocol)
  }
})

/** The gateway's part of one connection: `X-Forwarded-For` of its request, or undefined if the connection ends without a response. */
async function forwardedFor(
  t: TestContext,
  begin: (send: (bytes: string) => void) => void,
): Promise<string | undefined> {
  const backend = await startBackend(t, responding())
  const gateway = await startGatewayOn(t, startCore, '/', { target: `ws://${backend.address}` }, { prepare })
  const client = await connectClient(t, gateway.port)
  begin(bytes => client.send(bytes))
  if ((await client.readAll()).length === 0) return undefined
  return backend.seen[0]?.header('x-forwarded-for')
}

const REQUEST = 'GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n'
const LINE = 'PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n'

test('reads a header in the same packet as the request, and one in pieces', async t => {
  assert.equal(await forwardedFor(t, send => send(LINE + REQUEST)), '192.0.2.7')
  assert.equal(
    await forwardedFor(t, send => {
      send(LINE.slice(0, 9))
      setImmediate(() => send(LINE.slice(9)))
      setTimeout(() => send(REQUEST), 20)
    }),
    '192.0.2.7',
  )
})

test('keeps the address of the connection for UNKNOWN', async t => {
  assert.equal(await forwardedFor(t, send => send(`PROXY UNKNOWN\r\n${REQUEST}`)), '127.0.0.1')
})

for (const [what, bytes] of [
  ['without a header', REQUEST],
  ['with a malformed header', `PROXY TCP4 192.0.2.700 192.0.2.8 1 2\r\n${REQUEST}`],
  ['whose header does not end in time', 'PROXY TCP4 192'],
] as const) {
  test(`ends a connection ${what}, without a response`, async t => {
    assert.equal(await forwardedFor(t, send => send(bytes)), undefined)
  })
}

test('counts a connection that waits for its header for maxConnections', async t => {
  const server = createServer((_req, res) => void res.end('here'))
  acceptProxyProtocol(server, { from: '127.0.0.1' })
  listenForUpgrades(server, () => {}, { maxConnections: 1 })
  closeAfter(t, server)
  const port = await listen(server)
  const waiting = await connectClient(t, port)
  const refused = await sendRequest(t, port, LINE + REQUEST)
  assert.equal((await refused.whole()).statusCode, 503)
  waiting.send(LINE + REQUEST)
  assert.equal((await waiting.whole()).statusCode, 200)
})

test('reads no header from an address that is not trusted', async t => {
  const backend = await startBackend(t, responding())
  const gateway = await startGatewayOn(
    t,
    startCore,
    '/',
    { target: `ws://${backend.address}` },
    { prepare: server => acceptProxyProtocol(server, { from: '192.0.2.0/24' }) },
  )
  assert.equal((await (await sendRequest(t, gateway.port, REQUEST)).whole()).statusCode, 200)
  assert.equal(backend.seen[0]?.header('x-forwarded-for'), '127.0.0.1')
  assert.equal((await (await sendRequest(t, gateway.port, LINE + REQUEST)).whole()).statusCode, 400)
})

test('names the option that is wrong', () => {
  for (const [options, message] of [
    [{}, /`from` to be given/],
    [{ from: [] }, /`from` to be an address/],
    [{ from: 'nowhere' }, /`from`: invalid IP address: nowhere/],
    [{ from: '::1', timeout: 0 }, /`timeout` to be more than 0 ms/],
  ] as const)
    assert.throws(() => acceptProxyProtocol({} as never, options as never), { code: 'WST_ERR_OPTION', message })
})
