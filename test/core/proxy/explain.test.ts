import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import {
  type ExplainedOutcome,
  type ExplainRequest,
  type Explanation,
  explain,
  type FallbackFunction,
  type RouteOptions,
  WsTunnelError,
  type WsTunnelOptions,
} from '@ws-tunnel/core'
import { type Backend, responding, switching } from '../../support/backend.ts'
import type { RawClient } from '../../support/client.ts'
import { connectClient, startBackend, startGateway } from '../../support/harness.ts'

const byFunction: FallbackFunction = (_req, res) => res.writeHead(418).end()

const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='
const HANDSHAKE: [string, string][] = [
  ['Host', 'front.example:8080'],
  ['Connection', 'keep-alive, Upgrade'],
  ['Upgrade', 'websocket'],
  ['Sec-WebSocket-Key', KEY],
  ['Sec-WebSocket-Version', '13'],
]
const PLAIN: [string, string][] = [
  ['Host', 'front.example'],
  ['Accept', '*/*'],
]

interface Row {
  options: (backend: string) => WsTunnelOptions
  request: ExplainRequest
  /** The expected outcome. For `http` and `upgrade` the request that the backend gets is compared. */
  kind: ExplainedOutcome['kind']
  /** The status of a refusal. */
  statusCode?: number
  body?: string
}

const routes =
  (...list: ((backend: string) => RouteOptions)[]): Row['options'] =>
  backend => ({ routes: list.map(route => route(backend)) })

const ROWS: Record<string, Row> = {
  'a WebSocket below a prefix': {
    options: routes(backend => ({ path: '/ws/', target: `ws://${backend}/talk` })),
    request: { url: '/ws/a%20b/c?x=1', headers: HANDSHAKE },
    kind: 'upgrade',
  },
  'captures of a RegExp and of a condition': {
    options: routes(backend => ({
      path: /^\/rooms\/(\d+)\/(.*)$/,
      when: [{ header: 'host', matches: /^(\w+)\./ }],
      target: `ws://${backend}/%1/$2/$1`,
    })),
    request: { url: '/rooms/42/live', headers: HANDSHAKE },
    kind: 'upgrade',
  },
  'a target function and captures by name': {
    options: routes(backend => ({
      path: '/users/:id',
      target: (_req, { params }) => Promise.resolve(`ws://${backend}/feeds/${params['id']}`),
    })),
    request: { url: '/users/7', headers: HANDSHAKE },
    kind: 'upgrade',
  },
  'headers edited, nominated, forwarded and via': {
    options: backend => ({
      target: `ws://${backend}/`,
      preserveHost: true,
      via: 'full',
      trustProxy: true,
      serverName: 'gateway.example',
      requestHeaders: { unset: ['x-secret'], set: { 'X-Gateway': 'us' }, append: { 'X-Gateway': 'again' } },
    }),
    request: {
      url: '/',
      headers: [
        ...HANDSHAKE,
        ['X-Secret', '1'],
        ['Cookie', 'a=1'],
        ['Cookie', 'b=2'],
        ['X-Forwarded-For', '192.0.2.1'],
        ['X-Named', 'away'],
        ['Connection', 'x-named'],
      ],
    },
    kind: 'upgrade',
  },
  'forwarded fields of a client that is not trusted': {
    options: backend => ({ target: `http://${backend}/base`, serverName: 'gateway.example' }),
    request: {
      url: '/page?q',
      headers: [...PLAIN, ['X-Forwarded-For', '192.0.2.1'], ['X_Forwarded_For', '192.0.2.2']],
    },
    kind: 'http',
  },
  'an upgrade without Connection: upgrade': {
    options: backend => ({ target: `ws://${backend}/` }),
    request: { url: '/x', headers: HANDSHAKE.filter(([name]) => name !== 'Connection') },
    kind: 'http',
  },
  'a token that is not allowed': {
    options: backend => ({ target: `ws://${backend}/` }),
    request: {
      url: '/x',
      headers: [
        ['Host', 'a'],
        ['Upgrade', 'chat/2'],
        ['Connection', 'upgrade'],
      ],
    },
    kind: 'http',
  },
  'a body with its length': {
    options: backend => ({ target: `http://${backend}/` }),
    request: { method: 'POST', url: '/form', headers: [...PLAIN, ['Content-Length', '5'], ['Expect-Not', 'x']] },
    body: 'hello',
    kind: 'http',
  },
  'a body in chunks': {
    options: backend => ({ target: `http://${backend}/` }),
    request: { method: 'PUT', url: '/form', headers: [...PLAIN, ['Transfer-Encoding', 'chunked']] },
    body: '5\r\nhello\r\n0\r\n\r\n',
    kind: 'http',
  },
  'HTTP/1.0': {
    options: backend => ({ target: `http://${backend}/` }),
    request: { url: '/old', headers: [], httpVersion: '1.0' },
    kind: 'http',
  },
  'an encoded path that is sent as the client wrote it': {
    options: routes(backend => ({
      path: '/raw/',
      target: `ws://${backend}/in/`,
      nocanon: true,
      encodedSlashes: 'keep',
    })),
    request: { url: '/raw/a%2Fb%7Ec', headers: HANDSHAKE },
    kind: 'upgrade',
  },
  'upgrade: NONE': {
    options: backend => ({ target: `ws://${backend}/`, upgrade: 'NONE' }),
    request: { url: '/', headers: PLAIN },
    kind: 'upgrade',
  },
  'a route with target: false': {
    options: routes(
      () => ({ path: '/ws/own/', target: false }),
      backend => ({ path: '/ws/', target: `ws://${backend}/` }),
    ),
    request: { url: '/ws/own/x', headers: HANDSHAKE },
    kind: 'app',
  },
  'a target function that returns false': {
    options: () => ({ target: () => false }),
    request: { url: '/ws', headers: HANDSHAKE },
    kind: 'app',
  },
  'a target function that returns a response': {
    options: () => ({ target: () => ({ status: 410 }) }),
    request: { url: '/ws', headers: HANDSHAKE },
    kind: 'respond',
  },
  'a plain request on a route with a function in fallback': {
    options: routes(backend => ({ path: '/', target: `ws://${backend}/`, fallback: byFunction })),
    request: { url: '/x', headers: [['Host', 'front.example']] },
    kind: 'fallback',
  },
  'a WebSocket on a route with a function in fallback': {
    options: routes(backend => ({ path: '/', target: `ws://${backend}/`, fallback: byFunction })),
    request: { url: '/x', headers: HANDSHAKE },
    kind: 'upgrade',
  },
  'no route at all': {
    options: routes(backend => ({ path: '/ws/', target: `ws://${backend}/` })),
    request: { url: '/elsewhere', headers: HANDSHAKE },
    kind: 'app',
  },
  'a plain request on an upgrade-only route': {
    options: routes(
      backend => ({ path: '/', target: `ws://${backend}/tunnel/`, fallback: false }),
      backend => ({ path: '/', target: `http://${backend}/page/` }),
    ),
    request: { url: '/x', headers: PLAIN },
    kind: 'http',
  },
  'an encoded slash': {
    options: routes(backend => ({ path: '/ws/', target: `ws://${backend}/` })),
    request: { url: '/ws/a%2Fb', headers: HANDSHAKE },
    kind: 'refused',
    statusCode: 404,
  },
  'a path above the root': {
    options: backend => ({ target: `ws://${backend}/` }),
    request: { url: '/../x', headers: HANDSHAKE },
    kind: 'refused',
    statusCode: 400,
  },
  'a path that is too long for a pattern': {
    options: routes(backend => ({ path: /^\/a/, target: `ws://${backend}/` })),
    request: { url: `/${'a'.repeat(9_000)}`, headers: HANDSHAKE },
    kind: 'refused',
    statusCode: 414,
  },
  'an Origin that is not allowed': {
    options: backend => ({ target: `ws://${backend}/`, allowedOrigins: ['https://app.example'] }),
    request: { url: '/', headers: [...HANDSHAKE, ['Origin', 'https://evil.example']] },
    kind: 'refused',
    statusCode: 403,
  },
  'an upgrade-only route and another token': {
    options: backend => ({ target: `ws://${backend}/`, fallback: false }),
    request: {
      url: '/',
      headers: [
        ['Host', 'a'],
        ['Upgrade', 'chat'],
        ['Connection', 'upgrade'],
      ],
    },
    kind: 'refused',
    statusCode: 426,
  },
  'no Host': {
    options: backend => ({ target: `ws://${backend}/` }),
    request: { url: '/', headers: HANDSHAKE.slice(1) },
    kind: 'refused',
    statusCode: 400,
  },
  'a target function that throws': {
    options: () => ({
      target: () => {
        throw new Error('no room')
      },
    }),
    request: { url: '/', headers: HANDSHAKE },
    kind: 'refused',
    statusCode: 500,
  },
}

const rawRequest = ({ method = 'GET', url, headers = [], httpVersion = '1.1' }: ExplainRequest, body = ''): string => {
  const lines = (headers as [string, string][]).map(([name, value]) => `${name}: ${value}\r\n`)
  return `${method} ${url} HTTP/${httpVersion}\r\n${lines.join('')}\r\n${body}`
}

suite('the explanation is what happens', { concurrency: true }, () => {
  for (const [name, { options, request, kind, statusCode, body }] of Object.entries(ROWS)) {
    test(name, async t => {
      const script = kind === 'upgrade' ? switching() : responding({ body: 'page' })
      const backend: Backend = await startBackend(t, script)
      const explained = await explain(options(backend.address), request)
      assert.equal(explained.outcome.kind, kind, JSON.stringify(explained, null, 2))
      assert.deepEqual(JSON.parse(JSON.stringify(explained)).outcome.kind, kind)

      const gateway = await startGateway(t, options(backend.address))
      const client: RawClient = await connectClient(t, gateway)
      client.send(rawRequest(request, body))
      const got = await client.responseHead()

      const { outcome } = explained
      if (outcome.kind === 'app') {
        assert.equal(got.statusCode, 404)
        assert.equal(backend.seen.length, 0)
      } else if (outcome.kind === 'refused') {
        assert.equal(got.statusCode, statusCode)
        assert.equal(outcome.statusCode, statusCode)
        const [error] = gateway.errors
        assert.ok(error instanceof WsTunnelError)
        assert.deepEqual([outcome.code, outcome.message], [error.code, error.message])
        assert.deepEqual(outcome.headers, error.headers)
        assert.equal(backend.seen.length, 0)
      } else if (outcome.kind === 'respond') {
        assert.equal(got.statusCode, outcome.status)
        assert.equal(backend.seen.length, 0)
      } else if (outcome.kind === 'fallback') {
        assert.equal(got.statusCode, 418)
        assert.equal(backend.seen.length, 0)
      } else {
        assert.equal(got.statusCode, kind === 'upgrade' ? 101 : 200)
        const seen = await backend.request()
        assert.equal(outcome.backend.requestLine, seen.startLine)
        assert.deepEqual(outcome.backend.headers, seen.rawHeaders)
        assert.equal(`${outcome.backend.host}:${outcome.backend.port}`, backend.address)
        if (outcome.kind === 'upgrade') assert.equal(gateway.opened[0]?.info.route, outcome.route)
      }
    })
  }
})

test('explains for each route why it does not match, up to the one that matches', async () => {
  const { routes: explained, outcome } = await explain(
    {
      routes: [
        { path: '/other/', target: 'ws://a.example/' },
        { path: '/ws/', target: 'ws://a.example/', fallback: false },
        {
          path: '/ws/',
          when: [
            { header: 'x-room', not: /^$/ },
            { header: 'x-room', matches: /^a/ },
          ],
          target: 'ws://b/',
        },
        { path: '/ws/', when: [{ any: [{ header: 'a', matches: /1/ }, { test: () => false }] }], target: 'ws://c/' },
        { path: /^\/ws\/(?<room>.*)$/, target: 'wss://d.example/$1' },
        { path: '/', target: () => 'ws://e.example/' },
      ],
    },
    { url: '/ws/b', headers: { host: 'x', 'x-room': 'b' } },
  )
  assert.deepEqual(
    explained.map(({ tried, matched, reason }) => [tried, matched, reason]),
    [
      [true, false, 'the path does not match'],
      [true, false, 'the request has no Upgrade, and `fallback` is false'],
      [true, false, 'condition 1 does not hold: x-room matches /^a/'],
      [true, false, 'condition 0 does not hold: any of a matches /1/, test'],
      [true, true, undefined],
      [false, false, 'route 4 ends the search'],
    ],
  )
  assert.deepEqual(explained.map(({ path, target }) => [path, target]).slice(3), [
    ['/ws/', 'ws://c/'],
    ['/^\\/ws\\/(?<room>.*)$/', 'wss://d.example/$1'],
    ['/', 'function target'],
  ])
  assert.deepEqual([...(explained[4]?.captures?.groups ?? [])], ['/ws/b', 'b'])
  assert.equal(outcome.kind, 'http')
  assert.ok(outcome.kind === 'http')
  assert.equal(outcome.route, 4)
  const { host, port, tls, socketPath } = outcome.backend
  assert.deepEqual({ host, port, tls, socketPath }, { host: 'd.example', port: 443, tls: true, socketPath: undefined })
})

test('names the route that refuses a path before it matches', async () => {
  const { routes: explained, outcome } = await explain(
    { routes: [{ path: '/a/', target: false }, { path: '/ws/', target: 'ws://a.example/' }, { target: false }] },
    { url: '/ws/a%2Fb', headers: { host: 'x' } },
  )
  assert.equal(outcome.kind, 'refused')
  assert.equal(outcome.route, 1)
  assert.deepEqual(
    explained.map(({ tried, matched }) => [tried, matched]),
    [
      [true, false],
      [true, false],
      [false, false],
    ],
  )
  assert.match(explained[1]?.reason ?? '', /^WST_ERR_ENCODED_SLASH/)
})

test('explains why a request that names an upgrade is served as plain HTTP', async () => {
  const options: WsTunnelOptions = { target: 'ws://a.example/' }
  const upgrade = { host: 'x', upgrade: 'websocket', connection: 'upgrade' }
  const reasons: [ExplainRequest, string | undefined][] = [
    [{ url: '/', headers: { host: 'x' } }, undefined],
    [{ url: '/', headers: { ...upgrade, upgrade: 'h2c' } }, 'the route does not allow h2c'],
    [{ url: '/', headers: { ...upgrade, 'content-length': '3' } }, 'only an HTTP/1.1 request without body can switch'],
    [{ url: '/', headers: upgrade, httpVersion: '1.0' }, 'only an HTTP/1.1 request without body can switch'],
    [{ url: '/', headers: upgrade, method: 'POST' }, 'a WebSocket handshake is a GET'],
    [{ url: '/', headers: { ...upgrade, connection: 'close' } }, 'there is no Connection: upgrade'],
  ]
  for (const [request, reason] of reasons) {
    const { outcome }: Explanation = await explain(options, request)
    assert.equal(outcome.kind, 'http')
    assert.equal(outcome.kind === 'http' && outcome.reason, reason)
  }
})

test('explains which plain requests a function in fallback serves', async () => {
  const options: WsTunnelOptions = {
    target: 'balancer://none/',
    balancers: { none: { members: [] } },
    fallback: byFunction,
  }
  const upgrade = { host: 'x', upgrade: 'h2c', connection: 'upgrade' }
  for (const [headers, reason] of [
    [{ host: 'x' }, undefined],
    [upgrade, 'the route does not allow h2c'],
  ] as const) {
    assert.deepEqual((await explain(options, { url: '/', headers })).outcome, { kind: 'fallback', route: 0, reason })
  }
})

test('explains the fields for client address and TLS, and a unix socket', async () => {
  const { outcome } = await explain(
    { target: 'unix:/run/chat.sock|ws://chat.internal/' },
    { url: '/', headers: { host: 'x' }, remoteAddress: '::ffff:192.0.2.7', encrypted: true },
  )
  assert.ok(outcome.kind === 'http')
  const fields = new Map(outcome.backend.headers)
  assert.equal(outcome.backend.socketPath, '/run/chat.sock')
  assert.equal(fields.get('X-Forwarded-For'), '192.0.2.7')
  assert.equal(fields.get('X-Forwarded-Proto'), 'https')
  assert.equal(fields.get('Host'), 'chat.internal')
})

test('shows each line of a repeated field, and applies requestHeaders to them', async () => {
  const lines: [string, string][] = [
    ['Cookie', 'a=1'],
    ['User-Agent', 'first'],
    ['cookie', 'b=2'],
    ['user-agent', 'second'],
    ['__proto__', 'x'],
  ]
  const { outcome } = await explain(
    { target: 'http://h/', addHeaders: false, requestHeaders: { append: { 'X-New': '1' } } },
    { url: '/', headers: [['Host', 'front.example'], ...lines] },
  )
  assert.ok(outcome.kind === 'http')
  assert.deepEqual(outcome.backend.headers.slice(1, -1), [...lines, ['X-New', '1']])
})

test('refuses wrong options and impossible requests', async () => {
  await assert.rejects(explain({ target: 'nowhere' }, { url: '/' }), { code: 'WST_ERR_OPTION' })
  await assert.rejects(explain({ target: 'ws://a/' }, { url: '/a b' }), TypeError)
  await assert.rejects(explain({ target: 'ws://a/' }, { url: '/', method: 'G T' }), TypeError)
  await assert.rejects(explain({ target: 'ws://a/' }, { url: '/', headers: { 'x y': '1' } }), TypeError)
  await assert.rejects(explain({ target: 'ws://a/' }, { url: '/', headers: { x: '1\r\ny: 2' } }), TypeError)
})

test('explains a path in another spelling: refused before a route is tried, or normalised', async () => {
  const target = 'ws://127.0.0.1:9/'
  const request = { url: '/a//x', headers: PLAIN }
  const refused = await explain({ paths: 'exact', routes: [{ path: '/', target }] }, request)
  assert.ok(refused.outcome.kind === 'refused')
  assert.deepEqual(
    [refused.outcome.code, refused.outcome.statusCode, refused.outcome.route],
    ['WST_ERR_PATH_SPELLING', 400, undefined],
  )
  assert.deepEqual(
    refused.routes.map(({ tried, matched, reason }) => [tried, matched, reason]),
    [[false, false, 'the request is refused before a route is tried']],
  )
  const normalised = await explain({ routes: [{ path: '/', target }] }, request)
  assert.ok(normalised.outcome.kind === 'http')
  assert.equal(normalised.outcome.backend.requestLine, 'GET /a/x HTTP/1.1')
})
