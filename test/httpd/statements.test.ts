import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import { compileHttpdConf, type Diagnostic, fromHttpdConf, type HttpdConf } from '@ws-tunnel/httpd-conf'
import { WebSocket } from 'ws'
import { type Gateway, type GatewayOptions, startGateway } from '../core/gateway.ts'
import {
  type Backend,
  type BackendOptions,
  echoing,
  type Script,
  startBackend,
  switchingHead,
} from '../support/backend.ts'
import { type AnswerHead, connect, openTunnel, plainRequest, upgradeRequest } from '../support/client.ts'
import { ca, server as certificate } from '../support/tls.ts'

// What the five documents on mod_proxy_wstunnel say, numbered: its manual page for 2.4 (English, and the French one of 2.4.46),
// two of its next version, and a how-to for WebSockets behind httpd. Every statement about behaviour is a test here.
const STATEMENTS = 32

/** Statements that say nothing that could be seen from outside. */
const notBehaviour: Record<number, string> = {
  1: 'name, status and versions of the module; LoadModule is left out with the reason',
  12: 'advice about NONE and ANY, repeated in docs/httpd.md',
  17: 'a note that asynchronous tunnels are experimental in httpd',
  22: 'a link to the manual of mod_proxy',
  31: "where httpd's logs are; the server and its logs are the app's, or those of ws-tunnel run",
}

const tested = new Set<number>()

function statement(numbers: number | number[], name: string, run: (t: TestContext) => Promise<void> | void): void {
  for (const number of [numbers].flat()) tested.add(number)
  test(`${name} (${[numbers].flat().join(', ')})`, run)
}

/** Switches where it is asked to and echoes; answers everything else with its name and the path it saw. */
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

async function backendOf(
  t: TestContext,
  name = 'http',
  options?: BackendOptions,
  headers?: string[],
): Promise<Backend> {
  const backend = await startBackend(serving(name, headers), options)
  t.after(() => backend.close())
  return backend
}

const gatewayOf = (
  t: TestContext,
  text: string,
  { gateway, ...conf }: Omit<HttpdConf, 'text'> & { gateway?: GatewayOptions } = {},
): Promise<Gateway> => startGateway(t, fromHttpdConf({ text, ...conf }), gateway)

/** Upgrades, and sees bytes go there and back. */
async function tunnel(
  t: TestContext,
  { port }: Gateway,
  path: string,
  options: Parameters<typeof openTunnel>[2] = {},
): Promise<AnswerHead> {
  const { client, answer } = await openTunnel(port, path, options)
  t.after(() => client.destroy())
  assert.equal(String(await client.send('there and back').readExact(14)), 'there and back')
  return answer
}

/** One request and its answer: `200 http /x`. */
async function ask(t: TestContext, { port }: Gateway, request: string): Promise<string> {
  const client = await connect(port)
  t.after(() => client.destroy())
  const { statusCode, body } = await client.send(request).whole()
  return `${statusCode} ${body}`
}

const said = (text: string, severity: Diagnostic['severity'], more: Omit<HttpdConf, 'text'> = {}): string[] =>
  compileHttpdConf({ text, ...more })
    .diagnostics.filter(diagnostic => diagnostic.severity === severity)
    .map(({ line, directive, message, expected }) => `${line} ${directive}: ${message}; ${expected ?? ''}`)

/** The backend speaks TLS, with a certificate of an authority of its own. */
const TLS = 'SSLProxyEngine On\nSSLProxyVerify require\nSSLProxyCACertificateFile /pki/ca.pem\n'

const pki = {
  files: { read: (file: string) => (file === '/pki/ca.pem' ? ca : undefined), find: () => [], exists: () => false },
}

statement([2, 32], 'tunnels WebSocket connections, and one connection serves for as long as both want', async t => {
  const backend = await backendOf(t)
  const { port } = await gatewayOf(t, `ProxyPass /ws ws://${backend.address}/ws`)
  const { client } = await openTunnel(port, '/ws')
  t.after(() => client.destroy())
  for (const text of ['one', 'two', 'and\0three']) {
    assert.equal(String(await client.send(text).readExact(text.length)), text)
  }
  assert.equal(backend.seen.length, 1)
})

statement(3, 'upgrades the connection by itself: Upgrade and Connection go to the backend', async t => {
  const backend = await backendOf(t)
  const gateway = await gatewayOf(t, `ProxyPass /ws ws://${backend.address}/`)
  const answer = await tunnel(t, gateway, '/ws', { token: 'WebSocket', headers: { 'Sec-WebSocket-Protocol': 'chat' } })
  assert.deepEqual([answer.statusCode, answer.header('upgrade')], [101, 'WebSocket'])
  const request = await backend.request()
  assert.deepEqual(
    ['upgrade', 'connection', 'sec-websocket-protocol'].map(name => request.header(name)),
    ['WebSocket', 'Upgrade', 'chat'],
  )
})

statement([4, 26], 'puts what follows the path in front behind the path of the backend, letter for letter', async t => {
  const backend = await backendOf(t)
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
  assert.match(await ask(t, gateway, upgradeRequest('/ws2')), /^404 own/)
})

statement(
  [5, 25],
  'takes ws: for a backend in the clear and wss: for one over TLS, which needs SSLProxyEngine',
  async t => {
    const plain = await backendOf(t, 'plain')
    const secret = await backendOf(t, 'secret', { tls: certificate })
    const text = `ProxyPass "/ws2/" "ws://${plain.address}/"\nProxyPass "/wss2/" "wss://localhost:${secret.port}/"`
    const gateway = await gatewayOf(t, TLS + text, pki)
    await tunnel(t, gateway, '/ws2/a')
    await tunnel(t, gateway, '/wss2/b')
    assert.deepEqual([plain.seen[0]?.path, secret.seen[0]?.path], ['/a', '/b'])
    assert.match(said(text, 'error').join(), /^2 ProxyPass: a backend over TLS needs SSLProxyEngine On/)
  },
)

statement(6, 'sends a known URL to the WebSocket by a ProxyPassMatch in front of the line for HTTP', async t => {
  const [http, ws] = [await backendOf(t), await backendOf(t, 'ws')]
  const lines = [`ProxyPassMatch ^/(myApp/ws)$  ws://${ws.address}/$1`, `ProxyPass / http://${http.address}/`]
  const gateway = await gatewayOf(t, lines.join('\n'))
  await tunnel(t, gateway, '/myApp/ws')
  assert.equal(ws.seen[0]?.path, '/myApp/ws')
  assert.equal(await ask(t, gateway, plainRequest('/myApp/page')), '200 http /myApp/page')
  assert.match(
    said([...lines].reverse().join('\n'), 'warning').join(),
    /^2 ProxyPassMatch: never reached, in httpd too: line 1 matches/,
  )
})

statement(
  7,
  'tells WebSockets from HTTP by conditions on Upgrade and Connection where the URL is not known',
  async t => {
    const [http, ws] = [await backendOf(t), await backendOf(t, 'ws')]
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
    assert.equal(await ask(t, gateway, plainRequest('/any/where')), '200 http /any/where')
    assert.equal(await ask(t, gateway, upgradeRequest('/x', { headers: { Connection: 'close' } })), '200 http /x')
    assert.equal(ws.seen.length, 1)
  },
)

statement(8, 'spreads tunnels over the members of a balancer', async t => {
  const [a, b] = [await backendOf(t, 'a'), await backendOf(t, 'b')]
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

statement(9, 'upgrades to another protocol, and to no other, where upgrade= names it', async t => {
  const backend = await backendOf(t)
  const gateway = await gatewayOf(t, `ProxyPass /a ws://${backend.address}/ upgrade=chat`)
  await tunnel(t, gateway, '/a', { token: 'chat' })
  assert.equal(backend.seen[0]?.header('upgrade'), 'chat')
  assert.equal(await ask(t, gateway, upgradeRequest('/a')), '200 http /')
  assert.match(
    said(`ProxyPass /a ws://b.test/ upgrade=${'x'.repeat(16)}`, 'error').join(),
    /upgrade protocol length must be < 16 characters/,
  )
})

statement(10, 'asks for no protocol with upgrade=NONE, and upgrades to WebSocket all the same', async t => {
  const backend = await backendOf(t)
  const gateway = await gatewayOf(t, `ProxyPass /a ws://${backend.address}/ upgrade=NONE`)
  const client = await connect(gateway.port)
  t.after(() => client.destroy())
  client.send(plainRequest('/a'))
  assert.equal((await client.answer()).statusCode, 101)
  assert.equal(String(await client.send('ping').readExact(4)), 'ping')
  assert.equal(backend.seen[0]?.header('upgrade')?.toLowerCase(), 'websocket')
  await tunnel(t, gateway, '/a')
})

statement(11, 'takes any protocol the client asks for with upgrade=ANY, and passes its own word on', async t => {
  const backend = await backendOf(t)
  const gateway = await gatewayOf(t, `ProxyPass /a ws://${backend.address}/ upgrade=ANY`)
  for (const token of ['Chat/2', 'websocket']) {
    const answer = await tunnel(t, gateway, '/a', { token })
    assert.deepEqual([backend.seen.at(-1)?.header('upgrade'), answer.header('upgrade')], [token, token])
  }
  assert.equal(await ask(t, gateway, plainRequest('/a')), '200 http /')
})

statement(13, 'upgrades for an http: backend too, where upgrade= says so', async t => {
  const backend = await backendOf(t)
  const to = `http://${backend.address}`
  const gateway = await gatewayOf(t, `ProxyPass /a ${to}/a upgrade=websocket`)
  await tunnel(t, gateway, '/a')
  assert.equal(await ask(t, gateway, plainRequest('/a')), '200 http /a')
  const without = await gatewayOf(t, `ProxyPass /a ${to}/a`)
  assert.equal(await ask(t, without, upgradeRequest('/a')), '200 http /a')
})

statement(14, 'serves what is no upgrade as HTTP, unless ProxyWebsocketFallbackToProxyHttp is Off', async t => {
  const backend = await backendOf(t)
  const text = `ProxyPass /a ws://${backend.address}/`
  for (const on of ['', 'ProxyWebsocketFallbackToProxyHttp On\n']) {
    const gateway = await gatewayOf(t, on + text)
    assert.equal(await ask(t, gateway, plainRequest('/a')), '200 http /')
    assert.equal(await ask(t, gateway, upgradeRequest('/a', { token: 'chat' })), '200 http /')
  }
  const off = await gatewayOf(t, `ProxyWebsocketFallbackToProxyHttp Off\n${text}`)
  assert.match(await ask(t, off, plainRequest('/a')), /^404 own/)
  await tunnel(t, off, '/a')
  assert.match(
    said(`ProxyWebsocketFallbackToProxyHttp Perhaps\n${text}`, 'error').join(),
    /ProxyWebsocketFallbackToProxyHttp must be On or Off/,
  )
})

statement(14, 'falls back in one virtual host and not in the next, as each of them says', async t => {
  const backend = await backendOf(t)
  const hostOf = (name: string, say: string): string =>
    `<VirtualHost *:80>\nServerName ${name}\n${say}\nProxyPass /a ws://${backend.address}/\n</VirtualHost>\n`
  const text = `${hostOf('on.test', '')}${hostOf('off.test', 'ProxyWebsocketFallbackToProxyHttp Off')}`
  const on = await gatewayOf(t, text, { serverName: 'on.test' })
  const off = await gatewayOf(t, text, { serverName: 'off.test' })
  assert.equal(await ask(t, on, plainRequest('/a')), '200 http /')
  assert.match(await ask(t, off, plainRequest('/a')), /^404 own/)
})

statement([15, 21], 'knows no fallback, and needs no directive, where httpd 2.4.46 is asked for', async t => {
  const backend = await backendOf(t)
  const gateway = await gatewayOf(t, `ProxyPass /a ws://${backend.address}/`, { compat: '2.4.46' })
  await tunnel(t, gateway, '/a')
  assert.match(await ask(t, gateway, upgradeRequest('/a', { token: 'chat' })), /^426 /)
  assert.match(await ask(t, gateway, plainRequest('/a')), /^404 own/)
  assert.equal(backend.seen.length, 1)
})

statement([14, 27], 'shares one path between a WebSocket and HTTP where there is no fallback', async t => {
  const [http, ws] = [await backendOf(t), await backendOf(t, 'ws')]
  const text = `ProxyPass / ws://${ws.address}/\nProxyPass / http://${http.address}/`
  const gateway = await gatewayOf(t, `ProxyWebsocketFallbackToProxyHttp Off\n${text}`)
  await tunnel(t, gateway, '/x')
  assert.equal(await ask(t, gateway, plainRequest('/x')), '200 http /x')
  assert.equal(ws.seen.length, 1)
  assert.match(said(text, 'warning').join(), /^2 ProxyPass: never reached, in httpd too: line 1 matches every path/)
})

statement(
  [16, 20],
  'takes ProxyWebsocketAsync and its delay, which are for where tunnels can leave JavaScript',
  async t => {
    const backend = await backendOf(t)
    for (const mode of ['On', 'OFF']) {
      const text = `ProxyWebsocketAsync ${mode}\nProxyWebsocketAsyncDelay 5ms\nProxyPass /a ws://${backend.address}/`
      await tunnel(t, await gatewayOf(t, text), '/a')
      const [route] = fromHttpdConf({ text }).routes ?? []
      assert.deepEqual([route?.async, route?.asyncDelay], [mode === 'On', 5])
      assert.equal(
        said(text, 'warning').filter(message => /ProxyWebsocketAsync\w*: it is supported/.test(message)).length,
        2,
      )
    }
    assert.match(said('ProxyWebsocketAsync Perhaps', 'error').join(), /ProxyWebsocketAsync must be On or Off/)
    assert.match(
      said('ProxyWebsocketAsyncDelay 5x', 'error').join(),
      /ProxyWebsocketAsyncDelay timeout has wrong format/,
    )
  },
)

statement(18, 'ends a tunnel that is quiet for ProxyWebsocketIdleTimeout, with FIN', async t => {
  const backend = await backendOf(t)
  const gateway = await gatewayOf(t, `ProxyWebsocketIdleTimeout 150ms\nProxyPass /a ws://${backend.address}/`)
  const { client } = await openTunnel(gateway.port, '/a')
  t.after(() => client.destroy())
  assert.equal(String(await client.readAll()), '')
  assert.equal((await gateway.end()).reason, 'idle')
})

statement(18, 'never ends a quiet tunnel with 0, which is what the manual has for its default', () => {
  const idle = (text: string): unknown =>
    fromHttpdConf({ text: `${text}\nProxyPass /a ws://b.test/` }).routes?.[0]?.idleTimeout
  assert.equal(idle('ProxyWebsocketIdleTimeout 0'), 0)
  assert.equal(idle('ProxyWebsocketFallbackToProxyHttp Off'), 0)
  assert.equal(idle('Timeout 7'), 7_000)
})

statement([19, 20], 'reads times in seconds, with ms, mi and h for others, and refuses every other word', () => {
  const idle = (value: string): unknown =>
    fromHttpdConf({ text: `ProxyWebsocketIdleTimeout ${value}\nProxyPass /a ws://b.test/` }).routes?.[0]?.idleTimeout
  assert.deepEqual(['2', '5s', '300ms', '2min', '1h'].map(idle), [2_000, 5_000, 300, 120_000, 3_600_000])
  for (const directive of ['ProxyWebsocketIdleTimeout', 'ProxyWebsocketAsyncDelay']) {
    for (const wrong of ['2m', '5x', '1.5', '"5 s"', '-1', 'abc']) {
      assert.match(
        said(`${directive} ${wrong}`, 'error').join(),
        new RegExp(`${directive} timeout has wrong format`),
        wrong,
      )
    }
  }
})

statement(23, 'has the modules that the how-to enables, as far as a configuration asks for them', async t => {
  const backend = await backendOf(t)
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
  const backend = await backendOf(t, 'http', {}, ['Location: http://backend.test/room', 'Set-Cookie: a=b'])
  const gateway = await gatewayOf(
    t,
    `<VirtualHost *:80>
    ServerName front.example
    ProxyPreserveHost On
    ProxyPass /ws/ ws://${backend.address}/
    ProxyPassReverse /ws/ http://backend.test/
</VirtualHost>`,
  )
  const answer = await tunnel(t, gateway, '/ws/room')
  assert.deepEqual([answer.header('location'), answer.header('set-cookie')], ['http://front.example/ws/room', 'a=b'])
  const { path, header } = await backend.request()
  assert.deepEqual([path, header('host')], ['/room', 'front.example'])
})

statement(27, 'keeps HTTP and WebSockets on paths of their own, with backends of their own', async t => {
  const [http, ws] = [await backendOf(t), await backendOf(t, 'ws')]
  const gateway = await gatewayOf(t, `ProxyPass /ws/ ws://${ws.address}/\nProxyPass / http://${http.address}/`)
  await tunnel(t, gateway, '/ws/a')
  assert.equal(await ask(t, gateway, plainRequest('/wsa')), '200 http /wsa')
  assert.deepEqual([ws.seen.length, http.seen.length], [1, 1])
})

statement(
  28,
  "names the how-to's RequestHeader lines as the no-ops they are in httpd, and tunnels without them",
  async t => {
    const backend = await backendOf(t)
    const text = `ProxyPass /ws/ ws://${backend.address}/
RequestHeader set Upgrade "websocket" env=HTTP_UPGRADE
RequestHeader set Connection "upgrade" env=HTTP_CONNECTION`
    const never = (line: number, variable: string): string =>
      `${line} RequestHeader: has no effect, in httpd too: nothing sets the variable ${variable}; nothing: ProxyPass to ws:// forwards upgrades by itself`
    assert.deepEqual(said(text, 'warning'), [never(2, 'HTTP_UPGRADE'), never(3, 'HTTP_CONNECTION')])
    const gateway = await gatewayOf(t, text)
    await tunnel(t, gateway, '/ws/a')
    assert.equal(await ask(t, gateway, plainRequest('/ws/a')), '200 http /a')
    assert.deepEqual(
      backend.seen.map(request => request.headers('upgrade')),
      [['websocket'], []],
    )
  },
)

statement(28, 'sets a field by env= once SetEnvIf sets the variable, as its message says', async t => {
  const backend = await backendOf(t)
  const text = `ProxyPass /ws/ ws://${backend.address}/\nRequestHeader set X-Asked "yes" env=HTTP_UPGRADE`
  assert.match(
    said(text, 'warning').join(),
    /nothing sets the variable HTTP_UPGRADE; SetEnvIf UPGRADE \. HTTP_UPGRADE$/,
  )
  const repaired = `SetEnvIf UPGRADE . HTTP_UPGRADE\n${text}`
  assert.deepEqual(said(repaired, 'warning'), [])
  const gateway = await gatewayOf(t, repaired)
  await tunnel(t, gateway, '/ws/a')
  await ask(t, gateway, plainRequest('/ws/a'))
  assert.deepEqual(
    backend.seen.map(request => request.header('x-asked')),
    ['yes', undefined],
  )
})

statement(29, 'tunnels from an HTTPS front to a backend in the clear, or over TLS where it speaks it', async t => {
  const plain = await backendOf(t)
  const secret = await backendOf(t, 'secret', { tls: certificate })
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

statement(30, 'is there for an ordinary WebSocket client', async t => {
  const backend = await backendOf(t)
  const { port } = await gatewayOf(t, `ProxyPass /ws/ ws://${backend.address}/`)
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws/`)
  t.after(() => socket.terminate())
  await once(socket, 'open')
  assert.equal(backend.seen[0]?.header('sec-websocket-version'), '13')
})

test(`has a test, or the reason why there is nothing to test, for each of the ${STATEMENTS} statements`, () => {
  const all = [...tested, ...Object.keys(notBehaviour).map(Number)].toSorted((a, b) => a - b)
  assert.deepEqual(
    all,
    Array.from({ length: STATEMENTS }, (_, i) => i + 1),
  )
})
