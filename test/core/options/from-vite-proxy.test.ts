import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fromViteProxy, WsTunnelError } from '@ws-tunnel/core'

const messageOf = (table: unknown): string => {
  try {
    fromViteProxy(table as never)
  } catch (error) {
    assert.ok(error instanceof WsTunnelError)
    assert.equal(error.code, 'WST_ERR_OPTION')
    return error.message
  }
  return 'no error'
}

test('makes the routes that one writes by hand', () => {
  assert.deepEqual(
    fromViteProxy({
      '/ws': 'wss://h:1',
      '/b': { target: 'https://h/x/', ws: true, secure: false, localAddress: '127.0.0.2', headers: { 'X-A': 'b' } },
      '/c': 'http://h',
    }),
    [
      { path: '/ws', target: 'wss://h:1/ws', preserveHost: false },
      {
        path: '/b',
        target: 'https://h/x/b',
        preserveHost: true,
        tls: { rejectUnauthorized: false },
        localAddress: '127.0.0.2',
        requestHeaders: { set: { 'X-A': 'b' } },
      },
      {
        path: '/c',
        target: 'http://h/c',
        preserveHost: false,
        when: [{ header: 'upgrade', not: /\bwebsocket\b/i }],
        upgrade: false,
      },
    ],
  )
})

test('names the entry and what was expected', () => {
  const rows: [table: unknown, message: RegExp][] = [
    [['/api'], /Expected `server\.proxy` to be an object with a path and a target/],
    [{ api: 'http://h' }, /`server\.proxy\["api"\]` to be named by a path that begins with "\/"/],
    [{ '/api': 1 }, /`server\.proxy\["\/api"\]` to be a URL or an object with a target, got 1/],
    [{ '/api': {} }, /`server\.proxy\["\/api"\]\.target` to be given/],
    [{ '/api': 'h:9000' }, /\.target` to be a URL of http, https, ws or wss, got "h:9000"/],
    [{ '/api': { target: { socketPath: '/s' } } }, /\.target` to be a URL of http, https, ws or wss, got an object/],
    [{ '/api': { target: 'http://h', ws: 1 } }, /\.ws` to be true or false, got 1/],
    [{ '^/(': 'http://h' }, /`server\.proxy\["\^\/\("\]` to be a RegExp/],
  ]
  for (const [table, message] of rows) assert.match(messageOf(table), message)
})

test('refuses what has no effect here, with what replaces it', () => {
  const rows: [name: string, hint: RegExp][] = [
    ['configure', /`onOpen`/],
    ['xfwd', /`addHeaders`/],
    ['agent', /./],
    ['followRedirects', /`passReverse`/],
    ['cookieDomainRewrite', /`passReverseCookieDomain`/],
    ['timeout', /`handshakeTimeout`/],
    ['ssl', /`tls`/],
    ['selfHandleResponse', /`fallback/],
  ]
  for (const [name, hint] of rows) {
    const message = messageOf({ '/api': { target: 'http://h', [name]: {} } })
    assert.match(message, new RegExp(`Unknown option \`server\\.proxy\\["/api"\\]\\.${name}\`; here: `))
    assert.match(message, hint)
  }
})
