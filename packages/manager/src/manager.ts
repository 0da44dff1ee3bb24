import type { IncomingMessage, ServerResponse } from 'node:http'
import { Changes, readChange } from './api/changes.ts'
import { Events, type ServerEvent } from './api/event-streams.ts'
import { MemberMemory } from './api/member-history.ts'
import { Meter } from './api/meter.ts'
import { History } from './api/rate-history.ts'
import { HOST, listTunnels, MAX_TUNNELS, type TunnelQuery, viewProxy } from './api/state.ts'
import { type Fleet, joinFleet } from './fleet/fleet.ts'
import { fromElsewhere, fromOurPage, Tokens, visit } from './http/access.ts'
import { type Asset, readAssets } from './http/assets.ts'
import { readJson } from './http/json-body.ts'
import { send, sendJson, sendText } from './http/responses.ts'
import { type ManagerOptions, type ManagerSettings, resolveManagerOptions } from './options.ts'
import type { ProxyView, State } from './page/types.ts'
import { namedProxies, type Proxies } from './util/proxies.ts'
import { Refusal } from './util/refusal.ts'

/** The request as frameworks hand it over. */
export type ManagedRequest = IncomingMessage & { originalUrl?: string; body?: unknown }

/** Middleware of Express and Connect, and a listener of node:http. */
export interface ManagerPage {
  (req: ManagedRequest, res: ServerResponse, next?: (error?: unknown) => void): void
  /** Resolves when the settings of the store are applied, or when it turns out to be away. It never rejects. */
  readonly ready: Promise<void>
  /** Ends the live pages, stops looking and counting; from then on every request gets 503. Resolves when the store is let go. */
  close(): Promise<void>
}

const ACTION = /^\/api\/([a-z-]+)$/

/**
 * balancer-manager of today: `app.use('/manager', managerPage(tunnel, { authorize }))`.
 *
 * @param proxies what to manage; a list may change while the manager runs.
 * @throws {TypeError} for wrong options, and without `authorize` or `unsafeOpen: true`.
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
  readonly #tokens: Tokens
  readonly #meter: Meter
  readonly #history: History
  readonly #events: Events
  readonly #changes: Changes
  readonly #members: MemberMemory
  readonly #stops: (() => void)[]
  #closed = false

  constructor(settings: ManagerSettings) {
    const { proxies, secret, history, maxClients, interval, recheck, store, onProblem } = settings
    namedProxies(proxies)
    this.#settings = settings
    this.#tokens = new Tokens(secret)
    this.#meter = new Meter(proxies)
    this.#members = new MemberMemory()
    this.#history = new History(history)
    this.#events = new Events(maxClients)
    this.fleet = joinFleet(proxies, { store, onProblem })
    this.#changes = new Changes(proxies, this.fleet)
    const timers = [
      setInterval(() => this.#look(), interval).unref(),
      setInterval(() => void this.#events.check(), recheck).unref(),
    ]
    this.#stops = [
      this.#meter.stop,
      () => this.#members.stop(),
      () => timers.forEach(clearInterval),
      () => this.#events.close(),
    ]
    this.#history.look(this.#proxies())
  }

  handle(req: ManagedRequest, res: ServerResponse, next: ((error?: unknown) => void) | undefined): void {
    const url = this.#below(req.url ?? '/')
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

  #below(url: string): string | undefined {
    const { path } = this.#settings
    if (path === '') return url
    if (!url.startsWith(path) || !/^(?:[/?]|$)/.test(url.slice(path.length))) return undefined
    return url.slice(path.length)
  }

  async #serve(req: ManagedRequest, res: ServerResponse, url: string): Promise<void> {
    if (this.#closed) throw new Refusal(503, 'The manager is closed')
    const visitor = await visit(this.#settings.authorize, req)
    if (visitor.let === 'out') {
      sendText(res, visitor.statusCode, visitor.statusCode === 401 ? 'Unauthorized' : 'Forbidden', visitor.headers)
      return
    }
    if (this.#closed) throw new Refusal(503, 'The manager is closed')
    const [path, query] = splitUrl(url)
    if (req.method === 'POST') {
      await this.#change(req, res, path, visitor.mayChange)
      return
    }
    if (req.method !== 'GET' && req.method !== 'HEAD')
      throw new Refusal(405, 'Expected GET, HEAD or POST', { Allow: 'GET, HEAD, POST' })
    if (this.#slashMissing(req, res, path)) return
    const asset = this.#assets.get(path)
    if (asset !== undefined) send(res, 200, asset.type, asset.body)
    else if (fromElsewhere(req)) throw new Refusal(403, 'Not for other sites')
    else this.#read(req, res, path, query, visitor.mayChange)
  }

  #read(req: ManagedRequest, res: ServerResponse, path: string, query: URLSearchParams, mayChange: boolean): void {
    if (path === '/api/token') sendJson(res, 200, { token: mayChange ? this.#tokens.token : null })
    else if (path === '/api/state') sendJson(res, 200, this.#state(tunnelQuery(query)))
    else if (path === '/api/tunnels') sendJson(res, 200, this.#state(tunnelQuery(query)).tunnels)
    else if (path === '/api/history') sendJson(res, 200, this.#history.samples)
    else if (path === '/events') this.#watch(req, res, tunnelQuery(query))
    else throw new Refusal(404, 'There is nothing here')
  }

  #watch(req: ManagedRequest, res: ServerResponse, query: TunnelQuery): void {
    if (req.method === 'HEAD') throw new Refusal(405, 'Expected GET', { Allow: 'GET' })
    const allowed = async (): Promise<boolean> => (await visit(this.#settings.authorize, req)).let === 'in'
    this.#events.add(res, query, allowed, [
      { name: 'history', data: JSON.stringify(this.#history.samples) },
      { name: 'state', data: JSON.stringify(this.#state(query)) },
    ])
  }

  async #change(req: ManagedRequest, res: ServerResponse, path: string, mayChange: boolean): Promise<void> {
    if (!mayChange) throw new Refusal(403, 'You may look, and change nothing')
    if (!fromOurPage(req, this.#settings.origins))
      throw new Refusal(403, 'Expected Origin or Sec-Fetch-Site to say that this site asks')
    if (!this.#tokens.fits(req.headers['x-ws-tunnel-token']))
      throw new Refusal(403, 'Expected X-WS-Tunnel-Token to be the token that api/token tells')
    const change = readChange(ACTION.exec(path)?.[1] ?? '', await readJson(req))
    const result = this.#changes.make(change)
    this.#settings.onChange(change, req)
    sendJson(res, 200, result)
    this.#tell(this.#proxies(), [])
  }

  /** What is relative on the page needs the slash behind the mount path. */
  #slashMissing(req: ManagedRequest, res: ServerResponse, path: string): boolean {
    const [whole, query] = splitUrl(req.originalUrl ?? req.url ?? '/')
    if ((path !== '/' && path !== '') || whole.endsWith('/')) return false
    const last = whole.slice(whole.lastIndexOf('/') + 1)
    const search = query.size === 0 ? '' : `?${query}`
    sendText(res, 308, 'The page has a slash behind its name', { Location: `./${last}/${search}` })
    return true
  }

  #proxies(): ProxyView[] {
    return Array.from(this.#meter.read(), ([name, { proxy, counts }]) => viewProxy(name, proxy, counts, this.#members))
  }

  #state(query: TunnelQuery, views: ProxyView[] = this.#proxies()): State {
    const { title, showQuery, proxies } = this.#settings
    const named = new Map(Array.from(namedProxies(proxies), ([name, proxy]) => [name, { proxy }]))
    return {
      title,
      host: HOST,
      pid: process.pid,
      fleet: this.fleet.view,
      proxies: views,
      tunnels: listTunnels(named, query, this.#changes.draining, showQuery),
    }
  }

  #look(): void {
    this.#changes.endQuiet(this.#settings.quietTime)
    const views = this.#proxies()
    const sample = this.#history.look(views)
    this.#tell(views, sample === undefined ? [] : [{ name: 'sample', data: JSON.stringify(sample) }])
  }

  #tell(views: ProxyView[], same: readonly ServerEvent[]): void {
    this.#events.tell(same, query => JSON.stringify(this.#state(query, views)))
  }
}

function splitUrl(url: string): [path: string, query: URLSearchParams] {
  const at = url.indexOf('?')
  return at === -1 ? [url, new URLSearchParams()] : [url.slice(0, at), new URLSearchParams(url.slice(at))]
}

/** @throws {Refusal} 400 for a limit that is none. */
function tunnelQuery(query: URLSearchParams): TunnelQuery {
  const limit = Number(query.get('limit') ?? 200)
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_TUNNELS)
    throw new Refusal(400, `Expected \`limit\` to be a whole number from 1 to ${MAX_TUNNELS}`)
  return { search: (query.get('search') ?? '').slice(0, 200), limit }
}
