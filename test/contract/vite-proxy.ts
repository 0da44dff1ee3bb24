import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fromViteProxy, type ViteProxyOptions } from '@ws-tunnel/core'
import { echo, responding } from '../support/backend.ts'
import type { Theme } from './theme.ts'

type Entry = (origin: string) => string | ViteProxyOptions

/** What the backend gets for a path: the request target, `-` if it gets nothing. */
const rows: [what: string, key: string, entry: Entry, path: string, got: string][] = [
  ['appends the whole path to the target', '/api', origin => origin, '/api/a%20b?q=1', '/api/a%20b?q=1'],
  ['keeps the path of the target before it', '/api', origin => `${origin}/base/`, '/api/a', '/base/api/a'],
  ['ends a prefix at the end of a segment', '/api', origin => origin, '/apix', '-'],
  ['takes a key that ends with a slash', '/api/', origin => origin, '/api/a', '/api/a'],
  ['takes a key as text, not as a pattern', '/a:b', origin => origin, '/a:b/c', '/a:b/c'],
  ['matches such a key nowhere else', '/a:b', origin => origin, '/ax/c', '-'],
  ['takes a key that begins with ^ as a RegExp', '^/v\\d+/', origin => origin, '/v12/a?b', '/v12/a?b'],
  [
    'rewrites the path and the query, as the client wrote them',
    '/api',
    target => ({ target: `${target}/base`, rewrite: url => url.replace(/^\/api/, '').replace('q=', 'r=') }),
    '/api/a%20b?q=1',
    '/base/a%20b?r=1',
  ],
  [
    'asks bypass, which may let it pass',
    '/api',
    target => ({ target, bypass: async () => undefined }),
    '/api/a',
    '/api/a',
  ],
  ['serves another path of the app', '/api', target => ({ target, bypass: () => '/own' }), '/api/a', '-'],
]

/** A table of Vite's `server.proxy`. */
export const viteProxyTheme: Theme = setUp => {
  for (const [what, key, entry, path, got] of rows) {
    test(`${what}: ${key} ${path}`, async t => {
      const setup = await setUp(t, responding(), ({ address }) => ({
        routes: fromViteProxy({ [key]: entry(`http://${address}`) }),
      }))
      const response = await setup.get(path)
      assert.equal(setup.backend.seen[0]?.path ?? '-', got, response.body)
    })
  }

  test('responds with the path of the app that bypass names, and with 404 to false', async t => {
    const setup = await setUp(
      t,
      responding(),
      ({ address }) => ({
        routes: fromViteProxy({
          '/api': { target: `http://${address}`, bypass: ({ url }) => (url?.includes('no') ? false : '/index.html') },
        }),
      }),
      { after: (req, res) => void res.end(`the app: ${req.url}`) },
    )
    assert.equal((await setup.get('/api/a')).body, 'the app: /index.html')
    assert.equal((await setup.get('/api/no')).statusCode, 404)
    assert.equal(setup.backend.connections.length, 0)
  })

  test('opens tunnels for a target ws: and for ws: true, and leaves a WebSocket to the next entry otherwise', async t => {
    const setup = await setUp(t, echo(), ({ address }) => ({
      routes: fromViteProxy({
        '/a/plain': `http://${address}`,
        '/b': { target: `http://${address}`, ws: true },
        '/a': `ws://${address}/last`,
      }),
    }))
    for (const [path, got] of [
      ['/a/plain', '/last/a/plain'],
      ['/b', '/b'],
    ] as const) {
      const client = await setup.tunnel(path)
      assert.equal((await client.send('hello').readExact(5)).toString(), 'hello')
      assert.equal(setup.backend.seen.at(-1)?.path, got)
    }
  })

  test('has the Host of the target for a URL and with changeOrigin, and that of the client otherwise', async t => {
    const setup = await setUp(t, responding(), ({ address }) => ({
      routes: fromViteProxy({
        '/url': `http://${address}`,
        '/changed': { target: `http://${address}`, changeOrigin: true, headers: { 'X-Set': 'yes' } },
        '/kept': { target: new URL(`http://${address}`) },
      }),
    }))
    const seen: unknown[] = []
    for (const path of ['/url', '/changed', '/kept']) {
      await setup.get(path, { host: 'page.example' })
      const request = setup.backend.seen.at(-1)
      seen.push([request?.header('host'), request?.header('x-set')])
    }
    const { address } = setup.backend
    assert.deepEqual(seen, [
      [address, undefined],
      [address, 'yes'],
      ['page.example', undefined],
    ])
  })

  test('rewrites the Origin of a WebSocket, of nothing else, and only where there is one', async t => {
    const setup = await setUp(t, echo(), ({ address }) => ({
      routes: fromViteProxy({
        '/a': { target: `ws://${address}`, rewriteWsOrigin: true, headers: { 'X-Set': 'yes' } },
      }),
    }))
    const origin = { Origin: 'https://page.example' }
    await setup.tunnel('/a', { headers: origin })
    await setup.tunnel('/a')
    setup.backend.play(responding())
    await setup.get('/a', { headers: [`Origin: ${origin.Origin}`] })
    assert.deepEqual(
      setup.backend.seen.map(request => [request.header('origin'), request.header('x-set')]),
      [
        [`http://${setup.backend.address}`, 'yes'],
        [undefined, 'yes'],
        ['https://page.example', 'yes'],
      ],
    )
  })
}
