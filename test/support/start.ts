import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, ListenOptions, Socket } from 'node:net'
import type { TlsOptions } from 'node:tls'
import type { Only, Tunnel, TunnelEnd, WsTunnelError, WsTunnelOptions } from '@ws-tunnel/core'
import { listenForUpgrades, type WsTunnelMiddleware, wsTunnel } from '@ws-tunnel/express'
import { wsTunnelPlugin } from '@ws-tunnel/fastify'
import connect from 'connect'
import express5 from 'express'
import express4 from 'express4'
import fastify, { type FastifyInstance } from 'fastify'
import { async } from './pump.ts'

/** Middleware as Express and Connect know it; on Fastify it runs as an onRequest hook over the raw pair. */
export type Middleware = (
  req: IncomingMessage & { body?: unknown },
  res: ServerResponse,
  next: (error?: unknown) => void,
) => void

export interface StartOptions {
  /** In front of the tunnels. */
  before?: Middleware[]
  /** The app's own last word for what nothing took. @default 404 `own 404: <method> <url>` */
  after?: (req: IncomingMessage, res: ServerResponse) => void
  /** `explicit` calls `listenForUpgrades`; `auto` leaves that to the first request. Fastify's plugin always listens. @default 'explicit' */
  listen?: 'auto' | 'explicit'
  /** Passed to `listenForUpgrades`, where that is called. */
  only?: Only
  /** Parse JSON bodies before the tunnels, with `express.json()`; Fastify's plugin has its own parser. */
  json?: boolean
  /** `own` answers `{ code }` with the error's status, `framework` leaves the answer to the framework. @default 'own' */
  errorHandler?: 'own' | 'framework'
  /** More tunnels on the same app. */
  more?: { mount: string; options: WsTunnelOptions }[]
  serverOptions?: ServerOptions
  /** Serve HTTPS. */
  tls?: TlsOptions
  /** Where to listen. @default port 0 of 127.0.0.1 */
  at?: ListenOptions
  /** Called with the server before it listens. */
  prepare?: (server: Server) => void
}

export interface Started {
  framework: string
  server: Server
  port: number
  /** Every error that reached the app's error handler. */
  errors: WsTunnelError[]
  /** Tunnels that are open now. */
  tunnels: Set<Tunnel>
  /** Every tunnel that ended, with its end. */
  ends: { tunnel: Tunnel; end: TunnelEnd }[]
  /** The middlewares; none on Fastify. */
  middlewares: WsTunnelMiddleware[]
  fastify: FastifyInstance | undefined
  /** Closes the proxies as their user would: `middleware.close()`, or `fastify.close()`. */
  closeProxy: (options?: { drainTimeout?: number }) => Promise<void>
  /** Ends everything at once. */
  close: () => Promise<void>
}

/** Starts a server with a tunnel at `mount`; `GET /own` answers `own` in front of it. */
export type Start = (mount: string, options: WsTunnelOptions, more?: StartOptions) => Promise<Started>

type Watch = Pick<Started, 'errors' | 'tunnels' | 'ends'>

/** The options with observers that keep what happened; tunnels end with the server unless the test says when. */
function watched(options: WsTunnelOptions, { tunnels, ends }: Watch): WsTunnelOptions {
  return {
    drainTimeout: 0,
    async,
    ...options,
    onOpen: message => {
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

const noHandler = (req: IncomingMessage, res: ServerResponse): void => {
  res.statusCode = 404
  res.end(`own 404: ${req.method} ${req.url}`)
}

function answerError(error: WsTunnelError, res: ServerResponse): void {
  res.statusCode = error.statusCode ?? 500
  for (const [name, value] of Object.entries(error.headers ?? {})) res.setHeader(name, value)
  res.setHeader('Content-Type', 'application/json')
  res.end(JSON.stringify({ code: error.code ?? String(error) }))
}

async function listening(server: Server, at: ListenOptions): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(at, () => {
      server.off('error', reject)
      resolve()
    })
  })
  const address = server.address() as AddressInfo | string
  return typeof address === 'string' ? 0 : address.port
}

/** All sockets of a server, tunnels included, so that the end of a test leaves none. */
function trackSockets(server: Server): Set<Socket> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  return sockets
}

const ANYWHERE: ListenOptions = { port: 0, host: '127.0.0.1' }

/** What Express 4, Express 5 and Connect have in common. */
interface App {
  (req: IncomingMessage, res: ServerResponse): void
  use: (...args: unknown[]) => unknown
}

const startApp =
  (framework: string, createApp: () => App): Start =>
  async (mount, options, more = {}) => {
    const watch: Watch = { errors: [], tunnels: new Set(), ends: [] }
    const app = createApp()
    if (more.json) app.use(express5.json())
    for (const middleware of more.before ?? []) app.use(middleware)
    app.use('/own', ((_req, res) => res.end('own')) satisfies Middleware)
    const middlewares = [{ mount, options }, ...(more.more ?? [])].map(each => {
      const middleware = wsTunnel(watched(each.options, watch))
      app.use(each.mount, middleware)
      return middleware
    })
    const after = more.after ?? noHandler
    app.use(((req, res) => after(req, res)) satisfies Middleware)
    app.use((error: WsTunnelError, _req: IncomingMessage, res: ServerResponse, next: (error: unknown) => void) => {
      watch.errors.push(error)
      if (res.headersSent || more.errorHandler === 'framework') next(error)
      else answerError(error, res)
    })
    const server =
      more.tls === undefined
        ? createServer(more.serverOptions ?? {}, app)
        : createTlsServer({ ...more.serverOptions, ...more.tls }, app)
    const sockets = trackSockets(server)
    more.prepare?.(server)
    if (more.listen !== 'auto') listenForUpgrades(server, app, { only: more.only })
    const port = await listening(server, more.at ?? ANYWHERE)
    const closeProxy = async (how?: { drainTimeout?: number }): Promise<void> => {
      await Promise.all(middlewares.map(middleware => middleware.close(how)))
    }
    return {
      ...watch,
      framework,
      server,
      port,
      middlewares,
      fastify: undefined,
      closeProxy,
      close: async () => {
        await closeProxy({ drainTimeout: 0 })
        for (const socket of sockets) socket.destroy()
        if (server.listening) await new Promise(resolve => server.close(resolve))
      },
    }
  }

export const startExpress5: Start = startApp('Express 5', () => express5().disable('x-powered-by') as unknown as App)

export const startExpress4: Start = startApp('Express 4', () => express4().disable('x-powered-by') as unknown as App)

export const startConnect: Start = startApp('Connect', () => connect() as unknown as App)

export const startFastify: Start = async (mount, options, more = {}) => {
  const watch: Watch = { errors: [], tunnels: new Set(), ends: [] }
  const app = fastify({
    forceCloseConnections: true,
    ...(more.serverOptions === undefined ? {} : { http: more.serverOptions }),
    ...(more.tls === undefined ? {} : { https: more.tls }),
  } as object) as unknown as FastifyInstance
  const sockets = trackSockets(app.server)
  for (const middleware of more.before ?? []) {
    app.addHook('onRequest', (request, reply, done) =>
      middleware(request.raw, reply.raw, error => done(error as Error)),
    )
  }
  app.get('/own', (_request, reply) => reply.send('own'))
  const after = more.after ?? noHandler
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
      answerError(error as WsTunnelError, reply.raw)
    })
  }
  for (const each of [{ mount, options }, ...(more.more ?? [])]) {
    const prefix = each.mount === '/' ? {} : { prefix: each.mount }
    app.register(wsTunnelPlugin, { ...watched(each.options, watch), ...prefix })
  }
  more.prepare?.(app.server)
  await app.listen((more.at ?? ANYWHERE) as { port: number })
  const address = app.server.address() as AddressInfo | string
  return {
    ...watch,
    framework: 'Fastify 5',
    server: app.server,
    port: typeof address === 'string' ? 0 : address.port,
    middlewares: [],
    fastify: app,
    closeProxy: () => app.close(),
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await app.close()
    },
  }
}

export const frameworks: Record<string, Start> = {
  'Express 5': startExpress5,
  'Express 4': startExpress4,
  Connect: startConnect,
  'Fastify 5': startFastify,
}
