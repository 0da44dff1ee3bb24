import assert from 'node:assert/strict'
import { test } from 'node:test'
import { diagnosticsOf, messagesOf, optionsOf, routeOf, routesOf, sentField } from '../support.ts'

const WS = 'ProxyPass /a ws://b.test/'

test('reads seconds without a unit where httpd does, and warns of a unit', () => {
  assert.equal(routeOf(`ProxyTimeout 300ms\n${WS}`).handshakeTimeout, 300_000)
  assert.match(messagesOf(`ProxyTimeout 300ms\n${WS}`, 'warning')[0] ?? '', /httpd reads "300ms" as 300 seconds/)
})

const wrong: [line: string, httpd: string][] = [
  ['ProxyTimeout 0', 'Proxy Timeout must be at least 1 second.'],
  [
    'ProxyTimeout 1 2',
    'ProxyTimeout takes one argument, Set the timeout (in seconds) for a proxied connection. This overrides the server timeout',
  ],
  ['<Location /a>\nProxyTimeout 1\n</Location>', 'ProxyTimeout not allowed in <Location> context'],
  ['ProxySourceAddress', 'ProxySourceAddress takes one argument, Configure local source IP used for request forward'],
  ['<Location /a>\nProxySourceAddress ::1\n</Location>', 'ProxySourceAddress not allowed in <Location> context'],
  ['ProxyVia maybe', 'ProxyVia must be one of: off | on | full | block'],
  ['ProxyBadHeader maybe', 'ProxyBadHeader must be one of: IsError | Ignore | StartBody'],
  ['ProxyPreserveHost maybe', 'ProxyPreserveHost must be On or Off'],
  ['ProxyWebsocketAsyncDelay 5x', 'ProxyWebsocketAsyncDelay timeout has wrong format'],
  [
    'ProxyErrorOverride',
    "ProxyErrorOverride requires at least one argument, use our error handling pages instead of the servers' we are proxying",
  ],
  ['ProxyErrorOverride 404', 'ProxyErrorOverride first parameter must be one of: off | on'],
  ['ProxyErrorOverride On x', 'ProxyErrorOverride: status codes to intercept must be numeric'],
  ['ProxyErrorOverride Off 404', "ProxyErrorOverride: status codes must follow a value of 'on'"],
  [
    'ProxyErrorOverride On 200',
    'ProxyErrorOverride: status codes to intercept must be valid HTTP Status Codes >=400 && <600',
  ],
  ['SSLProxyEngine', 'SSLProxyEngine takes one argument'],
]

test('refuses a wrong setting with the text of httpd', () => {
  for (const [line, httpd] of wrong) assert.equal(diagnosticsOf(`${line}\n${WS}`, 'error')[0]?.httpd, httpd, line)
})

const unsupported: [line: string, message: RegExp][] = [
  ['ProxyBadHeader Ignore', /always a 502/],
  ['ProxySourceAddress own.test', /must be an IP address/],
  ['ProxyRequests On', /a forward proxy is not supported/],
  ['ProxyPassInherit Off', /always inherits the ProxyPass lines/],
]

test('refuses a setting that it does not support, and accepts its opposite', () => {
  for (const [line, message] of unsupported) assert.match(messagesOf(`${line}\n${WS}`, 'error').join(), message, line)
  for (const line of ['ProxyBadHeader IsError', 'ProxyRequests Off', 'ProxyPassInherit On'])
    assert.deepEqual(messagesOf(`${line}\n${WS}`, 'error'), [], line)
})

test('sets what each directive says', () => {
  const lines = [
    'ProxyPreserveHost On',
    'ProxyAddHeaders Off',
    'ProxyVia Block',
    'ProxyWebsocketAsync Off',
    'ProxyWebsocketAsyncDelay 5ms',
    'ProxyWebsocketIdleTimeout 2min',
    'ProxyErrorOverride On 404 502',
  ]
  const { preserveHost, addHeaders, via, async, asyncDelay, idleTimeout, errorOverride } = routeOf(
    `${lines.join('\n')}\n${WS}`,
  )
  assert.deepEqual(
    [preserveHost, addHeaders, via, async, asyncDelay, idleTimeout, errorOverride],
    [true, false, 'block', false, 5, 120_000, [404, 502]],
  )
})

test('connects from ProxySourceAddress, which a virtual host inherits and overrides', () => {
  const host = (line: string): string => `<VirtualHost *:80>\n${line}\n${WS}\n</VirtualHost>`
  const rows: [text: string, localAddress: string | undefined][] = [
    [WS, undefined],
    [`ProxySourceAddress 127.0.0.2\n${WS}`, '127.0.0.2'],
    [`ProxySourceAddress 127.0.0.2\n${host('')}`, '127.0.0.2'],
    [`ProxySourceAddress 127.0.0.2\n${host('ProxySourceAddress 127.0.0.3')}`, '127.0.0.3'],
  ]
  for (const [text, localAddress] of rows) assert.equal(routeOf(text).localAddress, localAddress, text)
  const rule = 'ProxySourceAddress ::1\nRewriteEngine On\nRewriteRule ^/a http://b.test/ [P]'
  assert.ok(routesOf(rule).some(({ localAddress }) => localAddress === '::1'))
})

test('warns of the directives of the next version', () => {
  const text = `ProxyWebsocketAsync On\nProxyWebsocketAsyncDelay 5\nProxyWebsocketIdleTimeout 5\n${WS}`
  assert.equal(messagesOf(text, 'warning').filter(text => /httpd 2\.4 has no such directive/.test(text)).length, 3)
  assert.deepEqual(messagesOf(text, 'warning', { compat: '2.5' }), [])
})

test('adds Max-Forwards as ProxyMaxForwards says', async () => {
  assert.equal(await sentField('ProxyMaxForwards 3\nProxyPass / http://b.test/', 'Max-Forwards'), '3')
  assert.equal(await sentField('ProxyMaxForwards -1\nProxyPass / http://b.test/', 'Max-Forwards'), undefined)
})

test('keeps the last line of an SSLProxy directive', () => {
  const text = `SSLProxyEngine On\nSSLProxyEngine Off\nProxyPass / ws://b.test/`
  assert.equal(optionsOf(text).routes?.length, 1)
  assert.match(messagesOf(text.replace('ws:', 'wss:'), 'warning').join(), /needs SSLProxyEngine On/)
})
