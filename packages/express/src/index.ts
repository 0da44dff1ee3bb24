import type { IncomingMessage, ServerResponse } from 'node:http'
import { createTunnelProxy, type TunnelProxy, type WsTunnelOptions } from '@ws-tunnel/core'

export * from '@ws-tunnel/core'

/**
 * The function that Express and Connect pass to a middleware to call the next one, or an error handler with an error.
 */
export type Next = (error?: unknown) => void

/** A request as Express and Connect pass it to a middleware: its `url` is without the mount path. */
export type MountedRequest = IncomingMessage & { baseUrl?: string; originalUrl?: string; body?: unknown }

/** Middleware for Express 4, Express 5 and Connect, with `close`, `tunnels`, `routes` and `balancers` of its proxy. */
export type WsTunnelMiddleware = ((req: MountedRequest, res: ServerResponse, next: Next) => void) &
  Pick<TunnelProxy, 'close' | 'tunnels' | 'routes' | 'balancers'>

/**
 * ProxyPass as middleware: `app.use('/chat', wsTunnel({ target: 'ws://chat:9000/' }))`. As everywhere in Express,
 * `app.use` removes the mount path from the request's path, and `app.get`, `app.post` and `app.all` do not. A request
 * that no route matches goes to `next()`, a failure to `next(error)`.
 *
 * @throws {WsTunnelError} `WST_ERR_OPTION` for wrong options.
 */
export function wsTunnel(options: WsTunnelOptions): WsTunnelMiddleware {
  const proxy = createTunnelProxy(options)
  const middleware = (req: MountedRequest, res: ServerResponse, next: Next): void => {
    const mounted = mountOf(req)
    if (mounted === undefined) {
      next()
      return
    }
    proxy
      .handle(req, res, { ...mounted, paths: 'exact', body: req.body })
      .then(handled => {
        if (!handled) next()
      })
      .catch(error => fail(error, res, next))
  }
  const { close, tunnels, routes, balancers } = proxy
  return Object.assign(middleware, { close, tunnels, routes, balancers })
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
