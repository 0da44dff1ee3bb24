import assert from 'node:assert/strict'
import { test } from 'node:test'
import { WsTunnelError } from '../../../packages/core/src/errors.ts'
import { resolveOptions, type Settings, type WsTunnelOptions } from '../../../packages/core/src/options/options.ts'
import type { RouteSettings } from '../../../packages/core/src/options/route-options.ts'

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
