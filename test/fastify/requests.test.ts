import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { type WsTunnelOptions, wsTunnelHandler, wsTunnelPlugin } from '@ws-tunnel/fastify'
import { fromHttpdConf } from '@ws-tunnel/httpd-conf'
import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import { sendMessage } from '../docs/program.ts'
import { startEchoBackend } from '../ecosystem/echo-backend.ts'
import { listen } from '../support/server.ts'

/** An app whose hook names the user, as plugins for sessions and tokens do. */
async function startApp(t: TestContext, register: (app: FastifyInstance) => unknown): Promise<string> {
  const app = fastify()
  app.decorateRequest('user')
  app.addHook('onRequest', async request => {
    Object.assign(request, { user: { id: 'ada' } })
  })
  await register(app)
  await app.listen({ port: 0, host: '127.0.0.1' })
  t.after(() => app.close())
  return `127.0.0.1:${(app.server.address() as AddressInfo).port}`
}

/** Options in which every function notes its name and the user of the request that it gets. */
function notingOptions(host: string, noted: Map<string, string>): WsTunnelOptions<FastifyRequest> {
  const note = (name: string, { user }: FastifyRequest): void => void noted.set(name, user.id)
  return {
    rewrite: req => void note('rewrite', req),
    onOpen: ({ req }) => note('onOpen', req),
    onError: ({ req }) => note('onError', req),
    balancers: {
      echo: {
        members: [{ url: `ws://${host}` }],
        lbMethod: ([member], req) => {
          note('lbMethod', req)
          return member
        },
      },
    },
    routes: [
      {
        path: '/broken',
        target: 'ws://127.0.0.1:1',
        localHeaders: (_headers, { req }) => note('localHeaders', req),
      },
      {
        path: '/',
        target: req => {
          note('target', req)
          return 'balancer://echo/'
        },
        when: [
          {
            test: req => {
              note('test', req)
              return true
            },
          },
        ],
        guard: req => note('guard', req),
        requestHeaders: (_headers, { req }) => note('requestHeaders', req),
        responseHeaders: (_headers, { req }) => note('responseHeaders', req),
      },
    ],
  }
}

for (const kind of ['plugin', 'handler'] as const) {
  test(`every function of the ${kind} gets the request of Fastify`, async t => {
    const backend = await startEchoBackend()
    t.after(() => backend.close())
    const noted = new Map<string, string>()
    const options = notingOptions(backend.host, noted)
    const host = await startApp(t, app =>
      kind === 'plugin' ? app.register(wsTunnelPlugin, options) : app.get('/*', wsTunnelHandler(options)),
    )
    assert.equal(await sendMessage(`ws://${host}/a`, 'hello'), '/a of guest: hello')
    const expected = ['guard', 'lbMethod', 'onOpen', 'requestHeaders', 'responseHeaders', 'rewrite', 'target', 'test']
    assert.deepEqual([...noted.keys()].sort(), expected)
    assert.equal((await fetch(`http://${host}/broken`)).status, 503)
    assert.deepEqual([...noted.keys()].slice(expected.length), ['localHeaders', 'onError'])
    assert.deepEqual(new Set(noted.values()), new Set(['ada']))
  })
}

test('failoverUnanswered gets the request of Fastify', async t => {
  const backend = createServer(req => req.socket.destroy())
  await listen(backend)
  t.after(() => backend.close())
  const { port } = backend.address() as AddressInfo
  const users: string[] = []
  const failoverUnanswered = ({ user }: FastifyRequest): boolean => users.push(user.id) === 0
  const balancers = { silent: { members: [{ url: `http://127.0.0.1:${port}` }], failoverUnanswered } }
  const host = await startApp(t, app => app.register(wsTunnelPlugin, { balancers, target: 'balancer://silent/' }))
  assert.equal((await fetch(`http://${host}/`)).status, 502)
  assert.deepEqual(users, ['ada'])
})

test('functions that a configuration of httpd compiles to read the request of Node', async t => {
  const backend = createServer((req, res) => res.end(req.headers['x-what']))
  await listen(backend)
  t.after(() => backend.close())
  const { port } = backend.address() as AddressInfo
  const text = `
    SetEnvIf Request_Protocol "HTTP/1.1" what=%{REMOTE_ADDR}
    RequestHeader set X-What "expr=%{THE_REQUEST} %{REMOTE_ADDR}"
    RewriteEngine On
    RewriteRule "^/api/(.*)$" "http://127.0.0.1:${port}/$1" [P]`
  const host = await startApp(t, app => app.register(wsTunnelPlugin, fromHttpdConf({ text })))
  assert.equal(await (await fetch(`http://${host}/api/x`)).text(), 'GET /api/x HTTP/1.1 127.0.0.1')
})
