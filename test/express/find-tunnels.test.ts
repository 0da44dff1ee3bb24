import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect as connectTo } from 'node:net'
import { suite, test } from 'node:test'
import { wsTunnel } from '@ws-tunnel/express'
import connect from 'connect'
import express5 from 'express'
import express4 from 'express4'
import { leadsToTunnel, usesMiddleware } from '../../packages/express/src/find-tunnels.ts'

const requestTo = (url: string): IncomingMessage =>
  ({ url, method: 'GET', headers: { upgrade: 'x' }, rawHeaders: ['Upgrade', 'x'] }) as unknown as IncomingMessage

const tunnelFor = (t: { after: (fn: () => unknown) => void }, options: object = {}): never => {
  const tunnel = wsTunnel({ target: 'ws://localhost:9/', ...options })
  t.after(() => tunnel.close())
  return tunnel as never
}

const other = (_req: unknown, _res: unknown, next: () => void): void => next()

interface Express {
  name: string
  app: () => ReturnType<typeof express5>
  router: (options?: object) => ReturnType<typeof express5.Router>
  all: string
}

const EXPRESSES: Express[] = [
  { name: 'Express 5', app: express5, router: options => express5.Router(options), all: '/*rest' },
  {
    name: 'Express 4',
    app: express4 as never,
    router: options => (express4 as unknown as typeof express5).Router(options),
    all: '*',
  },
]

for (const { name, app: createApp, router, all } of EXPRESSES) {
  suite(name, () => {
    const rows: [title: string, build: (t: never) => unknown, leads: Record<string, boolean | undefined>][] = [
      [
        'a mount',
        t => createApp().use(other).use('/live', tunnelFor(t)),
        {
          '/live': true,
          '/live/x?y': true,
          '/LIVE/x': true,
          '/livex': false,
          '/': false,
          '/x/live': false,
          '/%zz': false,
        },
      ],
      [
        'a route and a router in a router',
        t => {
          const inner = router().get('/rooms/:id', other as never, tunnelFor(t))
          return createApp().use('/api', router({ mergeParams: true }).use('/:version', inner))
        },
        { '/api/v1/rooms/7': true, '/api/v1/rooms': false, '/api/rooms/7': false, '/rooms/7': false },
      ],
      [
        'routes of a tunnel at the root',
        t =>
          createApp().use(
            tunnelFor(t, { target: undefined, routes: [{ path: '/chat', target: 'ws://localhost:9/' }] }),
          ),
        { '/chat/x': true, '/other': false },
      ],
      ['a tunnel for every path', t => createApp().use(tunnelFor(t)), { '/chat': undefined }],
      ['a route for every path', t => createApp().all(all, tunnelFor(t)), { '/chat': undefined }],
      [
        'a sub-app',
        t => createApp().use('/sub', createApp().use('/live', tunnelFor(t))),
        { '/sub/live': undefined, '/live': false },
      ],
      [
        'a function around an app',
        t => {
          const app = createApp().use('/live', tunnelFor(t))
          return (req: never, res: never) => app(req, res)
        },
        { '/live': undefined },
      ],
    ]
    for (const [title, build, leads] of rows) {
      test(`tells which paths lead to a tunnel: ${title}`, t => {
        const app = build(t as never)
        const found = Object.fromEntries(Object.keys(leads).map(url => [url, leadsToTunnel(app, requestTo(url))]))
        assert.deepEqual(found, leads)
      })
    }

    test('finds a middleware wherever an app uses it, and no other', t => {
      const [used, unused] = [tunnelFor(t), tunnelFor(t)]
      for (const app of [
        createApp().use(used),
        createApp().get('/x', used),
        createApp().use(router().use('/y', router().all('/z', used))),
      ])
        assert.deepEqual([usesMiddleware(app, used), usesMiddleware(app, unused)], [true, false])
    })
  })
}

test('Connect: tells which paths lead to a tunnel; a mount does not end before a dot', t => {
  const app = connect()
    .use(other as never)
    .use('/live', tunnelFor(t))
  const found = ['/live', '/live/x', '/LIVE', '/live.x', '/livex', '/'].map(url => leadsToTunnel(app, requestTo(url)))
  assert.deepEqual(found, [true, true, true, false, false, false])
})

test('a tunnel listens on its server from the first connection, and on no other server', async t => {
  const tunnel = tunnelFor(t)
  const open = async (listener: (req: never, res: never) => void): Promise<ReturnType<typeof createServer>> => {
    const server = createServer(listener as never).listen(0, '127.0.0.1')
    t.after(() => server.close())
    await once(server, 'listening')
    const socket = connectTo((server.address() as AddressInfo).port, '127.0.0.1')
    await once(server, 'connection')
    socket.destroy()
    return server
  }
  const stranger = await open(express5().use(other as never) as never)
  const host = await open(express5().use('/live', tunnel) as never)
  assert.deepEqual([stranger.listenerCount('upgrade'), host.listenerCount('upgrade')], [0, 1])
  await (tunnel as { close(): Promise<void> }).close()
  assert.equal(host.listenerCount('upgrade'), 0)
})
