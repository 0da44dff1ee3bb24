import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { hpm } from '@ws-tunnel/http-proxy-middleware'
import type { Response } from 'express'
import { responding } from '../support/backend.ts'
import { startExpress5, startFastify } from '../support/frameworks.ts'
import { closedPort } from '../support/gate.ts'
import { assertFailure, setUpOn } from '../support/harness.ts'

const closed = await closedPort()
const down = `http://127.0.0.1:${closed}`

for (const [name, start] of Object.entries({ 'Express 5': startExpress5, Fastify: startFastify })) {
  const setUp = setUpOn(start)
  suite(`failures before a response, on ${name}`, () => {
    test("end in the app's error handler", async t => {
      const setup = await setUp(t, responding(), { target: down, fallback: hpm() })
      assertFailure(setup.gateway, await setup.get('/'), 503, 'WST_ERR_CONNECT')
    })

    test('go to on.error once, when no member is left, with the error of Node and the last backend', async t => {
      const calls: unknown[][] = []
      const setup = await setUp(t, responding(), ({ url }) => ({
        balancers: {
          all: { members: [{ url: down }, { url: down }, { url: down }], maxAttempts: 2 },
          some: {
            members: [
              { url: down, lbSet: 0 },
              { url, lbSet: 1 },
            ],
          },
        },
        fallback: hpm({
          on: {
            error: (error, req, _res, target) =>
              void calls.push([(error as Error & { code?: string }).code, req.url, String(target)]),
          },
        }),
        routes: [
          { path: '/all', target: 'balancer://all/' },
          { path: '/', target: 'balancer://some/' },
        ],
      }))
      assert.equal((await setup.get('/x')).body, 'from the backend')
      assert.deepEqual(calls, [])
      assertFailure(setup.gateway, await setup.get('/all'), 503, 'WST_ERR_CONNECT')
      assert.deepEqual(calls, [['ECONNREFUSED', '/all', `${down}/`]])
    })

    test('are answered by on.error, at once or later, and onError is called too', async t => {
      const reported: string[] = []
      const setup = await setUp(t, responding(), {
        target: down,
        onError: ({ error }) => void reported.push(error.code),
        fallback: hpm({
          on: {
            error: async (_error, req, res) => {
              const response = res as ServerResponse
              if (req.url === '/later') await new Promise(setImmediate)
              if (req.url === '/status') {
                response.statusCode = 418
                setImmediate(() => response.end('by on.error'))
              } else response.writeHead(418).end('by on.error')
            },
          },
        }),
      })
      for (const path of ['/', '/later', '/status']) {
        const got = await setup.get(path)
        assert.equal(`${got.statusCode} ${got.body}`, '418 by on.error')
      }
      assert.deepEqual(setup.gateway.errors, [])
      assert.deepEqual(reported, ['WST_ERR_CONNECT', 'WST_ERR_CONNECT', 'WST_ERR_CONNECT'])
    })

    test("go to listeners of plugins as well, and a listener that throws ends in the app's error handler", async t => {
      const calls: string[] = []
      const setup = await setUp(t, responding(), {
        target: down,
        fallback: hpm({
          plugins: [
            server => server.on('error', () => void calls.push('plugin')),
            server =>
              server.on('error', () => {
                throw Object.assign(new Error('own'), { code: 'OWN', statusCode: 418 })
              }),
          ],
        }),
      })
      assertFailure(setup.gateway, await setup.get('/'), 418, 'OWN')
      assert.deepEqual(calls, ['plugin'])
    })

    test('go to on.error if no member is usable, and not for an upgrade or a status of the backend', async t => {
      const calls: string[] = []
      const setup = await setUp(t, responding({ statusCode: 503 }), ({ url }) => ({
        balancers: { none: { members: [{ url: down, status: 'D' }] } },
        errorOverride: true,
        fallback: hpm({ on: { error: error => void calls.push((error as Error & { code: string }).code) } }),
        routes: [
          { path: '/none', target: 'balancer://none/' },
          { path: '/down', target: down },
          { path: '/', target: url },
        ],
      }))
      assert.equal((await setup.refused('/none')).statusCode, 503)
      assert.equal((await setup.refused('/down')).statusCode, 503)
      assert.equal((await setup.get('/')).statusCode, 503)
      assert.equal((await setup.get('/', { headers: ['Host: second'] })).statusCode, 400)
      assert.deepEqual(calls, [])
      assert.equal((await setup.get('/none')).statusCode, 503)
      assert.deepEqual(calls, ['WST_ERR_NO_MEMBER'])
    })
  })
}

test('on.error may send a file with Express', async t => {
  const file = join(import.meta.dirname, 'failures.test.ts')
  const setup = await setUpOn(startExpress5)(t, responding(), {
    target: down,
    fallback: hpm({ on: { error: (_error, _req, res) => (res as Response).status(502).sendFile(file) } }),
  })
  const got = await setup.get('/')
  assert.equal(got.statusCode, 502)
  assert.match(got.body, /on\.error may send a file/)
  assert.deepEqual(setup.gateway.errors, [])
})
