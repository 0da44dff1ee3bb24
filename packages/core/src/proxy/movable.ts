import type { BalancerMember } from '../balancer/balancer-member.ts'
import type { MemberRecord } from '../balancer/member-record.ts'
import type { Route } from '../routing/route.ts'
import type { RouteTable } from '../routing/route-table.ts'
import type { OpenTunnel } from '../tunnel/open-tunnel.ts'
import type { Release } from '../util/slots.ts'
import { type MovableProxy, register } from './movable-proxies.ts'
import type { TunnelRecord } from './tunnel-record.ts'

/** What {@link Movable} needs of its proxy. */
export interface MovableParts {
  readonly name: string | undefined
  readonly routes: RouteTable
  readonly tunnels: Iterable<OpenTunnel>
  readonly isBusy: () => boolean
  /** Adds a tunnel of another process to those of the proxy. `release` is to be called at its end. */
  readonly adopt: (tunnel: OpenTunnel, release: Release) => void
  readonly close: (drainTimeout: number | undefined) => Promise<void>
}

/** A proxy as the hand-over sees it. */
export class Movable implements MovableProxy {
  readonly handoverName: string
  readonly #parts: MovableParts
  /** To be called when the proxy is closed. */
  readonly remove: () => void

  constructor(parts: MovableParts) {
    this.#parts = parts
    const { number, remove } = register(this)
    this.handoverName = parts.name ?? `#${number}`
    this.remove = remove
  }

  get tunnels(): Iterable<OpenTunnel> {
    return this.#parts.tunnels
  }

  get isBusy(): boolean {
    return this.#parts.isBusy()
  }

  close(drainTimeout: number | undefined): Promise<void> {
    return this.#parts.close(drainTimeout)
  }

  routeOf({ info }: OpenTunnel): Pick<TunnelRecord, 'routeName' | 'routePath'> {
    const route = this.#parts.routes.statuses[info.route]
    return { routeName: route?.name, routePath: route?.path ?? '/' }
  }

  fits(record: TunnelRecord): number {
    const isSame = record.proxy === this.handoverName
    return (isSame ? 2 : 0) + (this.#findRoute(record) === undefined ? 0 : 1)
  }

  adopt(tunnel: OpenTunnel, record: TunnelRecord): void {
    const releases: Release[] = []
    const route = this.#findRoute(record)
    if (route !== undefined) releases.push(route.acquire(record.key, true))
    const member = this.#findMember(record.info.member)
    if (member !== undefined) {
      releases.push(member.adoptTunnel())
      member.carry(tunnel)
    }
    this.#parts.adopt(tunnel, () => {
      for (const release of releases) release()
    })
  }

  members(): MemberRecord[] {
    const { balancers } = this.#parts.routes
    return Array.from(balancers.values(), ({ name, members }) => members.map(member => member.record(name))).flat()
  }

  restore(members: readonly MemberRecord[]): void {
    for (const record of members) {
      const balancer = this.#parts.routes.balancers.get(record.balancer)
      balancer?.members.find(({ url }) => url === record.url)?.restore(record)
    }
  }

  /** Routes may have moved in the list: the name counts, then the path. */
  #findRoute({ routeName, routePath, info }: TunnelRecord): Route | undefined {
    const { statuses } = this.#parts.routes
    if (routeName !== undefined) return statuses.find(({ name }) => name === routeName)
    const there = statuses[info.route]
    return there?.path === routePath ? there : statuses.find(({ path }) => path === routePath)
  }

  /** A member that is gone counts nothing. */
  #findMember(url: string | undefined): BalancerMember | undefined {
    if (url === undefined) return undefined
    for (const { members } of this.#parts.routes.balancers.values()) {
      const found = members.find(member => member.url === url)
      if (found !== undefined) return found
    }
    return undefined
  }
}
