import type { IncomingMessage } from 'node:http'
import { WorkerTable } from '../backend/named-worker.ts'
import type { Captures } from '../backend/target.ts'
import { Balancer } from '../balancer/balancer.ts'
import { WsTunnelError } from '../errors.ts'
import { headerValue } from '../http/header-list.ts'
import { RequestUrl } from '../http/path.ts'
import { encodePath } from '../http/percent-encoding.ts'
import type { Settings } from '../options/options.ts'
import { checkLength, type Miss, Route, type RouteStatus, type Routing } from './route.ts'

/** A route that a request matched, and what it captured. */
export interface Match {
  readonly route: Route
  /** As the client asked, or what `rewrite` made of it. */
  readonly url: RequestUrl
  readonly captures: Captures
  /** Where the request goes; `false` hands it back to the app. */
  readonly destination: () => Routing | Promise<Routing>
}

/** The routes in the order they are written; the first match wins (ProxyPass). */
export class RouteTable {
  readonly #routes: readonly Route[]
  readonly #settings: Settings
  readonly balancers: ReadonlyMap<string, Balancer>

  constructor(settings: Settings, single: boolean) {
    this.#settings = settings
    const named = Object.entries(settings.balancers)
    const trusts: Settings['trusts'] = (address, hop) => !settings.appends && settings.trusts(address, hop)
    this.balancers = new Map(named.map(([name, balancer]) => [name, new Balancer(name, balancer, trusts)]))
    const backends = { workers: new WorkerTable(settings.workers), balancers: this.balancers }
    this.#routes = settings.routes.map((route, i) => new Route(route, i, single ? '' : `routes[${i}].`, backends))
  }

  /** The routes at work, in order. */
  get statuses(): readonly RouteStatus[] {
    return this.#routes
  }

  /**
   * The first route that takes the request. A route without fallback is passed over by a request that asks for no
   * upgrade, as mod_proxy_wstunnel's check_trans does. `onMiss` hears of each before it why not.
   */
  match(
    req: IncomingMessage,
    asked: RequestUrl,
    onMiss?: (route: Route, miss: Miss) => void,
    note?: (line: string) => void,
  ): Match | null {
    // `OPTIONS *` names no path (httpd: proxy_trans declines what does not begin with a slash).
    if (!asked.rawPath.startsWith('/')) return null
    let rewritten: RequestUrl | undefined
    for (const route of this.#routes) {
      const { fallback, upgrade, mapping } = route.settings
      // httpd: pre_translate_name, before mod_rewrite.
      if (mapping === 'decoded') rewritten ??= this.#rewritten(req, asked, note)
      const url = rewritten ?? asked
      if (!url.rawPath.startsWith('/')) return null
      if (!fallback && !upgrade.always && headerValue(req, 'upgrade') === '') {
        onMiss?.(route, 'upgrade')
        continue
      }
      const captures = route.match(req, url, onMiss && (miss => onMiss(route, miss)))
      if (captures !== null) return { route, url, captures, destination: () => route.destination(req, url, captures) }
    }
    return null
  }

  /** A malformed path stays as it is: no route that matches it takes it. httpd: hook_uri2file. */
  #rewritten(req: IncomingMessage, asked: RequestUrl, note?: (line: string) => void): RequestUrl {
    const { rewrite, decoding } = this.#settings
    if (rewrite === undefined) return asked
    const { text, fault } = asked.path(decoding.encodedSlashes, decoding.mergeSlashes)
    if (fault !== undefined) return asked
    checkLength(text)
    try {
      const made = rewrite(req, { path: text, query: asked.query }, note)
      if (made === undefined) return asked
      const { path, query } = made
      return new RequestUrl(encodePath(path, decoding.encodedSlashes) + query, path)
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
