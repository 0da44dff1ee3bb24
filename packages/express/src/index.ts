import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import type { Http2SecureServer, Http2Server, SecureServerOptions, ServerOptions } from 'node:http2'
import {
  createTunnelProxy,
  createHttp2Server as createWithoutApp,
  type ListenOptions,
  listenForUpgrades as listenWithoutApp,
  type TunnelProxy,
  type WsTunnelOptions,
} from '@ws-tunnel/core'
import { discoverServer } from './discover-server.ts'
import { leadsToTunnel, markTunnel, usesMiddleware } from './find-tunnels.ts'

export * from '@ws-tunnel/core'

/**
 * The function that Express and Connect pass to a middleware to call the next one, or an error handler with an error.
 */
export type Next = (error?: unknown) => void

/** A request as Express and Connect pass it to a middleware: its `url` is without the mount path. */
export type MountedRequest = IncomingMessage & { baseUrl?: string; originalUrl?: string; body?: unknown }

declare global {
  namespace Express {
    /** The types of Express and its middleware declare this interface too: passport `user`, express-session `session`. */
    interface Request {}
  }
}

/**
 * The request that the functions of the options get. It has what middleware declares for `Express.Request`. Where Express's own
 * members are needed: `wsTunnel<express.Request>(...)`, or name the type of a parameter.
 */
export type AppRequest = MountedRequest & Express.Request

/** Middleware for Express 4, Express 5 and Connect, with `close`, `ready`, `tunnels`, `routes` and `balancers` of its proxy. */
export type WsTunnelMiddleware = ((req: MountedRequest, res: ServerResponse, next: Next) => void) &
  Pick<TunnelProxy, 'close' | 'ready' | 'tunnels' | 'routes' | 'balancers'>

/**
 * ProxyPass as middleware: `app.use('/chat', wsTunnel({ target: 'ws://chat:9000/' }))`. As everywhere in Express,
 * `app.use` removes the mount path from the request's path, and `app.get`, `app.post` and `app.all` do not. A request
 * that no route matches goes to `next()`, a failure to `next(error)`.
 *
 * @typeParam Req the request that the functions of the options get
 * @throws {WsTunnelError} `WST_ERR_OPTION` for wrong options.
 */
export function wsTunnel<Req extends IncomingMessage = AppRequest>(options: WsTunnelOptions<Req>): WsTunnelMiddleware {
  const proxy = createTunnelProxy(options)
  let isDiscovered = false
  const middleware = (req: MountedRequest, res: ServerResponse, next: Next): void => {
    if (!isDiscovered) endDiscovery()
    const mounted = mountOf(req)
    if (mounted === undefined) {
      next()
      return
    }
    const { mount, url } = mounted
    proxy.handle(req, res, { mount, url, paths: 'exact', body: req.body }).then(
      handled => {
        if (!handled) passOn(res, next)
      },
      error => fail(error, res, next),
    )
  }
  const stopDiscovery = discoverServer(
    listener => usesMiddleware(listener, middleware),
    server => {
      isDiscovered = true
      proxy.listen(server, req => anyApp(server, req))
    },
  )
  const endDiscovery = (): void => {
    isDiscovered = true
    stopDiscovery()
  }
  const close: TunnelProxy['close'] = how => {
    endDiscovery()
    return proxy.close(how)
  }
  markTunnel(middleware, proxy)
  const { tunnels, routes, balancers } = proxy
  const ready = { get: () => proxy.ready, enumerable: true }
  return Object.defineProperty(
    Object.assign(middleware, { close, tunnels, routes, balancers, ready: true }),
    'ready',
    ready,
  )
}

/** Whether the path leads to a tunnel of an app that serves the server. */
function anyApp(server: Server, req: IncomingMessage): boolean | undefined {
  const results = server.listeners('request').map(listener => leadsToTunnel(listener, req))
  return results.includes(true) ? true : results.includes(undefined) ? undefined : false
}

/**
 * Sends every upgrade request of a server through the app as an ordinary `(req, res)`. If the server has other `upgrade`
 * listeners, the app gets the upgrades whose path leads to one of its tunnels, and they get the others. `only` says it
 * instead where the app does not tell: for a tunnel at `/` that takes every path.
 *
 * @returns a function that undoes the call.
 */
export function listenForUpgrades(server: Server, app: RequestListener, options: ListenOptions = {}): () => void {
  return listenWithoutApp(server, app, { claims: req => leadsToTunnel(app, req), ...options })
}

/**
 * Creates a server for HTTP/2 and HTTP/1.1 that serves an Express or Connect app as a whole: its requests, its upgrades, and with
 * `settings: { enableConnectProtocol: true }` the WebSockets that browsers send over HTTP/2 (RFC 8441).
 *
 * @param options those of `http2.createSecureServer`; without `key`, `cert`, `pfx` and `SNICallback` those of `http2.createServer`
 */
export function createHttp2Server(
  options: SecureServerOptions | ServerOptions,
  app: RequestListener,
  listening: ListenOptions = {},
): Http2SecureServer | Http2Server {
  return createWithoutApp(options, app, { claims: req => leadsToTunnel(app, req), ...listening })
}

function passOn(res: ServerResponse, next: Next): void {
  try {
    next()
  } catch (error) {
    fail(error, res, next)
  }
}

/** Calls `next(error)`. If that throws, no error handler can respond, and the connection is closed. */
function fail(error: unknown, res: ServerResponse, next: Next): void {
  try {
    next(error)
  } catch {
    res.destroy()
  }
}

/**
 * Splits the path of a request at the mount. Express has the removed part in `baseUrl`; Connect has the whole path in
 * `originalUrl`. Both replace an empty rest by a slash. This function removes that slash, because it must not be appended
 * to the path of a target. The scheme and host of an absolute-form request target belong to neither part.
 *
 * @returns `undefined` if the mount ends inside a segment: Connect lets it end before a dot, and so does Express 4 for a
 *   RegExp.
 */
function mountOf({ baseUrl, originalUrl, url = '/' }: MountedRequest): { mount: string; url: string } | undefined {
  if (originalUrl === url && url.startsWith('/')) return { mount: '', url }
  const [origin = ''] = ORIGIN.exec(originalUrl ?? url) ?? []
  const whole = (originalUrl ?? url).slice(origin.length)
  const rest = url.startsWith(origin) ? url.slice(origin.length) : url.replace(ORIGIN, '')
  const slashAdded = /^\/(?:[?.]|$)/.test(rest) && !whole.endsWith(rest) && whole.endsWith(rest.slice(1))
  const below = slashAdded ? rest.slice(1) : rest
  if (below.startsWith('.') && baseUrl !== '') return undefined
  const mount = baseUrl ?? (whole.endsWith(below) ? whole.slice(0, whole.length - below.length) : '')
  return { mount, url: below }
}

const ORIGIN = /^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i
