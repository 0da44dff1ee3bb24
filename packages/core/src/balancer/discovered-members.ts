import { createHash } from 'node:crypto'
import { channel } from 'node:diagnostics_channel'
import type { NamedMembers } from '../options/balancer-options.ts'
import type { ResolveMessage } from '../options/events.ts'
import type { ResolvedBackend } from '../options/resolve-options.ts'
import type { BalancerMember } from './balancer-member.ts'
import { DnsLookup } from './dns-lookup.ts'
import type { LoadBalancer } from './load-balancer.ts'

const resolveChannel = channel('ws-tunnel:resolve')

/** The part of an interval by which it may be shorter. */
const JITTER = 0.1

/** Letters of a member whose record is gone: it gets no requests, not even those of its sessions. */
const GONE = ['N', 'D'] as const

/** What a record says about a member. */
interface Entry {
  readonly url: string
  readonly loadFactor: number
  readonly lbSet: number
}

interface Known {
  readonly member: BalancerMember
  entry: Entry
  /** Letters that were set because its record is gone; `undefined` while the record exists. */
  goneLetters: readonly string[] | undefined
}

/**
 * Keeps the members that a host name resolves to. Members of new records are added; members whose record is gone are drained, and removed
 * when they are idle.
 */
export class DiscoveredMembers {
  readonly #balancer: LoadBalancer
  readonly #named: NamedMembers
  readonly #lookup: DnsLookup
  readonly #known = new Map<string, Known>()
  readonly #first = Promise.withResolvers<void>()
  #timer: NodeJS.Timeout
  #succeeded = false
  #stopped = false

  constructor(balancer: LoadBalancer, named: NamedMembers) {
    this.#balancer = balancer
    this.#named = named
    this.#lookup = new DnsLookup(named.resolve)
    balancer.expect(this.#first.promise)
    this.#timer = setTimeout(() => void this.#update(), 0).unref()
  }

  /** Ends the lookups. The members do not change. */
  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#lookup.cancel()
    this.#first.resolve()
  }

  async #update(): Promise<void> {
    const { hostname, interval } = this.#named.resolve
    let error: Error | undefined
    try {
      const backends = await this.#lookup.run()
      if (!this.#stopped) this.#apply(backends)
    } catch (cause) {
      error = cause as Error
    }
    this.#first.resolve()
    if (this.#stopped) return
    if (resolveChannel.hasSubscribers) {
      const urls = [...this.#known.values()].filter(({ goneLetters }) => !goneLetters).map(({ member }) => member.url)
      resolveChannel.publish({ balancer: this.#balancer, hostname, urls, error } satisfies ResolveMessage)
    }
    this.#timer = setTimeout(() => void this.#update(), interval * (1 - Math.random() * JITTER)).unref()
  }

  #apply(backends: readonly ResolvedBackend[]): void {
    const entries = new Map(this.#entriesOf(backends).map(entry => [entry.url, entry]))
    for (const [url, known] of this.#known) if (!entries.has(url)) this.#drain(url, known)
    for (const [url, entry] of entries) {
      const known = this.#known.get(url)
      if (known === undefined) this.#add(entry)
      else this.#refresh(known, entry)
    }
    this.#succeeded = true
  }

  #entriesOf(backends: readonly ResolvedBackend[]): Entry[] {
    const { resolve, settings } = this.#named
    const priorities = [...new Set(backends.map(({ priority = 0 }) => priority))].toSorted((a, b) => a - b)
    return backends.map(backend => {
      const { priority = 0, weight = 0 } = backend
      const weights = backends.flatMap(other => ((other.priority ?? 0) === priority ? (other.weight ?? 0) : []))
      const least = Math.min(...weights.filter(each => each > 0))
      const factor = weight > 0 ? settings.loadFactor * (weight / least) : settings.loadFactor
      return {
        url: resolve.urlOf(backend),
        loadFactor: Math.min(100, Math.round(factor * 100) / 100),
        lbSet: Math.min(99, settings.lbSet + priorities.indexOf(priority)),
      }
    })
  }

  #add(entry: Entry): void {
    const { settings, resolve } = this.#named
    // Derived from the URL, so that sessions find the member in every process and after a restart.
    const routeId = createHash('sha256').update(entry.url).digest('hex').slice(0, 12)
    const named = resolve.type === 'SRV' ? undefined : settings.url
    const member = this.#balancer.join({ ...settings, ...entry, routeId, named }, this.#succeeded)
    if (member !== undefined) this.#known.set(entry.url, { member, entry, goneLetters: undefined })
  }

  /** Applies the changes of a record, or restores a member whose record is back. Other changes by an operator stay. */
  #refresh(known: Known, entry: Entry): void {
    const { member, goneLetters = [] } = known
    known.goneLetters = undefined
    if (goneLetters.length > 0) member.status = goneLetters.map(letter => `-${letter}`).join('')
    const { loadFactor, lbSet } = entry
    if (loadFactor !== known.entry.loadFactor) member.change({ loadFactor })
    if (lbSet !== known.entry.lbSet) member.change({ lbSet })
    known.entry = entry
  }

  #drain(url: string, known: Known): void {
    if (known.goneLetters !== undefined) return
    const { member } = known
    known.goneLetters = GONE.filter(letter => !member.is(letter))
    member.status = GONE.map(letter => `+${letter}`).join('')
    member.whenIdle(() => {
      if (known.goneLetters === undefined || this.#stopped) return
      this.#known.delete(url)
      this.#balancer.remove(member)
    })
  }
}
