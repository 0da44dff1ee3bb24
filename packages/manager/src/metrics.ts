import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Member, Tunnel } from '@ws-tunnel/core'
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { visit } from './access.ts'
import { send, sendText } from './http.ts'
import { type AccessOptions, checkAccess } from './options.ts'
import { hear, type ManagedProxy, namedProxies, type Proxies } from './proxies.ts'

/** Options of the metrics. */
export interface MetricsOptions extends AccessOptions {
  /** Where they are kept, to have others beside them. @default a registry of their own */
  register?: Registry
  /** In front of every name. @default 'ws_tunnel_' */
  prefix?: string
  /** Backends of one proxy that are told apart; more are `other`. @default 200 */
  maxMembers?: number
}

/** Middleware of Express and Connect, and a listener of node:http, that answers in the Prometheus text format. */
export interface MetricsPage {
  (req: IncomingMessage, res: ServerResponse, next?: (error?: unknown) => void): void
  readonly register: Registry
  /** Stops counting, and takes the metrics out of the registry. */
  close(): void
}

/** Longest path of a route in a label, in characters. */
const MAX_LABEL = 80

const WHERE = ['proxy', 'route', 'member'] as const

type Where = Record<(typeof WHERE)[number], string>

/**
 * Prometheus metrics of tunnels: `app.use('/metrics', metricsPage(tunnel, { authorize }))`. Needs the package `prom-client`.
 *
 * @throws {TypeError} without `authorize` or `unsafeOpen: true`.
 */
export function metricsPage(proxies: Proxies, options: MetricsOptions): MetricsPage {
  const { register = new Registry(), prefix = 'ws_tunnel_', maxMembers = 200 } = options
  const authorize = checkAccess(options)
  const metrics = new TunnelMetrics(proxies, register, prefix, maxMembers)
  const serve = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    const visitor = await visit(authorize, req)
    if (visitor.let === 'out')
      sendText(res, visitor.statusCode, visitor.statusCode === 401 ? 'Unauthorized' : 'Forbidden', visitor.headers)
    else if (req.method !== 'GET' && req.method !== 'HEAD') sendText(res, 405, 'Expected GET', { Allow: 'GET, HEAD' })
    else send(res, 200, register.contentType, await register.metrics())
  }
  const page = (req: IncomingMessage, res: ServerResponse, next?: (error?: unknown) => void): void => {
    serve(req, res).catch(error => (next === undefined ? sendText(res, 500, 'Internal server error') : next(error)))
  }
  return Object.assign(page, { register, close: () => metrics.close() })
}

class TunnelMetrics {
  readonly #proxies: Proxies
  readonly #register: Registry
  readonly #names: string[]
  readonly #maxMembers: number
  readonly #members = new Map<string, Set<string>>()
  /** Bytes of open tunnels that are counted already. */
  readonly #counted = new WeakMap<Tunnel, { fromClient: number; fromBackend: number }>()
  readonly #bytes: Counter
  readonly #stop: () => void

  constructor(proxies: Proxies, register: Registry, prefix: string, maxMembers: number) {
    namedProxies(proxies)
    this.#proxies = proxies
    this.#register = register
    this.#maxMembers = maxMembers
    const named = (name: string, help: string, labelNames: readonly string[]) => {
      const settings = { name: prefix + name, help, labelNames: [...labelNames], registers: [register] }
      this.#names.push(settings.name)
      return settings
    }
    this.#names = []
    const opened = new Counter(named('tunnels_opened_total', 'Tunnels that have opened.', WHERE))
    const ended = new Counter(named('tunnels_ended_total', 'Tunnels that have ended, by reason.', [...WHERE, 'reason']))
    const errors = new Counter(
      named('errors_total', 'Requests that failed before the 101, by code.', ['proxy', 'code']),
    )
    const handshake = new Histogram({
      ...named('handshake_seconds', 'Time from the request to the 101.', WHERE),
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
    })
    const bytes = new Counter({
      ...named('bytes_total', 'Bytes that have gone through tunnels.', [...WHERE, 'direction']),
      collect: () => this.#countOpen(),
    })
    this.#bytes = bytes
    const open = new Gauge({
      ...named('tunnels_open', 'Tunnels that are open.', WHERE),
      collect: () => {
        open.reset()
        for (const [name, proxy] of namedProxies(proxies))
          for (const tunnel of proxy.tunnels) open.inc(this.#where(name, proxy, tunnel))
      },
    })
    const requests = new Gauge({
      ...named('route_requests', 'Requests that a route has taken, upgrades and others.', ['proxy', 'route']),
      collect: () => {
        requests.reset()
        for (const [proxy, { routes }] of namedProxies(proxies))
          for (const { path, hits } of routes) requests.inc({ proxy, route: path.slice(0, MAX_LABEL) }, hits)
      },
    })
    const failovers = new Counter(
      named('failovers_total', 'Requests handed on to another member.', ['proxy', 'member']),
    )
    const memberLabels = ['proxy', 'balancer', 'member']
    const ofMembers = (name: string, help: string, value: (member: Member) => number): void => {
      const gauge = new Gauge({
        ...named(name, help, memberLabels),
        collect: () => {
          gauge.reset()
          for (const [proxy, { balancers }] of namedProxies(proxies))
            for (const { name: balancer, members } of balancers.values())
              for (const member of members) gauge.set({ proxy, balancer, member: member.url }, value(member))
        },
      })
    }
    ofMembers('member_usable', 'Whether a member takes new requests.', ({ available }) => Number(available))
    ofMembers('member_busy', 'Requests and tunnels under way.', ({ busy }) => busy)
    ofMembers('member_elected', 'How often a member was chosen.', ({ selected }) => selected)
    ofMembers('member_failures', 'How often a member was taken out.', ({ failures }) => failures)
    this.#stop = hear(proxies, {
      'ws-tunnel:failover': ({ from }, proxy) => failovers.inc({ proxy, member: this.#member(proxy, from.url) }),
      'ws-tunnel:open': ({ tunnel, proxy }, name) => {
        const where = this.#where(name, proxy, tunnel)
        opened.inc(where)
        handshake.observe(where, tunnel.info.handshakeTime / 1_000)
      },
      'ws-tunnel:close': ({ tunnel, end, proxy }, name) => {
        this.#count(name, proxy, tunnel)
        ended.inc({ ...this.#where(name, proxy, tunnel), reason: end.reason })
      },
      'ws-tunnel:error': ({ error }, proxy) => errors.inc({ proxy, code: error.code }),
    })
  }

  close(): void {
    this.#stop()
    for (const name of this.#names) this.#register.removeSingleMetric(name)
  }

  #countOpen(): void {
    for (const [name, proxy] of namedProxies(this.#proxies))
      for (const tunnel of proxy.tunnels) this.#count(name, proxy, tunnel)
  }

  #count(name: string, proxy: ManagedProxy, tunnel: Tunnel): void {
    const before = this.#counted.get(tunnel) ?? { fromClient: 0, fromBackend: 0 }
    const now = { fromClient: tunnel.bytesFromClient, fromBackend: tunnel.bytesFromBackend }
    const where = this.#where(name, proxy, tunnel)
    this.#bytes.inc({ ...where, direction: 'from_client' }, now.fromClient - before.fromClient)
    this.#bytes.inc({ ...where, direction: 'from_backend' }, now.fromBackend - before.fromBackend)
    this.#counted.set(tunnel, now)
  }

  /** Routes are as many as were written; backends of a function target are not, so they are bounded here. */
  #where(name: string, { routes }: ManagedProxy, { info: { route, target, member } }: Tunnel): Where {
    const path = routes[route]?.path ?? ''
    return { proxy: name, route: path.slice(0, MAX_LABEL), member: this.#member(name, member ?? target) }
  }

  #member(proxy: string, text: string): string {
    const members = this.#members.get(proxy) ?? new Set()
    this.#members.set(proxy, members)
    if (members.size < this.#maxMembers) members.add(text)
    return members.has(text) ? text : 'other'
  }
}
