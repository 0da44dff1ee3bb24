import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { PassThrough } from 'node:stream'
import { suite, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { createTunnelProxy } from '@ws-tunnel/core'
import { type HpmEvents, hpm, responseInterceptor } from '@ws-tunnel/http-proxy-middleware'
import { responseInterceptor as theirResponseInterceptor } from 'http-proxy-middleware'
import { requestHttp2 } from '../contract/http2.ts'
import { responding } from '../support/backend.ts'
import { plainRequest } from '../support/client.ts'
import { type Middleware, startExpress5, startFastify } from '../support/frameworks.ts'
import { eventually } from '../support/gate.ts'
import { assertFailure, gatewayLeft, setUp, setUpOn, startBackend } from '../support/harness.ts'

type Events = HpmEvents<IncomingMessage, ServerResponse>

const upperCase = async (body: Buffer): Promise<string> => String(body).toUpperCase()

const headOnly = (...lines: string[]): string => `HTTP/1.1 200 OK\r\n${lines.join('\r\n')}\r\n\r\n`

suite('responses that are relayed', () => {
  test('listeners of proxyRes change fields and status, and the header rules of the route come last', async t => {
    const headers = ['X-Changed: 1', 'X-Removed: 1', 'X-Kept: 1', 'x-kept: 2', 'X-Rule: backend', 'Set-Cookie: a=1']
    const setup = await setUp(t, responding({ headers }), {
      responseHeaders: { set: { 'X-Rule': 'rule' }, append: { 'X-Seen': 'rule' } },
      fallback: hpm({
        on: {
          proxyRes: (proxyRes, _req, res) => {
            assert.equal(proxyRes.headers['x-rule'], 'backend')
            proxyRes.statusCode = 418
            proxyRes.headers['x-changed'] = '2'
            proxyRes.headers['x-added'] = 'added'
            proxyRes.headers['set-cookie']?.push('b=2')
            delete proxyRes.headers['x-removed']
            res.setHeader('X-On-Res', 'res')
          },
        },
      }),
    })
    const got = await setup.get('/')
    assert.equal(got.statusCode, 418)
    assert.deepEqual(['x-changed', 'x-removed', 'x-added', 'x-rule', 'x-seen', 'x-on-res'].map(got.header), [
      '2',
      undefined,
      'added',
      'rule',
      'rule',
      'res',
    ])
    assert.deepEqual(got.headers('set-cookie'), ['a=1', 'b=2'])
    assert.match(got.raw, /\r\nX-Changed: 2\r\nX-Kept: 1\r\nX-Kept: 2\r\n/i)
  })

  for (const [options, expected] of [
    [{ cookieDomainRewrite: 'app.example' }, ['a=1; Domain=app.example; Path=/x', 'b=2', 'c=3; domain=app.example']],
    [
      { cookieDomainRewrite: { 'b.internal': 'app.example' } },
      ['a=1; Domain=app.example; Path=/x', 'b=2', 'c=3; domain=other'],
    ],
    [
      { cookieDomainRewrite: { 'b.internal': '', '*': 'rest.example' } },
      ['a=1; Path=/x', 'b=2', 'c=3; domain=rest.example'],
    ],
    [{ cookieDomainRewrite: '', cookiePathRewrite: '/' }, ['a=1; Path=/', 'b=2', 'c=3']],
    [{ cookiePathRewrite: { '/x': '/api/x' } }, ['a=1; Domain=b.internal; Path=/api/x', 'b=2', 'c=3; domain=other']],
    [
      { cookieDomainRewrite: false, cookiePathRewrite: false },
      ['a=1; Domain=b.internal; Path=/x', 'b=2', 'c=3; domain=other'],
    ],
  ] as const) {
    test(`rewrites cookies with ${JSON.stringify(options)}`, async t => {
      const headers = [
        'Set-Cookie: a=1; Domain=b.internal; Path=/x',
        'Set-Cookie: b=2',
        'Set-Cookie: c=3; domain=other',
      ]
      const setup = await setUp(t, responding({ headers }), { fallback: hpm(options) })
      assert.deepEqual((await setup.get('/')).headers('set-cookie'), expected)
    })
  }

  for (const [options, location, expected] of [
    [{ hostRewrite: 'app.example' }, 'http://BACKEND/x?y', 'http://app.example/x?y'],
    [{ hostRewrite: 'app.example' }, '/x', 'http://app.example/x'],
    [{ hostRewrite: 'app.example' }, '//BACKEND/x', '//app.example/x'],
    [{ hostRewrite: 'app.example' }, 'http://other.example/x', 'http://other.example/x'],
    [{ autoRewrite: true, protocolRewrite: 'https' }, 'http://BACKEND/x', 'https://front.example/x'],
    [{ autoRewrite: true }, 'http://[', 'http://['],
  ] as const) {
    test(`rewrites Location ${location} with ${JSON.stringify(options)}`, async t => {
      for (const [statusCode, isMoved] of [
        [302, true],
        [200, false],
      ] as const) {
        const setup = await setUp(t, responding(), { fallback: hpm(options) })
        const filled = location.replace('BACKEND', setup.backend.address)
        setup.backend.play(responding({ statusCode, headers: [`Location: ${filled}`] }))
        const got = await setup.request('GET / HTTP/1.1\r\nHost: front.example\r\n\r\n')
        assert.equal(got.header('location'), isMoved ? expected : filled)
      }
    })
  }

  test('a listener of proxyRes may read the body that the client gets', async t => {
    const read: string[] = []
    const body = 'x'.repeat(300_000)
    const setup = await setUp(t, responding({ body: ({ path }) => (path === '/small' ? 'small' : body) }), {
      fallback: hpm({
        on: {
          proxyRes: (proxyRes, req) => {
            if (req.url === '/piped') proxyRes.pipe(new PassThrough()).on('data', chunk => read.push(String(chunk)))
            else proxyRes.on('data', chunk => read.push(String(chunk)))
          },
        },
      }),
    })
    for (const [path, expected] of [
      ['/small', 'small'],
      ['/large', body],
      ['/piped', body],
    ] as const) {
      assert.equal((await setup.get(path)).body, expected)
      assert.equal(read.splice(0).join(''), expected, path)
    }
  })

  test('a listener of proxyRes may respond itself', async t => {
    const setup = await setUp(t, responding(), {
      fallback: hpm({
        on: {
          proxyRes: (_proxyRes, req, res) => {
            if (req.url === '/ended') res.writeHead(403).end('no')
            else res.write('begun, ')
          },
        },
      }),
    })
    const ended = await setup.get('/ended')
    assert.equal(`${ended.statusCode} ${ended.body}`, '403 no')
    assert.equal((await setup.get('/begun')).body, 'begun, from the backend')
    assert.deepEqual(setup.gateway.errors, [])
  })

  test('an exception of a listener of proxyRes is a 500, and a promise that rejects cuts the response', async t => {
    const failing = await setUp(t, responding(), {
      fallback: hpm({
        on: {
          proxyRes: () => {
            throw new Error('own')
          },
        },
      }),
    })
    assertFailure(failing.gateway, await failing.get('/'), 500, 'WST_ERR_CALLBACK')

    const rejecting = await setUp(
      t,
      async connection => {
        await connection.request()
        await connection.write(headOnly('Content-Length: 100'))
      },
      {
        fallback: hpm({
          on: {
            proxyRes: async () => {
              throw new Error('own')
            },
          },
        }),
      },
    )
    const client = (await rejecting.connect()).send(plainRequest('/'))
    await client.readAll()
    await gatewayLeft(await rejecting.backend.connection())
  })

  test('errorOverride hides the response of the backend', async t => {
    const setup = await setUp(t, responding({ statusCode: 500, body: 'secret' }), {
      errorOverride: true,
      fallback: hpm(),
    })
    assertFailure(setup.gateway, await setup.get('/'), 500, 'WST_ERR_BACKEND_STATUS')
  })
})

for (const [name, start] of Object.entries({ 'Express 5': startExpress5, Fastify: startFastify })) {
  const setUpFramework = setUpOn(start)
  suite(`responses that a function writes, on ${name}`, () => {
    for (const [whose, interceptor] of Object.entries({ own: responseInterceptor, their: theirResponseInterceptor })) {
      test(`${whose} responseInterceptor changes the body, and the header rules of the route apply`, async t => {
        const sets: Middleware = (_req, res, next) => {
          res.setHeader('Set-Cookie', 'app=1')
          res.setHeader('X-App', 'app')
          next()
        }
        const headers = [
          'Content-Encoding: gzip',
          'Set-Cookie: a=1; Domain=b.internal',
          'X-Rule: backend',
          'X-App: backend',
          'Location: http://b.internal/x',
          'Connection: X-Named',
          'X-Named: 1',
        ]
        const setup = await setUpFramework(
          t,
          async connection => {
            await connection.request()
            const zipped = gzipSync('from the backend')
            await connection.write(
              `HTTP/1.1 201 Made\r\n${headers.join('\r\n')}\r\nContent-Length: ${zipped.length}\r\n\r\n`,
            )
            await connection.write(zipped)
          },
          {
            responseHeaders: { set: { 'X-Rule': 'rule' }, unset: ['X-Interceptor-Unset'] },
            passReverse: { 'http://b.internal/': '/api/' },
            via: 'on',
            fallback: hpm({
              selfHandleResponse: true,
              on: {
                proxyRes: interceptor(async (body, _proxyRes, _req, res) => {
                  res.setHeader('X-Interceptor', '1')
                  res.setHeader('X-Interceptor-Unset', '1')
                  return upperCase(body)
                }),
              },
            }),
          },
          { before: [sets] },
        )
        const got = await setup.get('/')
        assert.equal(`${got.startLine} ${got.body}`, 'HTTP/1.1 201 Made FROM THE BACKEND')
        assert.deepEqual(
          ['content-encoding', 'x-rule', 'x-interceptor', 'x-interceptor-unset', 'x-app', 'location', 'x-named'].map(
            got.header,
          ),
          [undefined, 'rule', '1', undefined, 'backend', 'http://front.example/api/x', undefined],
        )
        assert.match(got.header('via') ?? '', /^1\.1 /)
        assert.deepEqual(
          got.headers('set-cookie').map(line => line.slice(0, 5)),
          ['app=1', 'a=1; '],
        )
        assert.equal(got.header('content-length'), '16')
      })
    }

    test('serves HEAD, 204 and 304 through responseInterceptor', async t => {
      const setup = await setUpFramework(
        t,
        async connection => {
          while (!connection.ended) {
            const { path } = await connection.request()
            const status = path === '/204' ? '204 None' : path === '/304' ? '304 Same' : '200 OK'
            await connection.write(
              `HTTP/1.1 ${status}\r\nETag: "x"\r\n${path === '/204' ? '' : 'Content-Length: 5\r\n'}\r\n`,
            )
          }
        },
        { fallback: hpm({ selfHandleResponse: true, on: { proxyRes: responseInterceptor(upperCase) } }) },
      )
      for (const [method, path] of [
        ['HEAD', '/'],
        ['GET', '/204'],
        ['GET', '/304'],
      ] as const) {
        const got = await setup.get(path, { method })
        assert.equal(`${got.header('etag')} ${got.body}`, '"x" ')
      }
    })

    test("takes a failure of our responseInterceptor's function to the error handler, without fields of the backend", async t => {
      const setup = await setUpFramework(t, responding({ statusCode: 201, headers: ['X-Backend: 1'] }), {
        fallback: hpm({
          selfHandleResponse: true,
          on: {
            proxyRes: responseInterceptor(async () => {
              throw new Error('own')
            }),
          },
        }),
      })
      const got = await setup.get('/')
      assertFailure(setup.gateway, got, 500, 'WST_ERR_CALLBACK')
      assert.equal(got.header('x-backend'), undefined)
      assert.equal((await setup.get('/own')).body, 'own')
    })

    const writers: Record<string, Events['proxyRes']> = {
      'writeHead with an object': (proxyRes, _req, res) => {
        res.writeHead(202, { 'X-Own': ['1', '2'], 'X-Rule': 'own' })
        proxyRes.pipe(res)
      },
      'writeHead with a reason and a list': (proxyRes, _req, res) => {
        res.writeHead(202, 'Accepted', ['X-Own', '1', 'X-Own', '2', 'X-Rule', 'own'])
        proxyRes.pipe(res)
      },
      'setHeader and pipe': (proxyRes, _req, res) => {
        res.statusCode = 202
        res.setHeader('X-Own', ['1', '2'])
        proxyRes.pipe(res)
      },
      'a late end': (proxyRes, _req, res) => {
        res.statusCode = 202
        res.setHeader('X-Own', ['1', '2'])
        proxyRes.toArray().then(chunks => res.end(Buffer.concat(chunks)))
      },
    }
    for (const [how, proxyRes] of Object.entries(writers)) {
      test(`applies the header rules to a response that is written with ${how}`, async t => {
        const setup = await setUpFramework(t, responding({ headers: ['X-Backend: 1'] }), {
          responseHeaders: { set: { 'X-Rule': 'rule' } },
          fallback: hpm({ selfHandleResponse: true, on: { proxyRes } }),
        })
        for (let i = 0; i < 2; i++) {
          const got = await setup.get('/')
          assert.equal(`${got.statusCode} ${got.body}`, '202 from the backend')
          assert.deepEqual([got.headers('x-own'), got.headers('x-rule')], [['1', '2'], ['rule']])
          assert.equal(got.header('x-backend'), undefined)
        }
        assert.equal(setup.backend.connections.length, 1)
      })
    }

    test('never completes a response whose backend breaks off', async t => {
      for (const proxyRes of [responseInterceptor(upperCase), writers['setHeader and pipe']]) {
        const setup = await setUpFramework(
          t,
          async connection => {
            await connection.request()
            await connection.write(`${headOnly('Content-Length: 100')}part`)
            connection.end()
          },
          { fallback: hpm({ selfHandleResponse: true, on: { proxyRes } }) },
        )
        const client = (await setup.connect()).send(plainRequest('/'))
        assert.doesNotMatch((await client.readAll()).toString(), /\r\n0\r\n\r\n$|Error/)
        assert.equal((await setup.get('/own')).body, 'own')
      }
    })

    test('errorOverride applies before the function is called', async t => {
      let calls = 0
      const setup = await setUpFramework(t, responding({ statusCode: 404 }), {
        errorOverride: [404],
        fallback: hpm({ selfHandleResponse: true, on: { proxyRes: () => void calls++ } }),
      })
      assertFailure(setup.gateway, await setup.get('/'), 404, 'WST_ERR_BACKEND_STATUS')
      assert.equal(calls, 0)
    })

    test('an exception or a rejection of the function before the response is a 500', async t => {
      const failures: Events['proxyRes'][] = [
        () => {
          throw new Error('own')
        },
        async (_proxyRes, _req, res) => {
          res.setHeader('X-Own', '1')
          throw new Error('own')
        },
      ]
      for (const proxyRes of failures) {
        const setup = await setUpFramework(t, responding(), {
          fallback: hpm({ selfHandleResponse: true, on: { proxyRes } }),
        })
        const got = await setup.get('/')
        assertFailure(setup.gateway, got, 500, 'WST_ERR_CALLBACK')
        assert.equal(got.header('x-own'), undefined)
      }
    })

    test('reports a header rule that fails, and the client gets no body', async t => {
      const reported: string[] = []
      const setup = await setUpFramework(t, responding(), {
        responseHeaders: () => {
          throw new Error('own')
        },
        onError: ({ error }) => void reported.push(error.code),
        fallback: hpm({ selfHandleResponse: true, on: { proxyRes: responseInterceptor(upperCase) } }),
      })
      const client = (await setup.connect()).send(plainRequest('/'))
      assert.doesNotMatch((await client.readAll()).toString(), /BACKEND/)
      await eventually(() => assert.deepEqual(reported, ['WST_ERR_CALLBACK']))
    })

    test('close() ends a response that the function never writes', async t => {
      let calls = 0
      const setup = await setUpFramework(t, responding(), {
        drainTimeout: 50,
        fallback: hpm({ selfHandleResponse: true, on: { proxyRes: () => void calls++ } }),
      })
      const client = (await setup.connect()).send(plainRequest('/'))
      await eventually(() => calls === 1)
      const closing = setup.gateway.closeProxy()
      assert.equal((await client.whole()).statusCode, 503)
      client.end()
      await closing
    })
  })
}

test('responseInterceptor and header rules work over HTTP/2', async t => {
  const backend = await startBackend(t, responding({ headers: ['X-Backend: 1'] }))
  const proxy = createTunnelProxy({
    target: backend.url,
    responseHeaders: { set: { 'X-Rule': 'rule' } },
    fallback: hpm({ selfHandleResponse: true, on: { proxyRes: responseInterceptor(upperCase) } }),
  })
  const handler = (req: unknown, res: unknown): void => void proxy.handle(req as never, res as never).catch(() => {})
  const server = createHttp2Server(handler).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const session = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  t.after(async () => {
    session.destroy()
    server.close()
    await proxy.close()
  })
  const got = await requestHttp2(session, { ':path': '/x' })
  assert.equal(`${got.status} ${got.body}`, '200 FROM THE BACKEND')
  assert.deepEqual([got.headers['x-rule'], got.headers['x-backend']], ['rule', '1'])
})
