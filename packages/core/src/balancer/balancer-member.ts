import { channel } from 'node:diagnostics_channel'
import { NamedWorker } from '../backend/named-worker.ts'
import { parseTarget, type TargetTemplate } from '../backend/target.ts'
import { checkMemberChanges, type MemberChanges, type MemberSettings } from '../options/balancer-options.ts'
import type { HealthCheckSettings } from '../options/health-options.ts'
import type { RouteSettings } from '../options/options.ts'
import { Traffic } from '../tunnel/traffic.ts'
import type { Tunnel } from '../tunnel/tunnel.ts'
import { LinkedSet } from '../util/linked-set.ts'
import type { Leave, Places } from '../util/slots.ts'

/** What has changed of a member, as the channel `ws-tunnel:member` tells it. */
export interface MemberMessage {
  readonly member: Member
  /** Letters. */
  readonly before: string
  /** Letters. */
  readonly after: string
  /** Its letters, other settings of it, or whether it is a member of its balancer. */
  readonly change: 'status' | 'settings' | 'added' | 'removed'
}

/** What checks found out about a member. */
export interface Health {
  /** The last one passed. */
  readonly ok: boolean
  /** What the last one heard, or why it failed. */
  readonly detail: string
  /** When it ended, ms since the epoch. */
  readonly checkedAt: number
  /** ms it took. */
  readonly duration: number
  /** Since when they have all gone the same way, ms since the epoch. */
  readonly since: number
}

/** A check of a member, as the channel `ws-tunnel:health` tells it. */
export interface HealthMessage {
  readonly member: Member
  readonly health: Health
}

const changed = channel('ws-tunnel:member')
const checked = channel('ws-tunnel:health')

/** One backend of a balancer, with what it was asked so far (BalancerMember). */
export class Member {
  readonly url: string
  readonly template: TargetTemplate
  readonly #worker: NamedWorker
  /** The name sessions know it by (route=). */
  readonly routeId: string | undefined
  /** Where its sessions go while it is not usable (redirect=). */
  readonly redirect: string | undefined
  /** 1-100 (loadfactor=). */
  readonly loadFactor: number
  /** 0-99 (lbset=). */
  readonly lbSet: number
  /** ms (retry=). */
  readonly retry: number
  readonly #slowStart: number
  #backSince = Number.NEGATIVE_INFINITY
  /** How it is checked; `undefined` for not at all. */
  readonly healthCheck: HealthCheckSettings | undefined
  #health: Health | undefined
  #passes = 0
  #fails = 0
  readonly #letters: Set<string>
  /** On a clock that nobody sets back: it would stay out for as long. */
  #failedAt = Number.NEGATIVE_INFINITY
  readonly #traffic = new Traffic()
  readonly #tunnels = new LinkedSet<Tunnel>()
  readonly #whenIdle: (() => void)[] = []
  /** Balance of what it got and what is its due. httpd: `lbstatus`. */
  lbStatus = 0
  /** How often it was chosen. */
  elected = 0
  /** Requests and tunnels under way. */
  busy = 0
  /** How often it was taken out. */
  failures = 0

  /** @throws {WsTunnelError} `WST_ERR_OPTION` for a URL that is none. */
  constructor(settings: MemberSettings, where: string) {
    this.url = settings.url
    const read = (url: string): TargetTemplate => parseTarget(url, { groups: false, params: [] }, `${where}.url`)
    const { origin, ...template } = read(settings.named ?? settings.url)
    const address = settings.named === undefined ? {} : { address: read(settings.url).origin.host }
    this.template = { ...template, origin: { ...origin, ...address } }
    this.#worker = new NamedWorker(settings)
    this.routeId = settings.routeId
    this.redirect = settings.redirect
    this.loadFactor = settings.loadFactor
    this.lbSet = settings.lbSet
    this.retry = settings.retry
    this.#slowStart = settings.slowStart
    this.healthCheck = settings.healthCheck
    this.#letters = lettersOf(settings.status, [])
  }

  /** Letters of its state, in Apache's order; what is set is read with `+` and `-` like the option. */
  get status(): string {
    return [...'DSEHRNIC'].filter(letter => this.#letters.has(letter)).join('')
  }

  /** @throws {WsTunnelError} `WST_ERR_OPTION` for other letters. */
  set status(text: string) {
    checkMemberChanges(this.url, { status: text })
    const after = lettersOf(text, this.#letters)
    if (after.has('E') && !this.is('E')) this.#failedAt = performance.now()
    this.#become(() => {
      this.#letters.clear()
      for (const letter of after) this.#letters.add(letter)
    })
  }

  /**
   * Changes what may change while it serves; where something is wrong, nothing.
   *
   * @throws {WsTunnelError} `WST_ERR_OPTION`
   */
  change(changes: MemberChanges): void {
    checkMemberChanges(this.url, changes)
    const { status, routeId = this.routeId, redirect = this.redirect } = changes
    const { loadFactor = this.loadFactor, lbSet = this.lbSet, retry = this.retry } = changes
    const settings = { routeId: routeId || undefined, redirect: redirect || undefined, loadFactor, lbSet, retry }
    const differs = Object.entries(settings).some(([name, value]) => this[name as keyof typeof settings] !== value)
    Object.assign(this, settings)
    if (differs) this.tell('settings')
    if (status !== undefined) this.status = status
  }

  is(letter: 'D' | 'S' | 'E' | 'H' | 'R' | 'N' | 'I' | 'C'): boolean {
    return this.#letters.has(letter)
  }

  /** It may be asked. httpd: PROXY_WORKER_IS_USABLE. */
  get usable(): boolean {
    return !(this.is('D') || this.is('S') || this.is('E') || this.is('C'))
  }

  /** New requests come to it. */
  get welcome(): boolean {
    return this.usable && !this.is('N')
  }

  /** How much of its factor counts, above 0 to 1: less for `slowStart` ms after it came or came back. */
  get warmth(): number {
    const since = performance.now() - this.#backSince
    return since >= this.#slowStart ? 1 : Math.max(since, 1) / this.#slowStart
  }

  /** It has just come. */
  warmUp(): void {
    this.#backSince = performance.now()
  }

  /** Brings it back when its time is over, which for one with `I` it always is. httpd: ap_proxy_retry_worker. */
  recover(force = false): void {
    if (!this.is('E')) return
    const due = !this.is('S') && (this.is('I') || performance.now() > this.#failedAt + this.retry)
    if (force || due) this.#become(() => this.#letters.delete('E'))
  }

  /** Takes it out for `retry`; errors of one with `I` are ignored. */
  fail(): void {
    if (this.is('I')) return
    this.failures++
    this.#failedAt = performance.now()
    this.#become(() => this.#letters.add('E'))
  }

  /** What the last checks said; `undefined` before the first. */
  get health(): Health | undefined {
    return this.#health
  }

  /**
   * What a check found out. Checks that pass bring a member back that is in error, too; they do not take back what failed
   * before. httpd: hc_check.
   */
  checked({ ok, detail, duration }: Pick<Health, 'ok' | 'detail' | 'duration'>): void {
    const checkedAt = Date.now()
    const since = this.#health?.ok === ok ? this.#health.since : checkedAt
    this.#health = { ok, detail, checkedAt, duration, since }
    if (checked.hasSubscribers) checked.publish({ member: this, health: this.#health } satisfies HealthMessage)
    const { passes = 1, fails = 1 } = this.healthCheck ?? {}
    if (this.is('C') || this.is('E')) {
      if (!ok || ++this.#passes < passes) return
      this.#passes = 0
      this.#become(() => {
        this.#letters.delete('C')
        this.#letters.delete('E')
      })
    } else if (!ok && ++this.#fails >= fails) {
      this.#fails = 0
      this.#become(() => this.#letters.add('C'))
    }
  }

  #become(change: () => void): void {
    const before = this.status
    const { welcome } = this
    change()
    const after = this.status
    if (!welcome && this.welcome) this.warmUp()
    if (before !== after) this.tell('status', before)
  }

  /** Publishes a change, on the channel `ws-tunnel:member`. */
  tell(change: MemberMessage['change'], before: string = this.status): void {
    if (!changed.hasSubscribers) return
    changed.publish({ member: this, before, after: this.status, change } satisfies MemberMessage)
  }

  /** The route's settings with its own over them. */
  settings(route: RouteSettings): RouteSettings {
    return this.#worker.settings(route)
  }

  /** Its places for tunnels. */
  get places(): Places {
    return this.#worker.slots
  }

  /** It is busy until the function that is given back is called. */
  enter(): Leave {
    this.busy++
    let inside = true
    return () => {
      if (inside) this.busy--
      inside = false
      if (this.busy === 0) for (const call of this.#whenIdle.splice(0)) call()
    }
  }

  /** Calls once when no request and no tunnel is under way. */
  whenIdle(call: () => void): void {
    if (this.busy === 0) call()
    else this.#whenIdle.push(call)
  }

  /**
   * The same for a tunnel, which takes one of its places.
   *
   * @returns a promise only where it waits for a place.
   * @throws {WsTunnelError} `WST_ERR_TUNNEL_LIMIT`
   */
  enterTunnel(signal: AbortSignal): Leave | Promise<Leave> {
    const place = this.places.acquire(signal)
    const leave = this.enter()
    const both = (giveBack: Leave): Leave => {
      return () => {
        giveBack()
        leave()
      }
    }
    if (!(place instanceof Promise)) return both(place)
    return place.then(both, error => {
      leave()
      throw error
    })
  }

  /** Bytes for the backend; those of open tunnels are among them, where there are many as they were in the last 50 ms. */
  get bytesSent(): number {
    return this.#traffic.sent
  }

  get bytesReceived(): number {
    return this.#traffic.received
  }

  /** Its open tunnels. */
  get tunnels(): ReadonlySet<Tunnel> {
    return this.#tunnels
  }

  count(sent: number, received: number): void {
    this.#traffic.add(sent, received)
  }

  /** Counts a tunnel's bytes while it lives, and after. */
  async carry(tunnel: Tunnel): Promise<void> {
    this.#tunnels.add(tunnel)
    await this.#traffic.follow(tunnel)
    this.#tunnels.delete(tunnel)
  }
}

/** httpd: ap_proxy_set_wstatus: each letter is set, or cleared after `-`. */
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
