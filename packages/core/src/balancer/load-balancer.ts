import type { IncomingMessage } from 'node:http'
import { WsTunnelError } from '../errors.ts'
import type { Trusts } from '../http/client-address.ts'
import type {
  Balancer,
  BalancerChoice,
  BalancerSettings,
  LbFunction,
  LbMethod,
  Member,
  MemberOptions,
  MemberSettings,
  NamedMembers,
  RequestSession,
  StickySettings,
} from '../options/balancer-options.ts'
import { show, wrong } from '../options/checks.ts'
import { readMember } from '../options/read-balancer.ts'
import type { CancelSignal } from '../util/abort.ts'
import { BalancerMember } from './balancer-member.ts'
import { hashing, hashKey } from './hash-method.ts'
import { accountForSession, type Comparison, LB_METHODS } from './lb-methods.ts'
import { MemberWaits } from './member-waits.ts'
import { sessionCookie, sessionOf } from './sticky-sessions.ts'

/** Members that a request has tried, and why it failed. A full member may be retried once it has a free slot, a silent one may not. */
export type Excluded = ReadonlyMap<BalancerMember, 'full' | 'silent'>

/** What restricts the selection for a request. */
export interface SelectContext {
  /** Members that this request has tried. */
  readonly excluded: Excluded
  /** Ends the wait for a usable member; the promise then rejects with its reason. */
  readonly signal: CancelSignal
}

/** Is called for each member of a balancer, and for each member that is added or removed later. */
export interface MemberWatcher {
  joined(member: BalancerMember): void
  left(member: BalancerMember): void
}

/** Whether the request may go to the member: it is usable, and not excluded for a reason that still holds. */
const isOpen = (member: BalancerMember, excluded: Excluded): boolean => {
  const reason = excluded.get(member)
  return member.usable && reason !== 'silent' && !(reason === 'full' && member.slots.full)
}

function selectWith(
  choose: LbFunction,
  req: IncomingMessage,
  candidates: readonly BalancerMember[],
): BalancerMember | undefined {
  let chosen: ReturnType<LbFunction>
  try {
    chosen = choose(candidates, req)
  } catch (cause) {
    throw new WsTunnelError('WST_ERR_CALLBACK', { detail: `lbMethod threw ${String(cause)}`, cause })
  }
  const member = candidates.find(candidate => candidate === chosen)
  if (chosen !== undefined && member === undefined)
    throw new WsTunnelError('WST_ERR_CALLBACK', {
      detail: '`lbMethod` returned a value that is not one of its candidates',
    })
  return member
}

/** A named set of members, and their selection. */
export class LoadBalancer implements Balancer {
  readonly name: string
  readonly #settings: BalancerSettings
  readonly #members: BalancerMember[]
  readonly #trusts: Trusts
  readonly #waits: MemberWaits
  readonly #watchers = new Set<MemberWatcher>()
  #expected: Promise<void> | undefined

  /**
   * @param trusts Which peers are trusted to name the address of a client.
   * @throws {WsTunnelError} `WST_ERR_OPTION` for a member with a malformed URL.
   */
  constructor(name: string, settings: BalancerSettings, trusts: Trusts = () => false) {
    this.name = name
    this.#settings = settings
    this.#trusts = trusts
    this.#members = settings.members.map((member, i) => new BalancerMember(member, `balancers.${name}.members[${i}]`))
    this.#waits = new MemberWaits(name, this.#members, settings)
    for (const member of this.#members) member.onChange = this.#waits.memberOnChange
    // A malformed URL must be found now, not at the first DNS lookup.
    for (const { settings: member, where } of settings.named) new BalancerMember(member, where)
  }

  get lbMethod(): string {
    const { lbMethod } = this.#settings
    if (typeof lbMethod === 'string') return lbMethod
    if (typeof lbMethod === 'function') return 'custom'
    return `hash of ${lbMethod.hash}${'name' in lbMethod ? ` ${lbMethod.name}` : ''}`
  }

  get stickySession(): StickySettings | undefined {
    return this.#settings.stickySession
  }

  get timeout(): number {
    return this.#settings.timeout
  }

  get members(): readonly BalancerMember[] {
    return this.#members
  }

  get attempts(): number {
    return 1 + (this.#settings.maxAttempts ?? Math.max(0, this.#members.length - 1))
  }

  /** Host names to discover members by. */
  get named(): readonly NamedMembers[] {
    return this.#settings.named
  }

  /** A member whose response takes longer is taken out, ms; 0 is no limit. */
  get unhealthyLatency(): number {
    return this.#settings.unhealthyLatency
  }

  /**
   * Whether a request without a response is retried on another member.
   *
   * @throws {WsTunnelError} `WST_ERR_CALLBACK` if the function of the options fails.
   */
  retriesUnanswered(req: IncomingMessage, isUpgrade: boolean): boolean {
    const { failoverUnanswered: retries } = this.#settings
    if (typeof retries !== 'function') return retries && isUpgrade && req.method === 'GET'
    let verdict: unknown
    try {
      verdict = retries(req)
    } catch (cause) {
      throw new WsTunnelError('WST_ERR_CALLBACK', { detail: `failoverUnanswered threw ${String(cause)}`, cause })
    }
    // A promise of an async function would count as true for every request.
    if (typeof verdict === 'boolean') return verdict
    const detail = `failoverUnanswered returned ${show(verdict)}, expected true or false`
    throw new WsTunnelError('WST_ERR_CALLBACK', { detail })
  }

  add(options: MemberOptions | Member): BalancerMember {
    if (options instanceof BalancerMember) return this.#addAgain(options)
    const where = `balancers.${this.name}.members[${this.#members.length}]`
    const given = options as MemberOptions
    const settings = readMember(where, given, this.#settings)
    if (given.resolve !== undefined)
      throw wrong(`${where}.resolve`, 'absent: only members of the options can be discovered by DNS', given.resolve)
    const member = this.join(settings, true)
    if (member === undefined)
      throw new WsTunnelError('WST_ERR_OPTION', { detail: `${settings.url} is already a member of ${this.name}` })
    return member
  }

  /** Adds a member that was removed, with the state and counters that it had. */
  #addAgain(member: BalancerMember): BalancerMember {
    if (this.#members.some(({ url }) => url === member.url))
      throw new WsTunnelError('WST_ERR_OPTION', { detail: `${member.url} is already a member of ${this.name}` })
    return this.#insert(member)
  }

  #insert(member: BalancerMember): BalancerMember {
    this.#members.push(member)
    member.onChange = this.#waits.memberOnChange
    member.publish('added')
    for (const watcher of this.#watchers) watcher.joined(member)
    this.#waits.memberOnChange()
    this.#waits.wakeNewcomers()
    return member
  }

  /**
   * Adds a member with settings that were read before.
   *
   * @param warmUp Starts its slow start.
   * @returns `undefined` if another member has its URL.
   */
  join(settings: MemberSettings, warmUp: boolean): BalancerMember | undefined {
    const member = new BalancerMember(settings, `balancers.${this.name}.members[${this.#members.length}]`)
    if (this.#members.some(({ url }) => url === member.url)) return undefined
    if (warmUp) member.warmUp()
    return this.#insert(member)
  }

  remove(member: Member): boolean {
    const known = this.#members.find(each => each === member)
    if (known === undefined) return false
    this.#members.splice(this.#members.indexOf(known), 1)
    known.onChange = undefined
    for (const watcher of this.#watchers) watcher.left(known)
    known.publish('removed')
    return true
  }

  /** @returns the function that ends the watch. */
  watch(watcher: MemberWatcher): () => void {
    this.#watchers.add(watcher)
    for (const member of this.#members) watcher.joined(member)
    return () => this.#watchers.delete(watcher)
  }

  /** Announces members that are being looked up. While the balancer has no members, requests wait for them. */
  expect(members: Promise<void>): void {
    const before = this.#expected
    const all = Promise.all([before, members]).then(() => {
      if (this.#expected !== all) return
      this.#expected = undefined
      this.#waits.wakeNewcomers()
    })
    this.#expected = all
  }

  /**
   * Selects the member for a request. httpd: proxy_balancer_pre_request.
   *
   * @param url Path and query for the balancer.
   * @returns a promise only if it waits: for a usable member, or for the first members.
   * @throws {WsTunnelError} `WST_ERR_NO_MEMBER` if no member is usable in time, `WST_ERR_WAITING_LIMIT` if too many wait.
   */
  select(req: IncomingMessage, url: string, context: SelectContext): BalancerMember | Promise<BalancerMember> {
    if (!this.#hasLooked()) {
      return this.#waits
        .waitForFirst(() => this.#hasLooked(), context.signal)
        .then(() => this.select(req, url, context))
    }
    this.#forceRecovery()
    const { excluded } = context
    const member =
      this.#ofSession(req, url, excluded) ?? (this.#waits.isServing ? undefined : this.#best(req, url, excluded))
    if (member === undefined) return this.#wait(req, url, context)
    member.selected++
    return member
  }

  /** Whether it has members, or the first lookup of all of them has failed. */
  #hasLooked(): boolean {
    return this.#members.length > 0 || this.#expected === undefined
  }

  /** What the request says about its session; `undefined` if the balancer has no sticky sessions. */
  session(req: IncomingMessage, url: string): RequestSession | undefined {
    const { stickySession } = this.#settings
    return stickySession && sessionOf(stickySession, url, req)
  }

  /** The Set-Cookie for a response of a member; `undefined` if the session names it already, or the balancer sets no cookies. */
  cookie({ member: { routeId }, session }: BalancerChoice, encrypted: boolean): string | undefined {
    const { stickySession } = this.#settings
    if (stickySession === undefined || routeId === undefined || session?.route === routeId) return undefined
    return sessionCookie(stickySession, routeId, encrypted)
  }

  /** Takes the member out if a response with this status, or no response in time, is a failure. httpd: proxy_balancer_post_request. */
  judge(member: BalancerMember, outcome: number | 'timeout'): void {
    const { failOnStatus, failOnTimeout } = this.#settings
    if (outcome === 'timeout' ? failOnTimeout : failOnStatus.includes(outcome)) member.fail()
  }

  /** Clears errors that are over, and those of all members if all are in error. httpd: force_recovery. */
  #forceRecovery(): void {
    for (const member of this.#members) {
      member.recover()
      if (!member.is('E')) return
    }
    if (this.#settings.forceRecovery) for (const member of this.#members) member.recover(true)
  }

  #ofSession(req: IncomingMessage, url: string, excluded: Excluded): BalancerMember | undefined {
    const { stickySession } = this.#settings
    const route = this.session(req, url)?.route
    if (route === undefined) return undefined
    const member = this.#ofRoute(route, excluded)
    if (member !== undefined) accountForSession(this.#members, member)
    else if (stickySession?.noFailover && this.#members.some(({ routeId }) => routeId === route)) {
      throw new WsTunnelError('WST_ERR_NO_MEMBER', {
        detail: `member ${route} of the session, in balancer ${this.name}`,
      })
    }
    return member
  }

  /** The member with the `routeId`, or the one that it redirects its sessions to. httpd: find_route_worker. */
  #ofRoute(route: string, excluded: Excluded, tried: Set<string> = new Set()): BalancerMember | undefined {
    if (tried.has(route)) return undefined
    tried.add(route)
    for (const standby of [false, true]) {
      for (const member of this.#members) {
        if (member.is('H') !== standby || member.routeId !== route) continue
        member.recover()
        if (isOpen(member, excluded)) return member
        if (member.redirect === undefined) continue
        const other = this.#ofRoute(member.redirect, excluded, tried)
        if (other !== undefined) return other
      }
    }
    return undefined
  }

  #best(req: IncomingMessage, url: string, excluded: Excluded): BalancerMember | undefined {
    const { lbMethod } = this.#settings
    const candidates = this.#candidates(excluded)
    if (candidates.length === 0) return undefined
    if (typeof lbMethod === 'function') return selectWith(lbMethod, req, candidates)
    const method = this.#comparison(lbMethod, req, url)
    let best: BalancerMember | undefined
    for (const member of candidates) if (method.isBetter(member, best)) best = member
    if (best !== undefined) method.onSelect(best)
    return best
  }

  /**
   * The candidates of the first set that has any. Hot spares replace members that cannot be selected, and hot standbys are candidates
   * only if no other member is. httpd: proxy_balancer_get_best_worker.
   */
  #candidates(excluded: Excluded): readonly BalancerMember[] {
    for (const set of this.#sets()) {
      let missing = 0
      const regulars: BalancerMember[] = []
      const spares: BalancerMember[] = []
      const standbys: BalancerMember[] = []
      for (const member of set) {
        const isRegular = !member.is('R') && !member.is('H')
        if (member.is('N')) {
          if (isRegular) missing++
          continue
        }
        member.recover()
        if (isOpen(member, excluded) && !this.#waits.isGiven(member)) {
          if (member.is('R')) spares.push(member)
          else if (member.is('H')) standbys.push(member)
          else regulars.push(member)
        } else if (isRegular) missing++
      }
      const first = [...regulars, ...spares.slice(0, missing)]
      if (first.length > 0) return first
      if (standbys.length > 0) return standbys
    }
    return []
  }

  #comparison(lbMethod: Exclude<LbMethod, LbFunction>, req: IncomingMessage, url: string): Comparison {
    if (typeof lbMethod === 'string') return LB_METHODS[lbMethod]()
    const key = hashKey(lbMethod, req, url, this.#trusts)
    return key === undefined ? LB_METHODS.byrequests() : hashing(key)
  }

  #sets(): BalancerMember[][] {
    const sets = Map.groupBy(this.#members, ({ lbSet }) => lbSet)
    return [...sets].sort(([a], [b]) => a - b).map(([, members]) => members)
  }

  /** Waits for a member, after the requests that wait already. httpd: find_best_worker. */
  #wait(req: IncomingMessage, url: string, { excluded, signal }: SelectContext): Promise<BalancerMember> {
    return this.#waits.wait(() => {
      const member = this.#best(req, url, excluded)
      if (member !== undefined) member.selected++
      return member
    }, signal)
  }

  /** Ends all waits for a member with `WST_ERR_CLOSING`. */
  close(): void {
    this.#waits.close()
  }
}
