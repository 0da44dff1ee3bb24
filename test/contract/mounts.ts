import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { wsTunnel } from '@ws-tunnel/express'
import type express from 'express'
import { echo, responding } from '../support/backend.ts'
import { plainRequest, upgradeRequest } from '../support/client.ts'
import { connectClient, connectTunnel, startBackend } from '../support/harness.ts'
import { startServer } from '../support/server.ts'

/** Mounts, which Express 4 and Express 5 treat alike. */
export function mounts(name: string, framework: () => typeof express): void {
  describe(`${name}: mounts`, () => {
    /** The path that the backend gets for an upgrade which is the first request of its server. */
    const rows: [what: string, mount: (app: express.Express, target: string) => void, path: string, seen: string][] = [
      [
        'app.use with a parameter',
        (app, target) => app.use('/rooms/:room', wsTunnel({ target })),
        '/rooms/7/x?q',
        '/b/x?q',
      ],
      [
        'app.use with several paths',
        (app, target) => app.use(['/one', '/two'], wsTunnel({ target })),
        '/two/x',
        '/b/x',
      ],
      ['app.use with a RegExp', (app, target) => app.use(/^\/r\d+/, wsTunnel({ target })), '/r12/x', '/b/x'],
      [
        'app.get, which keeps the whole path',
        (app, target) => app.get('/ws2/:room', wsTunnel({ target })),
        '/ws2/7?q',
        '/b/ws2/7?q',
      ],
      ['app.all, which keeps the whole path', (app, target) => app.all('/ws2', wsTunnel({ target })), '/ws2', '/b/ws2'],
      [
        'a Router',
        (app, target) => {
          const router = framework().Router()
          router.use('/live', wsTunnel({ target }))
          app.use('/api/:version', router)
        },
        '/api/v1/live/x',
        '/b/x',
      ],
      [
        'a route of a Router, which keeps the path after the mount of the Router',
        (app, target) => {
          const router = framework().Router()
          router.get('/live/:room', wsTunnel({ target }))
          app.use('/api', router)
        },
        '/api/live/7',
        '/b/live/7',
      ],
      [
        'a sub-app',
        (app, target) => {
          const sub = framework()()
          sub.use('/live', wsTunnel({ target }))
          app.use('/sub', sub)
        },
        '/sub/live/x',
        '/b/x',
      ],
    ]
    for (const [what, mount, path, seen] of rows) {
      test(`tunnels from ${what}`, async t => {
        const backend = await startBackend(t, echo())
        const app = framework()()
        mount(app, `ws://${backend.address}/b`)
        const { port } = await startServer(t, app)
        const client = await connectTunnel(t, port, path)
        assert.equal((await client.send('hello').readExact(5)).toString(), 'hello')
        client.end()
        await client.readAll()
        backend.play(responding())
        const plain = await connectClient(t, port)
        assert.equal((await plain.send(plainRequest(path)).whole()).statusCode, 200)
        assert.deepEqual(
          backend.seen.map(request => request.path),
          [seen, seen],
        )
      })
    }

    test('tunnels to the url that earlier middleware has rewritten', async t => {
      const backend = await startBackend(t, echo())
      const app = framework()()
      app.use((req, _res, next) => {
        req.url = `/v2${req.url}`
        next()
      })
      app.use(wsTunnel({ target: `ws://${backend.address}/b` }))
      const { port } = await startServer(t, app)
      await connectTunnel(t, port, '/x?q')
      assert.equal((await backend.request()).path, '/b/v2/x?q')
    })

    test('serves the same middleware on several servers and at several mounts', async t => {
      const backend = await startBackend(t, echo())
      const tunnel = wsTunnel({ target: `ws://${backend.address}/b` })
      for (const mount of ['/one', '/two']) {
        const { port, server } = await startServer(t, framework()().use(mount, tunnel))
        for (let i = 0; i < 2; i++) {
          const client = await connectTunnel(t, port, `${mount}/x`)
          client.end('bye')
          assert.equal((await client.readAll()).toString(), 'bye')
        }
        assert.equal(server.listenerCount('upgrade'), 1)
      }
      assert.deepEqual(
        backend.seen.map(request => request.path),
        ['/b/x', '/b/x', '/b/x', '/b/x'],
      )
    })

    test('does not listen on a server that has no tunnel', async t => {
      const backend = await startBackend(t, echo())
      const { port } = await startServer(t, framework()().use(wsTunnel({ target: `ws://${backend.address}` })))
      const other = await startServer(
        t,
        framework()().get('/', (_req, res) => void res.send('other')),
      )
      await connectTunnel(t, port, '/')
      const plain = await connectClient(t, other)
      assert.equal((await plain.send(upgradeRequest('/')).whole()).body, 'other')
      assert.equal(other.server.listenerCount('upgrade'), 0)
    })

    test('runs the middleware of a route before its tunnel', async t => {
      const backend = await startBackend(t, echo())
      const app = framework()()
      app.get(
        '/live',
        (req, res, next) => void (req.query['token'] === 'yes' ? next() : res.status(403).json({ why: 'token' })),
        wsTunnel({ target: `ws://${backend.address}` }),
      )
      const { port } = await startServer(t, app)
      const refused = await connectClient(t, port)
      assert.equal((await refused.send(upgradeRequest('/live')).whole()).body, '{"why":"token"}')
      assert.equal(backend.connections.length, 0)
      await connectTunnel(t, port, '/live?token=yes')
    })

    for (const [type, body, parser] of [
      ['application/x-www-form-urlencoded', 'a=1&b%5Bc%5D=2', () => framework().urlencoded({ extended: true })],
      ['text/plain', 'some text', () => framework().text()],
      ['application/octet-stream', '\x00\x01\xff', () => framework().raw()],
      ['application/vnd.api+json', '{"a":1}', () => framework().json({ type: '*/*' })],
    ] as const) {
      test(`forwards a body of ${type} that a parser of Express has read`, async t => {
        const backend = await startBackend(t, responding({ body: (_request, bytes) => bytes.toString('latin1') }))
        const app = framework()().use(parser(), wsTunnel({ target: `ws://${backend.address}` }))
        const { port } = await startServer(t, app)
        const client = await connectClient(t, port)
        client.send(plainRequest('/', { method: 'POST', headers: [`Content-Type: ${type}`], body }))
        const got = await client.whole()
        assert.equal(Buffer.from(got.body, 'utf8').toString(), Buffer.from(body, 'utf8').toString())
      })
    }

    test('sends the status of a failure by the error handling of Express', async t => {
      const app = framework()().use(wsTunnel({ target: 'ws://127.0.0.1:1/', routes: undefined as never }))
      const { port } = await startServer(t, app)
      const client = await connectClient(t, port)
      assert.equal((await client.send(upgradeRequest('/%2F')).whole()).statusCode, 404)
    })
  })
}
