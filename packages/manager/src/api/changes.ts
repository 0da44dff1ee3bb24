import type { Tunnel } from '@ws-tunnel/core'
import type { Fleet } from '../fleet/fleet-options.ts'
import { type MemberChange, readMemberChange } from '../fleet/member-changes.ts'
import { namedProxies, type Proxies } from '../util/proxies.ts'
import { Refusal } from '../util/refusal.ts'

/** A change that ends tunnels, at once or when they are quiet. */
export interface TunnelChange {
  readonly action: 'close-tunnels' | 'drain-tunnels'
  readonly proxy: string
  readonly ids: readonly number[]
}

/** A change that the API makes: the name of the action and the fields of its body. */
export type Change = TunnelChange | MemberChange

/** How many tunnels or members a change acted on. */
export interface ChangeResult {
  changed: number
}

/** The largest number of tunnels in one change. */
const MAX_IDS = 1_000

/** @throws {Refusal} 404 for an unknown action, 400 for a wrong body. */
export function readChange(action: string, body: Record<string, unknown>): Change {
  if (action === 'set-member' || action === 'add-member' || action === 'remove-member')
    return readMemberChange(action, body)
  if (action !== 'close-tunnels' && action !== 'drain-tunnels') throw new Refusal(404, 'There is no such action')
  const { proxy, ids, ...rest } = body
  const [unknown] = Object.keys(rest)
  if (unknown !== undefined) throw new Refusal(400, `Expected proxy and ids, got ${JSON.stringify(unknown)} too`)
  if (typeof proxy !== 'string') throw new Refusal(400, 'Expected `proxy` to be the name of a proxy')
  if (!Array.isArray(ids) || ids.length > MAX_IDS || !ids.every(Number.isSafeInteger))
    throw new Refusal(400, `Expected \`ids\` to be a list of at most ${MAX_IDS} numbers of tunnels`)
  return { action, proxy, ids }
}

/** Makes changes. */
export class Changes {
  /** The tunnels that end when they are quiet. */
  readonly draining = new Set<Tunnel>()
  readonly #proxies: Proxies
  readonly #fleet: Fleet

  constructor(proxies: Proxies, fleet: Fleet) {
    this.#proxies = proxies
    this.#fleet = fleet
  }

  /** @throws {Refusal} 404 for a proxy, balancer or member that does not exist. A tunnel that has ended is ignored. */
  make(change: Change): ChangeResult {
    if (!('ids' in change)) {
      this.#fleet.change(change)
      return { changed: 1 }
    }
    const tunnels = this.#tunnels(change)
    for (const tunnel of tunnels) {
      if (change.action === 'close-tunnels') void tunnel.close()
      else this.#drain(tunnel)
    }
    return { changed: tunnels.length }
  }

  /** Ends the draining tunnels that have been idle for `quietTime` ms. */
  endQuiet(quietTime: number): void {
    for (const tunnel of this.draining) if (tunnel.idle >= quietTime) void tunnel.close()
  }

  #drain(tunnel: Tunnel): void {
    this.draining.add(tunnel)
    void tunnel.ended.then(() => this.draining.delete(tunnel))
  }

  #tunnels({ proxy: name, ids }: TunnelChange): Tunnel[] {
    const proxy = namedProxies(this.#proxies).get(name)
    if (proxy === undefined) throw new Refusal(404, 'There is no such proxy')
    const wanted = new Set(ids)
    return Array.from(proxy.tunnels as ReadonlySet<Tunnel>).filter(({ id }) => wanted.has(id))
  }
}
