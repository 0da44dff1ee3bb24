import { channel } from 'node:diagnostics_channel'
import { isIP } from 'node:net'
import { NamedWorker } from '../backend/named-worker.ts'
import { parseTarget, type TargetTemplate } from '../backend/target.ts'
import type { Health, Member, MemberChanges, MemberSettings, MemberState } from '../options/balancer-options.ts'
import { wrong } from '../options/checks.ts'
import type { HealthMessage, MemberMessage } from '../options/events.ts'
import type { HealthCheckSettings } from '../options/health-options.ts'
import { checkMemberChanges } from '../options/read-balancer.ts'
import type { RouteSettings } from '../options/route-options.ts'
import { CARRIED, type EndListener, type OpenTunnel } from '../tunnel/open-tunnel.ts'
import { Traffic } from '../tunnel/traffic.ts'
import type { Tunnel } from '../tunnel/tunnel.ts'
import type { CancelSignal } from '../util/abort.ts'
import { LinkedSet } from '../util/linked-set.ts'
import type { Release, Slots } from '../util/slots.ts'
import type { MemberRecord } from './member-record.ts'

/** A letter of a member's status, in Apache's order. */
type StatusLetter = 'D' | 'S' | 'E' | 'H' | 'R' | 'N' | 'I' | 'C'

const LETTERS: readonly StatusLetter[] = ['D', 'S', 'E', 'H', 'R', 'N', 'I', 'C']

/** The state of each letter. For a member with several letters, the first one of this list applies. */
const STATES: readonly (readonly [StatusLetter, MemberState])[] = [
  ['S', 'stopped'],
  ['D', 'disabled'],
  ['E', 'error'],
  ['C', 'failing'],
  ['N', 'draining'],
  ['H', 'standby'],
  ['R', 'spare'],
]

const memberChannel = channel('ws-tunnel:member')
const healthChannel = channel('ws-tunnel:health')

/** One backend of a balancer, its state and its counters. */
export class BalancerMember implements Member, EndListener {
  readonly url: string
  readonly template: TargetTemplate
  readonly #worker: NamedWorker
  readonly routeId: string | undefined
  readonly redirect: string | undefined
  readonly loadFactor: number
  readonly lbSet: number
  readonly retry: number
  readonly #slowStart: number
  #warmSince = Number.NEGATIVE_INFINITY
  readonly healthCheck: HealthCheckSettings | undefined
  #health: Health | undefined
  #passes = 0
  #fails = 0
  readonly #letters: Set<string>
  /** The letters of its options. */
  readonly #configured: ReadonlySet<string>
  /** On the monotonic clock: a wall clock that is set back would keep the member out for longer. */
  #failedAt = Number.NEGATIVE_INFINITY
  readonly #traffic = new Traffic()
  readonly #tunnels = new LinkedSet<OpenTunnel>(CARRIED)
  readonly #idleListeners: (() => void)[] = []
  /** Called after a change of its state or settings, and when one of its slots is free. */
  onChange: (() => void) | undefined
  lbStatus = 0
  selected = 0
  busy = 0
  failures = 0

  /** @throws {WsTunnelError} `WST_ERR_OPTION` for a malformed URL. */
  constructor(settings: MemberSettings, where: string) {
    this.url = settings.url
    const parse = (url: string): TargetTemplate => parseTarget(url, { groups: false, params: [] }, `${where}.url`)
    const { origin, ...template } = parse(settings.named ?? settings.url)
    const address = settings.named === undefined ? {} : { address: parse(settings.url).origin.host }
    const { acceptAddress } = settings
    if (acceptAddress !== undefined && isIP(origin.host) !== 0 && !acceptAddress(origin.host))
      throw wrong(`${where}.url`, 'a URL with an address that `acceptAddress` accepts', settings.url)
    this.template = { ...template, origin: { ...origin, ...address, ...(acceptAddress && { acceptAddress }) } }
    this.#worker = new NamedWorker(settings)
    this.slots.onFree = () => this.onChange?.()
    this.routeId = settings.routeId
    this.redirect = settings.redirect
    this.loadFactor = settings.loadFactor
    this.lbSet = settings.lbSet
    this.retry = settings.retry
    this.#slowStart = settings.slowStart
    this.healthCheck = settings.healthCheck
    this.#letters = lettersOf(settings.status, [])
    this.#configured = new Set(this.#letters)
  }

  /** What the process that replaces this one needs to know. */
  record(balancer: string): MemberRecord {
    const { url, health, selected, failures, bytesSent, bytesReceived } = this
    const failedFor = performance.now() - this.#failedAt
    const added = [...this.#letters].filter(letter => !this.#configured.has(letter))
    const removed = [...this.#configured].filter(letter => !this.#letters.has(letter))
    return {
      balancer,
      url,
      changes: `+${added.join('')}-${removed.join('')}`,
      failedFor: Number.isFinite(failedFor) ? failedFor : undefined,
      health,
      passes: this.#passes,
      fails: this.#fails,
      selected,
      failures,
      bytesSent,
      bytesReceived,
    }
  }

  /** Continues with what the process before this one knew. Its own counts are added. */
  restore(record: MemberRecord): void {
    const { changes, failedFor, health, passes, fails, selected, failures, bytesSent, bytesReceived } = record
    this.#update(() => {
      const letters = lettersOf(changes, this.#letters)
      this.#letters.clear()
      for (const letter of letters) this.#letters.add(letter)
    })
    if (failedFor !== undefined) this.#failedAt = performance.now() - failedFor
    this.#health ??= health
    this.#passes += passes
    this.#fails += fails
    this.selected += selected
    this.failures += failures
    this.#traffic.add(bytesSent, bytesReceived)
  }

  get status(): string {
    return LETTERS.filter(letter => this.#letters.has(letter)).join('')
  }

  set status(text: string) {
    checkMemberChanges(this.url, { status: text })
    const after = lettersOf(text, this.#letters)
    if (after.has('E') && !this.is('E')) this.#failedAt = performance.now()
    this.#update(() => {
      this.#letters.clear()
      for (const letter of after) this.#letters.add(letter)
    })
  }

  get state(): MemberState {
    return STATES.find(([letter]) => this.is(letter))?.[1] ?? 'usable'
  }

  drain(): void {
    this.status = '+N-DS'
  }

  disable(): void {
    this.status = '+D'
  }

  enable(): void {
    this.status = '-DSNH'
  }

  standby(): void {
    this.status = '+H-DSN'
  }

  change(changes: MemberChanges): void {
    checkMemberChanges(this.url, changes)
    const { status, routeId = this.routeId, redirect = this.redirect } = changes
    const { loadFactor = this.loadFactor, lbSet = this.lbSet, retry = this.retry } = changes
    const settings = { routeId: routeId || undefined, redirect: redirect || undefined, loadFactor, lbSet, retry }
    const differs = Object.entries(settings).some(([name, value]) => this[name as keyof typeof settings] !== value)
    Object.assign(this, settings)
    if (differs) {
      this.publish('settings')
      this.onChange?.()
    }
    if (status !== undefined) this.status = status
  }

  is(letter: StatusLetter): boolean {
    return this.#letters.has(letter)
  }

  get usable(): boolean {
    return !(this.is('D') || this.is('S') || this.is('E') || this.is('C'))
  }

  get available(): boolean {
    return this.usable && !this.is('N')
  }

  /** The share of its load factor that applies, above 0 to 1: it grows over `slowStart` ms after the member was added or recovered. */
  get warmth(): number {
    const since = performance.now() - this.#warmSince
    return since >= this.#slowStart ? 1 : Math.max(since, 1) / this.#slowStart
  }

  /** Starts its slow start. */
  warmUp(): void {
    this.#warmSince = performance.now()
  }

  /**
   * Clears an error when `retry` has passed; with letter I, at once. httpd: ap_proxy_retry_worker.
   *
   * @param force Clears it in any case.
   */
  recover(force = false): void {
    if (!this.is('E')) return
    const due = !this.is('S') && (this.is('I') || performance.now() > this.#failedAt + this.retry)
    if (force || due) this.#update(() => this.#letters.delete('E'))
  }

  /** ms until {@link recover} clears its error; infinite if it has none that time clears. */
  get recoversIn(): number {
    if (!this.is('E') || this.is('S')) return Number.POSITIVE_INFINITY
    return this.is('I') ? 0 : Math.max(0, this.#failedAt + this.retry - performance.now())
  }

  /** Takes it out for `retry` ms, unless letter I ignores errors. */
  fail(): void {
    if (this.is('I')) return
    this.failures++
    this.#failedAt = performance.now()
    this.#update(() => this.#letters.add('E'))
  }

  get health(): Health | undefined {
    return this.#health
  }

  /**
   * Records the result of a health check. Checks that pass also clear an error. They do not reset the count of failed checks. httpd: hc_check.
   */
  recordCheck({ ok, detail, duration }: Pick<Health, 'ok' | 'detail' | 'duration'>): void {
    const checkedAt = Date.now()
    const since = this.#health?.ok === ok ? this.#health.since : checkedAt
    this.#health = { ok, detail, checkedAt, duration, since }
    if (healthChannel.hasSubscribers)
      healthChannel.publish({ member: this, health: this.#health } satisfies HealthMessage)
    const { passes = 1, fails = 1 } = this.healthCheck ?? {}
    if (this.is('C') || this.is('E')) {
      if (!ok || ++this.#passes < passes) return
      this.#passes = 0
      this.#update(() => {
        this.#letters.delete('C')
        this.#letters.delete('E')
      })
    } else if (!ok && ++this.#fails >= fails) {
      this.#fails = 0
      this.#update(() => this.#letters.add('C'))
    }
  }

  #update(change: () => void): void {
    const before = this.status
    const { available } = this
    change()
    const after = this.status
    if (!available && this.available) this.warmUp()
    if (before === after) return
    this.publish('status', before)
    this.onChange?.()
  }

  /** Publishes a change on the channel `ws-tunnel:member`. */
  publish(change: MemberMessage['change'], before: string = this.status): void {
    if (!memberChannel.hasSubscribers) return
    memberChannel.publish({ member: this, before, after: this.status, change } satisfies MemberMessage)
  }

  /** The settings of the route, overridden by those of the member. */
  settings(route: RouteSettings): RouteSettings {
    return this.#worker.settings(route)
  }

  /** Its slots for tunnels. */
  get slots(): Slots {
    return this.#worker.slots
  }

  /** Counts it as busy until the returned function is called. */
  enter(): Release {
    this.busy++
    let counted = true
    return () => {
      if (counted) this.busy--
      counted = false
      if (this.busy === 0) for (const listener of this.#idleListeners.splice(0)) listener()
    }
  }

  /** Calls the listener once, when no request and no tunnel is in progress. */
  whenIdle(listener: () => void): void {
    if (this.busy === 0) listener()
    else this.#idleListeners.push(listener)
  }

  /**
   * Acquires a slot for a tunnel and counts the member as busy, both until the returned function is called.
   *
   * @param signal Ends the wait for a slot; the promise then rejects with its reason.
   * @returns a promise only if it waits for a slot.
   * @throws {WsTunnelError} `WST_ERR_TUNNEL_LIMIT`
   */
  enterTunnel(signal: CancelSignal): Release | Promise<Release> {
    const slot = this.slots.acquire(signal)
    const release = this.enter()
    const both = (releaseSlot: Release): Release => bothOf(releaseSlot, release)
    if (!(slot instanceof Promise)) return both(slot)
    return slot.then(both, error => {
      release()
      throw error
    })
  }

  /** Counts a tunnel that is open already, even if that is more than `maxTunnels`, until the returned function is called. */
  adoptTunnel(): Release {
    return bothOf(this.slots.acquireAnyway(), this.enter())
  }

  get bytesSent(): number {
    return this.#traffic.sent
  }

  get bytesReceived(): number {
    return this.#traffic.received
  }

  get tunnels(): ReadonlySet<Tunnel> {
    return this.#tunnels
  }

  /** Adds the bytes of a plain request. */
  count(sent: number, received: number): void {
    this.#traffic.add(sent, received)
  }

  /** Counts the bytes of a tunnel, during its life and after its end. */
  carry(tunnel: OpenTunnel): void {
    this.#tunnels.add(tunnel)
    this.#traffic.follow(tunnel)
    tunnel.onEnd(this)
  }

  tunnelOnEnd(tunnel: OpenTunnel): void {
    this.#tunnels.delete(tunnel)
  }
}

const bothOf =
  (releaseSlot: Release, release: Release): Release =>
  () => {
    releaseSlot()
    release()
  }

/** Applies a text with `+` and `-` to letters. @returns the new letters. httpd: ap_proxy_set_wstatus. */
function lettersOf(text: string, before: Iterable<string>): Set<string> {
  const letters = new Set(before)
  let sign = '+'
  for (const char of text.toUpperCase()) {
    if (char === '+' || char === '-') sign = char
    else if (sign === '+') letters.add(char)
    else letters.delete(char)
  }
  return letters
}
