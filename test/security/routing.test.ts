import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { createTunnelProxy, type RouteOptions } from '@ws-tunnel/core'
import { type BackendRequest, echo, raw, responding } from '../support/backend.ts'
import { plainRequest, upgradeRequest } from '../support/client.ts'
import { startExpress5 } from '../support/frameworks.ts'
import { within } from '../support/gate.ts'
import { backendReleased, type SetUpOptions, setUpOn, startBackend, statusesOf } from '../support/harness.ts'

const setUp = setUpOn(startExpress5)

const KINDS = ['an upgrade', 'a plain request'] as const
type Kind = (typeof KINDS)[number]

const CLOSE = ['Connection: close']
const requestOf = (kind: Kind, path: string): string =>
  kind === 'an upgrade' ? upgradeRequest(path) : plainRequest(path, { headers: CLOSE })

/** Refuses every upgrade, so that each connection ends at once. */
const refusing = raw('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')

/** The path that a backend reads from a request target: decoded once, with dot segments and empty segments resolved. */
function meaning(target: string): string {
  const path = (target.split(/[?#]/)[0] as string).replace(/%([0-9a-f]{2})/gi, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  )
  const segments: string[] = []
  for (const segment of path.split('/')) {
    if (segment === '..') segments.pop()
    else if (segment !== '.' && segment !== '') segments.push(segment)
  }
  return `/${segments.join('/')}`
}

const under = (path: string, prefix: string): boolean => path === prefix || path.startsWith(`${prefix}/`)

/** Spellings of a path from `/public` to `/internal`. */
function* spellings(): Generator<string> {
  const begins = ['/public', '//public', '/%70ublic', '']
  const hops = [
    ...['/..', '/%2e%2e', '/.%2e', '/%2E.', '/..;', '/..;x=1', '//..', '/.//..', '/../.', '/...', '/%252e%252e'],
    ...[
      '\\..',
      '%5c..',
      '/..%2f',
      '%2f..',
      '/..%5c',
      '%2f%2e%2e',
      '/..%00',
      '/..%20',
      '/%c0%ae%c0%ae',
      '/x/../..',
      '/.',
    ],
    '',
  ]
  const ends = ['/internal', '/%69nternal/x', '//internal/', '/internal%2fx']
  for (const begin of begins) for (const hop of hops) for (const end of ends) yield begin + hop + end
}

const ALL = [...spellings()].filter(path => path.startsWith('/'))

test('tries more than 200 spellings', () => {
  assert.ok(new Set(ALL).size > 200, `${new Set(ALL).size}`)
})

/** The requests that arrived at the backend for the spellings. Each spelling must get a response with a status line. */
async function arrivals(t: TestContext, kind: Kind, options: SetUpOptions, mount = '/'): Promise<BackendRequest[]> {
  const { backend, sendAndReadAll } = await setUp(
    t,
    kind === 'an upgrade' ? refusing : responding({ headers: CLOSE }),
    options,
    {
      mount,
    },
  )
  const mute: string[] = []
  const lane = async (paths: string[]): Promise<void> => {
    for (const path of paths) if (statusesOf(await sendAndReadAll(requestOf(kind, path))).length !== 1) mute.push(path)
  }
  const lanes = 16
  await Promise.all(Array.from({ length: lanes }, (_, i) => lane(ALL.filter((_path, j) => j % lanes === i))))
  assert.deepEqual(mute, [])
  return backend.seen
}

for (const kind of KINDS) {
  for (const encodedSlashes of ['reject', 'decode'] as const) {
    test(`sends ${kind} for a denied path to no backend of another route (encoded slashes: ${encodedSlashes})`, async t => {
      const seen = await arrivals(t, kind, ({ address }) => ({
        encodedSlashes,
        routes: [
          { path: '/internal', target: false },
          { path: '/', target: `ws://${address}` },
        ],
      }))
      assert.ok(seen.length > 0, 'some spellings are another path and must arrive')
      assert.deepEqual(
        seen.map(({ path }) => path).filter(path => under(meaning(path), '/internal')),
        [],
      )
    })

    for (const join of encodedSlashes === 'reject' ? (['slash', 'concat'] as const) : (['slash'] as const)) {
      test(`keeps the path of ${kind} below its target (encoded slashes: ${encodedSlashes}, join: ${join})`, async t => {
        const seen = await arrivals(t, kind, ({ address }) => ({
          encodedSlashes,
          join,
          routes: [{ path: '/public', target: `ws://${address}/base/deep` }],
        }))
        assert.ok(seen.length > 0)
        assert.deepEqual(
          seen.map(({ path }) => path).filter(path => !under(meaning(path), '/base/deep')),
          [],
        )
      })
    }
  }

  test(`keeps the path of ${kind} below its mount point`, async t => {
    const seen = await arrivals(t, kind, ({ address }) => ({ target: `ws://${address}/base/deep` }), '/public')
    assert.ok(seen.length > 0)
    assert.deepEqual(
      seen.map(({ path }) => path).filter(path => !under(meaning(path), '/base/deep')),
      [],
    )
  })

  for (const [name, path, target] of [
    ['RegExp', /^\/public\/(.*)$/, '/base/deep/$1'],
    ['pattern', '/public/*rest', '/base/deep/:rest'],
  ] as const) {
    test(`keeps the path of ${kind} below the target of a ${name}`, async t => {
      const seen = await arrivals(t, kind, ({ address }) => ({
        routes: [{ path, target: `ws://${address}${target}` }],
      }))
      assert.ok(seen.length > 0)
      assert.deepEqual(
        seen.map(each => each.path).filter(each => !under(meaning(each), '/base/deep')),
        [],
      )
    })
  }

  test(`puts no dot segments of a capture of ${kind} into the path`, async t => {
    const { backend, sendAndReadAll } = await setUp(
      t,
      kind === 'an upgrade' ? refusing : responding({ headers: CLOSE }),
      ({ address }) => ({
        routes: [
          { path: /^\/files(.*)$/, target: `ws://${address}/base/deep/$1` },
          { path: '/room', when: [{ header: 'x-room', matches: /(.*)/ }], target: `ws://${address}/base/deep/%1` },
        ],
      }),
    )
    for (const path of ['/files../internal', '/files..', '/files../../internal', '/files.%2e/internal', '/files./x']) {
      assert.equal(statusesOf(await sendAndReadAll(requestOf(kind, path))).length, 1, path)
    }
    for (const room of ['../../internal', '..', '../..', 'x/../../../internal']) {
      const request = requestOf(kind, '/room').replace('\r\n\r\n', `\r\nX-Room: ${room}\r\n\r\n`)
      assert.equal(statusesOf(await sendAndReadAll(request)).length, 1, room)
    }
    assert.deepEqual(
      backend.seen.map(({ path }) => path).filter(path => !under(meaning(path), '/base/deep')),
      [],
    )
  })

  const SPLITTERS = [
    '%0d%0aX-Injected:%201',
    '%0aX-Injected:%201',
    '%0dX-Injected:%201',
    '%20HTTP/1.1%0d%0aX-Injected:%201%0d%0a%0d%0aGET%20/internal%20HTTP/1.1',
    'a%20b',
    'a%09b',
    'a%7fb',
    'a%0bb',
    'a%c4%8d%c4%8ab',
    'a%e5%98%8a%e5%98%8dX-Injected:%201',
    'a%e2%80%a8b',
    'a%3fb=%0d%0a',
    'a%23b',
    'a?b=%0d%0aX-Injected:%201',
    'a?b=\xe9\xff',
  ]

  for (const [name, route] of Object.entries<(address: string) => RouteOptions>({
    'a prefix': address => ({ path: '/here', target: `ws://${address}/there` }),
    'a RegExp': address => ({ path: /^\/here\/(.*)$/, target: `ws://${address}/there/$1` }),
    'a RegExp into the query': address => ({ path: /^\/here\/(.*)$/, target: `ws://${address}/there?room=$1` }),
    'a pattern': address => ({ path: '/here/*rest', target: `ws://${address}/there/:rest` }),
    'a function': address => ({ path: '/here', target: (_req, { rest }) => `ws://${address}/there${rest}` }),
    'a function with the raw URL': address => ({ path: '/here', target: req => `ws://${address}${req.url}` }),
    'raw paths': address => ({ path: '/here', target: `ws://${address}/there`, nocanon: true }),
  })) {
    test(`never splits the request of ${kind} that is routed by ${name}`, async t => {
      const script = kind === 'an upgrade' ? refusing : responding({ headers: CLOSE })
      const { backend, sendAndReadAll } = await setUp(t, script, ({ address }) => ({ routes: [route(address)] }))
      for (const splitter of SPLITTERS) {
        const before = backend.seen.length
        const statuses = statusesOf(await sendAndReadAll(requestOf(kind, `/here/${splitter}`)))
        assert.equal(statuses.length, 1, splitter)
        assert.ok(backend.seen.length <= before + 1, splitter)
      }
      for (const request of backend.seen) {
        assert.match(request.startLine, /^GET \/[\x21-\x7e\x80-\xff]* HTTP\/1\.1$/)
        assert.equal(request.header('x-injected'), undefined)
        assert.doesNotMatch(request.raw, /^x-injected/im)
        assert.doesNotMatch(request.path, /^\/internal/)
      }
      assert.deepEqual(
        backend.connections.map(each => each.pending.toString('latin1')).filter(rest => rest !== ''),
        [],
      )
    })
  }

  test(`takes the host of ${kind} never from the path, even with join: concat`, async t => {
    const decoy = await startBackend(t, responding())
    const { backend, sendAndReadAll } = await setUp(
      t,
      kind === 'an upgrade' ? refusing : responding({ headers: CLOSE }),
      ({ address }) => ({
        join: 'concat',
        routes: [
          { path: '/glued/', target: `ws://${address}` },
          { path: '/', target: `ws://${address}` },
        ],
      }),
    )
    const paths = [
      '.evil.example/',
      '@evil.example/',
      ':80@evil.example/',
      `@${decoy.address}/`,
      `:${decoy.port}/`,
      '//evil.example/',
    ]
    for (const path of [...paths, `unix:/tmp/x.sock|ws://${decoy.address}/`, `ws://${decoy.address}/`]) {
      for (const prefix of ['/glued/', '/']) {
        assert.equal(statusesOf(await sendAndReadAll(requestOf(kind, prefix + path))).length, 1, path)
      }
    }
    for (const { path, header } of backend.seen) {
      assert.ok(path.startsWith('/'), path)
      assert.equal(header('host'), backend.address)
    }
    assert.deepEqual(decoy.connections, [])
  })

  test(`400s a fragment in the target of ${kind}`, async t => {
    const { backend, sendAndReadAll } = await setUp(t, echo())
    for (const path of ['/a#b', '/#', '/a?b#c']) {
      assert.deepEqual(statusesOf(await sendAndReadAll(requestOf(kind, path))), [400], path)
    }
    assert.deepEqual(backend.connections, [])
  })

  test(`404s an encoded slash or NUL, and 400s an invalid escape, in the path of ${kind}`, async t => {
    const { backend, sendAndReadAll } = await setUp(t, echo())
    const statuses: Record<string, number> = {
      '/a%2Fb': 404,
      '/a%2fb': 404,
      '/a%00b': 404,
      '/a%zzb': 400,
      '/a%': 400,
      '/a%2': 400,
      '/..': 400,
      '/a/../..': 400,
    }
    for (const [path, status] of Object.entries(statuses)) {
      assert.deepEqual(statusesOf(await sendAndReadAll(requestOf(kind, path))), [status], path)
    }
    assert.deepEqual(backend.connections, [])
  })

  test(`414s a path of more than 8 KiB of ${kind} before it is matched with a pattern`, async t => {
    // Without the limit the first of these would keep the process busy for a very long time.
    for (const path of [/^\/(a+)+$/, '/:name']) {
      const { backend, sendAndReadAll } = await setUp(t, responding({ headers: CLOSE }), ({ address }) => ({
        routes: [{ path, target: `http://${address}/` }],
      }))
      const text = await within(3_000, 'a response', sendAndReadAll(requestOf(kind, `/${'a'.repeat(8_200)}!`)))
      assert.deepEqual(statusesOf(text), [414])
      assert.deepEqual(backend.connections, [])
    }
  })

  test(`500s ${kind} whose condition, target or header function throws, and continues`, async t => {
    const fail = (): never => {
      throw new Error('a mistake')
    }
    const { backend, sendAndReadAll, gateway } = await setUp(
      t,
      kind === 'an upgrade' ? echo() : responding({ headers: CLOSE }),
      ({ address }) => {
        const target = `ws://${address}`
        return {
          routes: [
            { path: '/condition', when: [{ test: fail }], target },
            { path: '/any', when: [{ any: [{ test: fail }] }], target },
            { path: '/target', target: fail },
            { path: '/rejects', target: async () => fail() },
            { path: '/nothing', target: (() => undefined) as never },
            { path: '/number', target: (() => 42) as never },
            { path: '/scheme', target: () => 'ftp://127.0.0.1/' },
            { path: '/space', target: () => 'ws://127.0.0.1 .example/' },
            { path: '/request', requestHeaders: fail, target },
            { path: '/response', responseHeaders: fail, target },
          ],
        }
      },
    )
    const paths = [
      'condition',
      'any',
      'target',
      'rejects',
      'nothing',
      'number',
      'scheme',
      'space',
      'request',
      'response',
    ]
    for (const path of paths) {
      assert.deepEqual(statusesOf(await sendAndReadAll(requestOf(kind, `/${path}`))), [500], path)
    }
    assert.deepEqual(
      gateway.errors.map(({ code }) => code),
      paths.map(() => 'WST_ERR_CALLBACK'),
    )
    assert.match(await sendAndReadAll(plainRequest('/own', { headers: CLOSE })), /^HTTP\/1\.1 200 /)
    await backendReleased(backend)
  })
}

test('refuses a capture in scheme, host or port when the options are read', () => {
  const targets = [
    'ws://backend$1/',
    'ws://$1/',
    'ws://$0.backend.example/',
    'ws://backend.example:$1/',
    'ws://backend.example:80$1/',
    'ws://%1/',
    'ws://backend%1.example/',
    'ws://user$1@backend.example/',
    'ws://[$1]/',
    '$1://backend.example/',
    '$1',
  ]
  for (const target of targets) {
    const options = { routes: [{ path: /^\/(.*)$/, when: [{ header: 'host', matches: /(.*)/ }], target }] }
    assert.throws(() => createTunnelProxy(options), { code: 'WST_ERR_OPTION' }, target)
  }
  for (const target of ['ws://:id/', 'ws://:id.example/', 'ws://backend.example::id/']) {
    assert.throws(() => createTunnelProxy({ routes: [{ path: '/:id', target }] }), { code: 'WST_ERR_OPTION' }, target)
  }
})

test('opens no tunnel for CONNECT, TRACE or OPTIONS', async t => {
  const { backend, sendAndReadAll } = await setUp(t, echo())
  const connected = await sendAndReadAll(
    `CONNECT ${backend.address} HTTP/1.1\r\nHost: ${backend.address}\r\n\r\nsecret`,
  )
  assert.deepEqual(
    statusesOf(connected).filter(status => status !== 405 && status !== 501),
    [],
  )
  const upgraded = await sendAndReadAll(upgradeRequest(backend.address, { method: 'CONNECT' }))
  assert.deepEqual(
    statusesOf(upgraded).filter(status => status < 400),
    [],
  )
  assert.deepEqual(backend.connections, [])

  const plain = await setUp(t, responding({ headers: CLOSE }))
  for (const method of ['TRACE', 'OPTIONS', 'HEAD']) {
    const request = upgradeRequest('/', { method, headers: { Connection: 'Upgrade, close' } })
    assert.doesNotMatch(await plain.sendAndReadAll(request), /^HTTP\/1\.1 101 /)
  }
  for (const { header } of plain.backend.seen) assert.equal(header('upgrade'), undefined)
})

test('does not treat the asterisk of OPTIONS * as a path', async t => {
  const { backend, sendAndReadAll } = await setUp(t, responding({ headers: CLOSE }))
  for (const method of ['OPTIONS', 'GET']) {
    const text = await sendAndReadAll(`${method} * HTTP/1.1\r\nHost: front.example\r\nConnection: close\r\n\r\n`)
    assert.equal(statusesOf(text).length, 1, text)
  }
  assert.deepEqual(
    backend.seen.map(({ path }) => path).filter(path => path !== '*'),
    [],
  )
})

test('431s a head that is too large, and drops no field of a smaller one', async t => {
  const { backend, sendAndReadAll, connect } = await setUp(t, echo())
  const large = {
    'long target': upgradeRequest(`/${'a'.repeat(20_000)}`),
    'long value': upgradeRequest('/', { headers: { 'X-Long': 'a'.repeat(20_000) } }),
    'many fields': upgradeRequest('/', {
      headers: Object.fromEntries(Array.from({ length: 4_000 }, (_, i) => [`x${i}`, ''])),
    }),
  }
  for (const [name, request] of Object.entries(large)) {
    assert.deepEqual(
      statusesOf(await sendAndReadAll(request)).filter(status => status !== 431 && status !== 414),
      [],
      name,
    )
  }
  assert.deepEqual(backend.connections, [])

  const fields = Object.fromEntries(Array.from({ length: 900 }, (_, i) => [`x${i}`, `${i}`]))
  const client = await connect()
  client.send(upgradeRequest('/', { headers: fields }))
  assert.equal((await client.responseHead()).statusCode, 101)
  const { header } = await backend.request()
  for (const [name, value] of Object.entries(fields)) assert.equal(header(name), value)
})
