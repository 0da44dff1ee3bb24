import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FallbackFunction } from '@ws-tunnel/core'
import { echo, responding } from '../support/backend.ts'
import { plainRequest, upgradeRequest } from '../support/client.ts'
import { eventually } from '../support/gate.ts'
import { assertFailure } from '../support/harness.ts'
import type { Theme } from './theme.ts'

const own: FallbackFunction = (req, res) => res.end(`${req.method} by the function`)

/** Plain requests that a function of the app serves, on a route whose upgrades go to a backend. */
export const fallbackFunctionsTheme: Theme = setUp => {
  test('passes plain requests to the function, and upgrades to the backend', async t => {
    const setup = await setUp(t, echo(), { fallback: own })
    for (const method of ['GET', 'POST', 'DELETE'])
      assert.equal((await setup.get('/x', { method })).body, `${method} by the function`)
    assert.equal(setup.backend.connections.length, 0)
    assert.equal((await (await setup.tunnel('/x')).send('hello').readExact(5)).toString(), 'hello')
  })

  test('passes a request whose upgrade the route does not allow to the function', async t => {
    const setup = await setUp(t, echo(), { fallback: own })
    const requests = [
      upgradeRequest('/', { headers: { Upgrade: 'h2c' } }),
      upgradeRequest('/').replace('GET', 'POST'),
      upgradeRequest('/').replace('HTTP/1.1', 'HTTP/1.0'),
    ]
    for (const request of requests) assert.match((await setup.request(request)).body, /by the function/)
    assert.equal(setup.backend.connections.length, 0)
  })

  test('selects no target for a request that the function gets', async t => {
    const asked: unknown[] = []
    const setup = await setUp(t, echo(), ({ url }) => ({
      balancers: { b: { members: [{ url: 'ws://127.0.0.1:1', status: 'D' }] } },
      routes: [
        { path: '/balanced', target: 'balancer://b/', fallback: own },
        {
          path: '/function',
          target: req => {
            asked.push(req.url)
            return url
          },
          fallback: own,
        },
      ],
    }))
    for (const path of ['/balanced', '/function']) {
      assert.equal((await setup.get(path)).body, 'GET by the function')
      assert.equal((await setup.request(upgradeRequest(path, { headers: { Upgrade: 'h2c' } }))).statusCode, 200)
    }
    assert.deepEqual(asked, [])
    await setup.tunnel('/function')
    assert.equal(asked.length, 1)
  })

  test('asks the function only if path and conditions of its route match', async t => {
    const setup = await setUp(t, responding(), ({ url }) => ({
      routes: [
        { path: '/a', when: [{ header: 'x-own', matches: /./ }], target: url, fallback: own },
        { path: '/b', target: false },
        { path: '/', target: url },
      ],
    }))
    assert.equal((await setup.get('/a', { headers: ['X-Own: 1'] })).body, 'GET by the function')
    assert.equal((await setup.get('/a')).body, 'from the backend')
    assert.equal((await setup.get('/b')).body, 'own 404: GET /b')
    assert.equal((await setup.get('/c')).body, 'from the backend')
  })

  test('refuses a malformed request and a path in another spelling before the function is called', async t => {
    let calls = 0
    const counted: FallbackFunction = (_req, res) => {
      calls++
      res.end()
    }
    const setup = await setUp(t, echo(), { fallback: counted })
    assertFailure(setup.gateway, await setup.get('/a/../b'), 400, 'WST_ERR_PATH_SPELLING')
    setup.gateway.errors.length = 0
    assertFailure(setup.gateway, await setup.get('/', { headers: ['Host: other'] }), 400, 'WST_ERR_BAD_REQUEST')
    assert.equal(calls, 0)
  })

  test('checks allowedOrigins for upgrades alone', async t => {
    const setup = await setUp(t, echo(), { fallback: own, allowedOrigins: ['https://a.example'] })
    const headers = { Origin: 'https://b.example' }
    assert.equal((await setup.refused('/', { headers })).statusCode, 403)
    assert.equal((await setup.get('/', { headers: ['Origin: https://b.example'] })).statusCode, 200)
  })

  test('gives the function the body and the response as they are', async t => {
    const reader: FallbackFunction = async (req, res) => {
      const chunks = await req.toArray()
      res.writeHead(418, 'Teapot', ['X-Own', '1'])
      res.end(`<${Buffer.concat(chunks)}>`)
    }
    const setup = await setUp(t, echo(), { fallback: reader, responseHeaders: { set: { 'X-Own': '2' } } })
    const got = await setup.get('/', { method: 'POST', headers: ['Content-Type: application/json'], body: '{"a":' })
    assert.equal(`${got.startLine} ${got.body}`, 'HTTP/1.1 418 Teapot <{"a":>')
    assert.deepEqual(got.headers('x-own'), ['1'])
  })

  test('hands the request back to the app when the function calls next()', async t => {
    const setup = await setUp(t, echo(), { fallback: (_req, _res, next) => void setImmediate(next) })
    assert.equal((await setup.get('/x')).body, 'own 404: GET /x')
  })

  const failures: Record<string, FallbackFunction> = {
    'passes to next': (_req, _res, next) => next(Object.assign(new Error('own'), { code: 'OWN', statusCode: 418 })),
    throws: () => {
      throw Object.assign(new Error('own'), { code: 'OWN', statusCode: 418 })
    },
    'rejects with': async () => {
      throw Object.assign(new Error('own'), { code: 'OWN', statusCode: 418 })
    },
  }
  for (const [how, fallback] of Object.entries(failures)) {
    test(`takes an error that the function ${how} to the app's error handler, once`, async t => {
      const reported: unknown[] = []
      const setup = await setUp(t, echo(), { fallback, onError: ({ error }) => reported.push(error) })
      assertFailure(setup.gateway, await setup.get('/'), 418, 'OWN')
      assert.deepEqual(reported, [])
    })
  }

  test('takes an error after the begin of the response to the error handler, and the response does not seem whole', async t => {
    const setup = await setUp(
      t,
      echo(),
      {
        fallback: (_req, res, next) => {
          res.write('part', () => next(new Error('late')))
        },
      },
      { errorHandler: 'framework' },
    )
    const client = (await setup.connect()).send(plainRequest('/'))
    assert.doesNotMatch((await client.readAll()).toString(), /\r\n0\r\n\r\n$/)
    assert.equal(String(setup.gateway.errors[0]), 'Error: late')
  })

  test('takes an error after the end of the response to the error handler', async t => {
    const setup = await setUp(t, echo(), {
      fallback: (_req, res, next) => {
        res.end('done')
        next(new Error('late'))
      },
    })
    await setup.get('/').catch(() => {})
    await eventually(() => String(setup.gateway.errors[0]) === 'Error: late' || setup.gateway.framework === 'Fastify 5')
    assert.equal((await setup.get('/own')).body, 'own')
  })

  test('counts the first outcome alone', async t => {
    const setup = await setUp(t, echo(), {
      fallback: async (_req, _res, next) => {
        next()
        next(new Error('late'))
        throw new Error('later')
      },
    })
    assert.equal((await setup.get('/x')).body, 'own 404: GET /x')
    assert.deepEqual(setup.gateway.errors, [])
  })

  test('close() waits for the function, and ends its response after drainTimeout', async t => {
    let arrived = 0
    const setup = await setUp(t, echo(), {
      drainTimeout: 100,
      fallback: (_req, res) => {
        arrived++
        res.write('part')
      },
    })
    const client = (await setup.connect()).send(plainRequest('/'))
    await eventually(() => arrived === 1)
    const closing = setup.gateway.closeProxy()
    assert.doesNotMatch((await client.readAll()).toString(), /\r\n0\r\n\r\n$/)
    client.end()
    await closing
  })

  test('forgets the request when the client leaves', async t => {
    let arrived = 0
    const setup = await setUp(t, echo(), { drainTimeout: 60_000, fallback: () => void arrived++ })
    const client = (await setup.connect()).send(plainRequest('/'))
    await eventually(() => arrived === 1)
    client.destroy()
    await setup.gateway.closeProxy()
    assert.deepEqual(setup.gateway.errors, [])
  })
}
