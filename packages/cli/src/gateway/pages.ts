import { randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createTunnelProxy, plainAddress, type TunnelProxy, type WsTunnelOptions } from '@ws-tunnel/core'
import { type ManagerPage, managerPage, type Store } from '@ws-tunnel/manager'
import { type MetricsPage, metricsPage } from '@ws-tunnel/manager/metrics'
import { collectDefaultMetrics, Registry } from 'prom-client'
import type { Host } from '../configuration/virtual-hosts.ts'
import { respond } from './respond.ts'

/** The paths of the pages that the command line names. A page without a path is off. */
export interface PagePaths {
  readonly manager: string | undefined
  readonly metrics: string | undefined
  readonly health: string | undefined
}

/** What the pages need of the process. */
export interface PageSurroundings {
  /** Shares what operators change with other processes; `undefined` for a process alone. */
  readonly store: Store | undefined
  /** The key of the tokens, the same in all workers. */
  readonly secret: string | undefined
  /** The metrics of all workers; `undefined` for a process alone. */
  readonly allMetrics: (() => Promise<string>) | undefined
  readonly onProblem: (message: string) => void
}

/** A page that a request is for. */
export interface Page {
  readonly kind: 'manager' | 'status' | 'metrics' | 'health'
  /** The path of the page. */
  readonly path: string
}

const isAt = (url: string, path: string): boolean => url.startsWith(path) && /^(?:[/?]|$)/.test(url.slice(path.length))

/** Fields that a proxy in front adds. The address of the connection is then not that of the client. */
const FORWARDED = ['x-forwarded-for', 'forwarded', 'via', 'x-real-ip']

/** Whether the client is a process of this machine, and no proxy for others. */
function isLocal({ socket, headers }: IncomingMessage): boolean {
  const address = plainAddress(socket.remoteAddress)
  return (address === '::1' || address.startsWith('127.')) && FORWARDED.every(name => headers[name] === undefined)
}

/** The names of a virtual host that a browser may use, without wildcards. */
const namesOf = ({ serverName, aliases }: Host): string[] =>
  [serverName, ...aliases]
    .map(name => name.toLowerCase().replace(/:\d+$/, ''))
    .filter(name => /^[a-z0-9.-]+$/.test(name))

/** The pages of the gateway itself: manager, metrics, health. */
export class Pages {
  readonly #paths: PagePaths
  readonly #surroundings: PageSurroundings
  /** The current proxies by name. The manager reads the object for every sample. */
  readonly #proxies: Record<string, TunnelProxy> = {}
  readonly #guards = new WeakMap<Host, TunnelProxy>()
  #manager: ManagerPage | undefined
  /** The same pages, without a right to change anything. */
  readonly #viewers = new WeakSet<IncomingMessage>()
  #metrics: MetricsPage | undefined

  constructor(paths: PagePaths, surroundings: PageSurroundings) {
    this.#paths = paths
    this.#surroundings = surroundings
    if (paths.metrics !== undefined) this.#openMetrics()
  }

  /** Takes the proxies of a new configuration. Resolves when what operators have changed applies to them. */
  async replace(proxies: ReadonlyMap<Host, TunnelProxy>): Promise<void> {
    for (const name of Object.keys(this.#proxies)) delete this.#proxies[name]
    let hasHandler = false
    for (const [host, proxy] of proxies) {
      if (host.pages.handlers.length > 0) hasHandler = true
      const taken = Object.keys(this.#proxies).filter(name => name.replace(/ \(\d+\)$/, '') === host.serverName).length
      this.#proxies[taken === 0 ? host.serverName : `${host.serverName} (${taken + 1})`] = proxy
    }
    if (this.#manager === undefined && (hasHandler || this.#paths.manager !== undefined))
      this.#openManager([...proxies.keys()].flatMap(namesOf))
    await this.#manager?.ready
  }

  /** @param hosts the names by which browsers may reach it, besides localhost and addresses */
  #openManager(hosts: readonly string[]): void {
    const { store, secret = randomBytes(32).toString('base64url'), onProblem } = this.#surroundings
    this.#manager = managerPage(this.#proxies, {
      // `serve` is called for visitors that may come in.
      authorize: req => (this.#viewers.has(req) ? 'view' : true),
      secret,
      hosts,
      ...(store !== undefined && { store }),
      onProblem: error => onProblem(`the manager: ${error.message}`),
    })
  }

  #openMetrics(): void {
    const register = new Registry()
    collectDefaultMetrics({ register })
    this.#metrics = metricsPage(this.#proxies, { authorize: () => true, register })
  }

  /** The metrics of this process. */
  get register(): Registry | undefined {
    return this.#metrics?.register
  }

  /** The page of the command line that a request is for. It comes before every route. */
  named({ url = '' }: IncomingMessage): Page | undefined {
    const { health, metrics, manager } = this.#paths
    if (health !== undefined && url.replace(/\?.*/s, '') === health) return { kind: 'health', path: health }
    if (metrics !== undefined && url.replace(/\?.*/s, '') === metrics) return { kind: 'metrics', path: metrics }
    if (manager !== undefined && isAt(url, manager)) return { kind: 'manager', path: manager }
    return undefined
  }

  /** The page of a `<Location>` of the host. A request that a route matches is not for it, as in httpd. */
  ofLocation({ url = '' }: IncomingMessage, host: Host): Page | undefined {
    const found = host.pages.handlers.find(({ path }) => isAt(url, path))
    return found && { kind: found.handler === 'server-status' ? 'status' : 'manager', path: found.path }
  }

  /**
   * Whether the client may see a page: the access control of a `<Location>` decides, or else the client must be on this
   * machine.
   *
   * @throws {WsTunnelError} 401 or 403 of the `<Location>`.
   */
  async admits({ kind, path }: Page, req: IncomingMessage, res: ServerResponse, host: Host): Promise<boolean> {
    if (kind === 'health') return true
    if (!host.pages.isGuarded(path)) return isLocal(req)
    let guard = this.#guards.get(host)
    if (guard === undefined) {
      // The rules and the access control of the host, without its routes.
      guard = createTunnelProxy({
        ...(host.options as WsTunnelOptions & { routes: [] }),
        balancers: {},
        routes: [{ path: '/', target: false }],
        paths: 'normalise',
      })
      this.#guards.set(host, guard)
    }
    return !(await guard.handle(req, res, { listen: false }))
  }

  /** Serves a page to a client that may see it. */
  async serve({ kind, path }: Page, req: IncomingMessage, res: ServerResponse, isClosing: boolean): Promise<void> {
    if (kind === 'health') {
      respond(res, isClosing ? 503 : 200)
      return
    }
    const { allMetrics } = this.#surroundings
    if (kind === 'metrics' && allMetrics !== undefined && req.method === 'GET') {
      const text = await allMetrics()
      res.writeHead(200, { 'Content-Type': Registry.PROMETHEUS_CONTENT_TYPE, 'Cache-Control': 'no-store' }).end(text)
      return
    }
    if (kind === 'metrics') {
      this.#metrics?.(req, res)
      return
    }
    if (kind === 'status') this.#viewers.add(req)
    const { url = '' } = req
    const below = url.slice(path.length)
    const request = Object.assign(req, { originalUrl: url })
    request.url = below.startsWith('/') ? below : `/${below}`
    this.#manager?.(request, res)
    // The log line has the whole path. The manager has read its part by now.
    request.url = url
  }

  /** Ends the live pages, which would keep connections open. */
  async close(): Promise<void> {
    const [metrics, manager] = [this.#metrics, this.#manager]
    this.#metrics = undefined
    metrics?.close()
    await manager?.close()
  }
}
