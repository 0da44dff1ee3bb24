import assert from 'node:assert/strict'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { type TestContext, test } from 'node:test'
import { listenForUpgrades, wsTunnel } from '@ws-tunnel/express'
import { wsTunnelHandler, wsTunnelPlugin } from '@ws-tunnel/fastify'
import connect from 'connect'
import express5 from 'express'
import express4 from 'express4'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { type Backend, raw } from '../support/backend.ts'
import { plainRequest, upgradeRequest } from '../support/client.ts'
import { sendRequest, startBackend } from '../support/harness.ts'
import { portOf, startServer } from '../support/server.ts'

/** Request targets that a backend may read as `${base}/private/x`, with the `Host` of the request. */
function spellings(base: string): [target: string, host: string][] {
  const below = [
    ...['/%70rivate/x', '/privat%65/x', '/p%72%69vate/x', '/%70%72%69%76%61%74%65/x', '/%70rivate', '/%50rivate/x'],
    ...['//private/x', '///private/x', '//private', '//private//x', '//%70rivate/x', '/pub//../private/x'],
    ...['/./private/x', '/.//private/x', '/././private/x', '/pub/../private/x', '/pub/a/../../private/x'],
    ...['/%2e/private/x', '/%2E/private/x', '/pub/%2e%2e/private/x', '/pub/.%2e/private/x', '/pub/%2E./private/x'],
    ...[
      '/pub/%2e%2E//private/x',
      '/pub/../%70rivate/x',
      '/pub/../private',
      '/pub/../private?x=1',
      '/pub/./../private/',
    ],
    ...['/pub/..;/private/x', '/pub/..;a=1/private/x', '/.;/private/x', '/;/private/x', '/;a=b/private/x'],
    ...['/pub/%2e%2e;/private/x', '/pub/..%2Fprivate/x', '/pub%2f..%2fprivate/x', '/pub/..%5Cprivate/x'],
    ...['/pub/..\\private\\x', '\\private\\x', '/\\private/x', '/pub\\..\\private/x', '/%2Fprivate/x'],
  ].map(path => base + path)
  const escaped = base.replace('/a', '/%61')
  const above = base === '' ? [] : [`/${base}/private/x`, `/pub/..${base}/private/x`, `${escaped}/private/x`]
  const absolute: [string, string][] = [
    [`http://h${base}/private/x`, 'h'],
    [`http://H:80${base}/private/x`, 'h:80'],
    [`https://[::1]${base}/private/x`, '[::1]'],
    [`http://h${base}/private/x`, 'other'],
    [`http://h/${base}/private/x`, 'h'],
    [`http://h${base}//private/x`, 'h'],
    [`http://h${base}/%70rivate/x`, 'h'],
    [`http://h${base}/pub/../private/x`, 'h'],
    [`http://h?${base}/private/x`, 'h'],
    [`http://h;a${base}/private/x`, 'h;a'],
    [`http://h;a${base}/private/x`, 'h'],
    [`http://h,a${base}/private/x`, 'h,a'],
    [`http://h'a${base}/private/x`, "h'a"],
    [`http://h%2Fa${base}/private/x`, 'h%2Fa'],
    [`http://u@h${base}/private/x`, 'h'],
    [`http://h\\a${base}/private/x`, 'h'],
    [`ws://h${base}/private/x`, 'h'],
    [`wss://h${base}/private/x`, 'h'],
    [`foo://h${base}/private/x`, 'h'],
    [`file://h${base}/private/x`, 'h'],
    [`javascript://h${base}/private/x`, 'h'],
    [`HTTP://h${base}/private/x`, 'h'],
    [`hTTp://h${base}/private/x`, 'h'],
  ]
  return [...[...below, ...above].map((path): [string, string] => [path, 'front.example']), ...absolute]
}

/** An app with a guard over `${base}/private` and a tunnel, as its users write it. */
interface Guarded {
  readonly base: string
  readonly start: (t: TestContext, target: string) => Promise<number>
}

type Next = () => void
type Middleware = (req: IncomingMessage, res: ServerResponse, next: Next) => void
// biome-ignore lint/suspicious/noExplicitAny: the apps of Express 4, Express 5 and Connect have no type in common.
type App = any

const deny = (_req: unknown, res: ServerResponse): void => {
  res.statusCode = 403
  res.end('denied')
}
/** An error handler with nothing to log. */
const sendStatus = (error: { statusCode?: number }, _req: unknown, res: ServerResponse, _next: Next): void => {
  res.statusCode = error.statusCode ?? 500
  res.end()
}
const denyPrefix =
  (prefix: string, pathOf: (req: IncomingMessage & { path?: string; originalUrl?: string }) => string): Middleware =>
  (req, res, next) =>
    pathOf(req).startsWith(prefix) ? deny(req, res) : next()

const onServer = (create: () => App, build: (app: App, target: string) => unknown, base = ''): Guarded => ({
  base,
  start: async (t, target) => {
    const app = create()
    build(app, target)
    app.use(sendStatus)
    const { server, port } = await startServer(t, app as RequestListener)
    listenForUpgrades(server, app)
    return port
  },
})

const mounts = (create: () => App): Record<string, Guarded> => ({
  'app.use': onServer(create, (app, target) => {
    app.use('/private', deny)
    app.use(wsTunnel({ target }))
  }),
  'app.use, nested': onServer(
    create,
    (app, target) => {
      app.use('/api/private', deny)
      app.use('/api', wsTunnel({ target: `${target}/api` }))
    },
    '/api',
  ),
  'startsWith on url': onServer(create, (app, target) => {
    app.use(denyPrefix('/private', req => req.url ?? ''))
    app.use(wsTunnel({ routes: [{ path: '/', target }] }))
  }),
  'startsWith on originalUrl, nested': onServer(
    create,
    (app, target) => {
      app.use(denyPrefix('/api/private', req => req.originalUrl ?? ''))
      app.use('/api', wsTunnel({ target: `${target}/api` }))
    },
    '/api',
  ),
})

const routers = (create: () => App, createRouter: () => App, wildcard: string): Record<string, Guarded> => ({
  ...mounts(create),
  'app.all': onServer(create, (app, target) => {
    app.all(['/private', `/private/${wildcard}`], deny)
    app.use(wsTunnel({ target }))
  }),
  'app.all on both': onServer(create, (app, target) => {
    app.all(['/private', `/private/${wildcard}`], deny)
    app.all(`/${wildcard}`, wsTunnel({ target }))
  }),
  Router: onServer(create, (app, target) => {
    app.use('/private', createRouter().use(deny))
    app.use(wsTunnel({ target }))
  }),
  'Router with guard and tunnel': onServer(
    create,
    (app, target) => {
      const router = createRouter()
      router.use('/private', deny)
      router.use(wsTunnel({ target: `${target}/api` }))
      app.use('/api', router)
    },
    '/api',
  ),
  'startsWith on path': onServer(create, (app, target) => {
    app.use(denyPrefix('/private', req => req.path ?? ''))
    app.use(wsTunnel({ target }))
  }),
})

const onFastify = (build: (app: FastifyInstance, target: string) => unknown, base = ''): Guarded => ({
  base,
  start: async (t, target) => {
    const app = fastify({ forceCloseConnections: true }) as unknown as FastifyInstance
    t.after(() => app.close())
    build(app, target)
    await app.listen({ port: 0, host: '127.0.0.1' })
    return portOf(app.server)
  },
})

const denyReply = async (_request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> =>
  reply.code(403).send('denied')
const denyUrl =
  (prefix: string) =>
  async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    if (request.url.startsWith(prefix)) await reply.code(403).send('denied')
  }

const ON_FASTIFY: Record<string, Guarded> = {
  'a guarded scope': onFastify((app, target) => {
    app.register(
      async scope => {
        scope.addHook('onRequest', denyReply)
        scope.all('/', denyReply)
        scope.all('/*', denyReply)
      },
      { prefix: '/private' },
    )
    app.register(wsTunnelPlugin, { target })
  }),
  'a guarded scope with a tunnel': onFastify((app, target) => {
    app.register(
      async scope => {
        scope.addHook('onRequest', denyReply)
        scope.register(wsTunnelPlugin, { prefix: '/private', target: `${target}/private` })
      },
      { prefix: '/' },
    )
    app.register(wsTunnelPlugin, { target })
  }),
  'app.all, nested': onFastify((app, target) => {
    app.all('/api/private', denyReply)
    app.all('/api/private/*', denyReply)
    app.register(wsTunnelPlugin, { prefix: '/api', target: `${target}/api` })
  }, '/api'),
  'an onRequest hook': onFastify((app, target) => {
    app.addHook('onRequest', denyUrl('/private'))
    app.register(wsTunnelPlugin, { routes: [{ path: '/', target }] })
  }),
  'an onRequest hook, nested': onFastify((app, target) => {
    app.addHook('onRequest', denyUrl('/api/private'))
    app.register(wsTunnelPlugin, { prefix: '/api', target: `${target}/api` })
  }, '/api'),
  'app.all before a handler': onFastify((app, target) => {
    app.all('/private', denyReply)
    app.all('/private/*', denyReply)
    app.all('/*', wsTunnelHandler({ target }))
  }),
}

const FRAMEWORKS: Record<string, Record<string, Guarded>> = {
  'Express 5': routers(express5, () => express5.Router(), '*splat'),
  'Express 4': routers(express4 as never, () => (express4 as App).Router(), '*'),
  Connect: mounts(connect),
  'Fastify 5': ON_FASTIFY,
}

const KINDS = ['upgrade', 'plain'] as const
const textOf = (kind: (typeof KINDS)[number], target: string, host: string): string =>
  kind === 'upgrade' ? upgradeRequest(target, { host }) : plainRequest(target, { host, headers: ['Connection: close'] })

/** Refuses upgrades and serves requests alike, so that each response ends at once. */
const ok = raw('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok')

async function statusOf(t: TestContext, port: number, text: string): Promise<number> {
  const client = await sendRequest(t, port, text)
  const { statusCode } = await client.responseHead()
  client.destroy()
  return statusCode
}

for (const [framework, guards] of Object.entries(FRAMEWORKS)) {
  for (const [guard, { base, start }] of Object.entries(guards)) {
    test(`${framework}: no spelling of a path goes round ${guard}`, { timeout: 60_000 }, async t => {
      const backend: Backend = await startBackend(t, ok)
      const port = await start(t, backend.url.replace(/\/$/, ''))
      const past: string[] = []
      for (const kind of KINDS) {
        for (const path of [`${base}/private/x`, `${base}/private`])
          assert.equal(await statusOf(t, port, textOf(kind, path, 'h')), 403, path)
        for (const [target, host] of spellings(base)) {
          const before = backend.seen.length
          const status = await statusOf(t, port, textOf(kind, target, host))
          if (status < 400 || backend.seen.length > before)
            past.push(`${kind} ${target} (Host: ${host}): ${status}, the backend got ${backend.seen[before]?.path}`)
        }
      }
      assert.deepEqual(past, [])
    })
  }
}

/** Legal targets, with the path that the backend of a tunnel at the root gets. */
const LEGAL: [target: string, seen: string, host?: string][] = [
  ['/', '/'],
  ['/x', '/x'],
  ['/x/', '/x/'],
  ['/x?q=//../%41&r=a/../b', '/x?q=//../%41&r=a/../b'],
  ['/?q', '/?q'],
  ['/caf%C3%A9', '/caf%C3%A9'],
  ['/caf%c3%a9', '/caf%C3%A9'],
  ['/a%20b', '/a%20b'],
  ['/~user', '/~user'],
  ['/a%2Bb', '/a%2Bb'],
  ['/a%2bb+c', '/a%2bb+c'],
  ['/%40admin', '/%40admin'],
  ['/@admin', '/@admin'],
  ['/100%25', '/100%25'],
  ['/%2541', '/%2541'],
  ['/%252e%252e/x', '/%252e%252e/x'],
  ['/x;y=1', '/x;y=1'],
  ['/x;y=1/z;a', '/x;y=1/z;a'],
  ['/x%3By=1', '/x%3By=1'],
  ['/;jsessionid=1', '/;jsessionid=1'],
  ['/.well-known/x', '/.well-known/x'],
  ['/..x/x../...', '/..x/x../...'],
  ['/a:b,c!d$e&f=g(h)*i', '/a:b,c!d$e&f=g(h)*i'],
  ["/o'brien", "/o'brien"],
  ['/[slug].js', '/[slug].js'],
  ['/%5Bslug%5D.js', '/%5Bslug%5D.js'],
  ['/a|b', '/a|b'],
  ['/x%5Cy', '/x%5Cy'],
  ['http://front.example/x?q', '/x?q'],
  ['http://Front.Example:8080/x', '/x', 'front.example:8080'],
  ['https://[::1]:8080/x', '/x', '[::1]:8080'],
]

const PLAIN_APPS: Record<string, Guarded> = {
  'Express 5': onServer(express5, (app, target) => app.use(wsTunnel({ target }))),
  'Express 4': onServer(express4 as never, (app, target) => app.use(wsTunnel({ target }))),
  Connect: onServer(connect, (app, target) => app.use(wsTunnel({ target }))),
  'Fastify 5': onFastify((app, target) => app.register(wsTunnelPlugin, { target })),
}

for (const [framework, { start }] of Object.entries(PLAIN_APPS)) {
  test(`${framework}: every legal spelling passes, and the backend gets the path that the app saw`, async t => {
    const backend = await startBackend(t, ok)
    const port = await start(t, backend.url.replace(/\/$/, ''))
    const wanted: string[] = []
    for (const kind of KINDS) {
      for (const [target, seen, host = 'front.example'] of LEGAL) {
        wanted.push(`${kind} ${target} ${seen}`)
        const before = backend.seen.length
        const status = await statusOf(t, port, textOf(kind, target, host))
        assert.equal(`${kind} ${target} ${backend.seen[before]?.path ?? status}`, wanted.at(-1))
      }
    }
  })

  test(`${framework}: OPTIONS * is left to the app`, async t => {
    const backend = await startBackend(t, ok)
    const port = await start(t, backend.url)
    const status = await statusOf(t, port, 'OPTIONS * HTTP/1.1\r\nHost: front.example\r\nConnection: close\r\n\r\n')
    assert.equal(status, 404)
    assert.equal(backend.seen.length, 0)
  })
}

/** Mounts of a tunnel that the framework lets end inside a segment. */
const DOTTED: Record<string, Guarded> = {
  Connect: onServer(connect, (app, target) => app.use('/chat', wsTunnel({ target }))),
  'Express 4, mounted at a RegExp': onServer(express4 as never, (app, target) =>
    app.use(/^\/chat/, wsTunnel({ target })),
  ),
}

for (const [framework, { start }] of Object.entries(DOTTED)) {
  test(`${framework}: a mount ends where a segment ends`, async t => {
    const backend = await startBackend(t, ok)
    const port = await start(t, backend.url)
    const rows: [target: string, result: string | number][] = [
      ['/chat', '/'],
      ['/chat/x', '/x'],
      ['/chat/.admin/x', '/.admin/x'],
      ['/chat.admin/x', 404],
      ['/chat.', 404],
      ['http://front.example/chat.admin/x', 404],
      ['http://front.example/chat/x', '/x'],
    ]
    for (const kind of KINDS) {
      for (const [target, wanted] of rows) {
        const before = backend.seen.length
        const status = await statusOf(t, port, textOf(kind, target, 'front.example'))
        assert.equal(backend.seen[before]?.path ?? status, wanted, `${kind} ${target}`)
      }
    }
  })
}
