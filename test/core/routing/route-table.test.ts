import assert from 'node:assert/strict'
import { test } from 'node:test'
import { WsTunnelError } from '../../../packages/core/src/errors.ts'
import { RequestUrl } from '../../../packages/core/src/http/path.ts'
import { resolveOptions } from '../../../packages/core/src/options/options.ts'
import type { Captures, RouteOptions, Target } from '../../../packages/core/src/options/route-options.ts'
import type { Routing } from '../../../packages/core/src/routing/route.ts'
import { type Match, RouteTable } from '../../../packages/core/src/routing/route-table.ts'
import { requestOf } from '../../support/request.ts'

const WS = ['Connection: Upgrade', 'Upgrade: websocket']

const tableOf = (routes: RouteOptions[]): RouteTable => new RouteTable(resolveOptions({ routes }), false)

const matchOf = (routes: RouteOptions[], url: string, lines: string[] = []): Match | null =>
  tableOf(routes).match(requestOf(lines, { url }), new RequestUrl(url))

const { signal } = new AbortController()
const backendOf = (routing: Routing | null | undefined) => (routing && 'first' in routing ? routing.first : undefined)

/** `host:port path` of the candidate, `false` for a route without target, `null` for no route. */
async function sent(routes: RouteOptions[], url: string, lines?: string[]): Promise<string | false | null> {
  const match = matchOf(routes, url, lines)
  const routing = match && (await match.route.resolve(match, signal))
  const backend = backendOf(routing)
  return routing && `${backend?.worker.origin.authority} ${backend?.path}`
}

const A = 'ws://a/'

const rows: [what: string, routes: RouteOptions[], url: string, sent: string | false | null, lines?: string[]][] = [
  [
    'the first route that matches, not the longest',
    [
      { path: '/a', target: 'ws://a/1' },
      { path: '/a/b', target: 'ws://b/2' },
    ],
    '/a/b/c',
    'a /1/b/c',
  ],
  [
    'the more exact one first',
    [
      { path: '/a/b', target: 'ws://b/2' },
      { path: '/a', target: 'ws://a/1' },
    ],
    '/a/b/c',
    'b /2/c',
  ],
  ['no route', [{ path: '/a', target: A }], '/b', null],
  ['everything by default', [{ target: A }], '/x/y', 'a /x/y'],
  ['everything by default, joined with one slash', [{ target: 'ws://a/b' }], '/x', 'a /b/x'],
  [
    'false excludes the paths below it',
    [
      { path: '/a/i', target: false },
      { path: '/a', target: A },
    ],
    '/a/i/x',
    false,
  ],
  [
    'false excludes on segment boundaries',
    [
      { path: '/a/i', target: false },
      { path: '/a', target: A },
    ],
    '/a/ix',
    'a /ix',
  ],
  [
    'false after the matching route has no effect',
    [
      { path: '/a', target: A },
      { path: '/a/i', target: false },
    ],
    '/a/i',
    'a /i',
  ],
  ['a prefix with a trailing slash requires one', [{ path: '/a/', target: A }], '/a', null],
  ['exactly one slash between target and rest', [{ path: '/a/', target: 'ws://a/b' }], '/a/x', 'a /b/x'],
  ['the path is normalised first', [{ path: '/a', target: A }], '/a/../c', null],
  ['case counts', [{ path: '/a', target: A }], '/A', null],
  ['a prefix with an escaped colon is a prefix', [{ path: '/a\\:b', target: A }], '/a:b/x', 'a /x'],
  ['a prefix with an escaped backslash', [{ path: '/a\\\\b', target: A }], '/a%5Cb/x', 'a /x'],
  ['a prefix with a dot is literal', [{ path: '/a.b', target: A }], '/axb', null],
  ['a colon without a name is literal', [{ path: '/a:1', target: A }], '/a:1/x', 'a /x'],
  [
    'a pattern with a parameter',
    [{ path: '/rooms/:id', target: 'ws://a/room/:id' }],
    '/rooms/7/live?x',
    'a /room/7/live?x',
  ],
  ['a parameter ends at a slash', [{ path: '/rooms/:id/live', target: 'ws://a/:id' }], '/rooms/7/8/live', null],
  [
    'a parameter is decoded, then encoded as httpd does',
    [{ path: '/r/:id', target: 'ws://a/:id' }],
    '/r/a%5b%20%c3%a9',
    'a /a%5B%20%C3%A9',
  ],
  ['a pattern is case-sensitive', [{ path: '/r/:id', target: A }], '/R/7', null],
  ['a pattern ends on a segment boundary', [{ path: '/r/:id/x', target: A }], '/r/7/xy', null],
  ['a wildcard', [{ path: '/files/*path', target: 'ws://a/f/:path' }], '/files/x/y', 'a /f/x/y'],
  ['an optional part', [{ path: '/r{/:id}/x', target: 'ws://a/:id' }], '/r/x', 'a /'],
  [
    'groups of a RegExp',
    [{ path: /^\/p\/(\d+)\/(.*)$/, target: 'ws://a/$2/$1' }],
    '/p/12/a%20b?k=v',
    'a /a%20b/12?k=v',
  ],
  ['a RegExp is not anchored', [{ path: /\.gif$/, target: A }], '/x/y.gif', 'a /x/y.gif'],
  ['a RegExp with state', [{ path: /x/gy, target: A }], '/yx', 'a /yx'],
  [
    'the group rest of a RegExp is appended to a target without groups',
    [{ path: /^\/(\w+)\/ws(?<rest>.*)$/, target: 'ws://a/b' }],
    '/x/ws/y',
    'a /b/y',
  ],
  [
    'conditions that hold',
    [{ path: '/', target: A, when: [{ header: 'upgrade', matches: /websocket/i }] }],
    '/x',
    'a /x',
    WS,
  ],
  [
    'conditions that do not',
    [{ path: '/', target: A, when: [{ header: 'upgrade', matches: /websocket/i }] }],
    '/x',
    null,
  ],
  [
    'a condition passes to the next route',
    [{ target: A, when: [{ test: () => false }] }, { target: 'ws://b/' }],
    '/x',
    'b /x',
  ],
  [
    'groups of a condition',
    [{ target: 'ws://a/%1', when: [{ header: 'host', matches: /^(\w+)\./ }] }],
    '/x',
    'a /chat/x',
    ['Host: chat.example'],
  ],
  [
    'bytes of a condition group',
    [{ target: 'ws://a/%1', when: [{ header: 'x', matches: /(.+)/ }] }],
    '/',
    'a /%C3%A9/',
    ['X: \xc3\xa9'],
  ],
  [
    'without fallback, a plain request does not match',
    [{ target: A, fallback: false }, { target: 'ws://b/' }],
    '/x',
    'b /x',
  ],
  [
    'without fallback, any upgrade matches',
    [{ target: A, fallback: false }, { target: 'ws://b/' }],
    '/x',
    'a /x',
    ['Connection: Upgrade', 'Upgrade: foo'],
  ],
  ['NONE takes every request', [{ target: A, fallback: false, upgrade: 'NONE' }], '/x', 'a /x'],
  [
    'concatenation: the prefix / covers the slash',
    [{ path: '/', target: 'ws://a/b/', join: 'concat' }],
    '//x',
    'a /b/x',
  ],
  ['an asterisk is not a path', [{ path: '/', target: A }], '*', null],
  ['an absolute request target', [{ path: '/a', target: A }], 'http://front.example/a/x?y', 'a /x?y'],
  [
    'nocanon sends the path as it arrived',
    [{ path: '/a', target: 'ws://a/b', nocanon: true }],
    '/a//x/./%c3%a9%3b?q=%20',
    'a /b//x/./%c3%a9%3b?q=%20',
  ],
  ['nocanon keeps the end of the prefix', [{ path: '/a/', target: 'ws://a/b/', nocanon: true }], '/a/%7e', 'a /b/%7e'],
  [
    'nocanon on a prefix that arrived encoded sends the canonical form',
    [{ path: '/a', target: 'ws://a/b', nocanon: true }],
    '/%61/%c3%a9',
    'a /b/%C3%A9',
  ],
  ['nocanon on everything', [{ path: '/', target: 'ws://a/', nocanon: true }], '/%7e', 'a /%7e'],
  ["a target's query before the request's", [{ target: 'ws://a/?k=1' }], '/x?q=2', 'a /x?k=1&q=2'],
  ["a target's query instead", [{ target: 'ws://a/?k=1', query: 'replace' }], '/x?q=2', 'a /x?k=1'],
  ['an empty query instead', [{ target: 'ws://a/?', query: 'replace' }], '/x?q=2', 'a /x'],
  ['no query to replace by', [{ target: 'ws://a/', query: 'replace' }], '/x?q=2', 'a /x?q=2'],
  ['the query dropped', [{ target: 'ws://a/', query: 'drop' }], '/x?q=2', 'a /x'],
  ["the target's query alone", [{ target: 'ws://a/?k=1', query: 'drop' }], '/x?q=2', 'a /x?k=1'],
  ['encodedSlashes keep', [{ path: '/a', target: A, encodedSlashes: 'keep' }], '/a/x%2fy', 'a /x%2fy'],
  ['encodedSlashes decode', [{ path: '/a', target: A, encodedSlashes: 'decode' }], '/a/x%2F..%2Fy', 'a /y'],
  [
    'each route reads encoded slashes by its own option',
    [
      { path: '/a/b', target: A, encodedSlashes: 'keep' },
      { path: '/a/b', target: 'ws://b/', encodedSlashes: 'decode' },
    ],
    '/a%2fb',
    'b /',
  ],
]

test('sends each request to the target of the first matching route', async t => {
  for (const [what, routes, url, expected, lines] of rows) {
    await t.test(what, async () => assert.equal(await sent(routes, url, lines), expected))
  }
})

const failing: [what: string, routes: RouteOptions[], url: string, code: string | null][] = [
  ['an encoded slash', [{ path: '/a', target: A }], '/a/x%2Fy', 'WST_ERR_ENCODED_SLASH'],
  ['an encoded slash that no route matches', [{ path: '/a', target: A }], '/b%2Fy', null],
  [
    'an encoded slash that belongs to the app',
    [
      { path: '/a/x', target: false },
      { path: '/', target: A },
    ],
    '/a/x/%2F',
    null,
  ],
  ['above the root', [{ path: '/', target: A }], '/../x', 'WST_ERR_BAD_REQUEST'],
  [
    'above the root, decoded',
    [{ path: '/', target: A, encodedSlashes: 'decode' }],
    '/a%2f..%2f..%2fx',
    'WST_ERR_BAD_REQUEST',
  ],
  ['an invalid escape', [{ path: '/', target: A }], '/%zz', 'WST_ERR_BAD_REQUEST'],
  ['a captured question mark', [{ path: /^\/(.*)$/, target: 'ws://a/$1' }], '/a%3Fb', 'WST_ERR_FORBIDDEN_TARGET'],
  [
    'concatenation without a slash between',
    [{ path: '/', target: 'ws://a', join: 'concat' }],
    '/x',
    'WST_ERR_FORBIDDEN_TARGET',
  ],
  ['a path too long for a RegExp', [{ path: /x/, target: A }], `/${'y'.repeat(8_192)}`, 'WST_ERR_PATH_TOO_LONG'],
  [
    'a path too long for a condition on it',
    [{ path: '/y', when: [{ any: [{ url: 'path', matches: /x/ }] }], target: A }],
    `/y/${'y'.repeat(8_192)}`,
    'WST_ERR_PATH_TOO_LONG',
  ],
  ['a path too long for a pattern', [{ path: '/:x', target: A }], `/${'y'.repeat(8_192)}`, 'WST_ERR_PATH_TOO_LONG'],
  ['a path of any length on a prefix', [{ path: '/x', target: A }], `/${'y'.repeat(100_000)}`, null],
]

test('refuses a path that matches and must not be sent, and ignores paths that do not match', async t => {
  for (const [what, routes, url, code] of failing) {
    await t.test(what, async () => {
      if (code === null) assert.ok(!(await sent(routes, url)))
      else await assert.rejects(sent(routes, url), { name: 'WsTunnelError', code })
    })
  }
})

test('matches a path of 8 KiB with a RegExp', async () => {
  assert.equal(await sent([{ path: /^\/(y)/, target: 'ws://a/$1' }], `/${'y'.repeat(8_191)}`), 'a /y')
})

const functions: [
  what: string,
  route: Omit<RouteOptions, 'target'>,
  target: Target,
  url: string,
  sent: string | false,
][] = [
  ['a URL', { path: '/a' }, () => 'ws://b/c', '/a/x?q', 'b /c/x?q'],
  ['a promise of a URL', { path: '/a' }, async () => 'wss://b:8443', '/a/x', 'b:8443 /x'],
  ['false', { path: '/a' }, () => false, '/a/x', false],
  ['a promise of false', { path: '/a' }, async (): Promise<false> => false, '/a/x', false],
  ['by captures', { path: '/r/:id' }, (_, { params }) => `ws://h${params['id']}/`, '/r/7/x', 'h7 /x'],
  [
    'by groups, without the rest',
    { path: /^\/r\/(\d+)$/ },
    (_, { groups }) => `ws://h/room/${groups[1]}`,
    '/r/42',
    'h /room/42',
  ],
  ['by the request', { path: '/a' }, req => `ws://${req.headers['x-shard']}/`, '/a', 's1 /'],
  ['as text: nothing is expanded', { path: /^\/(.)/ }, () => 'ws://h/$1/%1/:x', '/a', 'h /$1/%251/:x'],
]

test('calls a target function', async t => {
  for (const [what, route, target, url, expected] of functions) {
    await t.test(what, async () => assert.equal(await sent([{ ...route, target }], url, ['X-Shard: s1']), expected))
  }
})

test('passes the captures to a target function', async () => {
  let given: Captures | undefined
  const target: Target = (_, captures) => {
    given = captures
    return false
  }
  const when = [{ header: 'host', matches: /^(\w+)/ }]
  await sent([{ path: '/r/:id', target, when }], '/r/7/x%20y', ['Host: chat.example'])
  assert.deepEqual(
    { ...given, params: { ...given?.params }, conditionGroups: [...(given?.conditionGroups ?? [])] },
    {
      groups: [],
      params: { id: '7' },
      conditionGroups: ['chat', 'chat'],
      rest: '/x y',
    },
  )
})

const badFunctions: [what: string, target: () => unknown, message: RegExp][] = [
  [
    'throws',
    () => {
      throw new Error('boom')
    },
    /boom/,
  ],
  ['rejects', () => Promise.reject(new Error('boom')), /boom/],
  ['rejects with nothing', () => Promise.reject(), /undefined/],
  ['returns undefined', () => undefined, /undefined/],
  ['returns a text that is not a target', () => 'h:80', /URL that the target function returned/],
  ['returns a URL with user and password', () => 'ws://u:p@h/', /target function/],
]

test('refuses a reference that names nothing, unless path and target are concatenated as in httpd', async () => {
  const rows: [options: RouteOptions, message: RegExp][] = [
    [
      { path: '/rooms/:id', target: 'ws://a/:di' },
      /free of :di, because the path of its route has :id \(write %3A for a colon\), got "ws/,
    ],
    [{ path: '/rooms', target: 'ws://a/:id/x' }, /free of :id, because the path of its route has no parameter/],
    [
      { path: /^\/(\d+)\/(?<rest>.*)$/, target: 'ws://a/$3' },
      /free of \$3, because the path of its route has 2 groups/,
    ],
    [{ path: /^\/(\d+)/, target: 'ws://a/x?y=$9' }, /free of \$9, because the path of its route has 1 groups/],
  ]
  for (const [route, message] of rows) {
    assert.throws(() => tableOf([route]), { code: 'WST_ERR_OPTION', message })
    if (route.path instanceof RegExp) tableOf([{ ...route, join: 'concat' }])
  }
  assert.equal(
    await sent([{ path: '/rooms/:id', target: 'ws://a/urn:isbn/%3Aid/:id' }], '/rooms/7'),
    'a /urn:isbn/%3Aid/7',
  )
})

test('a target function may return a URL object', async () => {
  assert.equal(await sent([{ path: '/a', target: () => new URL('ws://h:81/b') }], '/a/c'), 'h:81 /b/c')
})

test('500s a target function that fails', async t => {
  for (const [what, target, message] of badFunctions) {
    await t.test(what, async () => {
      await assert.rejects(sent([{ path: '/a', target: target as never }], '/a'), {
        code: 'WST_ERR_CALLBACK',
        statusCode: 500,
        message,
      })
    })
  }
})

test('keeps one worker for each URL that a function returns', async () => {
  const table = tableOf([{ path: '/', target: req => `ws://${req.headers['x-shard']}/` }])
  const workerOf = async (shard: string): Promise<unknown> => {
    const match = table.match(requestOf([`X-Shard: ${shard}`]), new RequestUrl('/')) as Match
    return backendOf(await match.route.resolve(match, signal))?.worker
  }
  assert.equal(await workerOf('a'), await workerOf('a'))
  assert.notEqual(await workerOf('a'), await workerOf('b'))
})

const badRoutes: [route: RouteOptions, message: RegExp][] = [
  [{ path: '/{a', target: A }, /`routes\[1\]\.path`/],
  [{ path: '/{a}}:x', target: A }, /`routes\[1\]\.path`/],
  [{ path: '/a', target: 'ws://h/$1' }, /`routes\[1\]\.target`.*RegExp path/],
  [{ path: '/:a', target: 'ws://:a/' }, /`routes\[1\]\.target`.*fixed/],
  [{ path: /x/, target: 'h:80' }, /`routes\[1\]\.target`/],
]

test('names the route whose path or target is invalid', () => {
  for (const [route, message] of badRoutes) {
    assert.throws(
      () => tableOf([{ target: A }, route]),
      error => error instanceof WsTunnelError && error.code === 'WST_ERR_OPTION' && message.test(error.message),
      JSON.stringify(route),
    )
  }
  const settings = resolveOptions({ target: 'nonsense' })
  assert.throws(() => new RouteTable(settings, true), { code: 'WST_ERR_OPTION', message: /Expected `target` to be/ })
})

test('acquires at most maxTunnels slots, and releases each once', () => {
  const match = matchOf([{ target: A, maxTunnels: 2 }], '/')
  assert.ok(match)
  const leave = match.route.acquire(undefined)
  match.route.acquire(undefined)
  const full = { code: 'WST_ERR_TUNNEL_LIMIT', statusCode: 503 }
  assert.throws(() => match.route.acquire(undefined), full)
  leave()
  leave()
  match.route.acquire(undefined)
  assert.throws(() => match.route.acquire(undefined), full)
})
