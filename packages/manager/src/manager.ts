import type { IncomingMessage, ServerResponse } from 'node:http'
import { hostname } from 'node:os'
import { keepThroughHandover } from '@ws-tunnel/core'
import { Changes, readChange } from './api/changes.ts'
import { EventStreams, type ServerEvent } from './api/event-streams.ts'
import { FailureLog } from './api/failure-log.ts'
import { MemberHistory } from './api/member-history.ts'
import { Meter, type SavedCounts } from './api/meter.ts'
import { viewProxy } from './api/proxy-view.ts'
import { RateHistory, type SavedHistory } from './api/rate-history.ts'
import { listTunnels } from './api/tunnel-list.ts'
import { readTunnelQuery, type TunnelQuery } from './api/tunnel-query.ts'
import { joinFleet } from './fleet/fleet.ts'
import type { Fleet, FleetOptions } from './fleet/fleet-options.ts'
import { ChangeToken, isForKnownHost, isFromOtherSite, isFromOurPage, visit } from './http/access.ts'
import { type Asset, readAssets } from './http/assets.ts'
import { readJson } from './http/json-body.ts'
import { send, sendJson, sendText } from './http/responses.ts'
import { type ManagerOptions, type ManagerSettings, resolveManagerOptions } from './options.ts'
import type { Failure, ProxyView, State, TunnelList } from './page/types.ts'
import { namedProxies, type Proxies, subscribeToProxies } from './util/proxies.ts'
import { Refusal } from './util/refusal.ts'

/** A request as frameworks pass it on. */
export type ManagedRequest = IncomingMessage & { originalUrl?: string; body?: unknown }

/** Middleware for Express and Connect, and a request listener for node:http. */
export interface ManagerPage {
  (req: ManagedRequest, res: ServerResponse, next?: (error?: unknown) => void): void
  /**
   * Resolves with true when the settings of the store are applied, or with false when the store turns out to be away: a
   * member that an operator has disabled may then be in use here. It never rejects.
   */
  readonly ready: Promise<boolean>
  /**
   * Ends the live pages and stops sampling and counting. Every later request gets 503.
   *
   * @returns a promise that resolves when the store is closed.
   */
  close(): Promise<void>
}

const ACTION = /^\/api\/([a-z-]+)$/

const HOST = hostname()

/** What a manager keeps through a hand-over. */
interface SavedManager {
  readonly version: 1
  readonly counts: SavedCounts
  readonly history: SavedHistory
}

/**
 * The page, the API and the live events of the manager, as balancer-manager and server-status of httpd have them:
 * `app.use('/manager', managerPage(tunnel, { authorize }))`.
 *
 * @param proxies what to manage. A list may change while the manager runs.
 * @throws {TypeError} for wrong options, and if neither `authorize` nor `unsafeOpen: true` is set.
 */
export function managerPage(proxies: Proxies, options: ManagerOptions): ManagerPage {
  const manager = new Manager(resolveManagerOptions(proxies, options))
  const page = (req: ManagedRequest, res: ServerResponse, next?: (error?: unknown) => void): void => {
    manager.handle(req, res, next)
  }
  return Object.assign(page, { ready: manager.fleet.ready, close: () => manager.close() })
}

class Manager {
  readonly fleet: Fleet
  readonly #settings: ManagerSettings
  readonly #assets: ReadonlyMap<string, Asset> = readAssets()
  readonly #token: ChangeToken
  readonly #meter: Meter
  readonly #failures: FailureLog
  readonly #history: RateHistory
  readonly #streams: EventStreams
  readonly #changes: Changes
  readonly #members: MemberHistory
  readonly #stops: (() => void)[]
  /** The list that the live pages have. */
  #sentFailures: readonly Failure[] = []
  #closed = false

  constructor(settings: ManagerSettings) {
    const { proxies, secret, history, maxClients, interval, recheck } = settings
    namedProxies(proxies)
    this.#settings = settings
    this.#token = new ChangeToken(secret)
    this.#meter = new Meter(proxies)
    this.#failures = new FailureLog(proxies, settings.showQuery)
    this.#members = new MemberHistory()
    this.#history = new RateHistory(history)
    this.#streams = new EventStreams(maxClients)
    this.fleet = joinFleet(proxies, fleetOptionsOf(settings))
    this.#changes = new Changes(proxies, this.fleet)
    const timers = [
      setInterval(() => this.#sample(), interval).unref(),
      setInterval(() => void this.#streams.recheck(), recheck).unref(),
    ]
    this.#stops = [
      this.#meter.stop,
      this.#failures.stop,
      () => this.#members.stop(),
      () => timers.forEach(clearInterval),
      () => this.#streams.close(),
    ]
    this.#history.sample(this.#proxies())
    this.#stops.push(
      // A tunnel that comes brings the bytes of its whole life, which are no rate.
      subscribeToProxies(proxies, { 'ws-tunnel:adopted': () => this.#history.skip() }),
      keepThroughHandover(`@ws-tunnel/manager ${settings.title} ${settings.path}`, {
        save: (): SavedManager => ({ version: 1, counts: this.#meter.save(), history: this.#history.save() }),
        restore: value => this.#restore(value as SavedManager),
      }),
    )
  }

  /** A process of another version may keep other values. Then this one begins without them. */
  #restore({ version, counts, history }: SavedManager): void {
    if (version !== 1) return
    this.#meter.restore(counts)
    this.#history.restore(history)
  }

  handle(req: ManagedRequest, res: ServerResponse, next: ((error?: unknown) => void) | undefined): void {
    const url = this.#belowPath(req.url ?? '/')
    if (url === undefined) {
      if (next === undefined) sendText(res, 404, 'Not found')
      else next()
      return
    }
    this.#serve(req, res, url).catch(error => {
      if (error instanceof Refusal) sendJson(res, error.statusCode, { error: error.message }, error.headers)
      else if (next === undefined) sendText(res, 500, 'Internal server error')
      else next(error)
    })
  }

  close(): Promise<void> {
    this.#closed = true
    for (const stop of this.#stops.splice(0)) stop()
    return this.fleet.close()
  }

  /** The URL without the option `path`; `undefined` for a URL that is not below it. */
  #belowPath(url: string): string | undefined {
    const { path } = this.#settings
    if (path === '') return url
    if (!url.startsWith(path) || !/^(?:[/?]|$)/.test(url.slice(path.length))) return undefined
    return url.slice(path.length)
  }

  async #serve(req: ManagedRequest, res: ServerResponse, url: string): Promise<void> {
    if (this.#closed) throw new Refusal(503, 'The manager is closed')
    if (!isForKnownHost(req, this.#settings.hosts))
      throw new Refusal(421, 'Expected Host to be localhost, an IP address or one of the option `hosts`')
    const visitor = await visit(this.#settings.authorize, req)
    if (!visitor.allowed) {
      sendText(res, visitor.statusCode, visitor.statusCode === 401 ? 'Unauthorized' : 'Forbidden', visitor.headers)
      return
    }
    // The manager may have been closed while `authorize` ran.
    if (this.#closed) throw new Refusal(503, 'The manager is closed')
    const [path, query] = splitUrl(url)
    if (req.method === 'POST') {
      await this.#change(req, res, path, visitor.mayChange)
      return
    }
    if (req.method !== 'GET' && req.method !== 'HEAD')
      throw new Refusal(405, 'Expected GET, HEAD or POST', { Allow: 'GET, HEAD, POST' })
    if (this.#redirectToSlash(req, res, path)) return
    const asset = this.#assets.get(path)
    if (asset !== undefined) send(res, 200, asset.type, asset.body)
    else if (isFromOtherSite(req)) throw new Refusal(403, 'The API is not available to pages of other sites')
    else this.#read(req, res, path, query, visitor.mayChange)
  }

  #read(req: ManagedRequest, res: ServerResponse, path: string, query: URLSearchParams, mayChange: boolean): void {
    if (path === '/api/token') sendJson(res, 200, { token: mayChange ? this.#token.token : null })
    else if (path === '/api/state') sendJson(res, 200, this.#state(readTunnelQuery(query)))
    else if (path === '/api/tunnels') sendJson(res, 200, this.#tunnels(readTunnelQuery(query)))
    else if (path === '/api/history') sendJson(res, 200, this.#history.samples)
    else if (path === '/api/failures') sendJson(res, 200, this.#failures.list)
    else if (path === '/events') this.#openStream(req, res, readTunnelQuery(query), mayChange)
    else throw new Refusal(404, 'There is no such resource')
  }

  #openStream(req: ManagedRequest, res: ServerResponse, query: TunnelQuery, mayChange: boolean): void {
    if (req.method === 'HEAD') throw new Refusal(405, 'Expected GET', { Allow: 'GET' })
    const isAllowed = async (): Promise<boolean> => (await visit(this.#settings.authorize, req)).allowed
    this.#streams.add(res, query, { mayChange, isAllowed }, [
      { name: 'history', data: JSON.stringify(this.#history.samples) },
      { name: 'failures', data: JSON.stringify(this.#failures.list) },
      { name: 'state', data: JSON.stringify(this.#state(query)) },
    ])
  }

  async #change(req: ManagedRequest, res: ServerResponse, path: string, mayChange: boolean): Promise<void> {
    if (!mayChange) throw new Refusal(403, 'This visitor may view, but may not change anything')
    if (!isFromOurPage(req, this.#settings.origins))
      throw new Refusal(403, 'Expected Origin or Sec-Fetch-Site to name the origin of this page')
    if (!this.#token.equals(req.headers['x-ws-tunnel-token']))
      throw new Refusal(403, 'Expected X-WS-Tunnel-Token to be the token of api/token')
    const change = readChange(ACTION.exec(path)?.[1] ?? '', await readJson(req))
    const result = this.#changes.make(change)
    this.#settings.onChange(change, req)
    sendJson(res, 200, result)
    this.#sendEvents(this.#proxies(), [])
  }

  /** Relative URLs of the page need a slash after the mount path. */
  #redirectToSlash(req: ManagedRequest, res: ServerResponse, path: string): boolean {
    const [wholePath, query] = splitUrl(req.originalUrl ?? req.url ?? '/')
    if ((path !== '/' && path !== '') || wholePath.endsWith('/')) return false
    const lastSegment = wholePath.slice(wholePath.lastIndexOf('/') + 1)
    const search = query.size === 0 ? '' : `?${query}`
    sendText(res, 308, 'The path of the page ends with a slash', { Location: `./${lastSegment}/${search}` })
    return true
  }

  #proxies(): ProxyView[] {
    return Array.from(this.#meter.read(), ([name, { proxy, counts }]) => viewProxy(name, proxy, counts, this.#members))
  }

  #state(query: TunnelQuery, views: ProxyView[] = this.#proxies()): State {
    const { title } = this.#settings
    return {
      title,
      host: HOST,
      pid: process.pid,
      fleet: this.fleet.view,
      proxies: views,
      tunnels: this.#tunnels(query),
    }
  }

  #tunnels(query: TunnelQuery): TunnelList {
    const { proxies, showQuery } = this.#settings
    return listTunnels(namedProxies(proxies), query, { draining: this.#changes.draining, showQuery })
  }

  #sample(): void {
    this.#changes.endQuiet(this.#settings.quietTime)
    const views = this.#proxies()
    const sample = this.#history.sample(views, this.#meter.takeHandshakes())
    this.#sendEvents(views, sample === undefined ? [] : [{ name: 'sample', data: JSON.stringify(sample) }])
  }

  #sendEvents(views: ProxyView[], common: readonly ServerEvent[]): void {
    const { list } = this.#failures
    const failures: ServerEvent[] =
      list === this.#sentFailures ? [] : [{ name: 'failures', data: JSON.stringify(list) }]
    this.#sentFailures = list
    this.#streams.send([...common, ...failures], query => JSON.stringify(this.#state(query, views)))
  }
}

const fleetOptionsOf = ({ store, onProblem, addedMembers }: ManagerSettings): FleetOptions => ({
  store,
  onProblem,
  addedMembers,
})

function splitUrl(url: string): [path: string, query: URLSearchParams] {
  const at = url.indexOf('?')
  return at === -1 ? [url, new URLSearchParams()] : [url.slice(0, at), new URLSearchParams(url.slice(at))]
}
