import { createHash } from 'node:crypto'
import { channel } from 'node:diagnostics_channel'
import type { NamedMembers } from '../options/balancer-options.ts'
import type { ResolvedBackend } from '../options/resolve-options.ts'
import type { Balancer } from './balancer.ts'
import type { Member } from './balancer-member.ts'
import { NameQuestion } from './dns-lookup.ts'

/** A name of members was asked for, as the channel `ws-tunnel:resolve` tells it. */
export interface ResolveMessage {
  readonly balancer: Balancer
  readonly hostname: string
  /** URLs of the members it stands for from now on; after a failure those that were known. */
  readonly urls: readonly string[]
  /** Why there is no answer. */
  readonly error: Error | undefined
}

const resolved = channel('ws-tunnel:resolve')

/** By how much of it an interval may be shorter. */
const JITTER = 0.1

/** Letters that keep everybody from one who is to go. */
const LEAVING = ['N', 'D'] as const

/** What a record makes of a member. */
interface Place {
  readonly url: string
  readonly loadFactor: number
  readonly lbSet: number
}

interface Known {
  readonly member: Member
  place: Place
  /** Letters that it has because its record is gone; `undefined` while that is there. */
  leaving: readonly string[] | undefined
}

/** Keeps the members of a balancer that stand behind a name: new ones join, those that are gone drain and leave. */
export class ResolvedMembers {
  readonly #balancer: Balancer
  readonly #named: NamedMembers
  readonly #question: NameQuestion
  readonly #known = new Map<string, Known>()
  readonly #first = Promise.withResolvers<void>()
  #timer: NodeJS.Timeout
  #answered = false
  #stopped = false

  constructor(balancer: Balancer, named: NamedMembers) {
    this.#balancer = balancer
    this.#named = named
    this.#question = new NameQuestion(named.resolve)
    balancer.expect(this.#first.promise)
    this.#timer = setTimeout(() => void this.#turn(), 0).unref()
  }

  /** What is known stays as it is. */
  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#question.cancel()
    this.#first.resolve()
  }

  async #turn(): Promise<void> {
    const { hostname, interval } = this.#named.resolve
    let error: Error | undefined
    try {
      const backends = await this.#question.ask()
      if (!this.#stopped) this.#follow(backends)
    } catch (cause) {
      error = cause as Error
    }
    this.#first.resolve()
    if (this.#stopped) return
    if (resolved.hasSubscribers) {
      const urls = [...this.#known.values()].filter(({ leaving }) => !leaving).map(({ member }) => member.url)
      resolved.publish({ balancer: this.#balancer, hostname, urls, error } satisfies ResolveMessage)
    }
    this.#timer = setTimeout(() => void this.#turn(), interval * (1 - Math.random() * JITTER)).unref()
  }

  #follow(backends: readonly ResolvedBackend[]): void {
    const places = new Map(this.#placesOf(backends).map(place => [place.url, place]))
    for (const [url, known] of this.#known) if (!places.has(url)) this.#drain(url, known)
    for (const [url, place] of places) {
      const known = this.#known.get(url)
      if (known === undefined) this.#join(place)
      else this.#keep(known, place)
    }
    this.#answered = true
  }

  #placesOf(backends: readonly ResolvedBackend[]): Place[] {
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

  #join(place: Place): void {
    const { settings, resolve } = this.#named
    // Sessions find it in every process, and after a restart.
    const routeId = createHash('sha256').update(place.url).digest('hex').slice(0, 12)
    const named = resolve.type === 'SRV' ? undefined : settings.url
    const member = this.#balancer.join({ ...settings, ...place, routeId, named }, this.#answered)
    if (member !== undefined) this.#known.set(place.url, { member, place, leaving: undefined })
  }

  /** Its record says something new, or has come back; what an operator has changed stays as it is otherwise. */
  #keep(known: Known, place: Place): void {
    const { member, leaving = [] } = known
    known.leaving = undefined
    if (leaving.length > 0) member.status = leaving.map(letter => `-${letter}`).join('')
    const { loadFactor, lbSet } = place
    if (loadFactor !== known.place.loadFactor) member.change({ loadFactor })
    if (lbSet !== known.place.lbSet) member.change({ lbSet })
    known.place = place
  }

  #drain(url: string, known: Known): void {
    if (known.leaving !== undefined) return
    const { member } = known
    known.leaving = LEAVING.filter(letter => !member.is(letter))
    member.status = LEAVING.map(letter => `+${letter}`).join('')
    member.whenIdle(() => {
      if (known.leaving === undefined || this.#stopped) return
      this.#known.delete(url)
      this.#balancer.remove(member)
    })
  }
}
