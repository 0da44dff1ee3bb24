import type { IncomingMessage } from 'node:http'
import { headerValue } from './headers.ts'
import type { RouteSettings } from './options.ts'
import type { RequestUrl } from './path.ts'
import { type Miss, Route, type RouteStatus, type Routing } from './route.ts'
import type { Captures } from './target.ts'

/** A route that a request matched, and what it captured. */
export interface Match {
  readonly route: Route
  readonly captures: Captures
  /** Where the request goes; `false` hands it back to the app. */
  readonly destination: () => Routing | Promise<Routing>
}

/** The routes in the order they are written; the first match wins (ProxyPass). */
export class RouteTable {
  readonly #routes: readonly Route[]

  constructor(routes: readonly RouteSettings[], single: boolean) {
    this.#routes = routes.map((settings, i) => new Route(settings, i, single ? '' : `routes[${i}].`))
  }

  /** The routes at work, in order. */
  get statuses(): readonly RouteStatus[] {
    return this.#routes
  }

  /**
   * The first route that takes the request. A route without fallback is passed over by a request that asks for no
   * upgrade, as mod_proxy_wstunnel's check_trans does. `onMiss` hears of each before it why not.
   */
  match(req: IncomingMessage, url: RequestUrl, onMiss?: (route: Route, miss: Miss) => void): Match | null {
    // `OPTIONS *` names no path (httpd: proxy_trans declines what does not begin with a slash).
    if (!url.rawPath.startsWith('/')) return null
    for (const route of this.#routes) {
      const { fallback, upgrade } = route.settings
      if (!fallback && !upgrade.always && headerValue(req, 'upgrade') === '') {
        onMiss?.(route, 'upgrade')
        continue
      }
      const captures = route.match(req, url, onMiss && (miss => onMiss(route, miss)))
      if (captures !== null) return { route, captures, destination: () => route.destination(req, url, captures) }
    }
    return null
  }

  close(): void {
    for (const route of this.#routes) route.close()
  }
}
