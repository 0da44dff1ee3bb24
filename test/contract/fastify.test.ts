import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import websocket from '@fastify/websocket'
import { type WsTunnelError, wsTunnelHandler, wsTunnelPlugin } from '@ws-tunnel/fastify'
import fastify, { type FastifyInstance } from 'fastify'
import { WebSocket } from 'ws'
import { answer, type Backend, echo, record, type Script } from '../support/backend.ts'
import { plainRequest, type RawClient, upgradeRequest } from '../support/client.ts'
import { startFastify } from '../support/frameworks.ts'
import { within } from '../support/gate.ts'
import { connectTunnel, sendRequest, startBackend } from '../support/harness.ts'
import { contract } from './contract.ts'
import { assertHttp2 } from './http2.ts'

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
  test('owns its prefix, with and without trailing slash, and nothing else', async t => {
    const { app, backend, listen, upgrade } = await fastifyApp(t, record())
    app.register(wsTunnelPlugin, { prefix: '/chat', target: `ws://${backend.address}/b` })
    app.register(wsTunnelPlugin, { prefix: '/rooms/:room/live', target: `ws://${backend.address}/r` })
    await listen()
    for (const path of ['/chat', '/chat/', '/chat/x?q', '/rooms/7/live/x'])
      assert.equal((await (await upgrade(path)).answer()).statusCode, 101, path)
    assert.deepEqual(
      backend.seen.map(request => request.path),
      ['/b', '/b/', '/b/x?q', '/r/x'],
    )
    for (const path of ['/chatter', '/', '/rooms/live'])
      assert.equal((await (await upgrade(path)).answer()).statusCode, 404, path)
  })

  test('is encapsulated: hooks of its scope run, those of siblings do not', async t => {
    const { app, backend, listen, upgrade } = await fastifyApp(t)
    const ran: string[] = []
    const scope = (name: string) => async (instance: FastifyInstance) => {
      instance.addHook('onRequest', async () => void ran.push(name))
      instance.register(wsTunnelPlugin, { prefix: `/${name}`, target: `ws://${backend.address}/` })
    }
    app.register(scope('inner'), { prefix: '/outer' })
    app.register(scope('sibling'))
    await listen()
    assert.equal((await (await upgrade('/outer/inner/x')).answer()).statusCode, 101)
    assert.deepEqual(ran, ['inner'])
    assert.equal((await backend.request()).path, '/x')
  })

  for (const hook of ['onRequest', 'preParsing', 'preValidation', 'preHandler'] as const) {
    test(`lets a hook (${hook}) refuse an upgrade, by reply or by error, before the backend is dialled`, async t => {
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
      const switched = await (await upgrade('/', { 'X-User': 'alice' })).answer()
      assert.equal(`${switched.statusCode} ${switched.header('x-hook')}`, `101 ${hook}`)
    })
  }

  test('keeps early bytes while an asynchronous hook takes its time', async t => {
    const { app, backend, listen, upgrade } = await fastifyApp(t, record())
    app.addHook('preHandler', () => sleep(50))
    app.register(wsTunnelPlugin, { target: `ws://${backend.address}` })
    await listen()
    const client = await upgrade('/')
    client.send('early')
    assert.equal((await client.answer()).statusCode, 101)
    assert.equal((await (await backend.connection()).readExact(5)).toString(), 'early')
  })

  test('sends a cookie that a hook put on the reply along with the 101', async t => {
    const { app, backend, listen, upgrade } = await fastifyApp(t)
    app.addHook(
      'onRequest',
      async (_request, reply) => void reply.header('Set-Cookie', 'a=1').header('Set-Cookie', 'b=2'),
    )
    app.register(wsTunnelPlugin, { target: `ws://${backend.address}` })
    await listen()
    assert.deepEqual((await (await upgrade('/')).answer()).headers('set-cookie'), ['a=1', 'b=2'])
  })

  test('chooses by constraints between tunnels at one prefix', async t => {
    const { app, backend, listen, request } = await fastifyApp(t, answer({ body: request => request.path }))
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

  test('says that one prefix takes one registration, and names routes as the cure', async () => {
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

  test('says at registration what is wrong with an option', async () => {
    const app = fastify()
    app.register(wsTunnelPlugin, { target: 'ws://127.0.0.1:9/', idleTimout: 5 } as never)
    await assert.rejects(async () => app.ready(), { code: 'WST_ERR_OPTION', message: /idleTimout.*idleTimeout/ })
    await app.close()
  })

  test('hands what no route takes to the not-found handler of its scope', async t => {
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

  test('leaves the content-type parsers of the app to the rest of the app', async t => {
    const { app, backend, listen, request } = await fastifyApp(t, answer({ body: (_request, body) => String(body) }))
    app.post('/own', async request => ({ parsed: request.body }))
    app.register(wsTunnelPlugin, { prefix: '/live', target: `ws://${backend.address}` })
    await listen()
    const post = { method: 'POST', headers: ['Content-Type: application/json'], body: '{"a": 1}' }
    assert.equal((await request(plainRequest('/own', post))).body, '{"parsed":{"a":1}}')
    assert.equal((await request(plainRequest('/live', post))).body, '{"a": 1}')
  })

  test('answers failures in the shape of Fastify, code included', async t => {
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

  test('carries the Upgrade field of a 426 through the error handling of Fastify', async t => {
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
      answer({ body: (request, body) => `${request.method} ${request.path} ${body}` }),
    )
    app.register(wsTunnelPlugin, { prefix: '/live', target: `ws://${backend.address}` })
    const got = await app.inject({ method: 'POST', url: '/live/x', payload: { a: 1 } })
    assert.equal(`${got.statusCode} ${got.body}`, '200 POST /x {"a":1}')
  })

  test('logs no error for a tunnel that went well', async t => {
    const lines: string[] = []
    const { app, backend, listen, upgrade } = await fastifyApp(t, echo(), {
      logger: { level: 'warn', stream: { write: (line: string) => lines.push(line) } },
    })
    app.register(wsTunnelPlugin, { target: `ws://${backend.address}` })
    await listen()
    const client = await upgrade('/')
    assert.equal((await client.answer()).statusCode, 101)
    client.end('bye')
    assert.equal((await client.readAll()).toString(), 'bye')
    await app.close()
    assert.deepEqual(lines, [])
  })

  for (const order of ['before', 'after'] as const) {
    test(`shares a server with @fastify/websocket, registered ${order} it, where only says which are ours`, async t => {
      const { app, backend, listen, upgrade } = await fastifyApp(t, echo({ early: 'behind' }))
      const tunnel = (): unknown =>
        app.register(wsTunnelPlugin, { prefix: '/live', target: `ws://${backend.address}`, only: '/live' })
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
        assert.equal((await client.answer()).statusCode, 101)
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

  test('serves HTTP/2, and refuses extended CONNECT with 501', async t => {
    const bodies: string[] = []
    const { app, backend, listen } = await fastifyApp(
      t,
      answer({
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

describe('Fastify 5: the handler of one route', () => {
  test('tunnels from one route, behind its own preHandler, with the path kept', async t => {
    const { app, backend, listen, upgrade } = await fastifyApp(t)
    const tunnel = wsTunnelHandler({ target: `ws://${backend.address}/b` })
    app.addHook('preClose', () => tunnel.close({ drainTimeout: 0 }))
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
    assert.equal((await client.answer()).statusCode, 101)
    assert.equal((await client.send('hello').readExact(5)).toString(), 'hello')
    assert.equal((await backend.request()).path, '/b/live/7')
    assert.equal(tunnel.tunnels.size, 1)
  })

  test('serves HTTP from one route, with the body that Fastify has parsed', async t => {
    const { app, backend, listen, request } = await fastifyApp(t, answer({ body: (_request, body) => String(body) }))
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
})
