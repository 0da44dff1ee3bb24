import assert from 'node:assert/strict'
import { test } from 'node:test'
import { record, responding } from '../support/backend.ts'
import { assertFailure } from '../support/harness.ts'
import { pathRows } from './path-rows.ts'
import type { Theme } from './theme.ts'

/** The route that matches a path, and the exact path that the backend gets. */
export const pathsTheme: Theme = (setUp, start) => {
  const rows = pathRows(setUp)

  rows('matches a prefix on segment boundaries, case and all', at => [{ path: '/a', target: `${at}/b` }], [
    ['/a', '/b'],
    ['/a/', '/b/'],
    ['/a/x', '/b/x'],
    ['/ax', 404],
    ['/A', 404],
    ['/a;p=1', 404],
    ['/a?x=1', '/b?x=1'],
    ['/a/x;p=1/y', '/b/x;p=1/y'],
    ['/', 404],
  ])

  rows('matches everything with /', at => [{ path: '/', target: `${at}/` }], [
    ['/', '/'],
    ['/x', '/x'],
    ['/x/y?q', '/x/y?q'],
  ])

  rows(
    'joins target and rest with exactly one slash',
    at => [
      { path: '/none', target: at },
      { path: '/one', target: `${at}/` },
      { path: '/deep', target: `${at}/b` },
      { path: '/deeper/', target: `${at}/b/` },
      { path: '/deepest', target: `${at}/b/` },
    ],
    [
      ['/none', '/'],
      ['/none/x', '/x'],
      ['/one/x', '/x'],
      ['/deep/x', '/b/x'],
      ['/deeper/x', '/b/x'],
      ['/deeper', 404],
      ['/deepest/x', '/b/x'],
    ],
  )

  rows(
    'concatenates target and rest as httpd does with join: concat',
    at => [
      { path: '/a/', target: `${at}/b`, join: 'concat' },
      { path: '/c', target: `${at}/d/`, join: 'concat' },
    ],
    [
      ['/a/x', '/bx'],
      ['/c', '/d/'],
      ['/c/x', '/d//x'],
    ],
  )

  rows('400s a path that leads above the root', at => [{ path: '/', target: `${at}/` }], [
    ['/../x', 400],
    ['/a/../../x', 400],
    ['/%2e%2e/x', 400],
    ['/.%2E/x', 400],
  ])

  rows(
    'keeps the query byte for byte, and appends it to the query of the target',
    at => [
      { path: '/a', target: `${at}/b` },
      { path: '/q', target: `${at}/b?fixed=1` },
    ],
    [
      ["/a?x=1&x=2&%41=%7e&q='a?b/c..", "/b?x=1&x=2&%41=%7e&q='a?b/c.."],
      ['/q', '/b?fixed=1'],
      ['/q?x=1', '/b?fixed=1&x=1'],
    ],
  )

  rows('404s an encoded slash or NUL', at => [{ path: '/a', target: `${at}/b` }], [
    ['/a/x%2Fy', 404],
    ['/a/x%2fy', 404],
    ['/a/x%00y', 404],
    ['/a/x%252Fy', '/b/x%252Fy'],
  ])

  rows(
    'decodes or keeps an encoded slash if the route allows it',
    at => [
      { path: '/keep', target: `${at}/b`, encodedSlashes: 'keep' },
      { path: '/decode', target: `${at}/b`, encodedSlashes: 'decode' },
    ],
    [
      ['/keep/x%2Fy', '/b/x%2Fy'],
      ['/keep/x%252Fy', '/b/x%252Fy'],
      ['/decode/x%2Fy', '/b/x/y'],
      ['/decode/x%2F..%2Fy', 400],
      ['/decode/x%252Fy', '/b/x%252Fy'],
    ],
  )

  test('forwards escapes that are not UTF-8, unless the router of the framework refuses them', async t => {
    const setup = await setUp(t, record())
    const client = await setup.upgrade('/a/%e9')
    const { statusCode } = await client.responseHead()
    if (setup.gateway.framework === 'Fastify 5') assert.equal(statusCode, 400)
    else assert.equal((await setup.backend.request()).path, '/a/%E9')
  })

  test('refuses an encoded slash with its own error code', async t => {
    const setup = await setUp(t, record())
    assertFailure(setup.gateway, await setup.refused('/x%2Fy'), 404, 'WST_ERR_ENCODED_SLASH')
  })

  rows(
    'selects the first route that matches',
    at => [
      { path: '/a/i', target: false },
      { path: '/a', target: `${at}/b` },
      { path: '/a/b', target: `${at}/never` },
      { path: '/o', target: `${at}/first` },
      { path: '/o/i', target: false },
    ],
    [
      ['/a/i', 404],
      ['/a/i/x', 404],
      ['/a/ix', '/b/ix'],
      ['/a/b/c', '/b/b/c'],
      ['/o/i', '/first/i'],
    ],
  )

  rows(
    'matches a RegExp and inserts its groups',
    at => [
      { path: /^\/(myApp\/ws)$/, target: `${at}/$1` },
      { path: /^\/p\/(\d+)\/(.*)$/, target: `${at}/$2/$1` },
      { path: /\.gif$/, target: `${at}` },
      { path: /^\/x\/(.*)$/, target: false },
      { path: /^\/rest(?:\/(.*))?$/, target: `${at}/r/$1` },
      { path: /in/, target: `${at}/$0` },
    ],
    [
      ['/myApp/ws?tok=1', '/myApp/ws?tok=1'],
      ['/myApp/ws/', 404],
      ['/p/12/a%20b?k=v', '/a%20b/12?k=v'],
      ['/x/1', 404],
      ['/d/y.gif?q', '/d/y.gif?q'],
      ['/rest', '/r/'],
      ['/foo/in/bar', '/in'],
    ],
  )

  rows(
    'matches a path-to-regexp pattern and inserts its parameters',
    at => [
      { path: '/rooms/:room/ws', target: `${at}/room/:room` },
      { path: '/files/*rest', target: `${at}/f/:rest` },
      { path: '/opt{/:lang}/end', target: `${at}/o/:lang` },
      { path: '/lit\\:eral', target: `${at}/literal` },
    ],
    [
      ['/rooms/a%20b/ws', '/room/a%20b'],
      ['/rooms/7/ws/more?q', '/room/7/more?q'],
      ['/rooms/7', 404],
      ['/Rooms/7/ws', 404],
      ['/files/a/b', '/f/a/b'],
      ['/opt/de/end', '/o/de'],
      ['/lit:eral/x', '/literal/x'],
    ],
  )

  rows(
    '403s a result with a captured question mark',
    at => [
      { path: /^\/a\/(.*)$/, target: `${at}/rw/$1` },
      { path: '/n/:name', target: `${at}/n/:name` },
    ],
    [
      ['/a/x?q=1', '/rw/x?q=1'],
      ['/a/x%3Fy', 403],
      ['/n/x%3Fy', 403],
    ],
  )

  test('414s a path of more than 8 KiB if it would be matched with a pattern', async t => {
    const setup = await setUp(t, record(), ({ address }) => ({
      routes: [{ path: /^\/(.*)$/, target: `ws://${address}/$1` }],
    }))
    assertFailure(setup.gateway, await setup.refused(`/${'a'.repeat(8_200)}`), 414, 'WST_ERR_PATH_TOO_LONG')
    await setup.tunnel(`/${'a'.repeat(8_000)}`)
  })

  for (const target of ['ws://$1/', 'ws://back$1.example/', 'ws://127.0.0.1:$1/', 'ws://%1/']) {
    test(`refuses a capture in the authority when the options are read: ${target}`, async () => {
      await assert.rejects(async () => start('/', { routes: [{ path: /^\/(.*)$/, target }] }), {
        code: 'WST_ERR_OPTION',
      })
    })
  }

  test('matches a route only if its conditions hold, and inserts their captures', async t => {
    const setup = await setUp(t, record(), ({ address }) => ({
      routes: [
        {
          path: '/',
          when: [
            { header: 'x-not', not: /^$/ },
            { header: 'x-tenant', matches: /^(\w+)-(\d+)$/ },
          ],
          target: `ws://${address}/%2/%1`,
        },
        {
          path: '/',
          when: [
            {
              any: [
                { header: 'x-a', matches: /./ },
                { header: 'x-b', matches: /./ },
              ],
            },
          ],
          target: `ws://${address}/any`,
        },
        {
          path: '/',
          when: [{ test: req => req.method === 'GET' && req.headers['x-test'] === 'yes' }],
          target: `ws://${address}/test`,
        },
        {
          path: '/',
          when: [
            { header: 'upgrade', matches: /websocket/i },
            { header: 'connection', matches: /upgrade/i },
          ],
          target: `ws://${address}/rest`,
        },
      ],
    }))
    const seen = async (headers: Record<string, string | string[]>): Promise<string | undefined> => {
      await setup.tunnel('/x', { headers })
      return setup.backend.seen.at(-1)?.path
    }
    assert.equal(await seen({ 'X-Tenant': 'acme-7', 'X-Not': '1' }), '/7/acme/x')
    assert.equal(await seen({ 'X-Tenant': 'acme-7' }), '/rest/x')
    assert.equal(await seen({ 'X-B': '1' }), '/any/x')
    assert.equal(await seen({ 'X-Test': 'yes' }), '/test/x')
    assert.equal(await seen({}), '/rest/x')
    assert.equal((await setup.get('/x')).statusCode, 404)
  })

  test('calls a function for the target, which returns a URL, a promise or false', async t => {
    const setup = await setUp(t, record(), ({ address }) => ({
      routes: [
        {
          path: '/sync',
          target: (req, { rest }) => (rest === '/no' ? false : `ws://${address}/s/${req.headers['x-room']}`),
        },
        { path: '/async', target: async () => `ws://${address}/$1%1/` },
        { path: '/never', target: async () => false as const },
      ],
    }))
    await setup.tunnel('/sync/x', { headers: { 'X-Room': 'r' } })
    await setup.tunnel('/async/x')
    assert.deepEqual(
      setup.backend.seen.map(request => request.path),
      ['/s/r/x', '/$1%251/x'],
    )
    assert.equal((await setup.refused('/sync/no')).body, 'own 404: GET /sync/no')
    assert.equal((await setup.refused('/never')).body, 'own 404: GET /never')
  })

  const failing: [what: string, target: () => string | Promise<string>][] = [
    [
      'throws',
      () => {
        throw new Error('secret')
      },
    ],
    ['rejects', () => Promise.reject(new Error('secret'))],
    ['returns a text that is not a URL', () => 'nonsense'],
    ['returns undefined', () => undefined as unknown as string],
  ]
  for (const [what, target] of failing) {
    test(`500s a target function that ${what}`, async t => {
      const setup = await setUp(t, record(), { target })
      assertFailure(setup.gateway, await setup.refused('/'), 500, 'WST_ERR_CALLBACK')
      assert.equal((await setup.get('/')).statusCode, 500)
    })
  }

  test('500s a condition that throws', async t => {
    const when = [
      {
        test: () => {
          throw new Error('secret')
        },
      },
    ]
    const setup = await setUp(t, record(), ({ address }) => ({ target: `ws://${address}`, when }))
    assertFailure(setup.gateway, await setup.refused('/'), 500, 'WST_ERR_CALLBACK')
  })

  for (const path of ['//', '//x', '/%E0%A4%A', '/%zz', '*', '?', '/?', '/a\\..\\b', 'http://other.example/x']) {
    test(`sends a status for ${path}, upgrade or not, and continues to serve`, async t => {
      const setup = await setUp(t, responding({ statusCode: 403 }))
      for (const text of [
        await setup.upgrade(path),
        await setup.connect().then(client => client.send(`GET ${path} HTTP/1.1\r\nHost: front.example\r\n\r\n`)),
      ]) {
        assert.ok((await text.whole()).statusCode >= 400)
      }
      assert.equal((await setup.get('/own')).body, 'own')
    })
  }

  test('removes the mount path before it matches', async t => {
    const setup = await setUp(
      t,
      record(),
      ({ address }) => ({
        routes: [
          { path: '/a', target: `ws://${address}/b` },
          { path: '/', target: `ws://${address}/` },
        ],
      }),
      { mount: '/ws2' },
    )
    for (const path of ['/ws2', '/ws2/', '/ws2/a/x?q=1', '/ws2/ax']) await setup.tunnel(path)
    assert.deepEqual(
      setup.backend.seen.map(request => request.path),
      ['/', '/', '/b/x?q=1', '/ax'],
    )
    for (const path of ['/ws2x', '/a', '/']) assert.equal((await setup.refused(path)).body, `own 404: GET ${path}`)
  })

  test('distinguishes a mount path from the same path with a slash, as ProxyPass does', async t => {
    const setup = await setUp(t, record(), ({ address }) => ({ target: `ws://${address}/b` }), { mount: '/ws2' })
    for (const path of ['/ws2', '/ws2/', '/ws2?q', '/ws2/?q', '/ws2/x']) await setup.tunnel(path)
    assert.deepEqual(
      setup.backend.seen.map(request => request.path),
      ['/b', '/b/', '/b?q', '/b/?q', '/b/x'],
    )
  })
}
