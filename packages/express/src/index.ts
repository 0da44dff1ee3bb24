import type { IncomingMessage, ServerResponse } from 'node:http'
import { createTunnelProxy, type TunnelProxy, type WsTunnelOptions } from '@ws-tunnel/core'

export * from '@ws-tunnel/core'

/** What Express and Connect call when a middleware is done, with the failure if there was one. */
export type Next = (error?: unknown) => void

/** The request as Express and Connect hand it over: the mount path is already taken off `url`. */
export type MountedRequest = IncomingMessage & { baseUrl?: string; originalUrl?: string; body?: unknown }

/** Middleware of Express 4, Express 5 and Connect, with the proxy's `close`, `tunnels`, `routes` and `balancers`. */
export type WsTunnelMiddleware = ((req: MountedRequest, res: ServerResponse, next: Next) => void) &
  Pick<TunnelProxy, 'close' | 'tunnels' | 'routes' | 'balancers'>

/**
 * ProxyPass and its kin as middleware: `app.use('/chat', wsTunnel({ target: 'ws://chat:9000/' }))`. `app.use` takes the
 * mount path off, `app.get` and its kin do not, as everywhere in Express.
 *
 * @throws {WsTunnelError} `WST_ERR_OPTION` for wrong options.
 */
export function wsTunnel(options: WsTunnelOptions): WsTunnelMiddleware {
  const proxy = createTunnelProxy(options)
  const middleware = (req: MountedRequest, res: ServerResponse, next: Next): void => {
    proxy
      .handle(req, res, { ...mountOf(req), body: req.body })
      .then(taken => {
        if (!taken) next()
      })
      .catch(error => report(error, res, next))
  }
  const { close, tunnels, routes, balancers } = proxy
  return Object.assign(middleware, { close, tunnels, routes, balancers })
}

/** A `next` that throws has no error handler behind it that could answer. */
function report(error: unknown, res: ServerResponse, next: Next): void {
  try {
    next(error)
  } catch {
    res.destroy()
  }
}

/**
 * Express names the part it took off `baseUrl`; Connect leaves the whole in `originalUrl`. Both put a slash where nothing
 * was left, which a target with a path of its own must not get.
 */
function mountOf({ baseUrl, originalUrl, url = '/' }: MountedRequest): { mount: string; url: string } {
  const whole = originalUrl ?? url
  const slashAdded = /^\/(?:\?|$)/.test(url) && !whole.endsWith(url) && whole.endsWith(url.slice(1))
  const below = slashAdded ? url.slice(1) : url
  const mount = baseUrl ?? (whole.endsWith(below) ? whole.slice(0, whole.length - below.length) : '')
  return { mount, url: below }
}
