import { randomBytes } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Balancer, Member, MemberMessage } from '@ws-tunnel/core'
import type { FleetView } from '../page/types.ts'
import { clip } from '../util/clip.ts'
import { namedProxies, type Proxies } from '../util/proxies.ts'
import { Refusal } from '../util/refusal.ts'
import { AddedMembers } from './added-members.ts'
import { ConfiguredMembers } from './configured-members.ts'
import { emitProblem, type Fleet, type FleetOptions, reasonOf } from './fleet-options.ts'
import { KnownSettings, memberKey } from './known-settings.ts'
import { changeMember, type MemberChange } from './member-changes.ts'
import { checkLength, outcomeOf, readSetting, type Setting, settingsOf, timeOf, writeSetting } from './setting.ts'
import { type Entry, memoryStore, type OpenStore } from './store.ts'

/** Milliseconds between two checks for new proxies. */
const CHECK_INTERVAL = 1_000

/** Milliseconds that `close` waits for the store. */
const CLOSE_TIMEOUT = 1_000

/** The largest number of ignored settings that the view lists. */
const MAX_LISTED = 20

/**
 * Applies the settings that operators make in any process of the fleet to the balancers of these proxies. The manager
 * does this itself, with its option `store`. This function is for a process without a manager.
 *
 * @param proxies as for the manager, with the same names in each process.
 */
export function joinFleet(proxies: Proxies, options: FleetOptions = {}): Fleet {
  namedProxies(proxies)
  return new SharedSettings(proxies, options)
}

class SharedSettings implements Fleet {
  readonly ready: Promise<boolean>
  readonly #proxies: Proxies
  readonly #storeName: string
  readonly #store: OpenStore
  readonly #addedMembers: AddedMembers
  readonly #onProblem: (problem: Error) => void
  readonly #resolveReady: (isApplied: boolean) => void
  readonly #known = new KnownSettings()
  readonly #configured = new ConfiguredMembers()
  /** The entries that the store does not have yet. */
  readonly #unsent = new Map<string, string>()
  readonly #ignored = new Map<string, { text: string; reason: string }>()
  /** The balancers to which every known setting has been applied. */
  readonly #upToDate = new WeakSet<Balancer>()
  readonly #writer = randomBytes(4).toString('hex')
  readonly #timer: NodeJS.Timeout
  /** The latest time of a known setting. */
  #time = 0
  #connected = false
  #since = Date.now()
  #reason = ''
  #closed: Promise<void> | undefined

  constructor(proxies: Proxies, { store = memoryStore(), onProblem = emitProblem, addedMembers }: FleetOptions) {
    this.#addedMembers = new AddedMembers(addedMembers)
    this.#proxies = proxies
    this.#storeName = store.name
    this.#onProblem = onProblem
    const { promise, resolve } = Promise.withResolvers<boolean>()
    this.ready = promise
    this.#resolveReady = resolve
    this.#timer = setInterval(() => this.#applyToNewBalancers(), CHECK_INTERVAL).unref()
    this.#applyToNewBalancers()
    subscribe('ws-tunnel:member', this.#memberOnChange)
    const unlessClosed =
      <Arguments extends unknown[]>(listener: (...given: Arguments) => void) =>
      (...given: Arguments): void => {
        if (this.#closed === undefined) listener(...given)
      }
    this.#store = store.open({
      all: unlessClosed((entries: readonly Entry[], wasDeleted?: boolean) => this.#storeOnAll(entries, wasDeleted)),
      some: unlessClosed((entries: readonly Entry[]) => this.#storeOnSome(entries)),
      away: unlessClosed((error: Error) => this.#storeOnAway(error)),
    })
  }

  get view(): FleetView {
    return {
      store: this.#storeName,
      connected: this.#connected,
      since: this.#since,
      reason: this.#reason,
      waiting: this.#unsent.size,
      ignored: this.#ignored.size,
      ignoredSettings: Array.from(this.#ignored, ([key, { reason }]) => ({
        key: clip(key),
        reason: clip(reason),
      })).slice(0, MAX_LISTED),
    }
  }

  change(change: MemberChange): void {
    // Later than every known setting, even if the clock of another process is ahead of ours.
    const time = Math.max(Date.now(), this.#time + 1)
    const { proxy, balancer } = change
    const url = change.action === 'add-member' ? change.member.url : change.member
    const member = memberKey({ proxy, balancer, url })
    const made = settingsOf(change, this.#known.wasAdded(member)).map(setting => ({
      setting,
      entry: writeSetting(setting, time, this.#writer),
    }))
    try {
      for (const { entry } of made) checkLength(entry)
    } catch (error) {
      throw new Refusal(400, (error as Error).message)
    }
    if (change.action === 'add-member' && this.#known.additions >= this.#addedMembers.max)
      throw new Refusal(409, `Expected at most ${this.#addedMembers.max} added members; remove one first`)
    const changed = this.#balancer(proxy, balancer)
    if (changed !== undefined) this.#configured.remember(member, changed, url)
    changeMember(this.#proxies, change, this.#addedMembers)
    this.#time = time
    for (const { setting, entry } of made) {
      const [key, text] = entry
      this.#known.keep({ key, text, setting })
      this.#unsent.set(key, text)
    }
    void this.#send()
    this.#clean()
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    clearInterval(this.#timer)
    unsubscribe('ws-tunnel:member', this.#memberOnChange)
    this.#resolveReady(false)
    if (this.#connected && this.#unsent.size > 0) {
      const timeout = Promise.withResolvers<void>()
      const timer = setTimeout(timeout.resolve, CLOSE_TIMEOUT)
      await Promise.race([this.#send(), timeout.promise])
      clearTimeout(timer)
    }
    await this.#store.close()
  }

  #storeOnAll(entries: readonly Entry[], wasDeleted = false): void {
    if (!this.#connected) this.#setConnected(true, '')
    this.#storeOnSome(entries)
    const stored = new Map(entries)
    if (wasDeleted) this.#forgetAllBut(stored)
    for (const key of this.#ignored.keys()) if (!stored.has(key)) this.#ignored.delete(key)
    // A store that lost entries, or missed them while it was away, gets them again.
    for (const { key, text } of this.#known.all) {
      const storedText = stored.get(key) ?? ''
      if (timeOf(storedText) === undefined || storedText < text) this.#unsent.set(key, text)
    }
    this.#clean()
    this.#resolveReady(true)
    void this.#send()
  }

  /** Forgets the settings that are not in the store, unless they were made here and wait to be sent. */
  #forgetAllBut(stored: ReadonlyMap<string, string>): void {
    const forgotten = new Map<string, Setting[]>()
    for (const known of [...this.#known.all]) {
      if (stored.has(known.key) || this.#unsent.has(known.key)) continue
      const member = memberKey(known.setting)
      if (!forgotten.has(member))
        forgotten.set(
          member,
          this.#known.of(member).map(({ setting }) => setting),
        )
      this.#known.forget(known)
    }
    for (const [member, settings] of forgotten) {
      const [{ proxy, balancer: name, url }] = settings as [Setting]
      const balancer = this.#balancer(proxy, name)
      if (balancer === undefined) continue
      try {
        this.#configured.putBack(member, balancer, url, settings)
      } catch (error) {
        this.#report(new Error(`A member is not as configured, ${clip(url)}: ${clip((error as Error).message)}`))
      }
      this.#apply(member)
    }
  }

  /** Removes from the store what no longer counts. */
  #clean(): void {
    const outdated = this.#known.takeOutdated()
    for (const [key] of outdated) this.#unsent.delete(key)
    if (!this.#connected || outdated.length === 0) return
    // What is not removed now is found again at the next `all`.
    this.#store.remove?.(outdated).catch(() => {})
  }

  #storeOnSome(entries: readonly Entry[]): void {
    const changedMembers = new Set<string>()
    for (const [key, text] of entries) {
      const known = this.#known.textOf(key)
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
        this.#unsent.delete(key)
        if (!this.#known.keep({ key, text, setting })) continue
        changedMembers.add(memberKey(setting))
      } catch (error) {
        this.#ignore(key, text, error as Error)
      }
    }
    for (const member of changedMembers) this.#apply(member)
  }

  #balancer(proxy: string, name: string): Balancer | undefined {
    return namedProxies(this.#proxies).get(proxy)?.balancers.get(name)
  }

  /** Applies the known settings of one member: adds it, changes it or removes it. */
  #apply(member: string): void {
    const known = this.#known.of(member)
    const last = known.at(-1)
    if (last === undefined) return
    const { proxy, balancer: name, url } = last.setting
    const balancer = this.#balancer(proxy, name)
    if (balancer === undefined) return
    this.#configured.remember(member, balancer, url)
    const { removed, added, changes } = outcomeOf(known.map(({ setting }) => setting))
    const present = balancer.members.find(member => member.url === url)
    try {
      if (!removed)
        (present ?? (added && balancer.add({ url, ...added, ...this.#addedMembers.optionsFor(url) })))?.change(changes)
      else if (present !== undefined) balancer.remove(present)
    } catch (error) {
      this.#ignore(last.key, last.text, error as Error)
    }
  }

  /** The code of the process may also add members, even one that an operator has removed. */
  readonly #memberOnChange = (message: unknown): void => {
    const { member, change } = message as MemberMessage
    // The code that calls `add` does not have the new member yet.
    if (change === 'added') queueMicrotask(() => this.#applyToMember(member))
  }

  #applyToMember(member: Member): void {
    if (this.#closed !== undefined) return
    for (const [proxy, { balancers }] of namedProxies(this.#proxies))
      for (const [balancer, { members }] of balancers)
        if (members.includes(member)) this.#apply(memberKey({ proxy, balancer, url: member.url }))
  }

  /** A proxy may join the list after its settings are known. */
  #applyToNewBalancers(): void {
    for (const [proxy, { balancers }] of namedProxies(this.#proxies)) {
      for (const [name, balancer] of balancers) {
        if (this.#upToDate.has(balancer)) continue
        this.#upToDate.add(balancer)
        for (const [member, setting] of this.#known.members())
          if (setting.proxy === proxy && setting.balancer === name) this.#apply(member)
      }
    }
  }

  async #send(): Promise<void> {
    if (!this.#connected || this.#unsent.size === 0) return
    const entries = [...this.#unsent]
    try {
      await this.#store.save(entries)
      for (const [key, text] of entries) if (this.#unsent.get(key) === text) this.#unsent.delete(key)
    } catch {
      // The store reports that it is away. The entries are sent when it is back.
    }
  }

  #storeOnAway(error: Error): void {
    const reason = reasonOf(error)
    if (this.#connected || this.#reason === '') {
      this.#setConnected(false, reason)
      const problem = `The store of settings (${this.#storeName}) is away: ${reason}. The last known settings stay in force`
      this.#report(new Error(problem, { cause: error }))
    }
    this.#reason = reason
    this.#resolveReady(false)
  }

  #setConnected(connected: boolean, reason: string): void {
    this.#connected = connected
    this.#reason = reason
    this.#since = Date.now()
  }

  #ignore(key: string, text: string, error: Error): void {
    this.#ignored.set(key, { text, reason: error.message })
    this.#report(new Error(`A setting is ignored, ${clip(key)}: ${clip(error.message)}`, { cause: error }))
  }

  /** In a microtask, so that an error that `onProblem` throws does not reach the store. */
  #report(problem: Error): void {
    queueMicrotask(() => this.#onProblem(problem))
  }
}
