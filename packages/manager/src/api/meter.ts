import type { Tunnel } from '@ws-tunnel/core'
import type { Traffic } from '../page/types.ts'
import { type ManagedProxy, namedProxies, type Proxies, subscribeToProxies } from '../util/proxies.ts'

/** What has passed through a proxy: tunnels since the manager was created, plain requests since the proxy was. */
export interface ProxyCounts extends Traffic {
  opened: number
  /** By reason. */
  ended: Record<string, number>
  /** Failures before the 101, by code. */
  errors: Record<string, number>
  /** Requests that failed over from one member to another. */
  failovers: number
  /** By the index of the route. */
  routes: Map<number, Traffic>
}

/** The largest number of handshakes of one sample whose times are kept. */
const MAX_HANDSHAKES = 2_000

const noCounts = (): ProxyCounts => ({
  opened: 0,
  ended: {},
  errors: {},
  failovers: 0,
  routes: new Map(),
  bytesFromClient: 0,
  bytesFromBackend: 0,
})

function add(counts: ProxyCounts, route: number, { bytesFromClient, bytesFromBackend }: Readonly<Traffic>): void {
  const ofRoute = counts.routes.get(route) ?? { bytesFromClient: 0, bytesFromBackend: 0 }
  counts.routes.set(route, ofRoute)
  for (const sum of [counts, ofRoute]) {
    sum.bytesFromClient += bytesFromClient
    sum.bytesFromBackend += bytesFromBackend
  }
}

function addPlainRequests(counts: ProxyCounts, { routes }: ManagedProxy): void {
  for (const { index, httpBytesSent, httpBytesReceived } of routes)
    if (httpBytesSent > 0) add(counts, index, { bytesFromClient: httpBytesSent, bytesFromBackend: httpBytesReceived })
}

/** The counts of each proxy, as values of JSON. */
export type SavedCounts = Record<string, Omit<ProxyCounts, 'routes'> & { routes: [route: number, Traffic][] }>

/**
 * Counts what passes through the proxies. The bytes of a tunnel are added when it ends. `read` includes those of open
 * tunnels.
 */
export class Meter {
  readonly #proxies: Proxies
  readonly #counts = new Map<string, ProxyCounts>()
  #handshakes: number[] = []
  #opened = 0
  readonly stop: () => void

  constructor(proxies: Proxies) {
    this.#proxies = proxies
    this.stop = subscribeToProxies(proxies, {
      'ws-tunnel:open': ({ tunnel }, name) => {
        this.#countsOf(name).opened++
        this.#keepHandshake(tunnel.info.handshakeTime)
      },
      'ws-tunnel:failover': (_message, name) => {
        this.#countsOf(name).failovers++
      },
      'ws-tunnel:close': ({ tunnel, end }, name) => {
        const counts = this.#countsOf(name)
        counts.ended[end.reason] = (counts.ended[end.reason] ?? 0) + 1
        add(counts, tunnel.info.route, end)
      },
      'ws-tunnel:error': ({ error }, name) => {
        const { errors } = this.#countsOf(name)
        errors[error.code] = (errors[error.code] ?? 0) + 1
      },
    })
  }

  /** The counts of each proxy until now, open tunnels included. */
  read(): Map<string, { proxy: ManagedProxy; counts: ProxyCounts }> {
    const read = new Map<string, { proxy: ManagedProxy; counts: ProxyCounts }>()
    for (const [name, proxy] of namedProxies(this.#proxies)) {
      const counts = structuredClone(this.#countsOf(name))
      addPlainRequests(counts, proxy)
      for (const tunnel of proxy.tunnels as ReadonlySet<Tunnel>) add(counts, tunnel.info.route, tunnel)
      read.set(name, { proxy, counts })
    }
    return read
  }

  /** What the next process goes on from: the counts without the open tunnels, which bring theirs when they move. */
  save(): SavedCounts {
    const saved: SavedCounts = {}
    for (const [name, proxy] of namedProxies(this.#proxies)) {
      const counts = structuredClone(this.#countsOf(name))
      addPlainRequests(counts, proxy)
      saved[name] = { ...counts, routes: [...counts.routes] }
    }
    return saved
  }

  restore(saved: SavedCounts): void {
    for (const [name, { routes, ...counts }] of Object.entries(saved))
      this.#counts.set(name, { ...counts, routes: new Map(routes) })
  }

  /** The times of handshakes since the last call, ms: all, or a random selection of them if there were very many. */
  takeHandshakes(): number[] {
    const taken = this.#handshakes
    this.#handshakes = []
    this.#opened = 0
    return taken
  }

  /** Reservoir sampling: each handshake is kept with the same probability. */
  #keepHandshake(time: number): void {
    this.#opened++
    if (this.#handshakes.length < MAX_HANDSHAKES) this.#handshakes.push(time)
    else {
      const at = Math.floor(Math.random() * this.#opened)
      if (at < MAX_HANDSHAKES) this.#handshakes[at] = time
    }
  }

  #countsOf(name: string): ProxyCounts {
    const known = this.#counts.get(name) ?? noCounts()
    this.#counts.set(name, known)
    return known
  }
}
