import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { suite, test } from 'node:test'
import { WsTunnelError } from '../../../packages/core/src/errors.ts'
import { FOREIGN_NAMES } from '../../../packages/core/src/options/foreign-names.ts'
import { resolveOptions, type Settings, type WsTunnelOptions } from '../../../packages/core/src/options/options.ts'
import type { RouteSettings } from '../../../packages/core/src/options/route-options.ts'
import { ca } from '../../support/tls.ts'

/** Reads options that are not type-checked, as in plain JavaScript. */
const read = (options: unknown): Settings => resolveOptions(options as WsTunnelOptions)

const readOne = (route: object): RouteSettings => read({ target: 'ws://h/', ...route }).routes[0] as RouteSettings

const messageOf = (options: unknown): string => {
  try {
    read(options)
  } catch (error) {
    assert.ok(error instanceof WsTunnelError, String(error))
    return error.message
  }
  assert.fail(`was accepted: ${JSON.stringify(options)}`)
}

const noop = (): void => {}

/** Wrong parts of an option, and the text that names them. */
const wrongInside: [options: object, message: RegExp][] = [
  [
    { path: '/chat/*' },
    /`routes\[0\]\.path` to be a path without a bare `\*`: write "\/chat", because a path matches what is below it/,
  ],
  [{ path: '/chat/**' }, /write "\/chat", because/],
  [{ path: '/*' }, /write "\/", because/],
  [{ path: '/*/feed' }, /write a named `\*rest` for any text or `:name` for one segment/],
  [{ path: '/a*b*' }, /without a bare `\*`/],
  [
    { tls: { rejectUnauthorised: false } },
    /Unknown option `routes\[0\]\.tls\.rejectUnauthorised`; did you mean `rejectUnauthorized`\?/,
  ],
  [{ tls: { requestCert: true } }, /Unknown option `routes\[0\]\.tls\.requestCert`/],
  [
    { tls: { ca: '/etc/ssl/ca.pem' } },
    /`routes\[0\]\.tls\.ca` to be a certificate in PEM or DER form, or a list of them, got "\/etc/,
  ],
  [{ tls: { ca: [Buffer.from('x')] } }, /`routes\[0\]\.tls\.ca` to be a certificate/],
  [{ path: 'x' }, /`routes\[0\]\.path` to be a path that begins with "\/", or a RegExp, got "x" \(string\)/],
  [{ path: '' }, /`routes\[0\]\.path`/],
  [{ path: null }, /`routes\[0\]\.path`.*got null/],
  [
    { when: [null] },
    /`routes\[0\]\.when\[0\]` to be \{ header, matches \}, \{ header, not \}, \{ url, matches \}, \{ url, not \}, \{ test \} or \{ any \}, got null/,
  ],
  [{ when: [noop] }, /`routes\[0\]\.when\[0\]`.*got a function/],
  [{ when: [{}] }, /`routes\[0\]\.when\[0\]`.*with those keys only/],
  [{ when: [{ url: 'host', matches: /x/ }] }, /`routes\[0\]\.when\[0\]\.url` to be 'path' or 'query', got "host"/],
  [{ when: [{ url: 'path', not: 'x' }] }, /`routes\[0\]\.when\[0\]\.not` to be a RegExp, got "x"/],
  [{ when: [{ url: 'path', header: 'a', not: /x/ }] }, /`routes\[0\]\.when\[0\]`.*with those keys only/],
  [{ when: [{ header: 'a' }] }, /`routes\[0\]\.when\[0\]`.*with those keys only/],
  [{ when: [{ header: 'a', matches: /x/, not: /y/ }] }, /`routes\[0\]\.when\[0\]`.*with those keys only/],
  [{ when: [{ header: 'a b', matches: /x/ }] }, /`routes\[0\]\.when\[0\]\.header` to be a header name, got "a b"/],
  [{ when: [{ header: 'a', matches: 'x' }] }, /`routes\[0\]\.when\[0\]\.matches` to be a RegExp, got "x" \(string\)/],
  [{ when: [{ header: 'a', not: 'x' }] }, /`routes\[0\]\.when\[0\]\.not` to be a RegExp/],
  [{ when: [{ test: true }] }, /`routes\[0\]\.when\[0\]\.test` to be a function, got true/],
  [{ when: [{ any: {} }] }, /`routes\[0\]\.when\[0\]\.any` to be a list of conditions, got an object/],
  [
    { when: [{ any: [{ test: noop }, { test: 1 }] }] },
    /`routes\[0\]\.when\[0\]\.any\[1\]\.test` to be a function, got 1/,
  ],
  [{ upgrade: 'web socket' }, /`routes\[0\]\.upgrade` to be made of upgrade tokens.*got "web socket"/],
  [{ upgrade: ['a', 5] }, /`routes\[0\]\.upgrade` to be made of upgrade tokens.*got 5/],
  [{ upgrade: 'a,b' }, /`routes\[0\]\.upgrade`/],
  [{ upgrade: 'a\r\nb' }, /`routes\[0\]\.upgrade`/],
  [{ upgrade: ['websocket', 'ANY'] }, /`routes\[0\]\.upgrade`.*without 'ANY', which must be the only value/],
  [{ upgrade: ['none', 'websocket'] }, /`routes\[0\]\.upgrade`.*without 'none', which must be the only value/],
  [{ allowedOrigins: ['app.example'] }, /`routes\[0\]\.allowedOrigins` to be made of origins.*got "app.example"/],
  [{ allowedOrigins: ['https://app.example/'] }, /`routes\[0\]\.allowedOrigins`/],
  [{ allowedOrigins: ['https://app.example:443'] }, /`routes\[0\]\.allowedOrigins`/],
  [{ allowedOrigins: ['*'] }, /`routes\[0\]\.allowedOrigins`/],
  [{ allowedOrigins: ['file://x/y'] }, /`routes\[0\]\.allowedOrigins`/],
  [{ allowedOrigins: ['x://'] }, /`routes\[0\]\.allowedOrigins`/],
  [{ allowedOrigins: [5] }, /`routes\[0\]\.allowedOrigins`/],
  [{ requestHeaders: { set: ['a'] } }, /`routes\[0\]\.requestHeaders\.set` to be an object, got an array of 1/],
  [{ requestHeaders: { set: { a: 1 } } }, /`routes\[0\]\.requestHeaders\.set\["a"\]` to be a string, got 1/],
  [{ requestHeaders: { set: { 'a b': 'x' } } }, /`routes\[0\]\.requestHeaders\.set`: .*"a b"/],
  [{ requestHeaders: { append: { a: 'x\r\ny' } } }, /`routes\[0\]\.requestHeaders\.append`: /],
  [{ responseHeaders: { unset: 'a' } }, /`routes\[0\]\.responseHeaders\.unset` to be a list of header names, got "a"/],
  [{ responseHeaders: { unset: ['a b'] } }, /`routes\[0\]\.responseHeaders\.unset`/],
  [{ responseHeaders: { sets: {} } }, /Unknown option `routes\[0\]\.responseHeaders\.sets`; did you mean `set`\?/],
  [{ passReverse: { '/a': 1 } }, /`routes\[0\]\.passReverse\["\/a"\]` to be a string, got 1/],
  [{ passReverseCookiePath: { '/a': null } }, /`routes\[0\]\.passReverseCookiePath\["\/a"\]` to be a string, got null/],
  [{ tls: { path: '/other.sock' } }, /`routes\[0\]\.tls\.path` to be absent, .* got "\/other\.sock"/],
  [{ tls: { port: 8443 } }, /`routes\[0\]\.tls\.port` to be absent/],
  [{ tls: { host: 'other.example' } }, /`routes\[0\]\.tls\.host` to be absent/],
  [{ tls: { socket: {} } }, /`routes\[0\]\.tls\.socket` to be absent/],
  [{ tls: { lookup: noop } }, /`routes\[0\]\.tls\.lookup` to be absent, .* got a function/],
  [{ offload: { delay: -1 } }, /`routes\[0\]\.offload\.delay` to be a number of ms/],
  [{ offload: { threads: 65 } }, /`routes\[0\]\.offload\.threads` to be a whole number from 1 to 64, got 65/],
  [{ offload: { thread: 2 } }, /Unknown option `routes\[0\]\.offload\.thread`; did you mean `threads`\?/],
  [{ target: undefined }, /`routes\[0\]\.target` to be given, got undefined/],
]

test('checks the parts of an option: conditions, tokens, origins, header fields, maps', () => {
  for (const [route, message] of wrongInside) {
    assert.match(messageOf({ routes: [{ target: 'ws://h/', ...route }] }), message)
  }
})

const offloads: [options: object, async: boolean, delay: number, threads: number][] = [
  [{}, true, 0, 1],
  [{ offload: true }, true, 0, 1],
  [{ offload: false }, false, 0, 1],
  [{ offload: {} }, true, 0, 1],
  [{ offload: { delay: 50 } }, true, 50, 1],
  [{ offload: { delay: 50, threads: 4 } }, true, 50, 4],
  [{ async: false, asyncDelay: 50, threads: 4 }, false, 50, 4],
  [{ offload: undefined, asyncDelay: 50 }, true, 50, 1],
]

test('reads `offload` as another name of async, asyncDelay and threads', () => {
  const settingsOf = ({ async, asyncDelay, threads }: RouteSettings): unknown[] => [async, asyncDelay, threads]
  for (const [options, ...expected] of offloads) assert.deepEqual(settingsOf(readOne(options)), expected)
  const { routes } = read({
    offload: { threads: 4 },
    routes: [{ offload: false }, { offload: { delay: 5 } }, { asyncDelay: 7 }].map(own => ({
      target: 'ws://h/',
      ...own,
    })),
  })
  assert.deepEqual(routes.map(settingsOf), [
    [false, 0, 4],
    [true, 5, 4],
    [true, 7, 4],
  ])
})

test('refuses `offload` beside the names that it replaces', () => {
  for (const name of ['async', 'asyncDelay', 'threads']) {
    const value = name === 'async' ? true : 1
    const beside = `\`offload\` and \`${name}\` are two names of one setting: write one of them`
    assert.ok(messageOf({ target: 'ws://h/', offload: true, [name]: value }).endsWith(beside))
    const own = `\`routes[0].offload\` and \`routes[0].${name}\` are two names of one setting: write one of them`
    assert.ok(messageOf({ routes: [{ target: 'ws://h/', offload: {}, [name]: value }] }).endsWith(own))
  }
})

test('reads ANY and NONE in any case, alone or in a list of one, and false as no token', () => {
  assert.deepEqual(readOne({ upgrade: false }).upgrade, { always: false, any: false, tokens: [] })
  const any = { always: false, any: true, tokens: [] }
  const none = { always: true, any: false, tokens: [] }
  for (const upgrade of ['ANY', 'any', ['Any']]) assert.deepEqual(readOne({ upgrade }).upgrade, any)
  for (const upgrade of ['NONE', 'none', ['None']]) assert.deepEqual(readOne({ upgrade }).upgrade, none)
})

test('compares origins without regard to case', () => {
  const { allowedOrigins } = readOne({
    allowedOrigins: ['https://App.example', 'http://localhost:8080', 'http://[::1]:3000', 'file://', 'null'],
  })
  assert.deepEqual(
    [...(allowedOrigins ?? [])],
    ['https://app.example', 'http://localhost:8080', 'http://[::1]:3000', 'file://', 'null'],
  )
})

test('refuses statuses and passReverse values of the wrong kind', () => {
  const wrong = [{ errorOverride: [399] }, { errorOverride: 'all' }, { passReverse: 1 }, { threads: 65 }, { name: '' }]
  for (const option of wrong) {
    const [name] = Object.keys(option)
    assert.match(messageOf({ target: 'ws://h/', ...option }), new RegExp(`Expected \`${name}\` to be `), name)
  }
})

test('gives a route its own options, then those beside routes, then the defaults', () => {
  const { routes } = read({ via: 'on', query: 'drop', routes: [{ target: false, query: 'replace' }] })
  const [route] = routes
  assert.deepEqual([route?.query, route?.via, route?.join], ['replace', 'on', 'slash'])
  assert.ok(Object.isFrozen(route))
})

test('takes a URL object as target, and a certificate as ca in each form', () => {
  assert.equal(readOne({ target: new URL('ws://h:81/a b/$1') }).target, 'ws://h:81/a%20b/$1')
  for (const value of [ca, Buffer.from(ca), new X509Certificate(ca).raw, [ca, ca]]) readOne({ tls: { ca: value } })
  assert.equal(read({ routes: [{ path: String.raw`/a\*b`, target: 'ws://h/' }] }).routes[0]?.path, String.raw`/a\*b`)
})

test('a hint names a near option, or what replaces an option of another package, and nothing far', () => {
  assert.match(
    messageOf({ target: 'ws://h/', idletimeout: 1 }),
    /Unknown option `idletimeout`; did you mean `idleTimeout`\?$/,
  )
  assert.match(
    messageOf({ target: 'ws://h/', changeOrigin: true }),
    /`changeOrigin`; here: the Host is the target's already; see `preserveHost`$/,
  )
  assert.match(
    messageOf({ target: 'ws://h/', secure: false }),
    /`secure`; here: `tls: \{ rejectUnauthorized: false \}`$/,
  )
  assert.match(messageOf({ target: 'ws://h/', upstream: 'x' }), /`upstream`; here: `target`$/)
  assert.match(messageOf({ target: 'ws://h/', nothingLikeIt: 1 }), /Unknown option `nothingLikeIt`$/)
})

suite('the page about other packages', () => {
  const page = readFileSync(new URL('../../../docs/from-http-proxy.md', import.meta.url), 'utf8')

  test('has every name that a hint knows, and none of them is an option here', () => {
    for (const name of FOREIGN_NAMES.keys()) {
      assert.match(page, new RegExp(`^\\|[^|]*\`[^|\`]*\\b${name}\\b`, 'm'), name)
      assert.match(messageOf({ target: 'ws://h/', [name]: 1 }), new RegExp(`Unknown option \`${name}\`; here: `))
    }
  })

  test('has no name of theirs without a hint, except for options here and for functions', () => {
    const rows = page.slice(page.indexOf('## Options'), page.indexOf('## Fields')).matchAll(/^\| ([^|]+) \|/gm)
    const names = Array.from(rows, ([, theirs = '']) =>
      Array.from(theirs.matchAll(/`(\w+)(?:`|:)/g), ([, name]) => name),
    )
    const unknown = new Set(names.flat() as string[])
    assert.ok(unknown.size > 40, [...unknown].join())
    for (const name of ['responseInterceptor', 'fixRequestBody']) unknown.delete(name)
    for (const name of FOREIGN_NAMES.keys()) unknown.delete(name)
    for (const name of unknown) assert.doesNotMatch(messageOf({ target: 'ws://h/', [name]: 1 }), /Unknown option/)
  })
})
