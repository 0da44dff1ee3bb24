import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Server } from 'node:http'
import {
  type ClientHttp2Session,
  connect as connectHttp2,
  createServer as createHttp2Server,
  createSecureServer,
  type OutgoingHttpHeaders,
} from 'node:http2'
import { type TestContext, test } from 'node:test'
import { createTunnelProxy, listenForUpgrades, type TunnelProxy, type WsTunnelOptions } from '@ws-tunnel/core'
import { echo, responding } from '../../support/backend.ts'
import { within } from '../../support/gate.ts'
import { connectTunnel, startBackend } from '../../support/harness.ts'
import { appOf, closeAfter, listen } from '../../support/server.ts'
import * as certificates from '../../support/tls.ts'

const closedPortTarget = 'ws://127.0.0.1:1/'

interface Http2Response {
  headers: Record<string, unknown>
  body: string
}

/** The gateway on a node:http2 server. */
async function http2Gateway(
  t: TestContext,
  options: WsTunnelOptions,
  secure = false,
): Promise<{
  port: number
  session: ClientHttp2Session
  errors: unknown[]
  requestHttp2: (headers: OutgoingHttpHeaders, body?: string) => Promise<Http2Response>
}> {
  const proxy: TunnelProxy = createTunnelProxy({ drainTimeout: 0, ...options })
  const errors: unknown[] = []
  const app = appOf(proxy, errors) as never
  const settings = { enableConnectProtocol: true }
  const server = (secure
    ? createSecureServer({ ...certificates.server, allowHTTP1: true, settings }, app)
    : createHttp2Server({ settings }, app)) as unknown as Server
  listenForUpgrades(server, app)
  closeAfter(t, server)
  t.after(() => proxy.close())
  const port = await listen(server)
  const session = connectHttp2(`${secure ? 'https' : 'http'}://localhost:${port}`, { ca: certificates.ca })
  t.after(() => session.destroy())
  await once(session, 'remoteSettings')
  const requestHttp2 = async (headers: OutgoingHttpHeaders, body?: string): Promise<Http2Response> => {
    const stream = session.request(headers, { endStream: body === undefined })
    if (body !== undefined) stream.end(body)
    const [responseHeaders] = (await within(3_000, 'a response', once(stream, 'response'))) as [Record<string, unknown>]
    let text = ''
    for await (const chunk of stream) text += chunk
    return { headers: responseHeaders, body: text }
  }
  return { port, session, errors, requestHttp2 }
}

test('proxies plain requests of HTTP/2', async t => {
  const backend = await startBackend(
    t,
    responding({
      statusCode: 203,
      headers: ['X-Of: backend', 'Set-Cookie: a=1', 'Set-Cookie: b=2', 'Keep-Alive: timeout=5'],
      body: ({ method, path }, body) => `${method} ${path} ${body}`,
    }),
  )
  const { requestHttp2 } = await http2Gateway(
    t,
    { routes: [{ path: '/a', target: `http://${backend.address}/b` }] },
    true,
  )
  const got = await requestHttp2({ ':path': '/a/x?q=1', 'x-own': '1', te: 'trailers' })
  assert.deepEqual(
    [got.headers[':status'], got.headers['x-of'], got.headers['set-cookie']],
    [203, 'backend', ['a=1', 'b=2']],
  )
  assert.equal(got.body, 'GET /b/x?q=1 ')
  assert.ok(!('keep-alive' in got.headers))
  const seen = await backend.request()
  assert.equal(seen.httpVersion, '1.1')
  assert.match(seen.header('x-forwarded-host') ?? '', /^localhost:\d+$/)
  assert.deepEqual(
    [seen.header('x-forwarded-proto'), seen.header('x-own'), seen.header('te')],
    ['https', '1', undefined],
  )
  assert.ok(!seen.rawHeaders.some(([name]) => name.startsWith(':')))
  assert.equal((await requestHttp2({ ':path': '/own' })).headers[':status'], 404)
})

for (const method of ['GET', 'HEAD', 'DELETE', 'OPTIONS', 'POST', 'PUT', 'PATCH']) {
  test(`frames the body of a ${method} that arrives over HTTP/2`, async t => {
    const backend = await startBackend(t, responding({ body: (_, body) => body.toString() }))
    const { requestHttp2 } = await http2Gateway(t, { target: `http://${backend.address}/` })
    const smuggled = 'GET /internal HTTP/1.1\r\nHost: x\r\n\r\n'
    const got = await requestHttp2({ ':method': method, ':path': '/' }, smuggled)
    if (method !== 'HEAD') assert.equal(got.body, smuggled)
    // The next request on the same connection is read separately.
    assert.equal((await requestHttp2({ ':path': '/next' })).headers[':status'], 200)
    assert.deepEqual(
      backend.seen.map(({ path }) => path),
      ['/', '/next'],
    )
  })
}

test('relays a 426 of the backend over HTTP/2, without the fields of a connection', async t => {
  const backend = await startBackend(
    t,
    responding({ statusCode: 426, headers: ['Upgrade: websocket', 'Connection: Upgrade'], body: 'upgrade!' }),
  )
  const { requestHttp2 } = await http2Gateway(t, { target: `http://${backend.address}/` })
  const got = await requestHttp2({ ':path': '/' })
  assert.deepEqual([got.headers[':status'], got.body], [426, 'upgrade!'])
  assert.ok(!('connection' in got.headers) && !('upgrade' in got.headers))
})

test('502s and 503s over HTTP/2 as over HTTP/1.1', async t => {
  const { requestHttp2, errors } = await http2Gateway(t, { target: closedPortTarget })
  assert.deepEqual(await requestHttp2({ ':path': '/' }).then(({ headers, body }) => [headers[':status'], body]), [
    503,
    '{"code":"WST_ERR_CONNECT"}',
  ])
  assert.equal(errors.length, 1)
})

for (const protocol of ['connect-udp', 'connect-ip']) {
  test(`501s extended CONNECT for ${protocol}`, async t => {
    const backend = await startBackend(t, echo())
    const { requestHttp2 } = await http2Gateway(t, { target: `ws://${backend.address}/` })
    const got = await requestHttp2(
      { ':method': 'CONNECT', ':protocol': protocol, ':path': '/', ':scheme': 'http', ':authority': 'localhost' },
      '',
    )
    assert.equal(got.headers[':status'], 501)
    assert.equal(backend.connections.length, 0)
    assert.equal(
      (await requestHttp2({ ':path': '/' })).headers[':status'],
      502,
      'the session continues, and this backend does not use HTTP',
    )
  })
}

test('501s plain CONNECT over HTTP/2', async t => {
  const { requestHttp2 } = await http2Gateway(t, { target: closedPortTarget })
  assert.equal(
    (await requestHttp2({ ':method': 'CONNECT', ':authority': 'internal.example:443' }, '')).headers[':status'],
    501,
  )
})

test('tunnels HTTP/1.1 upgrades on a server that supports HTTP/2 too', async t => {
  const backend = await startBackend(t, echo())
  const { port } = await http2Gateway(t, { target: `ws://${backend.address}/` }, true)
  const tls = { ca: certificates.ca, servername: 'localhost', ALPNProtocols: ['http/1.1'] }
  const client = await connectTunnel(t, port, '/', {}, { tls })
  client.end('hello')
  assert.equal((await client.readAll()).toString(), 'hello')
})
