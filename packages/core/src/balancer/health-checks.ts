import { Worker } from '../backend/worker.ts'
import type { HealthCheckSettings } from '../options/health-options.ts'
import type { RouteSettings, Settings } from '../options/options.ts'
import type { Balancer } from './balancer.ts'
import type { Member } from './balancer-member.ts'
import { probe } from './health-probe.ts'

/** Checks under way at a time. httpd: HC_THREADPOOL_SIZE. */
const MAX_CHECKS = 16

/** The first check of a member comes within so many ms, for members that came together not all at once. */
const FIRST = 1_000

/** By how much of it an interval may be shorter. */
const JITTER = 0.1

/** Checks the members of balancers, those that come later too, until it is closed (mod_proxy_hcheck). */
export class HealthChecks {
  readonly #checks = new Map<Member, MemberCheck>()
  readonly #places = new Places(MAX_CHECKS)
  readonly #stops: (() => void)[]

  constructor(settings: Settings, balancers: ReadonlyMap<string, Balancer>) {
    this.#stops = Array.from(balancers.values(), balancer => {
      const route = routeTo(balancer.name, settings)
      return balancer.watch({ joined: member => this.#start(member, route), left: member => this.#stop(member) })
    })
  }

  #start(member: Member, route: RouteSettings): void {
    const { healthCheck } = member
    if (healthCheck !== undefined) this.#checks.set(member, new MemberCheck(member, healthCheck, route, this.#places))
  }

  #stop(member: Member): void {
    this.#checks.get(member)?.stop()
    this.#checks.delete(member)
  }

  /** No check begins any more, and those under way end with their connections. */
  close(): void {
    for (const stop of this.#stops.splice(0)) stop()
    for (const member of this.#checks.keys()) this.#stop(member)
  }
}

/** Members are connected to as the first route does that names their balancer, or as is said beside the routes. */
function routeTo(name: string, { routes, defaults }: Settings): RouteSettings {
  const named = ({ target }: RouteSettings): boolean =>
    typeof target === 'string' && /^balancer:\/\/([^/?]*)/i.exec(target)?.[1]?.toLowerCase() === name
  return routes.find(named) ?? defaults
}

/** Checks one member time and again, never twice at a time. */
class MemberCheck {
  readonly #member: Member
  readonly #check: HealthCheckSettings
  readonly #settings: RouteSettings
  readonly #worker: Worker
  readonly #places: Places
  /** Of the check under way. */
  #asking: AbortController | undefined
  #stopped = false
  #timer: NodeJS.Timeout | undefined
  #due = 0

  constructor(member: Member, check: HealthCheckSettings, route: RouteSettings, places: Places) {
    this.#member = member
    this.#check = check
    this.#settings = member.settings(route)
    this.#worker = new Worker(member.template.origin, this.#settings)
    this.#places = places
    this.#plan(Math.random() * Math.min(FIRST, check.interval))
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#asking?.abort()
  }

  #plan(ms: number): void {
    this.#due = performance.now() + ms
    this.#timer = setTimeout(() => void this.#turn(), ms).unref()
  }

  async #turn(): Promise<void> {
    const { interval } = this.#check
    // A process that was stopped for a while finds every check due at once.
    if (performance.now() - this.#due > interval) {
      this.#plan(Math.random() * interval)
      return
    }
    if (!this.#member.is('S')) await this.#places.within(() => this.#ask())
    if (!this.#stopped) this.#plan(interval * (1 - Math.random() * JITTER))
  }

  async #ask(): Promise<void> {
    if (this.#stopped) return
    this.#asking = new AbortController()
    const { connectTimeout } = this.#settings
    const startedAt = performance.now()
    const order = { worker: this.#worker, check: this.#check, path: this.#path, connectTimeout }
    const asked = probe(order, this.#asking.signal)
    const [ok, detail] = await asked.then(
      said => [true, said] as const,
      (error: Error) => [false, error.message] as const,
    )
    if (!this.#stopped) this.#member.checked({ ok, detail, duration: performance.now() - startedAt })
  }

  get #path(): string {
    const own = this.#member.template.path.join('')
    const { uri } = this.#check
    if (uri === '') return own === '' ? '/' : own
    return (this.#settings.join === 'slash' ? own.replace(/\/$/, '') : own) + uri
  }
}

/** A number of places; who finds none waits in turn. */
class Places {
  #free: number
  readonly #waiting: (() => void)[] = []

  constructor(count: number) {
    this.#free = count
  }

  async within(call: () => Promise<void>): Promise<void> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>(resolve => this.#waiting.push(resolve))
    try {
      await call()
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#free++
      else next()
    }
  }
}
