import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { Explanation } from '@ws-tunnel/core'
import { ended, folder } from './program.ts'

const CONF = `<VirtualHost *:80>
  ServerName chat.example
  ServerAlias *.chat.example
  ProxyPass /ws/own/ !
  ProxyPassMatch ^/rooms/(\\d+)$ ws://127.0.0.1:9000/room/$1
  ProxyPass /ws/ wss://localhost:9000/
  SSLProxyEngine On
  SSLProxyVerify require
  RequestHeader set X-Gateway "us"
</VirtualHost>
<VirtualHost *:80>
  ServerName other.example
  ProxyPass / http://127.0.0.1:9001/
</VirtualHost>
`
const UPGRADE = ['-H', 'Upgrade: websocket', '-H', 'Connection: Upgrade']

suite('ws-tunnel explain', { concurrency: 3 }, () => {
  test('shows each route, the captures and the request that the backend receives', async t => {
    const at = await folder(t, { 'a.conf': CONF })
    const { code, stdout, stderr } = await ended(t, 'explain', at('a.conf'), 'GET', '/rooms/7?x=1', ...UPGRADE)
    assert.deepEqual([code, stderr], [0, ''])
    assert.equal(
      stdout,
      `GET /rooms/7?x=1 HTTP/1.1
  Host: chat.example
  Upgrade: websocket
  Connection: Upgrade

- route 0, ProxyPass ${at('a.conf')}:4  /ws/own/            -> !
    the path does not match
* route 1, ProxyPassMatch ${at('a.conf')}:5  /^\\/rooms\\/(\\d+)$/s -> ws://127.0.0.1:9000/room/$1
    matches
    $0 = "/rooms/7"
    $1 = "7"
  route 2, ProxyPass ${at('a.conf')}:6  /ws/                -> wss://localhost:9000/
    not tried: route 1 ends the search

An upgrade to websocket, by route 1, ProxyPassMatch ${at('a.conf')}:5, to 127.0.0.1:9000:

  GET /room/7?x=1 HTTP/1.1
  Host: 127.0.0.1:9000
  X-Gateway: us
  X-Forwarded-For: 127.0.0.1
  X-Forwarded-Host: chat.example
  X-Forwarded-Server: chat.example
  Connection: Upgrade
  Upgrade: websocket
`,
    )
  })

  test('prints JSON, for a client address and for TLS', async t => {
    const at = await folder(t, { 'a.conf': CONF })
    const args = ['GET', '/ws/live', '--json', '--tls', '--from', '192.0.2.7', ...UPGRADE]
    const { code, stdout } = await ended(t, 'explain', at('a.conf'), ...args)
    assert.equal(code, 0)
    const { outcome, routes } = JSON.parse(stdout) as Explanation
    assert.equal(routes.length, 3)
    assert.ok(outcome.kind === 'upgrade')
    const { backend } = outcome
    assert.deepEqual(
      [backend.host, backend.port, backend.tls, backend.requestLine],
      ['localhost', 9000, true, 'GET /live HTTP/1.1'],
    )
    assert.equal(new Map(backend.headers).get('X-Forwarded-For'), '192.0.2.7')
  })

  test('explains the virtual host of --server-name, else that of the Host field, else the first one', async t => {
    const at = await folder(t, { 'a.conf': CONF })
    const explained = async (...args: string[]): Promise<string> =>
      (await ended(t, 'explain', at('a.conf'), 'GET', '/x', ...args)).stdout
    assert.match(
      await explained('-H', 'Host: OTHER.example:80'),
      /Plain HTTP, by route 0, ProxyPass [^ ]+a\.conf:13, to 127\.0\.0\.1:9001:/,
    )
    assert.match(await explained('-H', 'Host: a.chat.example'), /Not proxied: no route matches\./)
    assert.match(await explained('-H', 'Host: unknown'), /Not proxied/)
    assert.match(await explained('--server-name', 'other.example'), /Host: other\.example[\s\S]*Plain HTTP, by route 0/)
  })

  test('shows why a request is refused, and why a request with Upgrade is plain HTTP', async t => {
    const at = await folder(t, { 'a.conf': CONF })
    const refused = await ended(t, 'explain', at('a.conf'), 'GET', '/ws/a%2Fb', ...UPGRADE)
    assert.equal(refused.code, 0)
    assert.match(refused.stdout, /Refused with 404: WST_ERR_ENCODED_SLASH/)
    const plain = await ended(t, 'explain', at('a.conf'), 'GET', '/ws/', '-H', 'Upgrade: websocket')
    assert.match(
      plain.stdout,
      /Plain HTTP \(there is no Connection: upgrade\), by route 2, ProxyPass [^ ]+a\.conf:6, to localhost:9000 over TLS:/,
    )
    const back = await ended(t, 'explain', at('a.conf'), 'GET', '/ws/own/x')
    assert.match(back.stdout, /Not proxied: its target is false\./)
  })

  test('exits with 1 for a file with errors and with 2 for a request that HTTP does not allow', async t => {
    const at = await folder(t, { 'bad.conf': 'ProxyPas / ws://a/\n', 'a.conf': CONF })
    const bad = await ended(t, 'explain', at('bad.conf'), 'GET', '/')
    assert.deepEqual([bad.code, bad.stdout], [1, ''])
    assert.match(bad.stderr, /bad\.conf:1:1: error: ProxyPas/)
    assert.equal((await ended(t, 'explain', at('a.conf'), 'GET', '/a b')).code, 2)
    assert.equal((await ended(t, 'explain', at('a.conf'), 'GET', '/', '-H', 'a b: c')).code, 2)
  })
})
