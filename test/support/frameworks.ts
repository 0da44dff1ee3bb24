import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { ListenOptions } from 'node:net'
import type { TlsOptions } from 'node:tls'
import {
  createTunnelProxy,
  type HandoverOptions,
  listenForUpgrades,
  type Only,
  type Tunnel,
  type TunnelEnd,
  type TunnelProxy,
  type WsTunnelError,
  type WsTunnelOptions,
} from '@ws-tunnel/core'
import { listenForUpgrades as listenWithApp, wsTunnel } from '@ws-tunnel/express'
import { wsTunnelPlugin } from '@ws-tunnel/fastify'
import connect from 'connect'
import express5 from 'express'
import express4 from 'express4'
import fastify, { type FastifyInstance } from 'fastify'
import type { ConnectOptions } from './client.ts'
import { withEngine } from './engine.ts'
import { eventually } from './gate.ts'
import { async } from './pump.ts'
import { appOf, closerOf, listen, own404, portOf, trackSockets } from './server.ts'
import { ca } from './tls.ts'

/** Middleware as Express and Connect know it; on Fastify it runs as an onRequest hook over the raw pair. */
export type Middleware = (
  req: IncomingMessage & { body?: unknown },
  res: ServerResponse,
  next: (error?: unknown) => void,
) => void

export interface StartOptions {
  /** Middleware before the tunnels. */
  before?: Middleware[]
  /** The app's handler for what no tunnel took. @default 404 `own 404: <method> <url>` */
  after?: (req: IncomingMessage, res: ServerResponse) => void
  /** `explicit` calls `listenForUpgrades`; with `auto` the first request does. Fastify's plugin always listens. @default 'explicit' */
  listen?: 'auto' | 'explicit'
  /** Passed to `listenForUpgrades`, where that is called. */
  only?: Only
  /** Parse JSON bodies before the tunnels, with `express.json()`; Fastify's plugin has its own parser. */
  json?: boolean
  /** `own` sends `{ code }` with the error's status, `framework` leaves the response to the framework. @default 'own' */
  errorHandler?: 'own' | 'framework'
  /** More tunnels on the same app. */
  more?: { mount: string; options: WsTunnelOptions }[]
  serverOptions?: ServerOptions
  /** Serve HTTPS. */
  tls?: TlsOptions
  /** Where to listen. @default port 0 of 127.0.0.1 */
  at?: ListenOptions
  /** The socket of the hand-over, for `listenForUpgrades` and the plugin. */
  handover?: string | HandoverOptions
  /** Called with the server before it listens. */
  prepare?: (server: Server) => void
}

/** A server with a tunnel, and what happened on it. */
export interface Gateway {
  framework: string
  server: Server
  /** 0 at a unix socket. */
  port: number
  /** How a client connects to it: over TLS, or to a unix socket. */
  wire: ConnectOptions
  /** Every error that reached the app's error handler. */
  errors: WsTunnelError[]
  /** Every tunnel that opened, in order. */
  opened: Tunnel[]
  /** Tunnels that are open now. */
  tunnels: Set<Tunnel>
  /** Every tunnel that ended, with its end. */
  ends: { tunnel: Tunnel; end: TunnelEnd }[]
  /** The proxies, as their user has them. */
  proxies: () => readonly Pick<TunnelProxy, 'ready' | 'tunnels' | 'routes' | 'balancers'>[]
  /** How the `n`th tunnel that ended has ended, once it has. */
  end: (n?: number) => Promise<TunnelEnd>
  /** Closes the proxies as their user does: `proxy.close()`, `middleware.close()`, or `fastify.close()`. */
  closeProxy: (options?: { drainTimeout?: number }) => Promise<void>
  /** Ends everything at once. */
  close: () => Promise<void>
}

/** The core on a plain node:http server, without a framework. */
export interface CoreGateway extends Gateway {
  proxy: TunnelProxy
}

/** Starts a server with a tunnel at `mount`; on a framework, `GET /own` is served with `own` before it. */
export type Start<G extends Gateway = Gateway> = (
  mount: string,
  options: WsTunnelOptions,
  more?: StartOptions,
) => Promise<G>

type Watched = Pick<Gateway, 'errors' | 'opened' | 'tunnels' | 'ends' | 'end'>

function nothingYet(): Watched {
  const ends: Gateway['ends'] = []
  const end: Gateway['end'] = (n = 0) =>
    eventually(() => {
      const ended = ends[n]
      assert.ok(ended, `tunnel ${n} has not ended`)
      return ended.end
    })
  return { errors: [], opened: [], tunnels: new Set(), ends, end }
}

/** The options with observers that keep what happened; tunnels end with the server unless the test sets `drainTimeout`. */
function watched(options: WsTunnelOptions, { opened, tunnels, ends }: Watched): WsTunnelOptions {
  return {
    drainTimeout: 0,
    async,
    ...withEngine(options),
    onOpen: message => {
      opened.push(message.tunnel)
      tunnels.add(message.tunnel)
      options.onOpen?.(message)
    },
    onClose: message => {
      tunnels.delete(message.tunnel)
      ends.push({ tunnel: message.tunnel, end: message.end })
      options.onClose?.(message)
    },
  }
}

const wireOf = ({ tls, at }: StartOptions): ConnectOptions => ({
  ...(tls === undefined ? {} : { tls: { ca, servername: 'localhost' } }),
  ...(at?.path === undefined ? {} : { path: at.path }),
})

const handoverOf = ({ handover }: StartOptions): { handover?: string | HandoverOptions } =>
  handover === undefined ? {} : { handover }

function sendError(error: WsTunnelError, res: ServerResponse): void {
  res.statusCode = error.statusCode ?? 500
  for (const [name, value] of Object.entries(error.headers ?? {})) res.setHeader(name, value)
  res.setHeader('Content-Type', 'application/json')
  res.end(JSON.stringify({ code: error.code ?? String(error) }))
}

function serverOf(handler: (req: IncomingMessage, res: ServerResponse) => void, more: StartOptions): Server {
  const { serverOptions = {}, tls } = more
  return tls === undefined
    ? createServer(serverOptions, handler)
    : createTlsServer({ ...serverOptions, ...tls }, handler)
}

/** The core alone: a mount, middleware and a handler behind the tunnel are the frameworks'. */
export const startCore: Start<CoreGateway> = async (mount, options, more = {}) => {
  if (mount !== '/') throw new Error('node:http has no mounts')
  const watch = nothingYet()
  const proxy = createTunnelProxy(watched(options, watch))
  const app = appOf(proxy, watch.errors)
  const server = serverOf(app, more)
  const closeServer = closerOf(server)
  more.prepare?.(server)
  if (more.listen !== 'auto') listenForUpgrades(server, app, { only: more.only, ...handoverOf(more) })
  return {
    ...watch,
    framework: 'node:http',
    server,
    port: await listen(server, more.at),
    wire: wireOf(more),
    proxy,
    proxies: () => [proxy],
    closeProxy: proxy.close,
    close: async () => {
      await proxy.close({ drainTimeout: 0 })
      await closeServer()
    },
  }
}

/** What Express 4, Express 5 and Connect have in common. */
interface App {
  (req: IncomingMessage, res: ServerResponse): void
  use: (...args: unknown[]) => unknown
}

const startApp =
  (framework: string, createApp: () => App): Start =>
  async (mount, options, more = {}) => {
    const watch = nothingYet()
    const app = createApp()
    if (more.json) app.use(express5.json())
    for (const middleware of more.before ?? []) app.use(middleware)
    app.use('/own', ((_req, res) => res.end('own')) satisfies Middleware)
    const middlewares = [{ mount, options }, ...(more.more ?? [])].map(each => {
      const middleware = wsTunnel(watched(each.options, watch))
      app.use(each.mount, middleware)
      return middleware
    })
    const after = more.after ?? own404
    app.use(((req, res) => after(req, res)) satisfies Middleware)
    app.use((error: WsTunnelError, _req: IncomingMessage, res: ServerResponse, next: (error: unknown) => void) => {
      watch.errors.push(error)
      if (res.headersSent || more.errorHandler === 'framework') next(error)
      else sendError(error, res)
    })
    const server = serverOf(app, more)
    const closeServer = closerOf(server)
    more.prepare?.(server)
    if (more.listen !== 'auto') listenWithApp(server, app, { only: more.only, ...handoverOf(more) })
    const closeProxy = async (how?: { drainTimeout?: number }): Promise<void> => {
      await Promise.all(middlewares.map(middleware => middleware.close(how)))
    }
    return {
      ...watch,
      framework,
      server,
      port: await listen(server, more.at),
      wire: wireOf(more),
      proxies: () => middlewares,
      closeProxy,
      close: async () => {
        await closeProxy({ drainTimeout: 0 })
        await closeServer()
      },
    }
  }

export const startExpress5: Start = startApp('Express 5', () => express5().disable('x-powered-by') as unknown as App)

export const startExpress4: Start = startApp('Express 4', () => express4().disable('x-powered-by') as unknown as App)

export const startConnect: Start = startApp('Connect', () => connect() as unknown as App)

export const startFastify: Start = async (mount, options, more = {}) => {
  const watch = nothingYet()
  const app = fastify({
    forceCloseConnections: true,
    ...(more.serverOptions === undefined ? {} : { http: more.serverOptions }),
    ...(more.tls === undefined ? {} : { https: more.tls }),
  } as object) as unknown as FastifyInstance
  const destroySockets = trackSockets(app.server)
  for (const middleware of more.before ?? []) {
    app.addHook('onRequest', (request, reply, done) =>
      middleware(request.raw, reply.raw, error => done(error as Error)),
    )
  }
  app.get('/own', (_request, reply) => reply.send('own'))
  const after = more.after ?? own404
  app.setNotFoundHandler((request, reply) => {
    after(request.raw, reply.raw)
    reply.hijack()
  })
  if (more.errorHandler === 'framework') {
    app.addHook('onError', (_request, _reply, error, done) => {
      watch.errors.push(error as unknown as WsTunnelError)
      done()
    })
  } else {
    app.setErrorHandler((error, _request, reply) => {
      watch.errors.push(error as WsTunnelError)
      reply.hijack()
      sendError(error as WsTunnelError, reply.raw)
    })
  }
  for (const [i, each] of [{ mount, options }, ...(more.more ?? [])].entries()) {
    const handover = i === 0 ? handoverOf(more) : {}
    const prefix = each.mount === '/' ? {} : { prefix: each.mount }
    const own = watched(each.options, watch) as WsTunnelOptions<object>
    app.register(wsTunnelPlugin, { ...own, ...prefix, ...handover })
  }
  more.prepare?.(app.server)
  await app.listen((more.at ?? { port: 0, host: '127.0.0.1' }) as { port: number })
  return {
    ...watch,
    framework: 'Fastify 5',
    server: app.server,
    port: portOf(app.server),
    wire: wireOf(more),
    proxies: () => [...app.tunnelProxies],
    closeProxy: () => app.close(),
    close: async () => {
      destroySockets()
      await app.close()
    },
  }
}
