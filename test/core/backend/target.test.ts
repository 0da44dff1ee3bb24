import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  buildPath,
  type Joining,
  parseTarget,
  type TargetOrigin,
  type TemplateScope,
} from '../../../packages/core/src/backend/target.ts'
import { WsTunnelError } from '../../../packages/core/src/errors.ts'
import type { Captures } from '../../../packages/core/src/options/route-options.ts'

const PLAIN: TemplateScope = { groups: false, params: [] }
const REGEXP: TemplateScope = { groups: true, params: [] }

const origins: [text: string, origin: Omit<TargetOrigin, 'socketPath'> & { socketPath?: string }][] = [
  ['ws://localhost:9000', { scheme: 'ws', secure: false, host: 'localhost', port: 9000, authority: 'localhost:9000' }],
  ['WS://LocalHost', { scheme: 'ws', secure: false, host: 'localhost', port: 80, authority: 'localhost' }],
  ['http://h:80/', { scheme: 'http', secure: false, host: 'h', port: 80, authority: 'h' }],
  ['http://h:443/', { scheme: 'http', secure: false, host: 'h', port: 443, authority: 'h:443' }],
  ['wss://h/x', { scheme: 'wss', secure: true, host: 'h', port: 443, authority: 'h' }],
  ['https://h:443', { scheme: 'https', secure: true, host: 'h', port: 443, authority: 'h' }],
  ['wss://h:80', { scheme: 'wss', secure: true, host: 'h', port: 80, authority: 'h:80' }],
  ['ws://[::1]:9000/', { scheme: 'ws', secure: false, host: '::1', port: 9000, authority: '[::1]:9000' }],
  ['wss://[2001:DB8::1]', { scheme: 'wss', secure: true, host: '2001:db8::1', port: 443, authority: '[2001:db8::1]' }],
  [
    'unix:/run/chat.sock|ws://chat/',
    { scheme: 'ws', secure: false, host: 'chat', port: 80, authority: 'chat', socketPath: '/run/chat.sock' },
  ],
  [
    'unix:/run/chat.sock|https://chat/',
    { scheme: 'https', secure: true, host: 'chat', port: 443, authority: 'chat', socketPath: '/run/chat.sock' },
  ],
  [
    'unix:/run/chat.sock|ws:',
    { scheme: 'ws', secure: false, host: 'localhost', port: 80, authority: 'localhost', socketPath: '/run/chat.sock' },
  ],
  [
    'unix:/run/chat.sock',
    { scheme: 'ws', secure: false, host: 'localhost', port: 80, authority: 'localhost', socketPath: '/run/chat.sock' },
  ],
  [
    'unix:/run/my chat.sock|ws://h',
    { scheme: 'ws', secure: false, host: 'h', port: 80, authority: 'h', socketPath: '/run/my chat.sock' },
  ],
]

test('reads where to connect, and omits the default port from Host', () => {
  for (const [text, origin] of origins) {
    assert.deepEqual(parseTarget(text, PLAIN).origin, { socketPath: undefined, ...origin }, text)
  }
})

const refused: [text: string, scope: TemplateScope, why: RegExp][] = [
  ['', PLAIN, /a ws:, wss:, http:, https:, h2:, h2c: or balancer: URL/],
  ['localhost:9000', PLAIN, /URL/],
  ['//h/x', PLAIN, /URL/],
  ['ftp://h/', PLAIN, /URL/],
  ['h3://h/', PLAIN, /URL/],
  ['ws:/h/', PLAIN, /URL/],
  ['ws:', PLAIN, /URL/],
  ['ws://h/#f', PLAIN, /without fragment/],
  ['unix:', PLAIN, /URL/],
  ['unix:/p|', PLAIN, /URL/],
  ['unix:|ws://h', PLAIN, /URL/],
  ['unix:relative.sock|ws://h', PLAIN, /absolute socket path/],
  ['unix:/a\0b|ws://h', PLAIN, /URL/],
  ['ws:///x', PLAIN, /host/],
  ['ws://:80/', PLAIN, /host/],
  ['ws://h:/', PLAIN, /host/],
  ['ws://h:0/', PLAIN, /port/],
  ['ws://h:65536/', PLAIN, /port/],
  ['ws://h:http/', PLAIN, /fixed/],
  ['ws://[::1/', PLAIN, /host/],
  ['ws://[::g]/', PLAIN, /host/],
  ['ws://[127.0.0.1]/', PLAIN, /host/],
  ['ws://h h/', PLAIN, /host/],
  ['ws://h%20h/', PLAIN, /host|fixed/],
  ['ws://bücher.example/', PLAIN, /host/],
  ['ws://user:secret@h/', PLAIN, /user and password/],
  ['ws://h$1/', REGEXP, /fixed/],
  ['ws://$1/', REGEXP, /fixed/],
  ['ws://h:$1/', REGEXP, /fixed/],
  ['ws://h.%1/', REGEXP, /fixed/],
  ['ws://[::1]$1/', REGEXP, /host|fixed/],
  ['ws://h:80$1', REGEXP, /fixed/],
  ['ws://:room.example/', { groups: false, params: ['room'] }, /fixed/],
  ['ws://h:port/', { groups: false, params: ['port'] }, /fixed/],
  ['ws://h/$1', PLAIN, /RegExp path/],
  ['ws://h/x?y=$1', PLAIN, /RegExp path/],
]

test('refuses a text that is not a target, and an authority that contains a capture', () => {
  for (const [text, scope, why] of refused) {
    assert.throws(
      () => parseTarget(text, scope, 'routes[3].target'),
      error => {
        assert.ok(error instanceof WsTunnelError, `${text}: ${error}`)
        assert.equal(error.code, 'WST_ERR_OPTION')
        assert.match(error.message, why, text)
        assert.ok(error.message.includes('`routes[3].target`'), error.message)
        assert.ok(error.message.includes(JSON.stringify(text)), error.message)
        return true
      },
      text,
    )
  }
})

interface Row {
  target: string
  /** Captures of a RegExp path. */
  groups?: (string | undefined)[]
  params?: Record<string, string>
  conditions?: string[]
  rest?: string
  joining?: Partial<Joining>
  sent: string
}

const build = ({ target, groups, params, conditions = [], rest = '', joining }: Omit<Row, 'sent'>): string => {
  const glued = joining?.join === 'concat'
  const scope = { groups: groups !== undefined, params: Object.keys(params ?? {}), glued }
  const captures: Captures = { groups: groups ?? [], params: params ?? {}, conditionGroups: conditions, rest }
  return buildPath(parseTarget(target, scope), captures, {
    join: 'slash',
    encodedSlashes: 'reject',
    raw: false,
    query: '',
    queries: 'append',
    ...joining,
  })
}

const concat: Partial<Joining> = { join: 'concat' }

const built: Row[] = [
  // Exactly one slash between target and rest.
  { target: 'ws://h', rest: '', sent: '/' },
  { target: 'ws://h/', rest: '', sent: '/' },
  { target: 'ws://h', rest: '/x', sent: '/x' },
  { target: 'ws://h/', rest: '/x', sent: '/x' },
  { target: 'ws://h/', rest: 'x', sent: '/x' },
  { target: 'ws://h/b', rest: '/x', sent: '/b/x' },
  { target: 'ws://h/b', rest: 'x', sent: '/b/x' },
  { target: 'ws://h/b/', rest: '/x', sent: '/b/x' },
  { target: 'ws://h/b', rest: '', sent: '/b' },
  { target: 'ws://h/b/', rest: '', sent: '/b/' },
  { target: 'ws://h/b', rest: '/', sent: '/b/' },
  { target: 'ws://h//b//', rest: '/x', sent: '//b//x' },
  // Plain concatenation, as httpd does it.
  { target: 'ws://h/b', rest: 'x', joining: concat, sent: '/bx' },
  { target: 'ws://h/b/', rest: '/x', joining: concat, sent: '/b//x' },
  { target: 'ws://h', rest: '/bar', joining: concat, sent: '/bar' },
  { target: 'ws://h', rest: '', joining: concat, sent: '/' },
  { target: 'ws://h/b', rest: '', joining: concat, sent: '/b' },
  // The rest is sent in canonical form, or raw.
  { target: 'ws://h/b', rest: '/é [x]', sent: '/b/%C3%A9%20%5Bx%5D' },
  { target: 'ws://h/b', rest: '/%c3%a9//./x', joining: { raw: true }, sent: '/b/%c3%a9//./x' },
  { target: 'ws://h/b', rest: '/x%2fy', joining: { encodedSlashes: 'keep' }, sent: '/b/x%2fy' },
  { target: 'ws://h/b', rest: '/x%2fy', sent: '/b/x%252fy' },
  // The target's own text: its escapes stay, and characters that a URL cannot contain are escaped.
  { target: 'ws://h/c d', sent: '/c%20d' },
  { target: 'ws://h/c%20d%2fe', sent: '/c%20d%2fe' },
  { target: 'ws://h/100%', sent: '/100%25' },
  { target: 'ws://h/ü', sent: '/%C3%BC' },
  // Groups of a RegExp. The whole path is appended to a target without groups.
  { target: 'ws://h/$2/$1', groups: ['/p/12/abc', '12', 'abc'], rest: '/p/12/abc', sent: '/abc/12' },
  { target: 'ws://h/$0', groups: ['/in'], rest: '/foo/in/bar', sent: '//in' },
  { target: 'ws://h/&', groups: ['/in'], rest: '/foo/in/bar', joining: concat, sent: '/&/foo/in/bar' },
  { target: 'ws://h$1', groups: ['/q/x', '/x'], joining: concat, sent: '/x' },
  { target: 'ws://h$1', groups: ['/q', ''], joining: concat, sent: '/' },
  { target: 'ws://h/$1', groups: ['/q', undefined], sent: '/' },
  { target: 'ws://h/$1-$9', groups: ['/q', 'x'], sent: '/x-' },
  { target: 'ws://h/$1', groups: ['/q', 'a b/ü'], sent: '/a%20b/%C3%BC' },
  { target: 'ws://h/$10', groups: ['/q', 'x'], sent: '/x0' },
  { target: 'ws://h/%241', groups: ['/q', 'x'], rest: '', sent: '/%241' },
  // Parameters of a pattern. Other names are text.
  { target: 'ws://h/r/:room', params: { room: 'a b' }, rest: '/x', sent: '/r/a%20b/x' },
  { target: 'ws://h/r/:room/:other', params: { room: '7' }, sent: '/r/7/:other' },
  { target: 'ws://h/:rooms', params: { room: '7' }, sent: '/:rooms' },
  // Groups of a condition. An escape is not a group.
  { target: 'ws://h/%1', conditions: ['chat.example', 'chat'], rest: '/x', sent: '/chat/x' },
  { target: 'ws://h/%1%2', conditions: ['', 'a', 'b'], sent: '/ab' },
  { target: 'ws://h/%20%1', conditions: ['', 'a'], sent: '/%20a' },
  { target: 'ws://h/%1', sent: '/' },
  // The query of the client after that of the target.
  { target: 'ws://h/b', joining: { query: '?x=1&y=%20' }, sent: '/b?x=1&y=%20' },
  { target: 'ws://h/b', joining: { query: '?' }, sent: '/b?' },
  { target: 'ws://h/b?k=1', sent: '/b?k=1' },
  { target: 'ws://h/b?k=1', joining: { query: '?q=2' }, sent: '/b?k=1&q=2' },
  { target: 'ws://h/b?k=1', rest: '/x', joining: { query: '?' }, sent: '/b/x?k=1' },
  { target: 'ws://h/b?', joining: { query: '?q=2' }, sent: '/b?q=2' },
  { target: 'ws://h?k=1', rest: '/x', sent: '/x?k=1' },
  { target: 'ws://h/b?room=$1', groups: ['/r/7', '7'], rest: '/r/7', sent: '/b?room=7' },
  { target: 'ws://h/b?room=$1', groups: ['/r', 'a&b=c d'], rest: '/r', sent: '/b?room=a%26b%3Dc%20d' },
  { target: 'ws://h/b?room=$1', groups: ['/r', '\udcff'], rest: '/r', sent: '/b?room=%FF' },
  { target: 'ws://h/b?room=:room', params: { room: 'é' }, sent: '/b?room=%C3%A9' },
  { target: 'ws://h/b', joining: { query: '?\xc3\xa9' }, sent: '/b?\xc3\xa9' },
]

test('builds the request target for the backend from target, captures, rest and query', () => {
  for (const { sent, ...row } of built) assert.equal(build(row), sent, JSON.stringify(row))
})

const forbidden: Omit<Row, 'sent'>[] = [
  { target: 'ws://h/$1', groups: ['/q', 'x?y=z'] },
  { target: 'ws://h/b?x=$1', groups: ['/q', 'x?y=z'] },
  { target: 'ws://h/:room', params: { room: '?' } },
  { target: 'ws://h/%1', conditions: ['', '?'] },
  { target: 'ws://h/$1', groups: ['/q', '..'] },
  { target: 'ws://h/$1/x', groups: ['/q', 'a/../..'] },
  { target: 'ws://h/a/:room/x', params: { room: '.' } },
  { target: 'ws://h/a/%1', conditions: ['', '../admin'] },
  { target: 'ws://h/b', rest: '/a b', joining: { raw: true } },
  { target: 'ws://h/b', rest: '/a\r\nX: 1', joining: { raw: true } },
  { target: 'ws://h/b', rest: '/a\x7f', joining: { raw: true } },
  { target: 'ws://h/b', joining: { query: '?a b' } },
  { target: 'ws://h/b', joining: { query: '?a\r\nb' } },
  { target: 'ws://h/b', joining: { query: '?a\0' } },
  { target: 'ws://h', rest: 'x', joining: concat },
  { target: 'ws://h$1', groups: ['/qx', 'x'], joining: concat },
  { target: 'ws://h$1', groups: ['/q', '.evil.example/'], joining: concat },
  { target: 'ws://h$1', groups: ['/q', ':80@evil.example/'], joining: concat },
]

test('fails with 403 for a captured question mark or dot segment, a control character, a space, or no leading slash', () => {
  for (const row of forbidden) {
    assert.throws(() => build(row), { code: 'WST_ERR_FORBIDDEN_TARGET', statusCode: 403 }, JSON.stringify(row))
  }
})

test('decides whether a target defines the whole path or the rest is appended', () => {
  const whole = (text: string, scope: TemplateScope): boolean => parseTarget(text, scope).whole
  assert.equal(whole('ws://h/$1', REGEXP), true)
  assert.equal(whole('ws://h/x?y=$0', REGEXP), true)
  assert.equal(whole('ws://h/x', REGEXP), false)
  assert.equal(whole('ws://h/:room', { groups: false, params: ['room'] }), false)
  assert.equal(whole('ws://h/%1', PLAIN), false)
  assert.equal(whole('ws://h/x', { ...REGEXP, literal: true }), true)
  assert.equal(whole('ws://h/x', { ...PLAIN, literal: true }), false)
})

test('expands nothing in a text that a function returned', () => {
  const { path, query } = parseTarget('ws://h/$1/%1/:room?x=$1', { ...REGEXP, params: ['room'], literal: true })
  assert.deepEqual([path, query], [['/$1/%251/:room'], ['x=$1']])
})
