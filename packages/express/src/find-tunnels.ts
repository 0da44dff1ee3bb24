import type { IncomingMessage } from 'node:http'
import type { TunnelProxy } from '@ws-tunnel/core'

/**
 * Key of the property of our middleware that holds its proxy. The symbol is in the global registry, because the app may use
 * another copy of this package than the listener.
 */
const PROXY: unique symbol = Symbol.for('ws-tunnel.middleware.1') as never

/** Marks a middleware, so that it can be found in the app that uses it. */
export function markTunnel(middleware: object, proxy: TunnelProxy): void {
  Object.defineProperty(middleware, PROXY, { value: proxy })
}

/** One `app.use`, `app.get` and so on, as Express 4, Express 5 and Connect keep it. Every field is tested before use. */
interface Layer {
  /** Express: whether the layer matches a path, or what it matches. */
  readonly match?: (path: string) => boolean | { path?: string }
  /** Express 4 and early routers of Express 5: the part of the path that `match` found last. */
  readonly path?: string
  /** Express: the route of `app.get`. Connect: the path of `app.use`. */
  readonly route?: string | { stack?: readonly Layer[] }
  readonly handle?: Handle
}

type Handle = { (...args: never[]): unknown; stack?: readonly Layer[]; [PROXY]?: TunnelProxy }

/** The layers of an app or a router; `undefined` if it is neither. Express 4 throws if `router` of an app is read. */
function layersOf(handler: unknown): readonly Layer[] | undefined {
  if (typeof handler !== 'function') return undefined
  const { stack, _router } = handler as { stack?: unknown; _router?: { stack?: unknown } }
  try {
    const layers = stack ?? _router?.stack ?? (handler as { router?: { stack?: unknown } }).router?.stack
    return Array.isArray(layers) ? layers : undefined
  } catch {
    return undefined
  }
}

/** How much of the path a layer matches; `undefined` if it does not match. */
function matchedPath(layer: Layer, path: string): string | undefined {
  if (typeof layer.match === 'function') {
    try {
      const match = layer.match(path)
      return match ? (typeof match === 'object' ? match.path : layer.path) : undefined
    } catch {
      // The path has an escape that cannot be decoded.
      return undefined
    }
  }
  if (typeof layer.route !== 'string') return undefined
  const next = path[layer.route.length]
  const isBoundary = next === undefined || next === '/' || next === '.'
  return isBoundary && path.toLowerCase().startsWith(layer.route.toLowerCase()) ? layer.route : undefined
}

/**
 * Whether the path of a request leads to a tunnel that the app uses, directly or in a router.
 *
 * @returns `undefined` if the app does not tell: it is not of Express or Connect, it has a sub-app at the path, or the tunnel takes
 *   every path.
 */
export function leadsToTunnel(app: unknown, req: IncomingMessage): boolean | undefined {
  const layers = layersOf(app)
  return layers === undefined ? undefined : search(layers, req, '', req.url ?? '/')
}

function search(layers: readonly Layer[], req: IncomingMessage, mount: string, url: string): boolean | undefined {
  const path = url.split('?', 1)[0] as string
  return anyOf(layers, layer => {
    const matched = matchedPath(layer, path)
    return matched === undefined ? false : throughLayer(layer, req, mount, url, matched)
  })
}

/** Whether the test is true for one of the items; `undefined` if it is for none, and cannot tell for one. */
function anyOf<T>(items: readonly T[], test: (item: T) => boolean | undefined): boolean | undefined {
  const results = items.map(test)
  return results.includes(true) ? true : results.includes(undefined) ? undefined : false
}

/** A path that only a layer for every path matches. */
const ANY_PATH = '/ws-tunnel.any.3f9c0b1e/ws-tunnel.path.77d2a4c5'

function throughLayer(
  layer: Layer,
  req: IncomingMessage,
  mount: string,
  url: string,
  matched: string,
): boolean | undefined {
  const { route, handle } = layer
  if (typeof route === 'object') {
    // A route strips nothing. Its own path tells as much as a mount, unless it matches any path.
    const takesAll = matchedPath(layer, ANY_PATH) !== undefined
    const proxies = route.stack?.flatMap(({ handle: each }) => each?.[PROXY] ?? []) ?? []
    return anyOf(proxies, proxy => proxy.claims(req, { mount: takesAll ? '' : matched, url }))
  }
  const below = mount + matched
  const rest = url.slice(matched.length)
  const proxy = handle?.[PROXY]
  if (proxy !== undefined) return proxy.claims(req, { mount: below, url: rest })
  // Express strips the mount without its last slash, and Connect adds a slash to an empty rest.
  const layers = layersOf(handle)
  if (layers !== undefined) return search(layers, req, below, rest.startsWith('/') ? rest : `/${rest}`)
  return handle?.name === 'mounted_app' ? undefined : false
}

/** Whether the app or one of its routers uses the middleware. */
export function usesMiddleware(app: unknown, middleware: unknown): boolean {
  return (layersOf(app) ?? []).some(({ handle, route }) => {
    const inRoute = typeof route === 'object' && route.stack?.some(inner => inner.handle === middleware)
    return handle === middleware || inRoute || usesMiddleware(handle, middleware)
  })
}
