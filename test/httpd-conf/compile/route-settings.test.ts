import assert from 'node:assert/strict'
import { test } from 'node:test'
import { messagesOf, optionsOf, outcomeOf, routeOf } from '../support.ts'

const WS = 'ProxyPass /a ws://b.test/'

test('gives every option of a route a value, so that no default of the core applies', () => {
  const { requestHeaders, ...route } = routeOf(WS)
  assert.equal(typeof requestHeaders, 'function')
  assert.deepEqual(route, {
    name: 'ProxyPass httpd.conf:1',
    path: '/a',
    when: [],
    target: 'ws://b.test/',
    join: 'concat',
    encodedSlashes: 'reject',
    mapping: 'decoded',
    mergeSlashes: true,
    nocanon: false,
    upgrade: 'websocket',
    fallback: true,
    connectTimeout: 60_000,
    handshakeTimeout: 60_000,
    idleTimeout: 60_000,
    halfOpenTimeout: 60_000,
    maxLifetime: 0,
    closeFrame: false,
    maxTunnels: 0,
    keepAlive: 0,
    async: true,
    asyncDelay: 0,
    strictHandshake: false,
    preserveHost: false,
    via: 'off',
    addHeaders: true,
    errorOverride: false,
    passReverse: {},
    passReverseCookiePath: {},
    passReverseCookieDomain: {},
    tls: {},
  })
})

test('has no fallback to HTTP before 2.4.47', () => {
  assert.equal(routeOf(WS, { compat: '2.4.46' }).fallback, false)
  assert.equal(routeOf(`ProxyWebsocketFallbackToProxyHttp Off\n${WS}`).fallback, false)
  assert.equal(routeOf('ProxyWebsocketFallbackToProxyHttp Off\nProxyPass /a http://b.test/').fallback, true)
})

test('takes the first of several reverse mappings of one text', () => {
  const lines = [
    'ProxyPassReverse /a http://b.test/',
    'ProxyPassReverse /b http://b.test/',
    'ProxyPassReverseCookiePath / /a',
    'ProxyPassReverseCookieDomain b.test own.test',
  ]
  const route = routeOf(`${WS}\n${lines.join('\n')}`)
  assert.deepEqual(route.passReverse, { 'http://b.test/': '/a' })
  assert.deepEqual(route.passReverseCookiePath, { '/': '/a' })
  assert.deepEqual(route.passReverseCookieDomain, { 'b.test': 'own.test' })
})

test('responds with 500 for a backend over TLS without SSLProxyEngine, and serves the other lines', async () => {
  const members = '<Proxy balancer://c>\nBalancerMember ws://a.test\nBalancerMember wss://b.test\n</Proxy>'
  const rule = 'RewriteEngine On\nRewriteRule ^/s wss://b.test/ [P]'
  for (const lines of ['ProxyPass /s wss://b.test/', `${members}\nProxyPass /s balancer://c/`, rule]) {
    const text = `ProxyPass /p http://p.test/\n${lines}`
    assert.match(messagesOf(text, 'warning').join(), /a backend over TLS needs SSLProxyEngine On/, text)
    assert.deepEqual([await outcomeOf(text, '/s'), await outcomeOf(text, '/p')], ['500', 'p.test /'], text)
  }
})

test('warns that ProxyPreserveHost does not choose the certificate', () => {
  const tls = 'SSLProxyEngine On\nSSLProxyCheckPeerName Off\nSSLProxyCheckPeerExpire Off\nProxyPreserveHost On'
  assert.match(messagesOf(`${tls}\nProxyPass / wss://b.test/`, 'warning').join(), /always for the host of the URL/)
  assert.deepEqual(messagesOf(`${tls}\nProxyPass / ws://b.test/`, 'warning'), [])
})

test('limits ProxyWebsocketAsyncDelay to the longest delay of a timer', () => {
  assert.equal(routeOf(`ProxyWebsocketAsyncDelay 3000000\n${WS}`).asyncDelay, 2 ** 31 - 1)
})

test('appends to X-Forwarded-* and drains for ten seconds', () => {
  const { trustProxy, drainTimeout } = optionsOf(WS)
  assert.deepEqual([trustProxy, drainTimeout], ['append', 10_000])
})
