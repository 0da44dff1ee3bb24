import { randomBytes } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Balancer, Member, MemberMessage } from '@ws-tunnel/core'
import type { FleetView } from '../page/types.ts'
import { clip } from '../util/clip.ts'
import { namedProxies, type Proxies } from '../util/proxies.ts'
import { Refusal } from '../util/refusal.ts'
import { changeMember, type MemberChange } from './member-changes.ts'
import { checkLength, outcomeOf, readSetting, type Setting, settingsOf, timeOf, writeSetting } from './setting.ts'
import { type Entry, memoryStore, type OpenStore, type Store } from './store.ts'

/** Options of `joinFleet`. */
export interface FleetOptions {
  /** Where settings are shared. @default memoryStore() */
  store?: Store
  /** Hears that the store is away, and of each setting in it that is ignored. @default a warning of the process */
  onProblem?: (problem: Error) => void
}

/** Shares what operators set. */
export interface Fleet {
  /** Resolves when the settings of the store are applied, or when it turns out to be away. It never rejects. */
  readonly ready: Promise<void>
  /** How it is with the store. */
  readonly view: FleetView
  /**
   * Makes a change here, and sends it to all others: now, or when the store is back.
   *
   * @throws where there is no such balancer or member, or it does not take the change.
   */
  change(change: MemberChange): void
  /** Sends what is left, if the store is there, and lets go of it. */
  close(): Promise<void>
}

/** ms between two looks whether a proxy is new. */
const LOOK = 1_000

/** ms that `close` waits for a store. */
const FAREWELL = 1_000

/** Ignored settings that are told one by one. */
const MAX_TOLD = 20

/**
 * Applies to the balancers of these proxies what operators set in any process of the fleet. A manager does so by itself, by
 * its option `store`; this is for processes without one.
 *
 * @param proxies as for the manager, by the same names in each process.
 */
export function joinFleet(proxies: Proxies, options: FleetOptions = {}): Fleet {
  namedProxies(proxies)
  return new SharedSettings(proxies, options)
}

/** What is not asked for is said all the same. */
export const warn = (problem: Error): void => process.emitWarning(problem.message, 'WsTunnelWarning')

interface Known {
  readonly key: string
  readonly text: string
  readonly setting: Setting
}

const memberOf = ({ proxy, balancer, url }: Omit<Setting, 'name' | 'value'>): string =>
  JSON.stringify([proxy, balancer, url])

class SharedSettings implements Fleet {
  readonly ready: Promise<void>
  readonly #proxies: Proxies
  readonly #name: string
  readonly #store: OpenStore
  readonly #onProblem: (problem: Error) => void
  readonly #begin: () => void
  /** By key. */
  readonly #known = new Map<string, Known>()
  /** Settings of one member, by their name. */
  readonly #members = new Map<string, Map<string, Known>>()
  /** What the store has not taken yet. */
  readonly #waiting = new Map<string, string>()
  readonly #ignored = new Map<string, { text: string; reason: string }>()
  /** Balancers that have got all there is for them. */
  readonly #served = new WeakSet<Balancer>()
  readonly #writer = randomBytes(4).toString('hex')
  readonly #timer: NodeJS.Timeout
  #time = 0
  #connected = false
  #since = Date.now()
  #reason = ''
  #closed: Promise<void> | undefined

  constructor(proxies: Proxies, { store = memoryStore(), onProblem = warn }: FleetOptions) {
    this.#proxies = proxies
    this.#name = store.name
    this.#onProblem = onProblem
    const { promise, resolve } = Promise.withResolvers<void>()
    this.ready = promise
    this.#begin = resolve
    this.#timer = setInterval(() => this.#serveNew(), LOOK).unref()
    this.#serveNew()
    subscribe('ws-tunnel:member', this.#memberOnChange)
    const whileOpen =
      <T>(hear: (told: T) => void) =>
      (told: T): void => {
        if (this.#closed === undefined) hear(told)
      }
    this.#store = store.open({
      all: whileOpen(entries => this.#hearAll(entries)),
      some: whileOpen(entries => this.#hear(entries)),
      away: whileOpen(error => this.#lose(error)),
    })
  }

  get view(): FleetView {
    return {
      store: this.#name,
      connected: this.#connected,
      since: this.#since,
      reason: this.#reason,
      waiting: this.#waiting.size,
      ignored: this.#ignored.size,
      ignoredSettings: Array.from(this.#ignored, ([key, { reason }]) => ({
        key: clip(key),
        reason: clip(reason),
      })).slice(0, MAX_TOLD),
    }
  }

  change(change: MemberChange): void {
    // Later than all that is known, also by clocks that are ahead of ours.
    const time = Math.max(Date.now(), this.#time + 1)
    const made = settingsOf(change).map(setting => ({ setting, entry: writeSetting(setting, time, this.#writer) }))
    try {
      for (const { entry } of made) checkLength(entry)
    } catch (error) {
      throw new Refusal(400, (error as Error).message)
    }
    changeMember(this.#proxies, change)
    this.#time = time
    for (const { setting, entry } of made) {
      const [key, text] = entry
      this.#keep({ key, text, setting })
      this.#waiting.set(key, text)
    }
    void this.#send()
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    clearInterval(this.#timer)
    unsubscribe('ws-tunnel:member', this.#memberOnChange)
    this.#begin()
    if (this.#connected && this.#waiting.size > 0) {
      const late = Promise.withResolvers<void>()
      const timer = setTimeout(late.resolve, FAREWELL)
      await Promise.race([this.#send(), late.promise])
      clearTimeout(timer)
    }
    await this.#store.close()
  }

  #hearAll(entries: readonly Entry[]): void {
    if (!this.#connected) this.#turn(true, '')
    this.#hear(entries)
    const stored = new Map(entries)
    for (const key of this.#ignored.keys()) if (!stored.has(key)) this.#ignored.delete(key)
    // A store that lost something, or was away, gets it again.
    for (const [key, { text }] of this.#known) {
      const there = stored.get(key) ?? ''
      if (timeOf(there) === undefined || there < text) this.#waiting.set(key, text)
    }
    this.#begin()
    void this.#send()
  }

  #hear(entries: readonly Entry[]): void {
    const news = new Set<string>()
    for (const [key, text] of entries) {
      const known = this.#known.get(key)?.text ?? ''
      this.#time = Math.max(this.#time, timeOf(text) ?? 0)
      if (this.#ignored.get(key)?.text === text) continue
      if (known === text) {
        this.#ignored.delete(key)
        continue
      }
      try {
        const setting = readSetting([key, text])
        this.#ignored.delete(key)
        if (known > text) continue
        this.#keep({ key, text, setting })
        this.#waiting.delete(key)
        news.add(memberOf(setting))
      } catch (error) {
        this.#ignore(key, text, error as Error)
      }
    }
    for (const member of news) this.#apply(member)
  }

  #keep(known: Known): void {
    const member = memberOf(known.setting)
    const settings = this.#members.get(member) ?? new Map<string, Known>()
    this.#members.set(member, settings.set(known.setting.name, known))
    this.#known.set(known.key, known)
  }

  /** Brings one member to what is known of it. */
  #apply(member: string): void {
    const known = [...(this.#members.get(member)?.values() ?? [])].sort((a, b) => (a.text < b.text ? -1 : 1))
    const last = known.at(-1)
    if (last === undefined) return
    const { proxy, balancer: name, url } = last.setting
    const balancer = namedProxies(this.#proxies).get(proxy)?.balancers.get(name)
    if (balancer === undefined) return
    const { removed, added, changes } = outcomeOf(known.map(({ setting }) => setting))
    const there = balancer.members.find(member => member.url === url)
    try {
      if (!removed) (there ?? (added && balancer.add({ url, ...added })))?.change(changes)
      else if (there !== undefined) balancer.remove(there)
    } catch (error) {
      this.#ignore(last.key, last.text, error as Error)
    }
  }

  /** Members may come by other ways than ours, and again after they went. */
  readonly #memberOnChange = (message: unknown): void => {
    const { member, change } = message as MemberMessage
    // Those who add it are not done with it yet.
    if (change === 'added') queueMicrotask(() => this.#serve(member))
  }

  #serve(member: Member): void {
    if (this.#closed !== undefined) return
    for (const [proxy, { balancers }] of namedProxies(this.#proxies))
      for (const [balancer, { members }] of balancers)
        if (members.includes(member)) this.#apply(memberOf({ proxy, balancer, url: member.url }))
  }

  /** Proxies may come later than settings. */
  #serveNew(): void {
    for (const [proxy, { balancers }] of namedProxies(this.#proxies)) {
      for (const [name, balancer] of balancers) {
        if (this.#served.has(balancer)) continue
        this.#served.add(balancer)
        for (const [member, settings] of this.#members) {
          const [{ setting } = { setting: undefined }] = settings.values()
          if (setting?.proxy === proxy && setting.balancer === name) this.#apply(member)
        }
      }
    }
  }

  async #send(): Promise<void> {
    if (!this.#connected || this.#waiting.size === 0) return
    const entries = [...this.#waiting]
    try {
      await this.#store.save(entries)
      for (const [key, text] of entries) if (this.#waiting.get(key) === text) this.#waiting.delete(key)
    } catch {
      // The store says by itself that it is away, and they are sent when it is back.
    }
  }

  #lose(error: Error): void {
    const reason = reasonOf(error)
    if (this.#connected || this.#reason === '') {
      this.#turn(false, reason)
      const problem = `The store of settings (${this.#name}) is away: ${reason}. What was last known holds`
      this.#report(new Error(problem, { cause: error }))
    }
    this.#reason = reason
    this.#begin()
  }

  #turn(connected: boolean, reason: string): void {
    this.#connected = connected
    this.#reason = reason
    this.#since = Date.now()
  }

  #ignore(key: string, text: string, error: Error): void {
    this.#ignored.set(key, { text, reason: error.message })
    this.#report(new Error(`A setting is ignored, ${clip(key)}: ${clip(error.message)}`, { cause: error }))
  }

  /** What a user's function throws is not the store's. */
  #report(problem: Error): void {
    queueMicrotask(() => this.#onProblem(problem))
  }
}

/** A word for it: never an address, which may carry a password. */
function reasonOf(error: Error & { code?: unknown }): string {
  const { code, message } = error
  if (typeof code === 'string' && /^[A-Z][A-Z0-9_]*$/.test(code)) return code
  return /^[A-Z]{4,}(?= )/.exec(message)?.[0] ?? error.constructor.name
}
