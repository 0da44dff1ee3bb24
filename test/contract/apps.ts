import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createTunnelProxy } from '@ws-tunnel/core'
import session from 'express-session'
import morgan from 'morgan'
import { pinoHttp } from 'pino-http'
import { echo, record, responding, silent } from '../support/backend.ts'
import { plainRequest, type ResponseHead, upgradeRequest } from '../support/client.ts'
import type { Middleware } from '../support/frameworks.ts'
import { eventually } from '../support/gate.ts'
import { startBackend } from '../support/harness.ts'
import type { Theme } from './theme.ts'

/** The app around the tunnel: its middleware, its routes, its errors, its end. */
export const appsTheme: Theme = setUp => {
  test('lets middleware refuse an upgrade with any response, and connects to no backend', async t => {
    const guard: Middleware = (req, res, next) => {
      if (req.headers.authorization === 'let me in') return next()
      res.writeHead(401, { 'WWW-Authenticate': 'Basic realm="x"', 'Content-Type': 'application/json' })
      res.end('{"login":"/login"}')
    }
    const setup = await setUp(t, echo(), {}, { before: [guard] })
    for (const refused of [await setup.refused('/'), await setup.get('/')]) {
      assert.equal(`${refused.statusCode} ${refused.body}`, '401 {"login":"/login"}')
      assert.equal(refused.header('www-authenticate'), 'Basic realm="x"')
    }
    assert.equal(setup.backend.connections.length, 0)
    await setup.tunnel('/', { headers: { Authorization: 'let me in' } })
  })

  test('opens no tunnel for the bytes that follow a refused upgrade', async t => {
    const guard: Middleware = (_req, res) => {
      res.statusCode = 403
      res.end('no')
    }
    const setup = await setUp(t, echo(), {}, { mount: '/live', before: [guard] })
    const client = await setup.upgrade('/live', { early: 'early bytes' })
    assert.equal((await client.whole()).statusCode, 403)
    client.end()
    assert.doesNotMatch((await client.readAll()).toString(), /HTTP\/1.1 [12]/)
    assert.equal(setup.backend.connections.length, 0)
  })

  test('keeps early bytes while middleware is running', async t => {
    const slow: Middleware = (_req, _res, next) => void setTimeout(next, 50)
    const setup = await setUp(t, record(), {}, { before: [slow] })
    const client = await setup.upgrade('/', { early: 'one ' })
    client.send('two ')
    assert.equal((await client.responseHead()).statusCode, 101)
    client.end('three')
    assert.equal((await (await setup.backend.connection()).readAll()).toString(), 'one two three')
  })

  test('survives a client that leaves while middleware is running', async t => {
    const { promise: arrived, resolve: arrive } = Promise.withResolvers<() => void>()
    const slow: Middleware = (req, _res, next) => (req.url === '/own' ? next() : arrive(() => next()))
    const setup = await setUp(t, echo(), {}, { before: [slow] })
    const client = await setup.upgrade('/')
    const next = await arrived
    client.reset()
    await client.closed
    next()
    assert.equal((await setup.get('/own')).body, 'own')
    assert.deepEqual(setup.gateway.tunnels.size, 0)
  })

  for (const listen of ['explicit', 'auto'] as const) {
    test(`applies res.setTimeout of middleware to a pending upgrade as to a request (listening: ${listen})`, async t => {
      const limit: Middleware = (_req, res, next) => {
        res.setTimeout(200, () => {
          res.statusCode = 503
          res.end('too slow')
        })
        next()
      }
      const setup = await setUp(t, silent(), {}, { before: [limit], listen })
      for (const refused of [await setup.refused('/'), await setup.get('/')])
        assert.equal(`${refused.statusCode} ${refused.body}`, '503 too slow')
      // The round trip to the backend ends with the response.
      await eventually(() =>
        assert.ok(setup.backend.connections.every(({ ended, socket }) => ended || socket.destroyed)),
      )
      assert.deepEqual(setup.gateway.errors, [])
    })

    test(`closes a pending upgrade as a request after res.setTimeout without a callback (listening: ${listen})`, async t => {
      const limit: Middleware = (_req, res, next) => {
        res.setTimeout(200)
        next()
      }
      const setup = await setUp(t, silent(), {}, { before: [limit], listen })
      for (const request of [upgradeRequest('/'), plainRequest('/')])
        assert.equal(await setup.sendAndReadAll(request), '')
    })

    test(`does not apply res.setTimeout to an open tunnel (listening: ${listen})`, async t => {
      const limit: Middleware = (_req, res, next) => {
        res.setTimeout(100)
        next()
      }
      const setup = await setUp(t, echo(), {}, { before: [limit], listen })
      const client = await setup.tunnel('/')
      await sleep(300)
      assert.equal((await client.send('still here').readExact(10)).toString(), 'still here')
    })
  }

  test('sends fields that earlier middleware has set with the 101, a refusal and a page', async t => {
    const sets: Middleware = (_req, res, next) => {
      res.setHeader('X-Request-Id', '42')
      res.setHeader('Access-Control-Allow-Origin', '*')
      res.setHeader('Set-Cookie', ['a=1', 'b=2; HttpOnly'])
      next()
    }
    const setup = await setUp(t, echo({ headers: ['Set-Cookie: c=3'] }), {}, { before: [sets] })
    const switched = await (await setup.upgrade('/')).responseHead()
    assert.equal(switched.statusCode, 101)
    setup.backend.play(responding({ statusCode: 403, headers: ['Set-Cookie: c=3'] }))
    for (const message of [switched, await setup.refused('/'), await setup.get('/')]) {
      assert.equal(message.header('x-request-id'), '42')
      assert.equal(message.header('access-control-allow-origin'), '*')
      assert.deepEqual(message.headers('set-cookie').toSorted(), ['a=1', 'b=2; HttpOnly', 'c=3'])
    }
  })

  test('sends the cookie of express-session with the 101, and recognises an earlier session', async t => {
    const sessions = session({ secret: 'for tests', resave: false, saveUninitialized: true }) as unknown as Middleware
    const ids: string[] = []
    const remember: Middleware = (req, _res, next) => {
      ids.push((req as unknown as { sessionID: string }).sessionID)
      next()
    }
    const cookieOf = (head: ResponseHead): string => head.header('set-cookie')?.split(';')[0] ?? ''
    const setup = await setUp(t, echo(), {}, { before: [sessions, remember] })
    const page = cookieOf(await setup.get('/own'))
    await setup.tunnel('/', { headers: { Cookie: page } })
    assert.equal(ids[0], ids[1])
    const switched = await (await setup.upgrade('/')).responseHead()
    assert.equal(switched.statusCode, 101)
    assert.match(cookieOf(switched), /^connect\.sid=/)
    assert.notEqual(cookieOf(switched), page)
  })

  test('passes routes of the app, and requests that no route matches, to the app', async t => {
    const setup = await setUp(t, echo(), {}, { mount: '/live' })
    assert.equal((await setup.get('/own')).body, 'own')
    assert.equal((await setup.get('/nowhere')).body, 'own 404: GET /nowhere')
    const client = await setup.upgrade('/nowhere')
    const refused = await client.whole()
    assert.equal(`${refused.statusCode} ${refused.body}`, '404 own 404: GET /nowhere')
    client.end()
    await client.readAll()
    const own = await setup.refused('/own')
    assert.equal(`${own.statusCode} ${own.body}`, '200 own')
    assert.equal(setup.backend.connections.length, 0)
  })

  for (const listen of ['explicit', 'auto'] as const) {
    test(`serves several tunnels on one app, and sends one request to each backend (${listen})`, async t => {
      const other = await startBackend(t, echo({ early: 'other' }))
      const setup = await setUp(
        t,
        echo({ early: 'first' }),
        {},
        {
          mount: '/a',
          listen,
          more: [{ mount: '/b', options: { target: `ws://${other.address}/b` } }],
        },
      )
      assert.equal((await (await setup.tunnel('/a/x')).readExact(5)).toString(), 'first')
      assert.equal((await (await setup.tunnel('/b/x')).readExact(5)).toString(), 'other')
      assert.deepEqual(
        [setup.backend, other].map(backend => backend.seen.map(request => request.path)),
        [['/x'], ['/b/x']],
      )
      assert.equal(setup.gateway.server.listenerCount('upgrade'), 1)
    })
  }

  test('passes an upgrade that a target function declines to the next tunnel, with its early bytes', async t => {
    const declining = createTunnelProxy({ target: () => new Promise<false>(resolve => setTimeout(resolve, 50, false)) })
    t.after(() => declining.close())
    const first: Middleware = (req, res, next) => void declining.handle(req, res).then(taken => taken || next(), next)
    const setup = await setUp(t, record(), {}, { before: [first] })
    const client = await setup.upgrade('/', { early: 'one ' })
    client.send('two ')
    assert.equal((await client.responseHead()).statusCode, 101)
    client.end('three')
    assert.equal((await (await setup.backend.connection()).readAll()).toString(), 'one two three')
    setup.backend.play(responding({ body: (_request, body) => String(body) }))
    assert.equal((await setup.get('/', { method: 'POST', body: 'a body' })).body, 'a body')
  })

  test('serves several servers with the same options object, and does not change it', async t => {
    const backend = await startBackend(t, echo())
    const options = Object.freeze({
      routes: Object.freeze([Object.freeze({ path: '/a', target: `ws://${backend.address}/b` })]),
    })
    for (let i = 0; i < 2; i++) {
      const setup = await setUp(t, silent(), () => options)
      assert.equal((await (await setup.tunnel('/a')).send('hello').readExact(5)).toString(), 'hello')
    }
  })

  test('reports an error of a handler after the tunnel once', async t => {
    const setup = await setUp(
      t,
      echo(),
      ({ address }) => ({ routes: [{ path: '/live', target: `ws://${address}` }] }),
      {
        after: () => {
          throw Object.assign(new Error('of the app'), { code: 'OF_THE_APP' })
        },
      },
    )
    for (const refused of [await setup.refused('/x'), await setup.get('/x')]) assert.equal(refused.statusCode, 500)
    assert.deepEqual(
      setup.gateway.errors.map(error => String(error.code)),
      ['OF_THE_APP', 'OF_THE_APP'],
    )
  })

  test('writes nothing into the tunnel that other middleware writes late', async t => {
    const kept: { res: ServerResponse; next: (error?: unknown) => void }[] = []
    const keep: Middleware = (_req, res, next) => {
      kept.push({ res, next })
      next()
    }
    for (const errorHandler of ['own', 'framework'] as const) {
      const setup = await setUp(t, echo(), {}, { before: [keep], errorHandler })
      const client = await setup.tunnel('/')
      const late = kept.pop()
      late?.res.end('late')
      late?.res.write('later', () => {})
      late?.next(new Error('latest'))
      assert.equal((await client.send('hello').readExact(5)).toString(), 'hello')
      client.end('bye')
      assert.equal((await client.readAll()).toString(), 'bye')
    }
  })

  test('ends the response when the tunnel ends, and not before: finish, then close, and the request is not aborted', async t => {
    const logged: string[] = []
    const logger: Middleware = (req, res, next) => {
      for (const event of ['finish', 'close'])
        res.on(event, () => logged.push(`${event} ${res.statusCode} ${res.writableEnded}`))
      req.on('aborted', () => logged.push('aborted'))
      req.socket.on('close', () => logged.push('socket'))
      next()
    }
    const setup = await setUp(t, echo(), {}, { before: [logger] })
    const client = await setup.tunnel('/')
    await client.send('hello').readExact(5)
    await new Promise(resolve => setTimeout(resolve, 50))
    assert.deepEqual(logged, [])
    client.end()
    await client.readAll()
    await eventually(() => logged.length > 2)
    await client.closed
    assert.deepEqual(
      logged.filter(line => line !== 'socket'),
      ['finish 101 true', 'close 101 true'],
    )
    assert.equal(logged.filter(line => line === 'socket').length, 1)
  })

  test('ends the response of a tunnel whose client resets, as well', async t => {
    const logged: string[] = []
    const logger: Middleware = (_req, res, next) => {
      res.on('close', () => logged.push('close'))
      next()
    }
    const setup = await setUp(t, echo(), {}, { before: [logger] })
    const client = await setup.tunnel('/')
    await client.send('hello').readExact(5)
    client.reset()
    await eventually(() => logged.length > 0)
    assert.deepEqual(logged, ['close'])
  })

  test('morgan and pino-http log a tunnel once, at its end, as completed with 101', async t => {
    const lines = [] as string[]
    const stream = { write: (line: string) => void lines.push(line.trim()) }
    const morganLine = morgan(':method :url :status', { stream })
    const pinoLine = pinoHttp({}, stream as never)
    const setup = await setUp(t, echo(), {}, { before: [morganLine as Middleware, pinoLine as Middleware] })
    const client = await setup.tunnel('/chat')
    await client.send('hello').readExact(5)
    await new Promise(resolve => setTimeout(resolve, 50))
    assert.equal(lines.length, 0)
    client.end()
    await client.readAll()
    await eventually(() => lines.length >= 2)
    assert.ok(lines.includes('GET /chat 101'), lines.join('\n'))
    const { msg, res } = JSON.parse(lines.find(line => line.startsWith('{')) ?? '{}')
    assert.deepEqual([msg, res.statusCode], ['request completed', 101])
    assert.equal(lines.length, 2)
  })

  test('shows loggers the fields of a response and of a 101 in res.getHeader', async t => {
    const seen: unknown[] = []
    const logger: Middleware = (_req, res, next) => {
      res.on('finish', () => {
        seen.push([
          res.getHeader('x-Kind'),
          res.getHeader('set-cookie'),
          res.hasHeader('X-KIND'),
          res.hasHeader('x-none'),
        ])
        assert.equal(res.getHeaders()['x-kind'], res.getHeader('X-Kind'))
        assert.ok(res.getHeaderNames().includes('x-kind'))
      })
      next()
    }
    const headers = ['X-Kind: own', 'Set-Cookie: a=1', 'Set-Cookie: b=2']
    const setup = await setUp(t, responding({ headers }), {}, { before: [logger] })
    await setup.get('/')
    await eventually(() => seen.length === 1)
    setup.backend.play(echo({ headers: ['X-Kind: tunnel'] }))
    const client = await setup.tunnel('/')
    client.end()
    await client.readAll()
    await eventually(() => seen.length === 2)
    assert.deepEqual(seen, [
      ['own', ['a=1', 'b=2'], true, false],
      ['tunnel', undefined, true, false],
    ])
  })

  test('connects from localAddress, for tunnels and plain requests', async t => {
    const setup = await setUp(t, echo(), { localAddress: '127.0.0.2' })
    const client = await setup.tunnel('/')
    await client.send('hello').readExact(5)
    setup.backend.play(responding())
    await setup.get('/')
    assert.deepEqual(
      setup.backend.connections.map(({ socket }) => socket.remoteAddress),
      ['127.0.0.2', '127.0.0.2'],
    )
  })

  test('needs no more than a mount and listen(), even if the first request is a WebSocket', async t => {
    const setup = await setUp(t, echo({ early: 'hi ' }), {}, { listen: 'auto' })
    for (let i = 0; i < 3; i++) {
      const client = await setup.upgrade('/')
      assert.equal((await client.responseHead()).statusCode, 101)
      assert.equal((await client.send('hello').readExact(8)).toString(), 'hi hello')
      client.end('bye')
      assert.equal((await client.readAll()).toString(), 'bye')
    }
    assert.equal(setup.gateway.server.listenerCount('upgrade'), 1)
  })

  test('keeps early bytes of every upgrade after the first request, with no more than a mount and listen()', async t => {
    const setup = await setUp(t, record(), {}, { listen: 'auto' })
    await (await setup.connect()).send(plainRequest('/x', { method: 'HEAD' }))
    setup.backend.play(record())
    await setup.backend.request()
    const client = await setup.upgrade('/', { early: 'early ' })
    assert.equal((await client.responseHead()).statusCode, 101)
    client.end('late')
    assert.equal((await (await setup.backend.connection(1)).readAll()).toString(), 'early late')
  })

  test('keeps bytes that follow the first WebSocket in a separate packet', async t => {
    const setup = await setUp(t, record(), {}, { listen: 'auto' })
    const client = await setup.upgrade('/')
    await setup.backend.request()
    client.send('right after')
    assert.equal((await client.responseHead()).statusCode, 101)
    client.end()
    assert.equal((await (await setup.backend.connection()).readAll()).toString(), 'right after')
  })

  test('relays a refusal to the first WebSocket as to any other', async t => {
    const setup = await setUp(t, responding({ statusCode: 403, body: 'no' }), {}, { listen: 'auto', mount: '/live' })
    const client = await setup.upgrade('/live')
    assert.equal((await client.whole()).body, 'no')
    const next = await client
      .send(plainRequest('/own'))
      .responseHead()
      .then(
        head => head.statusCode,
        () => 'end',
      )
    assert.ok(next === 'end' || next === 200, String(next))
  })

  test('close() lets open tunnels finish and refuses new ones; then the server can close', async t => {
    const setup = await setUp(t, echo(), { drainTimeout: 5_000 }, { mount: '/live' })
    const client = await setup.tunnel('/live')
    const kept = await setup.connect()
    assert.equal((await kept.send(plainRequest('/own')).whole()).body, 'own')
    let closed = false
    const closing = setup.gateway.closeProxy().then(() => {
      closed = true
    })
    kept.send(upgradeRequest('/live'))
    const refused = await kept.responseHead().then(
      head => head.statusCode,
      () => 'end',
    )
    assert.ok(refused === 503 || refused === 'end', String(refused))
    kept.end()
    assert.equal((await client.send('hello').readExact(5)).toString(), 'hello')
    assert.equal(closed, false)
    client.end()
    await client.readAll()
    await closing
    if (setup.gateway.server.listening) await new Promise(resolve => setup.gateway.server.close(resolve))
    assert.deepEqual(
      setup.gateway.ends.map(({ end }) => end.reason),
      ['finished'],
    )
    assert.equal(setup.backend.seen.length, 1)
  })

  test('ends the tunnels that are still open after drainTimeout', async t => {
    const setup = await setUp(t, record(), { drainTimeout: 100 })
    const client = await setup.tunnel('/')
    const closing = setup.gateway.closeProxy()
    assert.equal((await client.readAll()).length, 0)
    client.end()
    ;(await setup.backend.connection()).end()
    await closing
    assert.deepEqual(
      setup.gateway.ends.map(({ end }) => end.reason),
      ['shutdown'],
    )
  })

  test('closes while handshakes are in progress and new clients arrive', async t => {
    const setup = await setUp(t, silent(), { drainTimeout: 100 })
    const waiting = await setup.upgrade('/')
    await setup.backend.request()
    const closing = setup.gateway.closeProxy()
    const late = await setup.upgrade('/').catch(() => undefined)
    const statuses = [waiting, late].map(async client => {
      const status = await client?.responseHead().then(
        head => head.statusCode,
        () => 'end',
      )
      client?.end()
      return status
    })
    await closing
    for (const status of await Promise.all(statuses)) {
      assert.ok(status === undefined || status === 503 || status === 'end', String(status))
    }
  })
}
