import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import { compileHttpdConf, type Diagnostic, fromHttpdConf, type HttpdConf } from '@ws-tunnel/httpd-conf'
import { WebSocket } from 'ws'
import { type Backend, type BackendOptions, echoing, type Script, switchingHead } from '../support/backend.ts'
import { connect, openTunnel, plainRequest, type ResponseHead, upgradeRequest } from '../support/client.ts'
import type { CoreGateway, StartOptions } from '../support/frameworks.ts'
import { startBackend, startGateway } from '../support/harness.ts'
import { ca, server as certificate } from '../support/tls.ts'

// The numbered statements of five documents on mod_proxy_wstunnel: its manual page for 2.4 (in English, and the French one of 2.4.46),
// two pages of its next version, and a how-to for WebSockets behind httpd. Every statement about behaviour has a test here.
const STATEMENTS = 32

/** Statements about nothing that can be observed from outside. */
const notBehaviour: Record<number, string> = {
  1: 'name, status and versions of the module; LoadModule is left out with the reason',
  12: 'advice about NONE and ANY, repeated in docs/httpd.md',
  17: 'a note that asynchronous tunnels are experimental in httpd',
  22: 'a link to the manual of mod_proxy',
  31: "where httpd's logs are; here the app or ws-tunnel run has the server and its logs",
}

const tested = new Set<number>()

function statement(numbers: number | number[], name: string, run: (t: TestContext) => Promise<void> | void): void {
  for (const number of [numbers].flat()) tested.add(number)
  test(`${name} (${[numbers].flat().join(', ')})`, run)
}

/** Switches protocols for an upgrade and echoes. Responds to any other request with its name and the path that it got. */
const serving =
  (name: string, headers: string[] = []): Script =>
  async (connection, backend) => {
    while (!connection.ended) {
      const request = await connection.request()
      if (request.header('upgrade') !== undefined) {
        await connection.write(switchingHead(request, { headers }))
        return echoing(connection, backend)
      }
      const body = `${name} ${request.path}`
      await connection.write(`HTTP/1.1 200 Fine\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
    }
  }

const namedBackend = (t: TestContext, name = 'http', options?: BackendOptions, headers?: string[]): Promise<Backend> =>
  startBackend(t, serving(name, headers), options)

const gatewayOf = (
  t: TestContext,
  text: string,
  { gateway, ...conf }: Omit<HttpdConf, 'text'> & { gateway?: StartOptions } = {},
): Promise<CoreGateway> => startGateway(t, fromHttpdConf({ text, ...conf }), gateway)

/** Opens a tunnel, and checks that bytes go there and back. */
async function tunnel(
  t: TestContext,
  { port }: CoreGateway,
  path: string,
  options: Parameters<typeof openTunnel>[2] = {},
): Promise<ResponseHead> {
  const { client, head } = await openTunnel(port, path, options)
  t.after(() => client.destroy())
  assert.equal(String(await client.send('there and back').readExact(14)), 'there and back')
  return head
}

/** Sends one request and returns the response: `200 http /x`. */
async function send(t: TestContext, { port }: CoreGateway, request: string): Promise<string> {
  const client = await connect(port)
  t.after(() => client.destroy())
  const { statusCode, body } = await client.send(request).whole()
  return `${statusCode} ${body}`
}

const messagesOf = (text: string, severity: Diagnostic['severity'], more: Omit<HttpdConf, 'text'> = {}): string[] =>
  compileHttpdConf({ text, ...more })
    .diagnostics.filter(diagnostic => diagnostic.severity === severity)
    .map(({ line, directive, message, expected }) => `${line} ${directive}: ${message}; ${expected ?? ''}`)

/** Directives for a backend over TLS whose certificate a private authority has signed. */
const TLS = 'SSLProxyEngine On\nSSLProxyVerify require\nSSLProxyCACertificateFile /pki/ca.pem\n'

const pki = {
  files: { read: (file: string) => (file === '/pki/ca.pem' ? ca : undefined), find: () => [], exists: () => false },
}

statement([2, 32], 'tunnels a WebSocket over one connection for as long as both sides use it', async t => {
  const backend = await namedBackend(t)
  const { port } = await gatewayOf(t, `ProxyPass /ws ws://${backend.address}/ws`)
  const { client } = await openTunnel(port, '/ws')
  t.after(() => client.destroy())
  for (const text of ['one', 'two', 'and\0three']) {
    assert.equal(String(await client.send(text).readExact(text.length)), text)
  }
  assert.equal(backend.seen.length, 1)
})

statement(3, 'sends Upgrade and Connection to the backend without any further directive', async t => {
  const backend = await namedBackend(t)
  const gateway = await gatewayOf(t, `ProxyPass /ws ws://${backend.address}/`)
  const response = await tunnel(t, gateway, '/ws', {
    token: 'WebSocket',
    headers: { 'Sec-WebSocket-Protocol': 'chat' },
  })
  assert.deepEqual([response.statusCode, response.header('upgrade')], [101, 'WebSocket'])
  const request = await backend.request()
  assert.deepEqual(
    ['upgrade', 'connection', 'sec-websocket-protocol'].map(name => request.header(name)),
    ['WebSocket', 'Upgrade', 'chat'],
  )
})

statement([4, 26], 'appends the rest of the path to the path of the backend, character for character', async t => {
  const backend = await namedBackend(t)
  const to = `ws://${backend.address}`
  const gateway = await gatewayOf(t, `ProxyPass "/ws2/" "${to}/"\nProxyPass /deep ${to}/inner\nProxyPass /odd/ ${to}/x`)
  for (const [path, seen] of [
    ['/ws2/room?a=1', '/room?a=1'],
    ['/deep/room', '/inner/room'],
    ['/odd/room', '/xroom'],
  ] as const) {
    await tunnel(t, gateway, path)
    assert.equal(backend.seen.at(-1)?.path, seen)
  }
  assert.match(await send(t, gateway, upgradeRequest('/ws2')), /^404 own/)
})

statement([5, 25], 'connects to ws: without TLS and to wss: with TLS, which needs SSLProxyEngine', async t => {
  const plain = await namedBackend(t, 'plain')
  const secret = await namedBackend(t, 'secret', { tls: certificate })
  const text = `ProxyPass "/ws2/" "ws://${plain.address}/"\nProxyPass "/wss2/" "wss://localhost:${secret.port}/"`
  const gateway = await gatewayOf(t, TLS + text, pki)
  await tunnel(t, gateway, '/ws2/a')
  await tunnel(t, gateway, '/wss2/b')
  assert.deepEqual([plain.seen[0]?.path, secret.seen[0]?.path], ['/a', '/b'])
  assert.match(messagesOf(text, 'warning').join(), /^2 ProxyPass: a backend over TLS needs SSLProxyEngine On/)
  const without = await gatewayOf(t, text)
  await tunnel(t, without, '/ws2/a')
  assert.match(await send(t, without, upgradeRequest('/wss2/b')), /^500 /)
})

statement(6, 'tunnels a known URL by a ProxyPassMatch before the line for HTTP', async t => {
  const [http, ws] = [await namedBackend(t), await namedBackend(t, 'ws')]
  const lines = [`ProxyPassMatch ^/(myApp/ws)$  ws://${ws.address}/$1`, `ProxyPass / http://${http.address}/`]
  const gateway = await gatewayOf(t, lines.join('\n'))
  await tunnel(t, gateway, '/myApp/ws')
  assert.equal(ws.seen[0]?.path, '/myApp/ws')
  assert.equal(await send(t, gateway, plainRequest('/myApp/page')), '200 http /myApp/page')
  assert.match(
    messagesOf([...lines].reverse().join('\n'), 'warning').join(),
    /^2 ProxyPassMatch: never reached, in httpd too: line 1 matches/,
  )
})

statement(
  7,
  'separates WebSockets from HTTP by conditions on Upgrade and Connection where the URL is not known',
  async t => {
    const [http, ws] = [await namedBackend(t), await namedBackend(t, 'ws')]
    const gateway = await gatewayOf(
      t,
      `RewriteEngine On
RewriteCond %{HTTP:Upgrade} websocket [NC]
RewriteCond %{HTTP:Connection} upgrade [NC]
RewriteRule ^/?(.*) "ws://${ws.address}/$1" [P,L]
ProxyPass "/" "http://${http.address}/"
ProxyPassReverse "/" "http://${http.address}/"`,
    )
    await tunnel(t, gateway, '/any/where?q=1', { token: 'WebSocket', headers: { Connection: 'keep-alive, Upgrade' } })
    assert.equal(ws.seen[0]?.path, '/any/where?q=1')
    assert.equal(await send(t, gateway, plainRequest('/any/where')), '200 http /any/where')
    assert.equal(await send(t, gateway, upgradeRequest('/x', { headers: { Connection: 'close' } })), '200 http /x')
    assert.equal(ws.seen.length, 1)
  },
)

statement(8, 'distributes tunnels over the members of a balancer', async t => {
  const [a, b] = [await namedBackend(t, 'a'), await namedBackend(t, 'b')]
  const gateway = await gatewayOf(
    t,
    `<Proxy balancer://c>
BalancerMember ws://${a.address}
BalancerMember ws://${b.address}
</Proxy>
ProxyPass /chat balancer://c/room`,
  )
  for (let i = 0; i < 4; i++) await tunnel(t, gateway, '/chat/x')
  assert.deepEqual([a.seen.map(({ path }) => path), b.seen.length], [['/room/x', '/room/x'], 2])
})

statement(9, 'upgrades only to the protocol that upgrade= names', async t => {
  const backend = await namedBackend(t)
  const gateway = await gatewayOf(t, `ProxyPass /a ws://${backend.address}/ upgrade=chat`)
  await tunnel(t, gateway, '/a', { token: 'chat' })
  assert.equal(backend.seen[0]?.header('upgrade'), 'chat')
  assert.equal(await send(t, gateway, upgradeRequest('/a')), '200 http /')
  assert.match(
    messagesOf(`ProxyPass /a ws://b.test/ upgrade=${'x'.repeat(16)}`, 'error').join(),
    /upgrade protocol length must be < 16 characters/,
  )
})

statement(10, 'upgrades with upgrade=NONE even if the client names no protocol, and then to WebSocket', async t => {
  const backend = await namedBackend(t)
  const gateway = await gatewayOf(t, `ProxyPass /a ws://${backend.address}/ upgrade=NONE`)
  const client = await connect(gateway.port)
  t.after(() => client.destroy())
  client.send(plainRequest('/a'))
  assert.equal((await client.responseHead()).statusCode, 101)
  assert.equal(String(await client.send('ping').readExact(4)), 'ping')
  assert.equal(backend.seen[0]?.header('upgrade')?.toLowerCase(), 'websocket')
  await tunnel(t, gateway, '/a')
})

statement(
  11,
  'accepts any protocol that the client requests with upgrade=ANY, and sends its spelling to the backend',
  async t => {
    const backend = await namedBackend(t)
    const gateway = await gatewayOf(t, `ProxyPass /a ws://${backend.address}/ upgrade=ANY`)
    for (const token of ['Chat/2', 'websocket']) {
      const response = await tunnel(t, gateway, '/a', { token })
      assert.deepEqual([backend.seen.at(-1)?.header('upgrade'), response.header('upgrade')], [token, token])
    }
    assert.equal(await send(t, gateway, plainRequest('/a')), '200 http /')
  },
)

statement(13, 'upgrades for an http: backend too if upgrade= names the protocol', async t => {
  const backend = await namedBackend(t)
  const to = `http://${backend.address}`
  const gateway = await gatewayOf(t, `ProxyPass /a ${to}/a upgrade=websocket`)
  await tunnel(t, gateway, '/a')
  assert.equal(await send(t, gateway, plainRequest('/a')), '200 http /a')
  const without = await gatewayOf(t, `ProxyPass /a ${to}/a`)
  assert.equal(await send(t, without, upgradeRequest('/a')), '200 http /a')
})

statement(
  14,
  'serves a request that is not an upgrade as HTTP, unless ProxyWebsocketFallbackToProxyHttp is Off',
  async t => {
    const backend = await namedBackend(t)
    const text = `ProxyPass /a ws://${backend.address}/`
    for (const on of ['', 'ProxyWebsocketFallbackToProxyHttp On\n']) {
      const gateway = await gatewayOf(t, on + text)
      assert.equal(await send(t, gateway, plainRequest('/a')), '200 http /')
      assert.equal(await send(t, gateway, upgradeRequest('/a', { token: 'chat' })), '200 http /')
    }
    const off = await gatewayOf(t, `ProxyWebsocketFallbackToProxyHttp Off\n${text}`)
    assert.match(await send(t, off, plainRequest('/a')), /^404 own/)
    await tunnel(t, off, '/a')
    assert.match(
      messagesOf(`ProxyWebsocketFallbackToProxyHttp Perhaps\n${text}`, 'error').join(),
      /ProxyWebsocketFallbackToProxyHttp must be On or Off/,
    )
  },
)

statement(14, 'applies ProxyWebsocketFallbackToProxyHttp to each virtual host by itself', async t => {
  const backend = await namedBackend(t)
  const hostOf = (name: string, directive: string): string =>
    `<VirtualHost *:80>\nServerName ${name}\n${directive}\nProxyPass /a ws://${backend.address}/\n</VirtualHost>\n`
  const text = `${hostOf('on.test', '')}${hostOf('off.test', 'ProxyWebsocketFallbackToProxyHttp Off')}`
  const on = await gatewayOf(t, text, { serverName: 'on.test' })
  const off = await gatewayOf(t, text, { serverName: 'off.test' })
  assert.equal(await send(t, on, plainRequest('/a')), '200 http /')
  assert.match(await send(t, off, plainRequest('/a')), /^404 own/)
})

statement([15, 21], 'has no fallback, without any directive, with compat 2.4.46', async t => {
  const backend = await namedBackend(t)
  const gateway = await gatewayOf(t, `ProxyPass /a ws://${backend.address}/`, { compat: '2.4.46' })
  await tunnel(t, gateway, '/a')
  assert.match(await send(t, gateway, upgradeRequest('/a', { token: 'chat' })), /^426 /)
  assert.match(await send(t, gateway, plainRequest('/a')), /^404 own/)
  assert.equal(backend.seen.length, 1)
})

statement([14, 27], 'serves a WebSocket and HTTP on one path by two lines if there is no fallback', async t => {
  const [http, ws] = [await namedBackend(t), await namedBackend(t, 'ws')]
  const text = `ProxyPass / ws://${ws.address}/\nProxyPass / http://${http.address}/`
  const gateway = await gatewayOf(t, `ProxyWebsocketFallbackToProxyHttp Off\n${text}`)
  await tunnel(t, gateway, '/x')
  assert.equal(await send(t, gateway, plainRequest('/x')), '200 http /x')
  assert.equal(ws.seen.length, 1)
  assert.match(
    messagesOf(text, 'warning').join(),
    /^2 ProxyPass: never reached, in httpd too: line 1 matches every path/,
  )
})

statement(
  [16, 20],
  'honours ProxyWebsocketAsync and ProxyWebsocketAsyncDelay where tunnels can leave JavaScript',
  async t => {
    const backend = await namedBackend(t)
    for (const mode of ['On', 'OFF']) {
      const text = `ProxyWebsocketAsync ${mode}\nProxyWebsocketAsyncDelay 5ms\nProxyPass /a ws://${backend.address}/`
      await tunnel(t, await gatewayOf(t, text), '/a')
      const [route] = fromHttpdConf({ text }).routes ?? []
      assert.deepEqual([route?.async, route?.asyncDelay], [mode === 'On', 5])
      assert.equal(
        messagesOf(text, 'warning').filter(message => /ProxyWebsocketAsync\w*: it is supported/.test(message)).length,
        2,
      )
    }
    assert.match(messagesOf('ProxyWebsocketAsync Perhaps', 'error').join(), /ProxyWebsocketAsync must be On or Off/)
    assert.match(
      messagesOf('ProxyWebsocketAsyncDelay 5x', 'error').join(),
      /ProxyWebsocketAsyncDelay timeout has wrong format/,
    )
  },
)

statement(18, 'ends a tunnel with FIN when no byte has moved for ProxyWebsocketIdleTimeout', async t => {
  const backend = await namedBackend(t)
  const gateway = await gatewayOf(t, `ProxyWebsocketIdleTimeout 150ms\nProxyPass /a ws://${backend.address}/`)
  const { client } = await openTunnel(gateway.port, '/a')
  t.after(() => client.destroy())
  assert.equal(String(await client.readAll()), '')
  assert.equal((await gateway.end()).reason, 'idle')
})

statement(18, 'never ends an idle tunnel with ProxyWebsocketIdleTimeout 0, the default in the manual', () => {
  const idle = (text: string): unknown =>
    fromHttpdConf({ text: `${text}\nProxyPass /a ws://b.test/` }).routes?.[0]?.idleTimeout
  assert.equal(idle('ProxyWebsocketIdleTimeout 0'), 0)
  assert.equal(idle('ProxyWebsocketFallbackToProxyHttp Off'), 0)
  assert.equal(idle('Timeout 7'), 7_000)
})

statement([19, 20], 'reads times in seconds or with the units ms, mi and h, and refuses any other value', () => {
  const idle = (value: string): unknown =>
    fromHttpdConf({ text: `ProxyWebsocketIdleTimeout ${value}\nProxyPass /a ws://b.test/` }).routes?.[0]?.idleTimeout
  assert.deepEqual(['2', '5s', '300ms', '2min', '1h'].map(idle), [2_000, 5_000, 300, 120_000, 3_600_000])
  for (const directive of ['ProxyWebsocketIdleTimeout', 'ProxyWebsocketAsyncDelay']) {
    for (const wrong of ['2m', '5x', '1.5', '"5 s"', '-1', 'abc']) {
      assert.match(
        messagesOf(`${directive} ${wrong}`, 'error').join(),
        new RegExp(`${directive} timeout has wrong format`),
        wrong,
      )
    }
  }
})

statement(23, 'counts the modules that the how-to enables as loaded', async t => {
  const backend = await namedBackend(t)
  const gateway = await gatewayOf(
    t,
    `LoadModule proxy_wstunnel_module modules/mod_proxy_wstunnel.so
<IfModule mod_proxy_wstunnel.c>
<IfModule proxy_http_module>
ProxyPass /a ws://${backend.address}/
</IfModule>
</IfModule>`,
  )
  await tunnel(t, gateway, '/a')
})

statement(24, 'serves the virtual host of the how-to', async t => {
  const backend = await namedBackend(t, 'http', {}, ['Location: http://backend.test/room', 'Set-Cookie: a=b'])
  const gateway = await gatewayOf(
    t,
    `<VirtualHost *:80>
    ServerName front.example
    ProxyPreserveHost On
    ProxyPass /ws/ ws://${backend.address}/
    ProxyPassReverse /ws/ http://backend.test/
</VirtualHost>`,
  )
  const response = await tunnel(t, gateway, '/ws/room')
  assert.deepEqual(
    [response.header('location'), response.header('set-cookie')],
    ['http://front.example/ws/room', 'a=b'],
  )
  const { path, header } = await backend.request()
  assert.deepEqual([path, header('host')], ['/room', 'front.example'])
})

statement(27, 'sends HTTP and WebSockets on different paths to different backends', async t => {
  const [http, ws] = [await namedBackend(t), await namedBackend(t, 'ws')]
  const gateway = await gatewayOf(t, `ProxyPass /ws/ ws://${ws.address}/\nProxyPass / http://${http.address}/`)
  await tunnel(t, gateway, '/ws/a')
  assert.equal(await send(t, gateway, plainRequest('/wsa')), '200 http /wsa')
  assert.deepEqual([ws.seen.length, http.seen.length], [1, 1])
})

statement(
  28,
  "warns that the how-to's RequestHeader lines have no effect in httpd, and tunnels without them",
  async t => {
    const backend = await namedBackend(t)
    const text = `ProxyPass /ws/ ws://${backend.address}/
RequestHeader set Upgrade "websocket" env=HTTP_UPGRADE
RequestHeader set Connection "upgrade" env=HTTP_CONNECTION`
    const never = (line: number, variable: string): string =>
      `${line} RequestHeader: has no effect, in httpd too: nothing sets the variable ${variable}; nothing: ProxyPass to ws:// forwards upgrades by itself`
    assert.deepEqual(messagesOf(text, 'warning'), [never(2, 'HTTP_UPGRADE'), never(3, 'HTTP_CONNECTION')])
    const gateway = await gatewayOf(t, text)
    await tunnel(t, gateway, '/ws/a')
    assert.equal(await send(t, gateway, plainRequest('/ws/a')), '200 http /a')
    assert.deepEqual(
      backend.seen.map(request => request.headers('upgrade')),
      [['websocket'], []],
    )
  },
)

statement(28, 'sets a field by env= if SetEnvIf sets the variable, as the warning recommends', async t => {
  const backend = await namedBackend(t)
  const text = `ProxyPass /ws/ ws://${backend.address}/\nRequestHeader set X-Asked "yes" env=HTTP_UPGRADE`
  assert.match(
    messagesOf(text, 'warning').join(),
    /nothing sets the variable HTTP_UPGRADE; SetEnvIf UPGRADE \. HTTP_UPGRADE$/,
  )
  const repaired = `SetEnvIf UPGRADE . HTTP_UPGRADE\n${text}`
  assert.deepEqual(messagesOf(repaired, 'warning'), [])
  const gateway = await gatewayOf(t, repaired)
  await tunnel(t, gateway, '/ws/a')
  await send(t, gateway, plainRequest('/ws/a'))
  assert.deepEqual(
    backend.seen.map(request => request.header('x-asked')),
    ['yes', undefined],
  )
})

statement(29, 'tunnels from an HTTPS virtual host to a backend without TLS and to one with TLS', async t => {
  const plain = await namedBackend(t)
  const secret = await namedBackend(t, 'secret', { tls: certificate })
  const gateway = await gatewayOf(
    t,
    `${TLS}<VirtualHost *:443>
SSLEngine On
SSLCertificateFile /pki/server.pem
SSLProxyEngine On
ProxyPass /ws/ ws://${plain.address}/
ProxyPass /wss/ wss://localhost:${secret.port}/
</VirtualHost>`,
    { ...pki, gateway: { tls: certificate } },
  )
  await tunnel(t, gateway, '/ws/a', { tls: { ca } })
  await tunnel(t, gateway, '/wss/a', { tls: { ca } })
})

statement(30, 'serves an ordinary WebSocket client', async t => {
  const backend = await namedBackend(t)
  const { port } = await gatewayOf(t, `ProxyPass /ws/ ws://${backend.address}/`)
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws/`)
  t.after(() => socket.terminate())
  await once(socket, 'open')
  assert.equal(backend.seen[0]?.header('sec-websocket-version'), '13')
})

test(`each of the ${STATEMENTS} statements has a test, or a reason why it has none`, () => {
  const all = [...tested, ...Object.keys(notBehaviour).map(Number)].toSorted((a, b) => a - b)
  assert.deepEqual(
    all,
    Array.from({ length: STATEMENTS }, (_, i) => i + 1),
  )
})
