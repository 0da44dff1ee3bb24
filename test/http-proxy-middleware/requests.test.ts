import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { suite, test } from 'node:test'
import { createTunnelProxy } from '@ws-tunnel/core'
import { fixRequestBody, hpm } from '@ws-tunnel/http-proxy-middleware'
import { fixRequestBody as theirFixRequestBody } from 'http-proxy-middleware'
import { requestHttp2 } from '../contract/http2.ts'
import { type BackendConnection, responding } from '../support/backend.ts'
import { plainRequest, type RawClient } from '../support/client.ts'
import { type Middleware, startExpress5 } from '../support/frameworks.ts'
import { closedPort, eventually } from '../support/gate.ts'
import { assertFailure, gatewayLeft, setUp, setUpOn, startBackend } from '../support/harness.ts'

const closed = await closedPort()
const setUpExpress = setUpOn(startExpress5)
const echoBody = responding({ body: (_request, body) => String(body) })

suite('requests', () => {
  test('listeners of proxyReq change what the backend gets, after the header rules of the route', async t => {
    const setup = await setUp(t, responding(), {
      requestHeaders: { set: { 'X-Rule': 'rule', 'X-Both': 'rule' }, unset: ['X-Unset'] },
      fallback: hpm({
        on: {
          proxyReq: proxyReq => {
            assert.equal(proxyReq.getHeader('x-rule'), 'rule')
            assert.equal(proxyReq.getHeader('x-unset'), undefined)
            proxyReq.setHeader('X-Both', 'listener')
            proxyReq.removeHeader('x-removed')
          },
        },
      }),
    })
    await setup.get('/x?y=1', {
      headers: ['X-Unset: 1', 'X-Removed: 1', 'X-Kept: 1', 'Connection: X-Named', 'X-Named: 1'],
    })
    const request = await setup.backend.request()
    assert.equal(request.startLine, 'GET /x?y=1 HTTP/1.1')
    const values = ['x-rule', 'x-both', 'x-unset', 'x-removed', 'x-kept', 'x-named'].map(request.header)
    assert.deepEqual(values, ['rule', 'listener', undefined, undefined, '1', undefined])
    assert.equal(request.header('host'), setup.backend.address)
    assert.equal(request.header('x-forwarded-for'), '127.0.0.1')
  })

  test('gives the listeners the request and the response of the app, untouched', async t => {
    const pairs: [event: string, req: unknown, res: unknown][] = []
    const remember: Middleware = (req, res, next) => {
      pairs.push(['app', req, res])
      req.headers['x-app'] = 'app'
      next()
    }
    const setup = await setUpExpress(
      t,
      responding(),
      {
        fallback: hpm({
          on: {
            start: (req, res, target) => {
              assert.equal((target as { hostname: string }).hostname, '127.0.0.1')
              pairs.push(['start', req, res])
            },
            proxyReq: (_proxyReq, req, res) => {
              assert.deepEqual([req.url, req.headers['x-client'], req.headers['x-app']], ['/x', 'client', 'app'])
              pairs.push(['proxyReq', req, res])
            },
            proxyRes: (_proxyRes, req, res) => void pairs.push(['proxyRes', req, res]),
            end: (req, res) => void pairs.push(['end', req, res]),
          },
        }),
      },
      { mount: '/live', before: [remember] },
    )
    assert.equal((await setup.get('/live/x', { headers: ['X-Client: client'] })).statusCode, 200)
    await eventually(() => pairs.length === 5)
    assert.deepEqual(
      pairs.map(([event]) => event),
      ['app', 'start', 'proxyReq', 'proxyRes', 'end'],
    )
    assert.equal(new Set(pairs.map(([, req]) => req)).size, 1)
    assert.equal(new Set(pairs.map(([, , res]) => res)).size, 1)
    assert.equal((await setup.backend.request()).header('x-app'), 'app')
  })

  test('calls plugins with the server of httpxy and the options', async t => {
    const calls: unknown[] = []
    const setup = await setUp(t, responding(), {
      fallback: hpm({
        plugins: [
          (server, options) => {
            calls.push(Object.keys(options.headers ?? {}))
            server.on('proxyReq', proxyReq => void proxyReq.setHeader('X-Plugin', '1'))
            server.on('proxyRes', proxyRes => void calls.push(proxyRes.statusCode))
          },
        ],
        headers: { 'X-Fixed': 'fixed' },
        auth: 'user:secret',
      }),
    })
    await setup.get('/')
    const request = await setup.backend.request()
    assert.deepEqual([request.header('x-plugin'), request.header('x-fixed')], ['1', 'fixed'])
    assert.equal(request.header('authorization'), `Basic ${btoa('user:secret')}`)
    assert.deepEqual(calls, [['X-Fixed'], 200])
  })

  test('ejectPlugins leaves the listeners of `on` out, as in http-proxy-middleware', async t => {
    const calls: string[] = []
    const setup = await setUp(t, responding(), {
      fallback: hpm({
        ejectPlugins: true,
        on: { proxyReq: () => void calls.push('on') },
        plugins: [server => server.on('proxyReq', () => void calls.push('plugin'))],
      }),
    })
    assert.equal((await setup.get('/')).statusCode, 200)
    assert.deepEqual(calls, ['plugin'])
  })

  test('logs requests and failures with the logger', async t => {
    const lines: string[] = []
    const log = (...args: unknown[]): void => void lines.push(args.join(' '))
    const fallback = hpm({ logger: { info: log, warn: log, error: log } })
    const setup = await setUp(t, responding(), ({ url }) => ({
      fallback,
      routes: [
        { path: '/down', target: `http://127.0.0.1:${closed}/base` },
        { path: '/', target: url },
      ],
    }))
    await setup.get('/x')
    assertFailure(setup.gateway, await setup.get('/down/y'), 503, 'WST_ERR_CONNECT')
    assert.match(lines[0] ?? '', /^\[HPM\] GET \/x -> http:\/\/.*\/x \[200\]$/)
    assert.match(lines[1] ?? '', new RegExp(`/down/y http://127.0.0.1:${closed}/base/y ECONNREFUSED`))
    assert.equal(lines.length, 2)
  })

  for (const [whose, listener] of Object.entries({ own: fixRequestBody, their: theirFixRequestBody })) {
    test(`forwards a body that express.json() has parsed once, with ${whose} fixRequestBody`, async t => {
      const setup = await setUpExpress(t, echoBody, { fallback: hpm({ on: { proxyReq: listener } }) }, { json: true })
      const length = { method: 'POST', headers: ['Content-Type: application/json'], body: '{ "a" : [1, "\xc3\xa9"] }' }
      assert.deepEqual(JSON.parse((await setup.get('/', length)).body), { a: [1, 'é'] })
      const chunked =
        'POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{"a":1}\r\n0\r\n\r\n'
      assert.equal((await setup.request(chunked)).body, '{"a":1}')
      for (const { headers } of setup.backend.seen)
        assert.equal([...headers('content-length'), ...headers('transfer-encoding')].length, 1)
    })
  }

  test('sends the body that a listener of proxyReq writes instead of the one that was parsed', async t => {
    const setup = await setUpExpress(
      t,
      echoBody,
      {
        fallback: hpm({
          on: {
            proxyReq: (proxyReq, req) => {
              const text = JSON.stringify({ ...(req as { body?: object }).body, added: true })
              proxyReq.setHeader('Content-Length', text.length)
              proxyReq.write(text)
            },
          },
        }),
      },
      { json: true },
    )
    const request = { method: 'PUT', headers: ['Content-Type: application/json'], body: '{"a":1}' }
    assert.equal((await setup.get('/', request)).body, '{"a":1,"added":true}')
  })

  test('sends a body that only fixRequestBody can write again, and refuses it without', async t => {
    const parse: Middleware = (req, _res, next) => {
      req.body = { a: '1' }
      req.on('end', () => next()).resume()
    }
    const type = 'Content-Type: multipart/form-data; boundary=x'
    const request = {
      method: 'POST',
      headers: [type],
      body: '--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n',
    }
    const fixing = await setUpExpress(
      t,
      echoBody,
      { fallback: hpm({ on: { proxyReq: fixRequestBody } }) },
      { before: [parse] },
    )
    assert.match((await fixing.get('/', request)).body, /name="a"\r\n\r\n1\r\n/)
    const refusing = await setUpExpress(t, echoBody, { fallback: hpm() }, { before: [parse] })
    assertFailure(refusing.gateway, await refusing.get('/', request), 500, 'WST_ERR_BODY_CONSUMED')
    assert.equal(refusing.backend.seen.length, 0)
  })

  test('forwards a body that a parser has read, without fixRequestBody', async t => {
    const setup = await setUpExpress(t, echoBody, { fallback: hpm() }, { json: true })
    const request = { method: 'POST', headers: ['Content-Type: application/json'], body: '{"a":1}' }
    assert.equal((await setup.get('/', request)).body, '{"a":1}')
  })

  test('streams bodies of each method, and keeps the connection to the backend', async t => {
    const setup = await setUp(t, responding({ body: (request, body) => `${request.method} ${body}` }), {
      fallback: hpm(),
    })
    const chunked = (method: string): string =>
      `${method} / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n`
    for (const method of ['POST', 'DELETE', 'OPTIONS', 'GET']) {
      assert.equal((await setup.get('/', { method, body: 'body' })).body, `${method} body`)
      assert.equal((await setup.request(chunked(method))).body, `${method} body`)
      assert.equal((await setup.get('/', { method })).body, `${method} `)
    }
    const framings = setup.backend.seen.map(request =>
      ['content-length', 'transfer-encoding'].map(name => request.header(name)).join(),
    )
    // Node adds a length to a POST without a body.
    assert.deepEqual(framings, [
      '4,',
      ',chunked',
      '0,',
      ...Array.from({ length: 3 }, () => ['4,', ',chunked', ',']).flat(),
    ])
    assert.equal(setup.backend.connections.length, 1)
  })

  test('an exception of a listener of proxyReq, or a promise that rejects, is a 500 and sends nothing', async t => {
    for (const proxyReq of [
      () => {
        throw new Error('own')
      },
      async () => {
        throw new Error('own')
      },
    ]) {
      const setup = await setUp(t, responding(), { fallback: hpm({ on: { proxyReq } }) })
      assertFailure(setup.gateway, await setup.get('/'), 500, 'WST_ERR_CALLBACK')
      assert.match(String(setup.gateway.errors[0]), /a listener of proxyReq failed: Error: own/)
    }
  })

  test('fails over to the next member, calls proxyReq for each, and sends the body once', async t => {
    const tried: unknown[] = []
    const setup = await setUp(t, echoBody, ({ url }) => ({
      balancers: {
        b: {
          members: [
            { url: `http://127.0.0.1:${closed}`, lbSet: 0 },
            { url, lbSet: 1 },
          ],
        },
      },
      target: 'balancer://b/',
      fallback: hpm({ on: { proxyReq: (_proxyReq, _req, _res, { target }) => void tried.push((target as URL).port) } }),
    }))
    assert.equal((await setup.get('/', { method: 'POST', body: 'the body' })).body, 'the body')
    assert.deepEqual(tried, [closed, setup.backend.port])
  })

  test('leaves no listeners of failed attempts on the request and the response', async t => {
    const counts: number[][] = []
    const members = Array.from({ length: 12 }, () => ({ url: `http://127.0.0.1:${closed}` }))
    const setup = await setUp(t, echoBody, {
      balancers: { b: { members, maxAttempts: 11 } },
      target: 'balancer://b/',
      fallback: hpm({
        on: {
          proxyReq: (_proxyReq, req, res) =>
            void counts.push([req.listenerCount('error'), res.listenerCount('close'), res.listenerCount('error')]),
        },
      }),
    })
    await setup.get('/', { method: 'POST', body: 'the body' })
    assert.equal(counts.length, 12)
    assert.deepEqual(counts.at(-1), counts[0])
  })

  test('takes over when a kept connection turns out to be closed', async t => {
    const setup = await setUp(
      t,
      async connection => {
        await connection.request()
        await connection.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
        await connection.request()
        connection.reset()
      },
      { fallback: hpm() },
    )
    for (let i = 0; i < 3; i++) assert.equal((await setup.get('/')).body, 'ok')
    assert.equal(setup.backend.connections.length, 3)
  })

  test('shares no connection that a client has authenticated with NTLM or Negotiate', async t => {
    for (const scheme of ['NTLM', 'Negotiate']) {
      const setup = await setUp(t, responding(), { fallback: hpm() })
      const [first, second] = [await setup.connect(), await setup.connect()]
      const get = async (client: RawClient, headers: string[] = []): Promise<void> => {
        assert.equal((await client.send(plainRequest('/', { headers })).whole()).statusCode, 200)
      }
      await get(second)
      await get(first, [`Authorization: ${scheme} abc`])
      await get(second)
      await get(first)
      const requests = await Promise.all([0, 1].map(n => setup.backend.connection(n)))
      assert.equal(setup.backend.connections.length, 2)
      const [, authenticated] = requests
      first.destroy()
      await gatewayLeft(authenticated as BackendConnection)
      await get(second)
      assert.equal(setup.backend.connections.length, 2)
    }
  })

  test('passes trailers of a chunked body on', async t => {
    const setup = await setUp(
      t,
      async connection => {
        await eventually(() => connection.pending.includes('\r\n0\r\n'))
        await connection.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      },
      { fallback: hpm() },
    )
    const text =
      'POST / HTTP/1.1\r\nHost: x\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 1\r\nHost: no\r\n\r\n'
    assert.equal((await setup.request(text)).body, 'ok')
    const { pending } = await setup.backend.connection()
    assert.match(String(pending), /\r\n0\r\nX-Sum: 1\r\n\r\n$/)
  })

  test('ends a request whose client stops sending the body with a 408', async t => {
    const setup = await setUp(t, connection => connection.request().then(() => {}), {
      stallTimeout: 50,
      fallback: hpm(),
    })
    const client = await setup.connect()
    client.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\npart')
    assertFailure(setup.gateway, await client.whole(), 408, 'WST_ERR_STALLED')
  })

  test('closes its connections with the proxy', async t => {
    const setup = await setUp(t, responding(), { fallback: hpm() })
    await setup.get('/')
    const connection = await setup.backend.connection()
    await setup.gateway.closeProxy()
    await gatewayLeft(connection)
  })

  test('ends after handshakeTimeout with a 504', async t => {
    const setup = await setUp(t, connection => connection.request().then(() => {}), {
      handshakeTimeout: 50,
      fallback: hpm(),
    })
    assertFailure(setup.gateway, await setup.get('/'), 504, 'WST_ERR_HANDSHAKE_TIMEOUT')
  })

  test('aborts the request to the backend when the client leaves', async t => {
    const resets: string[] = []
    const setup = await setUp(t, connection => connection.request().then(() => {}), {
      fallback: hpm({ on: { error: error => void resets.push(String(error)) } }),
    })
    const client = (await setup.connect()).send(plainRequest('/'))
    await setup.backend.request()
    client.destroy()
    await gatewayLeft(await setup.backend.connection())
    assert.deepEqual(resets, [])
    assert.deepEqual(setup.gateway.errors, [])
  })

  test('serves requests over HTTP/2', async t => {
    const backend = await startBackend(
      t,
      responding({ body: (request, body) => `${request.method} ${request.path} ${body}` }),
    )
    const authorities: unknown[] = []
    const proxy = createTunnelProxy({
      target: backend.url,
      fallback: hpm({ on: { proxyReq: (_proxyReq, req) => void authorities.push(req.headers[':authority']) } }),
    })
    const server = createHttp2Server(
      (req, res) => void proxy.handle(req as never, res as never).catch(() => res.end()),
    ).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const session = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    t.after(async () => {
      session.destroy()
      server.close()
      await proxy.close()
    })
    const got = await requestHttp2(session, { ':method': 'POST', ':path': '/x' }, 'body')
    assert.equal(`${got.status} ${got.body}`, '200 POST /x body')
    assert.equal(authorities[0], `127.0.0.1:${(server.address() as AddressInfo).port}`)
  })
})
