import type { Member, Tunnel } from '@ws-tunnel/core'
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import { type ManagedProxy, namedProxies, type Proxies, subscribeToProxies } from '../util/proxies.ts'

/** The registry of the metrics, and their names and labels. */
export interface TunnelMetricsOptions {
  readonly register: Registry
  readonly prefix: string
  readonly maxMembers: number
}

/** Longest path of a route in a label, in characters. */
const MAX_LABEL = 80

const MEMBER_LABELS = ['proxy', 'balancer', 'member'] as const

const TUNNEL_LABELS = ['proxy', 'route', 'member'] as const

type TunnelLabels = Record<(typeof TUNNEL_LABELS)[number], string>

/** Seconds. */
const HANDSHAKE_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10]

/** The metrics of tunnels, routes and members in a registry. */
export class TunnelMetrics {
  readonly #proxies: Proxies
  readonly #options: TunnelMetricsOptions
  readonly #names: string[] = []
  /** The members of each proxy that have their own label. */
  readonly #members = new Map<string, Set<string>>()
  /** The bytes of open tunnels that are already counted. */
  readonly #counted = new WeakMap<Tunnel, { fromClient: number; fromBackend: number }>()
  readonly #bytes: Counter
  readonly #stop: () => void

  constructor(proxies: Proxies, options: TunnelMetricsOptions) {
    namedProxies(proxies)
    this.#proxies = proxies
    this.#options = options
    this.#bytes = new Counter({
      ...this.#named('bytes_total', 'Bytes that passed through tunnels.', [...TUNNEL_LABELS, 'direction']),
      collect: () => this.#countOpenTunnels(),
    })
    this.#addGauges()
    this.#addKeptCounters()
    this.#stop = this.#addCounters()
  }

  close(): void {
    this.#stop()
    for (const name of this.#names) this.#options.register.removeSingleMetric(name)
  }

  #named(name: string, help: string, labelNames: readonly string[]) {
    const { prefix, register } = this.#options
    this.#names.push(prefix + name)
    return { name: prefix + name, help, labelNames: [...labelNames], registers: [register] }
  }

  /** Metrics that are counted when an event happens. */
  #addCounters(): () => void {
    const opened = new Counter(this.#named('tunnels_opened_total', 'Tunnels that opened.', TUNNEL_LABELS))
    const ended = new Counter(
      this.#named('tunnels_ended_total', 'Tunnels that ended, by reason.', [...TUNNEL_LABELS, 'reason']),
    )
    const errors = new Counter(
      this.#named('errors_total', 'Requests that failed before the 101, by code.', ['proxy', 'code']),
    )
    const failovers = new Counter(
      this.#named('failovers_total', 'Requests that failed over from this member to another.', ['proxy', 'member']),
    )
    const handshake = new Histogram({
      ...this.#named('handshake_seconds', 'Time from the request to the 101.', TUNNEL_LABELS),
      buckets: HANDSHAKE_BUCKETS,
    })
    return subscribeToProxies(this.#proxies, {
      'ws-tunnel:failover': ({ from }, name) =>
        failovers.inc({ proxy: name, member: this.#memberLabel(name, from.url) }),
      'ws-tunnel:open': ({ tunnel, proxy }, name) => {
        const labels = this.#labelsOf(name, proxy, tunnel)
        opened.inc(labels)
        handshake.observe(labels, tunnel.info.handshakeTime / 1_000)
      },
      'ws-tunnel:close': ({ tunnel, end, proxy }, name) => {
        this.#countBytes(name, proxy, tunnel)
        ended.inc({ ...this.#labelsOf(name, proxy, tunnel), reason: end.reason })
      },
      'ws-tunnel:error': ({ error }, name) => errors.inc({ proxy: name, code: error.code }),
    })
  }

  /** Metrics that are read at every scrape. */
  #addGauges(): void {
    this.#gauge('tunnels_open', 'Tunnels that are open.', TUNNEL_LABELS, gauge => {
      for (const [name, proxy] of namedProxies(this.#proxies))
        for (const tunnel of proxy.tunnels) gauge.inc(this.#labelsOf(name, proxy, tunnel))
    })
    this.#memberGauge('member_usable', 'Whether a member takes new requests.', member => Number(member.available))
    this.#memberGauge('member_busy', 'Requests and tunnels in progress.', member => member.busy)
  }

  /** Counts that the proxies keep. They are read at every scrape. */
  #addKeptCounters(): void {
    this.#counter(
      'route_requests_total',
      'Requests that a route took, upgrades and others.',
      ['proxy', 'route'],
      set => {
        for (const [proxy, { routes }] of namedProxies(this.#proxies))
          for (const { path, hits } of routes) set({ proxy, route: path.slice(0, MAX_LABEL) }, hits)
      },
    )
    this.#counter(
      'http_bytes_total',
      'Bytes of plain requests and their responses, heads included.',
      ['proxy', 'route', 'direction'],
      set => {
        for (const [proxy, { routes }] of namedProxies(this.#proxies))
          for (const { path, httpBytesSent, httpBytesReceived } of routes) {
            const labels = { proxy, route: path.slice(0, MAX_LABEL) }
            set({ ...labels, direction: 'from_client' }, httpBytesSent)
            set({ ...labels, direction: 'from_backend' }, httpBytesReceived)
          }
      },
    )
    const member = (name: string, help: string, measure: (member: Member) => number): void =>
      this.#counter(name, help, MEMBER_LABELS, set => this.#eachMember((labels, each) => set(labels, measure(each))))
    member('member_selected_total', 'How often a member was selected.', ({ selected }) => selected)
    member('member_failures_total', 'How often a member failed.', ({ failures }) => failures)
  }

  #gauge(name: string, help: string, labelNames: readonly string[], collect: (gauge: Gauge) => void): void {
    const gauge = new Gauge({
      ...this.#named(name, help, labelNames),
      collect: () => {
        gauge.reset()
        collect(gauge)
      },
    })
  }

  /** `collect` sets the whole value of each series. A series that it does not set is gone. */
  #counter(
    name: string,
    help: string,
    labelNames: readonly string[],
    collect: (set: (labels: Record<string, string>, value: number) => void) => void,
  ): void {
    const counter = new Counter({
      ...this.#named(name, help, labelNames),
      collect: () => {
        counter.reset()
        collect((labels, value) => counter.inc(labels, value))
      },
    })
  }

  #memberGauge(name: string, help: string, measure: (member: Member) => number): void {
    this.#gauge(name, help, MEMBER_LABELS, gauge =>
      this.#eachMember((labels, member) => gauge.set(labels, measure(member))),
    )
  }

  #eachMember(visit: (labels: Record<(typeof MEMBER_LABELS)[number], string>, member: Member) => void): void {
    for (const [proxy, { balancers }] of namedProxies(this.#proxies))
      for (const { name: balancer, members } of balancers.values())
        for (const member of members) visit({ proxy, balancer, member: member.url }, member)
  }

  #countOpenTunnels(): void {
    for (const [name, proxy] of namedProxies(this.#proxies))
      for (const tunnel of proxy.tunnels) this.#countBytes(name, proxy, tunnel)
  }

  #countBytes(name: string, proxy: ManagedProxy, tunnel: Tunnel): void {
    const before = this.#counted.get(tunnel) ?? { fromClient: 0, fromBackend: 0 }
    const now = { fromClient: tunnel.bytesFromClient, fromBackend: tunnel.bytesFromBackend }
    const labels = this.#labelsOf(name, proxy, tunnel)
    this.#bytes.inc({ ...labels, direction: 'from_client' }, now.fromClient - before.fromClient)
    this.#bytes.inc({ ...labels, direction: 'from_backend' }, now.fromBackend - before.fromBackend)
    this.#counted.set(tunnel, now)
  }

  #labelsOf(name: string, { routes }: ManagedProxy, tunnel: Tunnel): TunnelLabels {
    const { route, target, member } = tunnel.info
    const path = routes[route]?.path ?? ''
    return { proxy: name, route: path.slice(0, MAX_LABEL), member: this.#memberLabel(name, member ?? target) }
  }

  /**
   * A target function may return any number of backends, so this label needs a limit. The routes of a proxy do not
   * change.
   */
  #memberLabel(proxy: string, member: string): string {
    const members = this.#members.get(proxy) ?? new Set()
    this.#members.set(proxy, members)
    if (members.size < this.#options.maxMembers) members.add(member)
    return members.has(member) ? member : 'other'
  }
}
