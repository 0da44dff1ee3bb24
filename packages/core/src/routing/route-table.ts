import type { IncomingMessage } from 'node:http'
import { WorkerTable } from '../backend/named-worker.ts'
import { LoadBalancer } from '../balancer/load-balancer.ts'
import { WsTunnelError } from '../errors.ts'
import { RequestUrl } from '../http/path.ts'
import { encodePath } from '../http/percent-encoding.ts'
import { upgradeLines } from '../http/upgrade.ts'
import type { Settings } from '../options/options.ts'
import { checkLength, type MatchedRequest, type Miss, Route } from './route.ts'

/** A request and the route that it matched. */
export interface Match extends MatchedRequest {
  readonly route: Route
}

/** The routes in the order in which they are written. The first match wins (ProxyPass). */
export class RouteTable {
  readonly #routes: readonly Route[]
  readonly #settings: Settings
  readonly balancers: ReadonlyMap<string, LoadBalancer>

  constructor(settings: Settings, single: boolean) {
    this.#settings = settings
    const named = Object.entries(settings.balancers)
    const trusts: Settings['trusts'] = (address, hop) => !settings.appends && settings.trusts(address, hop)
    this.balancers = new Map(named.map(([name, balancer]) => [name, new LoadBalancer(name, balancer, trusts)]))
    const backends = { workers: new WorkerTable(settings.workers), balancers: this.balancers }
    this.#routes = settings.routes.map((route, i) => new Route(route, i, single ? '' : `routes[${i}].`, backends))
  }

  /** The routes, in order. */
  get statuses(): readonly Route[] {
    return this.#routes
  }

  /**
   * The first route that matches the request. A request that names no upgrade skips routes without fallback, as in
   * mod_proxy_wstunnel's check_trans. `onMiss` is called for each route that does not match, with the reason.
   */
  match(
    req: IncomingMessage,
    requested: RequestUrl,
    onMiss?: (route: Route, miss: Miss) => void,
    note?: (line: string) => void,
  ): Match | null {
    // `OPTIONS *` names no path (httpd: proxy_trans declines a URI that does not begin with a slash).
    if (!requested.rawPath.startsWith('/')) return null
    let rewritten: RequestUrl | undefined
    for (const route of this.#routes) {
      const { fallback, upgrade, mapping } = route.settings
      // httpd: pre_translate_name, before mod_rewrite.
      if (mapping === 'decoded') rewritten ??= this.#rewrite(req, requested, note)
      const url = rewritten ?? requested
      if (!url.rawPath.startsWith('/')) return null
      if (!fallback && !upgrade.always && upgradeLines(req).join('') === '') {
        onMiss?.(route, 'upgrade')
        continue
      }
      const captures = route.match(req, url, onMiss && (miss => onMiss(route, miss)))
      if (captures !== null) return { route, req, url, captures }
    }
    return null
  }

  /** Applies `rewrite`. A malformed path is not rewritten, because no route may proxy it. httpd: hook_uri2file. */
  #rewrite(req: IncomingMessage, requested: RequestUrl, note?: (line: string) => void): RequestUrl {
    const { rewrite, decoding } = this.#settings
    if (rewrite === undefined) return requested
    const { text, decoded = text, fault } = requested.path(decoding.encodedSlashes, decoding.mergeSlashes)
    if (fault !== undefined) return requested
    checkLength(text)
    try {
      const rewritten = rewrite(req, { path: decoded, query: requested.query }, note)
      if (rewritten === undefined) return requested
      const { path, query } = rewritten
      return new RequestUrl(encodePath(path, decoding.encodedSlashes) + query, 'normalise', path)
    } catch (cause) {
      if (cause instanceof WsTunnelError) throw cause
      throw new WsTunnelError('WST_ERR_CALLBACK', { detail: `rewrite threw ${String(cause)}`, cause })
    }
  }

  close(): void {
    for (const balancer of this.balancers.values()) balancer.close()
    for (const route of this.#routes) route.close()
  }
}
