import { atPort } from '../backend/target.ts'
import { Worker } from '../backend/worker.ts'
import type { HealthCheckSettings } from '../options/health-options.ts'
import type { Settings } from '../options/options.ts'
import type { RouteSettings } from '../options/route-options.ts'
import type { BalancerMember } from './balancer-member.ts'
import { probe } from './health-probe.ts'
import type { LoadBalancer } from './load-balancer.ts'

/** Maximum of checks in progress. httpd: HC_THREADPOOL_SIZE. */
const MAX_CHECKS = 16

/** The first check of a member starts within this time, ms, so that members added together are not checked all at once. */
const FIRST = 1_000

/** The part of an interval by which it may be shorter. */
const JITTER = 0.1

/** Checks the members of balancers until it is closed (mod_proxy_hcheck). Members that are added later are checked, too. */
export class HealthChecks {
  readonly #checks = new Map<BalancerMember, MemberCheck>()
  readonly #limit = new ConcurrencyLimit(MAX_CHECKS)
  readonly #stops: (() => void)[]

  constructor(settings: Settings, balancers: ReadonlyMap<string, LoadBalancer>) {
    this.#stops = Array.from(balancers.values(), balancer => {
      const route = routeTo(balancer.name, settings)
      return balancer.watch({ joined: member => this.#start(member, route), left: member => this.#stop(member) })
    })
  }

  #start(member: BalancerMember, route: RouteSettings): void {
    const { healthCheck } = member
    if (healthCheck !== undefined) this.#checks.set(member, new MemberCheck(member, healthCheck, route, this.#limit))
  }

  #stop(member: BalancerMember): void {
    this.#checks.get(member)?.stop()
    this.#checks.delete(member)
  }

  /** Starts no further check, and ends those in progress with their connections. */
  close(): void {
    for (const stop of this.#stops.splice(0)) stop()
    for (const member of this.#checks.keys()) this.#stop(member)
  }
}

/** The settings of the first route whose target is the balancer, or else those beside the routes. */
function routeTo(name: string, { routes, defaults }: Settings): RouteSettings {
  const leadsToIt = ({ target }: RouteSettings): boolean =>
    typeof target === 'string' && /^balancer:\/\/([^/?]*)/i.exec(target)?.[1]?.toLowerCase() === name
  return routes.find(leadsToIt) ?? defaults
}

/** Checks one member repeatedly, one check at a time. */
class MemberCheck {
  readonly #member: BalancerMember
  readonly #check: HealthCheckSettings
  readonly #settings: RouteSettings
  readonly #worker: Worker
  readonly #limit: ConcurrencyLimit
  /** Ends the check in progress. */
  #controller: AbortController | undefined
  #stopped = false
  #timer: NodeJS.Timeout | undefined
  #due = 0

  constructor(member: BalancerMember, check: HealthCheckSettings, route: RouteSettings, limit: ConcurrencyLimit) {
    this.#member = member
    this.#check = check
    this.#settings = member.settings(route)
    const { origin } = member.template
    this.#worker = new Worker(check.port === undefined ? origin : atPort(origin, check.port), this.#settings)
    this.#limit = limit
    this.#schedule(Math.random() * Math.min(FIRST, check.interval))
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#controller?.abort()
  }

  #schedule(ms: number): void {
    this.#due = performance.now() + ms
    this.#timer = setTimeout(() => void this.#timerOnDue(), ms).unref()
  }

  async #timerOnDue(): Promise<void> {
    const { interval } = this.#check
    // When a suspended process continues, all checks are due at once. Each of them gets a new time.
    if (performance.now() - this.#due > interval) {
      this.#schedule(Math.random() * interval)
      return
    }
    if (!this.#member.is('S')) await this.#limit.run(() => this.#run())
    if (!this.#stopped) this.#schedule(interval * (1 - Math.random() * JITTER))
  }

  async #run(): Promise<void> {
    if (this.#stopped) return
    this.#controller = new AbortController()
    const { connectTimeout } = this.#settings
    const startedAt = performance.now()
    const job = { worker: this.#worker, check: this.#check, path: this.#path, connectTimeout }
    const [ok, detail] = await probe(job, this.#controller.signal).then(
      text => [true, text] as const,
      (error: Error & { code?: string }) =>
        [error.code === 'WST_ERR_EXHAUSTED' ? undefined : false, error.message] as const,
    )
    // A check that this process could not make says nothing about the member.
    if (this.#stopped || ok === undefined) return
    this.#member.recordCheck({ ok, detail, duration: performance.now() - startedAt })
  }

  get #path(): string {
    const own = this.#member.template.path.join('')
    const { uri } = this.#check
    if (uri === '') return own === '' ? '/' : own
    return (this.#settings.join === 'slash' ? own.replace(/\/$/, '') : own) + uri
  }
}

/** Runs a limited number of functions at a time; further ones wait in order. */
class ConcurrencyLimit {
  #free: number
  readonly #queue: (() => void)[] = []

  constructor(max: number) {
    this.#free = max
  }

  async run(call: () => Promise<void>): Promise<void> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>(resolve => this.#queue.push(resolve))
    try {
      await call()
    } finally {
      const next = this.#queue.shift()
      if (next === undefined) this.#free++
      else next()
    }
  }
}
