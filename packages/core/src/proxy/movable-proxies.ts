import type { MemberRecord } from '../balancer/member-record.ts'
import type { OpenTunnel } from '../tunnel/open-tunnel.ts'
import type { TunnelRecord } from './tunnel-record.ts'

/** What the hand-over to another process needs of a proxy. */
export interface MovableProxy {
  /** Finds the proxy again in the other process. */
  readonly handoverName: string
  readonly tunnels: Iterable<OpenTunnel>
  /** Whether a request is on its way, which may open a tunnel. */
  readonly isBusy: boolean
  /** What the other process needs to find the route of a tunnel again. */
  routeOf(tunnel: OpenTunnel): Pick<TunnelRecord, 'routeName' | 'routePath'>
  /** How well a route of this proxy fits a tunnel of another process: 0 is not at all. */
  fits(record: TunnelRecord): number
  /** Counts a tunnel of another process as its own. */
  adopt(tunnel: OpenTunnel, record: TunnelRecord): void
  /** The states and counters of its members. */
  members(): MemberRecord[]
  /** Sets the states and counters of the members that it has, too. */
  restore(members: readonly MemberRecord[]): void
  /** Refuses new requests, and resolves when the last tunnel has ended, or was ended after `drainTimeout`. */
  close(drainTimeout: number | undefined): Promise<void>
}

const proxies = new Set<WeakRef<MovableProxy>>()
const collected = new FinalizationRegistry<WeakRef<MovableProxy>>(ref => proxies.delete(ref))
let created = 0

/**
 * Adds a proxy to those whose tunnels can be handed over. The list does not retain it.
 *
 * @returns its number, from 1 on, and a function that removes it
 */
export function register(proxy: MovableProxy): { readonly number: number; readonly remove: () => void } {
  const ref = new WeakRef(proxy)
  proxies.add(ref)
  collected.register(proxy, ref)
  return { number: ++created, remove: () => void proxies.delete(ref) }
}

/** The proxies of this process, in the order of their creation. */
export function movableProxies(): MovableProxy[] {
  return Array.from(proxies, ref => ref.deref()).filter(proxy => proxy !== undefined)
}
