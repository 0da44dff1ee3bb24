import type { IncomingMessage } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { WsTunnelError } from '../errors.ts'
import {
  type BalancerChoice,
  type BalancerSettings,
  type LbFunction,
  type LbMethod,
  type MemberOptions,
  type MemberSettings,
  type NamedMembers,
  type RequestSession,
  readMember,
  type StickySettings,
} from '../options/balancer-options.ts'
import { wrong } from '../options/checks.ts'
import { onAbort } from '../util/abort.ts'
import { Member } from './balancer-member.ts'
import { hashing, hashKey, type Trusts } from './hash-method.ts'
import { accountForSession, type Comparison, LB_METHODS } from './lb-methods.ts'
import { sessionCookie, sessionOf } from './sticky-sessions.ts'

/** How often a request that waits looks for a usable member. httpd: find_best_worker. */
const LOOKS = 100

/** Whom a request has asked in vain, and why: want of a place may pass before it asks again, silence may not. */
export type Refusals = ReadonlyMap<Member, 'full' | 'silent'>

const NOBODY: Refusals = new Map()

/** Who wants to know of the members of a balancer, of those that are there already too. */
export interface MemberWatcher {
  joined(member: Member): void
  left(member: Member): void
}

/** It may be asked by this request, which it has not refused, or not for a reason that holds still. */
const open = (member: Member, refusals: Refusals): boolean => {
  const refusal = refusals.get(member)
  return member.usable && refusal !== 'silent' && !(refusal === 'full' && member.places.full)
}

function chosenBy(choose: LbFunction, req: IncomingMessage, candidates: readonly Member[]): Member | undefined {
  let chosen: Member | undefined
  try {
    chosen = choose(candidates, req)
  } catch (cause) {
    throw new WsTunnelError('WST_ERR_CALLBACK', { detail: `lbMethod threw ${String(cause)}`, cause })
  }
  if (chosen !== undefined && !candidates.includes(chosen))
    throw new WsTunnelError('WST_ERR_CALLBACK', { detail: 'lbMethod gave what is none of the members it was given' })
  return chosen
}

/** A named set of backends (`<Proxy balancer://name>`). */
export class Balancer {
  readonly name: string
  readonly #settings: BalancerSettings
  readonly #members: Member[]
  readonly #trusts: Trusts
  readonly #waits = new Set<AbortController>()
  readonly #watchers = new Set<MemberWatcher>()
  #expected: Promise<void> | undefined
  #closed = false

  /**
   * @param trusts whose word counts for the address of a client
   * @throws {WsTunnelError} `WST_ERR_OPTION` for a member whose URL is none.
   */
  constructor(name: string, settings: BalancerSettings, trusts: Trusts = () => false) {
    this.name = name
    this.#settings = settings
    this.#trusts = trusts
    this.#members = settings.members.map((member, i) => new Member(member, `balancers.${name}.members[${i}]`))
    // What is wrong with a URL must not wait until its name is resolved.
    for (const { settings: member, where } of settings.named) new Member(member, where)
  }

  /** Name of its method, such as `bybusyness` or `hash of cookie id`; `custom` where that is a function. */
  get lbMethod(): string {
    const { lbMethod } = this.#settings
    if (typeof lbMethod === 'string') return lbMethod
    if (typeof lbMethod === 'function') return 'custom'
    return `hash of ${lbMethod.hash}${'name' in lbMethod ? ` ${lbMethod.name}` : ''}`
  }

  /** What sessions stick by; `undefined` where they do not. */
  get stickySession(): StickySettings | undefined {
    return this.#settings.stickySession
  }

  /** How long a request waits for a usable member, ms. */
  get timeout(): number {
    return this.#settings.timeout
  }

  /**
   * Adds a member behind the others (balancer-manager's "Add New Worker").
   *
   * @throws {WsTunnelError} `WST_ERR_OPTION` for wrong options, and for a URL that a member has already.
   */
  add(options: MemberOptions): Member {
    const where = `balancers.${this.name}.members[${this.#members.length}]`
    const settings = readMember(where, options, this.#settings)
    if (options.resolve !== undefined)
      throw wrong(`${where}.resolve`, 'absent: names are resolved that stand in the options', options.resolve)
    const member = this.join(settings, true)
    if (member === undefined)
      throw new WsTunnelError('WST_ERR_OPTION', { detail: `${settings.url} is a member of ${this.name} already` })
    return member
  }

  /**
   * Adds a member whose settings are right.
   *
   * @param warmingUp it has a slow start
   * @returns `undefined` where another has its URL.
   */
  join(settings: MemberSettings, warmingUp: boolean): Member | undefined {
    const member = new Member(settings, `balancers.${this.name}.members[${this.#members.length}]`)
    if (this.#members.some(({ url }) => url === member.url)) return undefined
    if (warmingUp) member.warmUp()
    this.#members.push(member)
    member.tell('added')
    for (const watcher of this.#watchers) watcher.joined(member)
    return member
  }

  /** Members will have come when this is done: who finds none waits for it. */
  expect(members: Promise<void>): void {
    const before = this.#expected
    const all = Promise.all([before, members]).then(() => {
      if (this.#expected === all) this.#expected = undefined
    })
    this.#expected = all
  }

  /** Members that stand behind a name. */
  get named(): readonly NamedMembers[] {
    return this.#settings.named
  }

  /** Its tunnels go on, new requests go to others. @returns whether it was a member. */
  remove(member: Member): boolean {
    const at = this.#members.indexOf(member)
    if (at === -1) return false
    this.#members.splice(at, 1)
    for (const watcher of this.#watchers) watcher.left(member)
    member.tell('removed')
    return true
  }

  /** @returns the function that ends it. */
  watch(watcher: MemberWatcher): () => void {
    this.#watchers.add(watcher)
    for (const member of this.#members) watcher.joined(member)
    return () => this.#watchers.delete(watcher)
  }

  /** In the order in which equals are asked. */
  get members(): readonly Member[] {
    return this.#members
  }

  /** How many members are tried for one request. */
  get attempts(): number {
    return 1 + (this.#settings.maxAttempts ?? Math.max(0, this.#members.length - 1))
  }

  /**
   * Chooses the member for a request. httpd: proxy_balancer_pre_request.
   *
   * @param url path and query for the balancer
   * @param refusals of members that this request has asked before
   * @returns a promise only where nobody is usable and the balancer waits, or nobody is there yet.
   * @throws {WsTunnelError} `WST_ERR_NO_MEMBER`
   */
  select(
    req: IncomingMessage,
    url: string,
    { excluded: refusals = NOBODY, signal }: { excluded?: Refusals; signal: AbortSignal },
  ): Member | Promise<Member> {
    if (this.#members.length === 0 && this.#expected !== undefined)
      return this.#expected.then(() => this.select(req, url, { excluded: refusals, signal }))
    this.#forceRecovery()
    const member =
      this.#ofSession(req, url, refusals) ?? this.#best(req, url, refusals) ?? this.#wait(req, url, refusals, signal)
    if (member instanceof Promise) return member
    member.elected++
    return member
  }

  /** What the request says of its session; `undefined` where sessions do not stick. */
  session(req: IncomingMessage, url: string): RequestSession | undefined {
    const { stickySession } = this.#settings
    return stickySession && sessionOf(stickySession, url, req)
  }

  /** The Set-Cookie for an answer by a member; `undefined` where the session names it already, or cookies are not ours to set. */
  cookie({ member: { routeId }, session }: BalancerChoice, encrypted: boolean): string | undefined {
    const { stickySession } = this.#settings
    if (stickySession === undefined || routeId === undefined || session?.route === routeId) return undefined
    return sessionCookie(stickySession, routeId, encrypted)
  }

  /** Whether an upgrade that a member has and does not answer is another's. */
  get failoverUnanswered(): boolean {
    return this.#settings.failoverUnanswered
  }

  /** What an answer, or that none came in time, says of a member. httpd: proxy_balancer_post_request. */
  judge(member: Member, outcome: number | 'timeout'): void {
    const { failOnStatus, failOnTimeout } = this.#settings
    if (outcome === 'timeout' ? failOnTimeout : failOnStatus.includes(outcome)) member.fail()
  }

  /** httpd: force_recovery. */
  #forceRecovery(): void {
    for (const member of this.#members) {
      member.recover()
      if (!member.is('E')) return
    }
    if (this.#settings.forceRecovery) for (const member of this.#members) member.recover(true)
  }

  #ofSession(req: IncomingMessage, url: string, refusals: Refusals): Member | undefined {
    const { stickySession } = this.#settings
    const route = this.session(req, url)?.route
    if (route === undefined) return undefined
    const member = this.#ofRoute(route, refusals)
    if (member !== undefined) accountForSession(this.#members, member)
    else if (stickySession?.noFailover && this.#members.some(({ routeId }) => routeId === route)) {
      throw new WsTunnelError('WST_ERR_NO_MEMBER', {
        detail: `that of the session, ${route}, in balancer ${this.name}`,
      })
    }
    return member
  }

  /** A member that is not usable may hand its sessions to another. httpd: find_route_worker. */
  #ofRoute(route: string, refusals: Refusals, tried: Set<string> = new Set()): Member | undefined {
    if (tried.has(route)) return undefined
    tried.add(route)
    for (const standby of [false, true]) {
      for (const member of this.#members) {
        if (member.is('H') !== standby || member.routeId !== route) continue
        member.recover()
        if (open(member, refusals)) return member
        if (member.redirect === undefined) continue
        const other = this.#ofRoute(member.redirect, refusals, tried)
        if (other !== undefined) return other
      }
    }
    return undefined
  }

  #best(req: IncomingMessage, url: string, refusals: Refusals): Member | undefined {
    const { lbMethod } = this.#settings
    const candidates = this.#candidates(refusals)
    if (candidates.length === 0) return undefined
    if (typeof lbMethod === 'function') return chosenBy(lbMethod, req, candidates)
    const method = this.#comparison(lbMethod, req, url)
    let best: Member | undefined
    for (const member of candidates) if (method.isBetter(member, best)) best = member
    if (best !== undefined) method.chosen(best)
    return best
  }

  /**
   * Who comes into question, of the first set in which somebody does: spares stand in for members that cannot be asked, and
   * standbys where nobody else can. httpd: proxy_balancer_get_best_worker.
   */
  #candidates(refusals: Refusals): readonly Member[] {
    for (const set of this.#sets()) {
      let missing = 0
      const regulars: Member[] = []
      const spares: Member[] = []
      const standbys: Member[] = []
      for (const member of set) {
        const regular = !member.is('R') && !member.is('H')
        if (member.is('N')) {
          if (regular) missing++
          continue
        }
        member.recover()
        if (open(member, refusals)) {
          if (member.is('R')) spares.push(member)
          else if (member.is('H')) standbys.push(member)
          else regulars.push(member)
        } else if (regular) missing++
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

  #sets(): Member[][] {
    const sets = Map.groupBy(this.#members, ({ lbSet }) => lbSet)
    return [...sets].sort(([a], [b]) => a - b).map(([, members]) => members)
  }

  #wait(req: IncomingMessage, url: string, refusals: Refusals, signal: AbortSignal): Promise<Member> {
    const { timeout } = this.#settings
    const nobody = new WsTunnelError('WST_ERR_NO_MEMBER', { detail: `in balancer ${this.name}` })
    if (timeout === 0) throw nobody
    if (this.#closed) throw new WsTunnelError('WST_ERR_CLOSING')
    const wait = new AbortController()
    const stop = onAbort(signal, reason => wait.abort(reason))
    const look = async (): Promise<Member> => {
      const until = performance.now() + timeout
      while (performance.now() < until) {
        await delay(timeout / LOOKS, undefined, { signal: wait.signal }).catch(() => {
          throw wait.signal.reason
        })
        const member = this.#best(req, url, refusals)
        if (member === undefined) continue
        member.elected++
        return member
      }
      throw nobody
    }
    this.#waits.add(wait)
    return look().finally(() => {
      stop()
      this.#waits.delete(wait)
    })
  }

  /** Nobody waits for a member any longer. */
  close(): void {
    this.#closed = true
    for (const wait of this.#waits) wait.abort(new WsTunnelError('WST_ERR_CLOSING'))
  }
}
