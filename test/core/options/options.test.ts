import assert from 'node:assert/strict'
import { hostname } from 'node:os'
import { test } from 'node:test'
import { WsTunnelError } from '../../../packages/core/src/errors.ts'
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
    assert.deepEqual([error.code, error.statusCode], ['WST_ERR_OPTION', 500])
    return error.message
  }
  assert.fail(`was accepted: ${JSON.stringify(options)}`)
}

const noop = (): void => {}
const DURATION = 'a number of ms from 0 to 2147483647'
const wrongDurations: [value: unknown, got: string][] = [
  ['60s', '"60s" (string)'],
  [-1, '-1 (number)'],
  [Number.NaN, 'NaN (number)'],
  [Number.POSITIVE_INFINITY, 'Infinity (number)'],
  [2 ** 31, '2147483648 (number)'],
  [null, 'null'],
  [1n, '1 (bigint)'],
]
const wrongBooleans: [value: unknown, got: string][] = [
  ['true', '"true" (string)'],
  [1, '1 (number)'],
  [null, 'null'],
]
const wrongFunctions: [value: unknown, got: string][] = [
  ['f', '"f" (string)'],
  [{}, 'an object'],
  [null, 'null'],
]

/** Of each option: what is expected of it, and wrong values with the words for them. */
const ROUTE_OPTIONS: Record<string, [expected: string, wrong: [value: unknown, got: string][]]> = {
  target: [
    'a URL, false or a function',
    [
      [true, 'true (boolean)'],
      [80, '80 (number)'],
      [null, 'null'],
    ],
  ],
  when: [
    'a list of conditions',
    [
      [{ test: noop }, 'an object'],
      ['x', '"x" (string)'],
    ],
  ],
  upgrade: [
    "an upgrade token, a list of them, 'ANY' or 'NONE'",
    [
      [[], 'an array of 0'],
      [true, 'true (boolean)'],
      [null, 'null'],
    ],
  ],
  fallback: [
    'true, false, a function (req, res, next) or an engine such as hpm()',
    [
      [1, '1 (number)'],
      ['no', '"no" (string)'],
      [null, 'null'],
      [{}, 'an object'],
      [[], 'an array of 0'],
    ],
  ],
  join: ["'slash' or 'concat'", [['both', '"both" (string)']]],
  encodedSlashes: [
    "'reject' or 'decode' or 'keep'",
    [
      ['on', '"on" (string)'],
      [true, 'true (boolean)'],
    ],
  ],
  mergeSlashes: ['true or false', wrongBooleans],
  query: ["'append' or 'replace' or 'drop'", [['keep', '"keep" (string)']]],
  nocanon: ['true or false', wrongBooleans],
  localAddress: [
    'an IP address',
    [
      ['localhost', '"localhost" (string)'],
      [1, '1 (number)'],
    ],
  ],
  connectTimeout: [DURATION, wrongDurations],
  handshakeTimeout: [DURATION, wrongDurations],
  idleTimeout: [DURATION, wrongDurations],
  halfOpenTimeout: [DURATION, wrongDurations],
  maxLifetime: [DURATION, wrongDurations],
  maxTunnels: [
    'a whole number >= 0',
    [
      [1.5, '1.5 (number)'],
      [-1, '-1 (number)'],
      ['5', '"5" (string)'],
      [Number.POSITIVE_INFINITY, 'Infinity (number)'],
    ],
  ],
  keepAlive: [DURATION, [...wrongDurations, [true, 'true (boolean)']]],
  async: ['true or false', wrongBooleans],
  asyncDelay: [DURATION, wrongDurations],
  threads: [
    'a whole number from 1 to 64',
    [
      [0, '0 (number)'],
      [65, '65 (number)'],
      [1.5, '1.5 (number)'],
    ],
  ],
  offload: [
    'true, false or { delay, threads }',
    [
      ['yes', '"yes" (string)'],
      [1, '1 (number)'],
      [null, 'null'],
    ],
  ],
  strictHandshake: ['true or false', wrongBooleans],
  allowedOrigins: ['a list of origins', [['https://app.example', '"https://app.example" (string)']]],
  preserveHost: ['true or false', wrongBooleans],
  via: ["'off' or 'on' or 'full' or 'block'", [[true, 'true (boolean)']]],
  addHeaders: ['true or false', wrongBooleans],
  requestHeaders: [
    '{ set, append, unset } or a function',
    [
      [['a'], 'an array of 1'],
      ['a: b', '"a: b" (string)'],
    ],
  ],
  responseHeaders: ['{ set, append, unset } or a function', [[/x/, 'an object']]],
  passReverse: [
    'an object',
    [
      ['/a', '"/a" (string)'],
      [['/a', '/b'], 'an array of 2'],
    ],
  ],
  passReverseCookiePath: ['an object', [[true, 'true (boolean)']]],
  passReverseCookieDomain: ['an object', [['a', '"a" (string)']]],
  tls: [
    'an object',
    [
      [true, 'true (boolean)'],
      [[], 'an array of 0'],
    ],
  ],
  lookup: ['a function', wrongFunctions],
}

const COMMON_OPTIONS: typeof ROUTE_OPTIONS = {
  trustProxy: [
    "a boolean, a number of hops, addresses, 'append' or a function (Express's `trust proxy`)",
    [
      [{}, 'an object'],
      [null, 'null'],
    ],
  ],
  serverName: [
    'a host name',
    [
      ['a b', '"a b" (string)'],
      ['a\r\nb', '"a\\r\\nb" (string)'],
      ['', '"" (string)'],
      [1, '1 (number)'],
    ],
  ],
  only: [
    'a path prefix, a list of them, or a function',
    [
      ['chat', '"chat" (string)'],
      [['/a', 'b'], 'an array of 2'],
      [/x/, 'an object'],
    ],
  ],
  maxPendingUpgrades: [
    'a whole number >= 0',
    [
      [1.5, '1.5 (number)'],
      [-1, '-1 (number)'],
    ],
  ],
  drainTimeout: [DURATION, wrongDurations],
  logger: [
    'an object with `warn` and `error`, such as console or a logger of pino',
    [
      [{ warn: noop }, 'an object'],
      [true, 'true (boolean)'],
    ],
  ],
  onOpen: ['a function', wrongFunctions],
  onClose: ['a function', wrongFunctions],
  onError: ['a function', wrongFunctions],
}

test('names the option, what it expects and what it got, for every option', () => {
  const says = (name: string, expected: string, got: string): string =>
    `WST_ERR_OPTION: An option is wrong: Expected \`${name}\` to be ${expected}, got ${got}`
  for (const [name, [expected, wrong]] of Object.entries(ROUTE_OPTIONS)) {
    for (const [value, got] of wrong) {
      assert.equal(messageOf({ target: 'ws://h/', [name]: value }), says(name, expected, got))
      const routes = [{ target: 'ws://h/' }, { target: 'ws://h/', [name]: value }]
      assert.equal(messageOf({ routes }), says(`routes[1].${name}`, expected, got))
      if (name === 'target' || name === 'when') continue
      assert.equal(messageOf({ [name]: value, routes: [{ target: 'ws://h/' }] }), says(name, expected, got))
    }
  }
  for (const [name, [expected, wrong]] of Object.entries(COMMON_OPTIONS)) {
    for (const [value, got] of wrong) {
      assert.equal(messageOf({ target: 'ws://h/', [name]: value }), says(name, expected, got))
    }
  }
})

const shapes: [options: unknown, message: RegExp][] = [
  [undefined, /`options` to be an object, got undefined/],
  [null, /`options` to be an object, got null/],
  ['ws://h/', /`options` to be an object, got "ws:\/\/h\/"/],
  [[], /`options` to be an object, got an array of 0/],
  [{}, /`target` to be given, got undefined/],
  [{ fallback: true }, /`target` to be given/],
  [{ routes: {} }, /`routes` to be a list of routes, got an object/],
  [{ routes: [] }, /`routes` to be a list of at least one route, got an array of 0/],
  [{ routes: null }, /`routes` to be a list of routes, got null/],
  [{ routes: ['ws://h/'] }, /`routes\[0\]` to be a route: .*got "ws:/],
  [{ routes: [{ target: 'ws://h/' }, undefined] }, /`routes\[1\]` to be a route/],
  [{ routes: [{}] }, /`routes\[0\]\.target` to be given/],
  [{ routes: [], target: 'ws://h/' }, /`target` belongs to a route: move it into one of `routes`/],
  [{ routes: [], path: '/' }, /`path` belongs to a route: move it/],
  [{ routes: [], when: [] }, /`when` belongs to a route: move it/],
  [{ target: 'ws://h/', path: '/a' }, /`path` belongs to a route: write `routes: \[\{ path, target \}\]`/],
  [{ target: 'ws://h/', maxLifetime: { ms: 5 } }, /`maxLifetime` to be a number of ms, or { ms, jitter }/],
  [{ target: 'ws://h/', maxLifetime: { ms: 5, jitter: 6 } }, /`maxLifetime.jitter` to be at most 5, which is `ms`/],
  [{ target: 'ws://h/', maxLifetime: { ms: 5, jiter: 1 } }, /`maxLifetime.jiter`; did you mean `jitter`/],
  [{ target: 'ws://h/', maxTunnelsPerKey: { limit: 5 } }, /`maxTunnelsPerKey` to be { limit, key }/],
  [{ target: 'ws://h/', maxTunnelsPerKey: { limit: -1, key: noop } }, /`maxTunnelsPerKey.limit` to be a whole number/],
  [{ target: 'ws://h/', paths: 'exactly' }, /`paths` to be 'exact' or 'normalise'/],
  [{ target: 'ws://h/', trustProxy: 'nonsense' }, /`trustProxy`: .*nonsense/],
  [{ target: 'ws://h/', trustProxy: ['10.0.0.0/99'] }, /`trustProxy`: /],
]

test('names what is wrong with the options as a whole', () => {
  for (const [options, message] of shapes) assert.match(messageOf(options), message)
})

const unknown: [options: object, message: string][] = [
  [{ targets: 'ws://h/' }, 'Unknown option `targets`; did you mean `target`?'],
  [{ target: 'ws://h/', idleTimeOut: 1 }, 'Unknown option `idleTimeOut`; did you mean `idleTimeout`?'],
  [{ target: 'ws://h/', idelTimeout: 1 }, 'Unknown option `idelTimeout`; did you mean `idleTimeout`?'],
  [{ target: 'ws://h/', IDLETIMEOUT: 1 }, 'Unknown option `IDLETIMEOUT`; did you mean `idleTimeout`?'],
  [{ target: 'ws://h/', onclose: noop }, 'Unknown option `onclose`; did you mean `onClose`?'],
  [{ target: 'ws://h/', route: [] }, 'Unknown option `route`; did you mean `routes`?'],
  [{ routes: [{ target: 'ws://h/', Path: '/' }] }, 'Unknown option `routes[0].Path`; did you mean `path`?'],
]

test('refuses an unknown option and suggests the nearest one', () => {
  for (const [options, message] of unknown)
    assert.equal(messageOf(options), `WST_ERR_OPTION: An option is wrong: ${message}`)
})

test('suggests nothing if no option is near', () => {
  for (const [name, options] of [
    ['routes[0].onOpen', { routes: [{ target: 'ws://h/', onOpen: noop }] }],
    ['__proto__', JSON.parse('{"target":"ws://h/","__proto__":{}}')],
    ['toString', { target: 'ws://h/', toString: noop }],
  ] as const)
    assert.equal(messageOf(options), `WST_ERR_OPTION: An option is wrong: Unknown option \`${name}\``)
})

test('has safe defaults', () => {
  const { upgrade, when, ...rest } = readOne({})
  assert.deepEqual(upgrade, { always: false, any: false, tokens: ['websocket'] })
  assert.deepEqual(when, [])
  assert.deepEqual(rest, {
    name: undefined,
    target: 'ws://h/',
    path: '/',
    fallback: true,
    join: 'slash',
    encodedSlashes: 'reject',
    mapping: 'decoded',
    mergeSlashes: true,
    query: 'append',
    nocanon: false,
    connectTimeout: 5_000,
    handshakeTimeout: 60_000,
    idleTimeout: 0,
    halfOpenTimeout: 30_000,
    maxLifetime: 0,
    lifetimeJitter: 0,
    deadline: undefined,
    closeFrame: false,
    stallTimeout: 60_000,
    maxTunnels: 0,
    maxTunnelsPerKey: undefined,
    keepAlive: 30_000,
    localAddress: '',
    http2: false,
    async: true,
    asyncDelay: 0,
    threads: 1,
    strictHandshake: false,
    allowedOrigins: undefined,
    preserveHost: false,
    via: 'off',
    addHeaders: true,
    requestHeaders: undefined,
    responseHeaders: undefined,
    localHeaders: undefined,
    guard: undefined,
    errorOverride: false,
    passReverse: false,
    passReverseCookiePath: {},
    passReverseCookieDomain: {},
    tls: {},
    lookup: undefined,
  })
  const { routes, defaults, trusts, onOpen, onClose, onError, ...common } = read({ target: false })
  assert.deepEqual(routes, [defaults])
  assert.deepEqual(common, {
    rewrite: undefined,
    paths: undefined,
    workers: [],
    balancers: {},
    decoding: { encodedSlashes: 'reject', mergeSlashes: true },
    appends: false,
    serverName: hostname(),
    only: undefined,
    maxPendingUpgrades: 5_000,
    drainTimeout: 10_000,
    drainSpread: 0,
    noticeTime: 0,
    retryAfter: 0,
    handoverName: undefined,
    logger: undefined,
  })
  assert.equal(trusts('127.0.0.1', 0), false)
  for (const observer of [onOpen, onClose, onError]) assert.equal((observer as () => void)(), undefined)
})

test('treats undefined as absent, for every option', () => {
  const names = [...Object.keys(ROUTE_OPTIONS), ...Object.keys(COMMON_OPTIONS)].filter(name => name !== 'target')
  const options = Object.fromEntries(names.map(name => [name, undefined]))
  assert.deepEqual(readOne(options), readOne({}))
  assert.deepEqual(read({ ...options, path: undefined, routes: undefined, target: 'ws://h/' }).routes[0], readOne({}))
  const beside = { ...options, path: undefined, when: undefined, target: undefined, routes: [{ target: 'ws://h/' }] }
  assert.deepEqual(read(beside).routes[0], readOne({}))
})

test('uses the options beside routes as the defaults of each route', () => {
  const { routes, defaults } = read({
    idleTimeout: 5,
    fallback: false,
    upgrade: 'foo',
    tls: { ca },
    routes: [{ target: 'ws://a/' }, { target: 'ws://b/', idleTimeout: 0, upgrade: ['WebSocket', 'Bar'] }],
  })
  const seen = routes.map(({ idleTimeout, fallback, upgrade, tls }) => [idleTimeout, fallback, upgrade.tokens, tls.ca])
  assert.deepEqual(seen, [
    [5, false, ['foo'], ca],
    [0, false, ['websocket', 'bar'], ca],
  ])
  assert.deepEqual([defaults.idleTimeout, defaults.fallback, defaults.tls.ca, defaults.target], [5, false, ca, false])
})

test("reads trustProxy as Express's `trust proxy`", () => {
  const trusts = (trustProxy: unknown, address: string, hop = 0): boolean =>
    read({ target: 'ws://h/', trustProxy }).trusts(address, hop)
  const rows: [trustProxy: unknown, address: string, hop: number, yes: boolean][] = [
    [true, '192.0.2.1', 5, true],
    ['append', '192.0.2.1', 5, true],
    [false, '127.0.0.1', 0, false],
    [1, '192.0.2.1', 0, true],
    [1, '192.0.2.1', 1, false],
    [0, '192.0.2.1', 0, false],
    ['loopback', '127.0.0.1', 0, true],
    ['loopback', '::1', 0, true],
    ['loopback', '192.0.2.1', 0, false],
    ['10.0.0.0/8, 192.0.2.1', '10.9.8.7', 0, true],
    ['10.0.0.0/8, 192.0.2.1', '192.0.2.1', 0, true],
    [['uniquelocal', '192.0.2.1'], '192.0.2.2', 0, false],
    [(address: string) => address.endsWith('.7'), '192.0.2.7', 0, true],
  ]
  for (const [trustProxy, address, hop, yes] of rows)
    assert.equal(trusts(trustProxy, address, hop), yes, `${trustProxy} ${address}`)
})

/** Freezes the value and everything in it, so that a write throws. */
function deepFrozen<T extends object>(value: T): T {
  for (const inner of Object.values(value)) if (typeof inner === 'object' && inner !== null) deepFrozen(inner)
  return value instanceof RegExp ? value : Object.freeze(value)
}

test("does not change the caller's object, and accepts a frozen one", () => {
  const make = (): WsTunnelOptions => ({
    idleTimeout: 5,
    upgrade: ['websocket'],
    trustProxy: ['loopback'],
    only: ['/a'],
    requestHeaders: { set: { a: 'b' }, unset: ['c'] },
    tls: { ca: [ca] },
    routes: [{ path: '/a', target: 'ws://h/', when: [{ any: [{ header: 'a', matches: /x/g }] }] }],
  })
  const options = make()
  read(options)
  assert.deepEqual(options, make())
  read(deepFrozen(make()))
})

test('returns frozen settings that a later change of the options does not affect', () => {
  const upgrade = ['websocket']
  const allowedOrigins = ['https://app.example']
  const routes = [{ target: 'ws://h/', upgrade, allowedOrigins }]
  const settings = read({ routes })
  upgrade.push('foo')
  allowedOrigins.push('https://evil.example')
  routes.push({ target: 'ws://evil/', upgrade, allowedOrigins })
  assert.equal(settings.routes.length, 1)
  const [route] = settings.routes
  assert.ok(route)
  assert.deepEqual([route.upgrade.tokens, [...(route.allowedOrigins ?? [])]], [['websocket'], ['https://app.example']])
  for (const frozen of [settings, settings.routes, route]) assert.ok(Object.isFrozen(frozen))
})
