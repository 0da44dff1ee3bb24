import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import websocket from '@fastify/websocket'
import plugin, { tunnelProxies, type WsTunnelError, wsTunnelHandler, wsTunnelPlugin } from '@ws-tunnel/fastify'
import fastify, { type FastifyInstance } from 'fastify'
import { WebSocket } from 'ws'
import { type Backend, echo, record, responding, type Script } from '../support/backend.ts'
import { plainRequest, type RawClient, upgradeRequest } from '../support/client.ts'
import { startFastify } from '../support/frameworks.ts'
import { eventually, within } from '../support/gate.ts'
import { connectTunnel, sendRequest, startBackend } from '../support/harness.ts'
import { contract } from './contract.ts'
import { assertHttp2, requestHttp2 } from './http2.ts'

contract('Fastify 5', startFastify)

interface App {
  app: FastifyInstance
  backend: Backend
  /** Set by `listen`. */
  port: number
  listen: () => Promise<void>
  upgrade: (path: string, headers?: Record<string, string>) => Promise<RawClient>
  request: (text: string) => Promise<{ statusCode: number; body: string }>
}

async function fastifyApp(t: TestContext, script: Script = echo(), options: object = {}): Promise<App> {
  const backend = await startBackend(t, script)
  const app = fastify({ forceCloseConnections: true, ...options }) as unknown as FastifyInstance
  t.after(() => app.close())
  const self: App = {
    app,
    backend,
    port: 0,
    listen: async () => {
      await app.listen({ port: 0, host: '127.0.0.1' })
      self.port = (app.server.address() as AddressInfo).port
    },
    upgrade: (path, headers = {}) => sendRequest(t, self, upgradeRequest(path, { headers })),
    request: async text => (await sendRequest(t, self, text)).whole(),
  }
  return self
}

describe('Fastify 5: the plugin', () => {
  test('handles its prefix, with and without trailing slash, and no other path', async t => {
    const { app, backend, listen, upgrade } = await fastifyApp(t, record())
    app.register(wsTunnelPlugin, { prefix: '/chat', target: `ws://${backend.address}/b` })
    app.register(wsTunnelPlugin, { prefix: '/rooms/:room/live', target: `ws://${backend.address}/r` })
    await listen()
    for (const path of ['/chat', '/chat/', '/chat/x?q', '/rooms/7/live/x'])
      assert.equal((await (await upgrade(path)).responseHead()).statusCode, 101, path)
    assert.deepEqual(
      backend.seen.map(request => request.path),
      ['/b', '/b/', '/b/x?q', '/r/x'],
    )
    for (const path of ['/chatter', '/', '/rooms/live'])
      assert.equal((await (await upgrade(path)).responseHead()).statusCode, 404, path)
  })

  test('sends what hooks have set in request.headers, or assigned to it', async t => {
    const { app, backend, listen, upgrade, request } = await fastifyApp(t, record())
    app.addHook('onRequest', async ({ headers }) => {
      headers['x-user'] = 'alice'
      delete headers['x-admin']
    })
    app.addHook('preValidation', async request => {
      request.headers = { 'x-id': '7' }
    })
    app.register(wsTunnelPlugin, { prefix: '/live', target: `ws://${backend.address}/` })
    await listen()
    const sent = { 'X-User': 'root', 'X-Admin': 'yes', 'X-Id': '1', 'X-Kept': '2' }
    assert.equal((await (await upgrade('/live', sent)).responseHead()).statusCode, 101)
    backend.play(responding())
    const lines = Object.entries(sent).map(([name, value]) => `${name}: ${value}`)
    await request(plainRequest('/live', { headers: lines }))
    assert.equal(backend.seen.length, 2)
    for (const seen of backend.seen) {
      const values = ['x-user', 'x-admin', 'x-id', 'x-kept'].map(name => seen.header(name))
      assert.deepEqual(values, ['alice', undefined, '7', '2'])
    }
  })

  test('sends the Content-Type that the client or a hook has sent, even one that Fastify cannot read', async t => {
    const { app, backend, listen, request } = await fastifyApp(t, responding())
    app.addHook('preValidation', async ({ headers }) => {
      if (headers['x-type'] !== undefined) headers['content-type'] = headers['x-type'] as string
    })
    app.register(wsTunnelPlugin, { prefix: '/live', target: `ws://${backend.address}/` })
    await listen()
    const types: [lines: string[], type: string | undefined][] = [
      [[], undefined],
      [['Content-Type: nonsense'], 'nonsense'],
      [['Content-Type: text/x; a=b'], 'text/x; a=b'],
      [['X-Type: text/y'], 'text/y'],
      [['Content-Type: nonsense', 'X-Type: text/y'], 'text/y'],
    ]
    for (const [headers, type] of types) {
      await request(plainRequest('/live', { method: 'POST', headers, body: 'a body' }))
      assert.equal(backend.seen.at(-1)?.header('content-type'), type)
    }
    assert.equal(backend.seen.length, types.length)
  })

  test('sends what hooks have set over HTTP/2', async t => {
    const { app, backend, listen } = await fastifyApp(t, responding(), { http2: true })
    app.addHook('onRequest', async ({ headers }) => {
      headers['x-user'] = 'alice'
      delete headers['x-admin']
    })
    app.addHook('preValidation', async request => {
      request.headers = { 'x-id': '7' }
    })
    app.register(wsTunnelPlugin, { prefix: '/live', target: `ws://${backend.address}/` })
    await listen()
    const session = connectHttp2(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`)
    t.after(() => session.close())
    const headers = { ':path': '/live/x', 'x-user': 'root', 'x-admin': 'yes', 'x-kept': '2', cookie: ['a=1', 'b=2'] }
    assert.equal((await requestHttp2(session, headers)).status, 200)
    const seen = await backend.request()
    const values = ['x-user', 'x-admin', 'x-id', 'x-kept'].map(name => seen.header(name))
    assert.deepEqual(values, ['alice', undefined, '7', '2'])
  })

  test('runs the hooks of its scope, and none of a sibling scope', async t => {
    const { app, backend, listen, upgrade } = await fastifyApp(t)
    const ran: string[] = []
    const scope = (name: string) => async (instance: FastifyInstance) => {
      instance.addHook('onRequest', async () => void ran.push(name))
      instance.register(wsTunnelPlugin, { prefix: `/${name}`, target: `ws://${backend.address}/` })
    }
    app.register(scope('inner'), { prefix: '/outer' })
    app.register(scope('sibling'))
    await listen()
    assert.equal((await (await upgrade('/outer/inner/x')).responseHead()).statusCode, 101)
    assert.deepEqual(ran, ['inner'])
    assert.equal((await backend.request()).path, '/x')
  })

  for (const hook of ['onRequest', 'preParsing', 'preValidation', 'preHandler'] as const) {
    test(`lets a hook (${hook}) refuse an upgrade, by reply or by error, before the backend is connected`, async t => {
      const { app, backend, listen, upgrade, request } = await fastifyApp(t)
      app.addHook(hook as 'onRequest', async (request, reply) => {
        if (request.headers['x-user'] === undefined)
          return reply.code(401).header('X-Why', 'no user').send({ login: '/login' })
        if (request.headers['x-user'] === 'mallory') throw Object.assign(new Error('not you'), { statusCode: 403 })
        reply.header('X-Hook', hook)
        return undefined
      })
      app.register(wsTunnelPlugin, { target: `ws://${backend.address}` })
      await listen()
      const refused = await (await upgrade('/')).whole()
      assert.equal(`${refused.statusCode} ${refused.header('x-why')} ${refused.body}`, '401 no user {"login":"/login"}')
      assert.equal((await (await upgrade('/', { 'X-User': 'mallory' })).whole()).statusCode, 403)
      assert.equal((await request(plainRequest('/'))).statusCode, 401)
      assert.equal(backend.connections.length, 0)
      const switched = await (await upgrade('/', { 'X-User': 'alice' })).responseHead()
      assert.equal(`${switched.statusCode} ${switched.header('x-hook')}`, `101 ${hook}`)
    })
  }

  test('keeps early bytes while an asynchronous hook is running', async t => {
    const { app, backend, listen, upgrade } = await fastifyApp(t, record())
    app.addHook('preHandler', () => sleep(50))
    app.register(wsTunnelPlugin, { target: `ws://${backend.address}` })
    await listen()
    const client = await upgrade('/')
    client.send('early')
    assert.equal((await client.responseHead()).statusCode, 101)
    assert.equal((await (await backend.connection()).readExact(5)).toString(), 'early')
  })

  test('sends the cookies that a hook has set with the 101', async t => {
    const { app, backend, listen, upgrade } = await fastifyApp(t)
    app.addHook(
      'onRequest',
      async (_request, reply) => void reply.header('Set-Cookie', 'a=1').header('Set-Cookie', 'b=2'),
    )
    app.register(wsTunnelPlugin, { target: `ws://${backend.address}` })
    await listen()
    assert.deepEqual((await (await upgrade('/')).responseHead()).headers('set-cookie'), ['a=1', 'b=2'])
  })

  test('selects by constraints between registrations at one prefix', async t => {
    const { app, backend, listen, request } = await fastifyApp(t, responding({ body: request => request.path }))
    for (const host of ['one.example', 'two.example']) {
      app.register(wsTunnelPlugin, {
        prefix: '/chat',
        target: `ws://${backend.address}/${host}`,
        constraints: { host },
      })
    }
    await listen()
    for (const host of ['one.example', 'two.example'])
      assert.equal((await request(plainRequest('/chat/x', { host }))).body, `/${host}/x`)
    assert.equal((await request(plainRequest('/chat/x', { host: 'three.example' }))).statusCode, 404)
  })

  test('refuses a second registration at one prefix, and names `routes` in the error', async () => {
    const app = fastify()
    app.register(wsTunnelPlugin, { prefix: '/chat', target: 'ws://127.0.0.1:9/' })
    app.register(wsTunnelPlugin, { prefix: '/chat', target: 'ws://127.0.0.1:9/' })
    await assert.rejects(
      async () => app.ready(),
      (error: WsTunnelError) => {
        assert.equal(error.code, 'WST_ERR_OPTION')
        assert.match(error.message, /\/chat.*`routes`/)
        return true
      },
    )
    await app.close()
  })

  test('refuses a wrong option when it is registered', async () => {
    const app = fastify()
    app.register(wsTunnelPlugin, { target: 'ws://127.0.0.1:9/', idleTimout: 5 } as never)
    await assert.rejects(async () => app.ready(), { code: 'WST_ERR_OPTION', message: /idleTimout.*idleTimeout/ })
    await app.close()
  })

  test('passes a request that no route matches to the not-found handler of its scope', async t => {
    const { app, backend, listen, upgrade, request } = await fastifyApp(t)
    app.setNotFoundHandler((_request, reply) => reply.code(404).send('root'))
    app.register(
      async scope => {
        scope.setNotFoundHandler((request, reply) => reply.code(404).send(`scope ${request.url}`))
        scope.register(wsTunnelPlugin, { routes: [{ path: '/live', target: `ws://${backend.address}` }] })
      },
      { prefix: '/scope' },
    )
    await listen()
    assert.equal((await (await upgrade('/scope/x')).whole()).body, 'scope /scope/x')
    assert.equal((await request(plainRequest('/scope/x'))).body, 'scope /scope/x')
    assert.equal((await request(plainRequest('/x'))).body, 'root')
  })

  test('does not change the content-type parsers of the app', async t => {
    const { app, backend, listen, request } = await fastifyApp(
      t,
      responding({ body: (_request, body) => String(body) }),
    )
    app.post('/own', async request => ({ parsed: request.body }))
    app.register(wsTunnelPlugin, { prefix: '/live', target: `ws://${backend.address}` })
    await listen()
    const post = { method: 'POST', headers: ['Content-Type: application/json'], body: '{"a": 1}' }
    assert.equal((await request(plainRequest('/own', post))).body, '{"parsed":{"a":1}}')
    assert.equal((await request(plainRequest('/live', post))).body, '{"a": 1}')
  })

  test('reports failures as Fastify does, with the code', async t => {
    const { app, backend, listen, upgrade } = await fastifyApp(t)
    app.register(wsTunnelPlugin, { target: `ws://${backend.address}` })
    await listen()
    const refused = await (await upgrade('/x%2Fy')).whole()
    const body = JSON.parse(refused.body) as { statusCode: number; code: string; error: string }
    assert.deepEqual(
      [refused.statusCode, body.statusCode, body.code, body.error],
      [404, 404, 'WST_ERR_ENCODED_SLASH', 'Not Found'],
    )
  })

  test('keeps the Upgrade field of a 426 in the error handling of Fastify', async t => {
    const { app, backend, listen, upgrade } = await fastifyApp(t)
    app.register(wsTunnelPlugin, { target: `ws://${backend.address}`, fallback: false })
    await listen()
    const refused = await (await upgrade('/', { Upgrade: 'foo' })).whole()
    assert.equal(`${refused.statusCode} ${refused.header('upgrade')}`, '426 websocket')
  })

  test('listens at every address of localhost', async t => {
    const { app, backend } = await fastifyApp(t)
    app.register(wsTunnelPlugin, { target: `ws://${backend.address}` })
    await app.listen({ port: 0, host: 'localhost' })
    for (const { address, port } of app.addresses() as AddressInfo[]) {
      const client = await connectTunnel(t, port, '/', {}, { host: address })
      assert.equal((await client.send('hello').readExact(5)).toString(), 'hello', address)
    }
    assert.equal(app.server.listenerCount('upgrade'), 1)
  })

  test('serves inject() as HTTP', async t => {
    const { app, backend } = await fastifyApp(
      t,
      responding({ body: (request, body) => `${request.method} ${request.path} ${body}` }),
    )
    app.register(wsTunnelPlugin, { prefix: '/live', target: `ws://${backend.address}` })
    const got = await app.inject({ method: 'POST', url: '/live/x', payload: { a: 1 } })
    assert.equal(`${got.statusCode} ${got.body}`, '200 POST /x {"a":1}')
  })

  test('logs no error for a tunnel without failure', async t => {
    const lines: string[] = []
    const { app, backend, listen, upgrade } = await fastifyApp(t, echo(), {
      logger: { level: 'warn', stream: { write: (line: string) => lines.push(line) } },
    })
    app.register(wsTunnelPlugin, { target: `ws://${backend.address}` })
    await listen()
    const client = await upgrade('/')
    assert.equal((await client.responseHead()).statusCode, 101)
    client.end('bye')
    assert.equal((await client.readAll()).toString(), 'bye')
    await app.close()
    assert.deepEqual(lines, [])
  })

  for (const [order, only] of [
    ['before', undefined],
    ['after', undefined],
    ['before', '/live'],
    ['after', '/live'],
  ] as const) {
    test(`shares a server with @fastify/websocket, registered ${order} it, by its prefix (only: ${only})`, async t => {
      const { app, backend, listen, upgrade } = await fastifyApp(t, echo({ early: 'behind' }))
      const tunnel = (): unknown =>
        app.register(wsTunnelPlugin, { prefix: '/live', target: `ws://${backend.address}`, ...(only && { only }) })
      if (order === 'after') tunnel()
      app.register(websocket)
      app.register(async scope => {
        scope.get('/own-ws', { websocket: true }, socket => {
          socket.on('message', data => socket.send(`own ${data}`))
        })
      })
      if (order === 'before') tunnel()
      await listen()
      const address = app.server.address() as AddressInfo
      for (let i = 0; i < 2; i++) {
        const client = await upgrade('/live')
        assert.equal((await client.responseHead()).statusCode, 101)
        assert.equal((await client.readExact(6)).toString(), 'behind')
        const socket = new WebSocket(`ws://127.0.0.1:${address.port}/own-ws`)
        await within(5_000, 'the WebSocket of the app', once(socket, 'open'))
        socket.send('hello')
        const [data] = (await once(socket, 'message')) as [Buffer]
        assert.equal(data.toString(), 'own hello')
        socket.terminate()
      }
    })
  }

  test('runs onResponse once at the end of a tunnel, and onRequestAbort not at all', async t => {
    const { app, backend, listen, upgrade } = await fastifyApp(t, echo())
    const ran: string[] = []
    app.addHook('onResponse', (_request, reply, done) => {
      ran.push(`onResponse ${reply.raw.statusCode}`)
      done()
    })
    app.addHook('onRequestAbort', (_request, done) => {
      ran.push('onRequestAbort')
      done()
    })
    app.register(wsTunnelPlugin, { target: `ws://${backend.address}` })
    await listen()
    const client = await upgrade('/')
    assert.equal((await client.responseHead()).statusCode, 101)
    assert.equal((await client.send('hello').readExact(5)).toString(), 'hello')
    assert.deepEqual(ran, [])
    client.end()
    await client.readAll()
    await eventually(() => assert.ok(ran.length > 0))
    await client.closed
    assert.deepEqual(ran, ['onResponse 101'])
  })

  test('serves HTTP/2, and refuses extended CONNECT with 501', async t => {
    const bodies: string[] = []
    const { app, backend, listen } = await fastifyApp(
      t,
      responding({
        headers: ['X-Back: 1', 'Connection: keep-alive'],
        body: ({ method, path }, body) => {
          bodies.push(`${method} ${path} ${body}`.trim())
          return 'from the backend'
        },
      }),
      { http2: true, http2SessionTimeout: 1_000 },
    )
    app.register(wsTunnelPlugin, { prefix: '/live', target: `ws://${backend.address}` })
    await listen()
    await assertHttp2((app.server.address() as AddressInfo).port, () => bodies.slice(0, 2))
  })
})

test('Fastify 5: preHandler, config and httpMethods stand beside the options of the plugin', async t => {
  const { app, backend, listen, upgrade, request } = await fastifyApp(t)
  const seen: unknown[] = []
  app.register(wsTunnelPlugin, {
    prefix: '/live',
    target: `ws://${backend.address}/`,
    drainTimeout: 0,
    config: { role: 'user' } as object,
    httpMethods: ['GET', 'POST'],
    preHandler: async (req, reply) => {
      seen.push((req.routeOptions.config as { role?: string }).role)
      if (req.url === '/live/secret') return reply.code(403).send('secret')
      const bytes = Buffer.concat(await req.raw.toArray())
      if (bytes.length > 0) Object.assign(req, { rawBody: bytes })
      return undefined
    },
  })
  await listen()
  assert.equal((await (await upgrade('/live/secret')).whole()).body, 'secret')
  assert.equal((await request('DELETE /live/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n')).statusCode, 404)
  assert.equal(backend.connections.length, 0)
  backend.play(responding({ body: (_request, body) => String(body) }))
  const post = 'POST /live/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello'
  assert.equal((await request(post)).body, 'hello')
  assert.deepEqual(seen, ['user', 'user'])
})

describe('Fastify 5: the handler of one route', () => {
  test('tunnels from one route after its preHandler, and keeps the path', async t => {
    const { app, backend, listen, upgrade } = await fastifyApp(t)
    const tunnel = wsTunnelHandler({ target: `ws://${backend.address}/b`, drainTimeout: 0 })
    app.get(
      '/live/:room',
      {
        preHandler: async (request, reply) => {
          if ((request.params as { room: string }).room === 'secret') return reply.code(403).send('secret')
          return undefined
        },
      },
      tunnel,
    )
    await listen()
    assert.equal((await (await upgrade('/live/secret')).whole()).body, 'secret')
    assert.equal(backend.connections.length, 0)
    const client = await upgrade('/live/7')
    assert.equal((await client.responseHead()).statusCode, 101)
    assert.equal((await client.send('hello').readExact(5)).toString(), 'hello')
    assert.equal((await backend.request()).path, '/b/live/7')
    assert.equal(tunnel.tunnels.size, 1)
  })

  test('serves HTTP from one route, with the body that Fastify has parsed', async t => {
    const { app, backend, listen, request } = await fastifyApp(
      t,
      responding({ body: (_request, body) => String(body) }),
    )
    app.route({
      method: ['GET', 'POST'],
      url: '/live',
      handler: wsTunnelHandler({ target: `ws://${backend.address}` }),
    })
    await listen()
    assert.equal((await request(plainRequest('/live'))).statusCode, 200)
    for (const [type, body] of [
      ['application/json', '{"a":1}'],
      ['text/plain', 'some text'],
    ] as const) {
      assert.equal(
        (await request(plainRequest('/live', { method: 'POST', headers: [`Content-Type: ${type}`], body }))).body,
        body,
      )
    }
  })

  test('closes with the server of its route', async t => {
    const { app, backend, listen, upgrade } = await fastifyApp(t)
    const handler = wsTunnelHandler({ target: `ws://${backend.address}`, drainTimeout: 0 })
    app.register(async scope => void scope.get('/live', handler), { prefix: '/scope' })
    await listen()
    const client = await upgrade('/scope/live')
    assert.equal((await client.responseHead()).statusCode, 101)
    await within(5_000, 'the close of the app', app.close())
    await within(5_000, 'the end of the tunnel', client.readAll())
    assert.equal(handler.tunnels.size, 0)
  })

  test('closes with its server even if no request has come', async t => {
    const [first, second] = [await fastifyApp(t), await fastifyApp(t)]
    const handler = wsTunnelHandler({ target: `ws://${first.backend.address}` })
    for (const { app } of [first, second]) app.get('/live', handler)
    await second.listen()
    await first.app.close()
    const refused = await (await second.upgrade('/live')).whole()
    assert.deepEqual([refused.statusCode, JSON.parse(refused.body).code], [503, 'WST_ERR_CLOSING'])
  })

  test('closes with the server of a route that wraps it, as tracing plugins do', async t => {
    const { app, backend, listen, upgrade } = await fastifyApp(t)
    const ends: string[] = []
    const handler = wsTunnelHandler({
      target: `ws://${backend.address}`,
      drainTimeout: 0,
      onClose: ({ end }) => void ends.push(end.reason),
    })
    app.addHook('onRoute', route => {
      const { handler: wrapped } = route
      route.handler = function (request, reply) {
        return wrapped.call(this, request, reply)
      }
    })
    app.get('/live', handler)
    await listen()
    const client = await upgrade('/live')
    assert.equal((await client.responseHead()).statusCode, 101)
    await within(5_000, 'the close of the app', app.close())
    assert.deepEqual(ends, ['shutdown'])
  })

  test('closes once if two routes of a server share it', async t => {
    const { app, backend, listen, upgrade } = await fastifyApp(t)
    const ends: string[] = []
    const handler = wsTunnelHandler({
      target: `ws://${backend.address}`,
      drainTimeout: 0,
      onClose: ({ end }) => void ends.push(end.reason),
    })
    const hooks: string[] = []
    const { addHook } = app
    app.addHook = ((name: string, hook: never) => {
      hooks.push(name)
      return addHook.call(app, name as never, hook)
    }) as typeof app.addHook
    app.get('/one', handler)
    app.get('/two', handler)
    assert.deepEqual(hooks, ['preClose'])
    await listen()
    for (const path of ['/one', '/two']) assert.equal((await (await upgrade(path)).responseHead()).statusCode, 101)
    await app.close()
    assert.deepEqual(ends, ['shutdown', 'shutdown'])
  })

  test('can be bound and called like any function', () => {
    const handler = wsTunnelHandler({ target: 'ws://127.0.0.1:9/' })
    assert.equal(typeof handler.bind(null as never), 'function')
    assert.equal(typeof handler.bind({} as never), 'function')
  })

  test('drains together with the other proxies of its server, not after them', async t => {
    const { app, backend, listen, upgrade } = await fastifyApp(t)
    const target = `ws://${backend.address}`
    app.get('/slow', wsTunnelHandler({ target }))
    app.register(wsTunnelPlugin, { prefix: '/fast', target, drainTimeout: 0 })
    await listen()
    const [slow, fast] = [await upgrade('/slow'), await upgrade('/fast')]
    for (const client of [slow, fast]) assert.equal((await client.responseHead()).statusCode, 101)
    const closed = app.close()
    await within(5_000, 'the end of the fast tunnel', fast.readAll())
    assert.equal((await slow.send('open').readExact(4)).toString(), 'open')
    slow.end()
    await within(5_000, 'the close of the app', closed)
  })
})

describe('Fastify 5: the decorator', () => {
  test('has the proxies of every scope in every scope', async t => {
    const { app, backend } = await fastifyApp(t)
    const target = `ws://${backend.address}`
    const seen: unknown[] = []
    app.register(async scope => {
      await scope.register(wsTunnelPlugin, { prefix: '/one', target })
      seen.push(scope.tunnelProxies)
    })
    app.register(async sibling => void seen.push(sibling.tunnelProxies))
    app.register(wsTunnelPlugin, { prefix: '/two', target })
    app.get('/handler', wsTunnelHandler({ target }))
    await app.ready()
    assert.deepEqual(
      Array.from(app.tunnelProxies, proxy => proxy.routes.length),
      [1, 1],
    )
    for (const set of seen) assert.equal(set, app.tunnelProxies)
    await app.close()
    assert.equal(app.tunnelProxies.size, 0)
  })

  test('can be read with tunnelProxies() before the first registration', async t => {
    const { app, backend } = await fastifyApp(t)
    const proxies = tunnelProxies(app)
    assert.equal(proxies.size, 0)
    await app.register(wsTunnelPlugin, { target: `ws://${backend.address}` })
    assert.equal(app.tunnelProxies, proxies)
    assert.equal(proxies.size, 1)
  })

  test('is not shared by two servers', async t => {
    const [one, two] = [await fastifyApp(t), await fastifyApp(t)]
    await one.app.register(wsTunnelPlugin, { target: `ws://${one.backend.address}` })
    assert.deepEqual([tunnelProxies(one.app).size, tunnelProxies(two.app).size], [1, 0])
  })
})

test('exports the plugin by default too, as plugins of Fastify do', () => assert.equal(plugin, wsTunnelPlugin))
