import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileHttpdConf } from '@ws-tunnel/httpd-conf'
import { messagesOf, optionsOf, servedOf } from '../support.ts'

const WS = 'ProxyPass /a ws://b.test/'

const urlsOf = (text: string): unknown => optionsOf(text).workers?.map(({ url }) => url)

test('reads upgrade= as its documentation says', () => {
  const upgrade = (line: string): unknown => servedOf(line).upgrade
  assert.equal(upgrade('ProxyPass /a http://b.test/'), false)
  assert.deepEqual(upgrade('ProxyPass /a http://b.test/ upgrade=websocket'), ['websocket'])
  assert.deepEqual(upgrade(`${WS} upgrade=foo,bar`), ['foo', 'bar'])
  assert.equal(upgrade(`${WS} upgrade=any`), 'ANY')
  assert.equal(upgrade(`${WS} upgrade=none`), 'NONE')
})

test('reports the line with an upgrade= that is no token', () => {
  const { diagnostics } = compileHttpdConf({ text: `ProxyPass /b ws://c.test/\n${WS} upgrade=@` })
  const [{ line, directive, message } = { line: 0, directive: '', message: '' }] = diagnostics
  assert.deepEqual([line, directive], [2, 'ProxyPass'])
  assert.match(message, /upgrade tokens.*got "@"/)
})

test('compiles the parameters of a worker, and no workers without parameters', () => {
  assert.deepEqual(optionsOf(WS).workers, [])
  assert.deepEqual(optionsOf(`${WS} max=3 keepalive=on acquire=2s`).workers, [
    { url: 'ws://b.test/', maxTunnels: 3, keepAlive: 7_200_000, acquireTimeout: 2_000 },
  ])
})

test('gives a later line with the same worker the parameters of the first, as httpd does', () => {
  const text = 'ProxyPass /a ws://b.test/ max=3\nProxyPass /b ws://b.test/x max=5'
  assert.deepEqual(optionsOf(text).workers, [{ url: 'ws://b.test/', maxTunnels: 3 }])
  assert.match(
    messagesOf(text, 'warning')[0] ?? '',
    /Ignoring parameter 'max=5' because of worker sharing: line 1 defines the worker/,
  )
})

test('shares no worker between a line with a path and a line with a pattern', () => {
  const text = `ProxyPass /a http://b.test/x upgrade=chat
ProxyPassMatch ^/m/(.*)$ http://b.test/$1 timeout=5
ProxyPassMatch ^/n/(.*)$ http://b.test/$1/y max=2
<Proxy http://b.test/x/y>
ProxySet keepalive=On
</Proxy>`
  assert.deepEqual(
    optionsOf(text).workers?.map(({ url, upgrade, handshakeTimeout, keepAlive, maxTunnels }) => [
      url,
      upgrade,
      handshakeTimeout,
      keepAlive,
      maxTunnels,
    ]),
    [
      ['http://b.test/x', ['chat'], undefined, 7_200_000, undefined],
      ['http://b.test/$1', undefined, 5_000, undefined, undefined],
    ],
  )
  assert.match(messagesOf(text, 'warning').join(), /'max=2' because of worker sharing: line 2/)
})

test('never shares a worker between hosts, even if one name begins with the other', () => {
  assert.deepEqual(urlsOf('ProxyPass /a ws://b max=3\nProxyPass /b ws://b2/ max=5'), ['ws://b', 'ws://b2/'])
})

test('compares the URLs of workers in time that grows with their length', () => {
  const captures = Array.from({ length: 12 }, (_, i) => `$${i % 9}a`).join('')
  const slow = `ProxyPassMatch ^/m/(.*)$ http://b.test/${captures}b max=1\nProxyPassMatch ^/n/(.*)$ http://b.test/${'a'.repeat(400)}$1`
  assert.equal((urlsOf(slow) as string[]).length, 2)
})
