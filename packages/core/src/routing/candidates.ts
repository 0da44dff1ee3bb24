import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { NamedWorker, WorkerTable } from '../backend/named-worker.ts'
import { type TargetOrigin, type TargetTemplate, urlOf } from '../backend/target.ts'
import { http2Mode, Worker } from '../backend/worker.ts'
import type { BalancerMember } from '../balancer/balancer-member.ts'
import type { LoadBalancer } from '../balancer/load-balancer.ts'
import { WsTunnelError, type WsTunnelErrorCode } from '../errors.ts'
import type { BalancerChoice } from '../options/balancer-options.ts'
import type { RouteSettings } from '../options/route-options.ts'
import type { CancelSignal } from '../util/abort.ts'
import type { Release } from '../util/slots.ts'

/** A member that a balancer selected for one request. */
export interface Selection {
  readonly balancer: LoadBalancer
  readonly member: BalancerMember
  /** The selection as header functions see it. */
  readonly choice: BalancerChoice
}

/** One backend that a request may be sent to. */
export interface Candidate {
  readonly worker: Worker
  /** The exact bytes of the request target. */
  readonly path: string
  /** The target that the path was built from, for ProxyPassReverse. */
  readonly template: TargetTemplate
  /** The settings of the route, overridden by those of the backend. */
  readonly settings: RouteSettings
  /** `undefined` if the target names the backend itself. */
  readonly selection: Selection | undefined
  /** Counts a plain request. @returns the function to call at its end. */
  enter(): Release | undefined
  /**
   * Counts an upgrade and acquires one of the backend's slots for tunnels.
   *
   * @returns the function that releases it; a promise only if the upgrade waits for a slot.
   * @throws {WsTunnelError} `WST_ERR_TUNNEL_LIMIT`
   */
  acquire(signal: CancelSignal): Release | Promise<Release>
}

/** The backends for one request, in the order in which they are tried. */
export interface Candidates {
  readonly first: Candidate
  /**
   * The candidate to try after the last one failed; `undefined` if the failure is final. httpd: the loop in proxy_handler.
   *
   * @param body how much of the request's body was sent; `undefined` for an upgrade, which has no body
   */
  next(failure: unknown, body?: BodySent): Candidate | Promise<Candidate> | undefined
}

/** How much of a request's body was sent when a backend failed. */
export interface BodySent {
  /** Whether a backend got part of the body. The request cannot go to another backend then. */
  readonly begun: boolean
  /** Whether the client has sent the whole body. If no response arrives then, the backend is the cause, not the client. */
  readonly whole: boolean
}

/** Failures that happen before the backend's application gets any part of the request. */
const FAILS_OVER: ReadonlySet<string> = new Set<WsTunnelErrorCode>([
  'WST_ERR_CONNECT',
  'WST_ERR_CONNECT_TIMEOUT',
  'WST_ERR_DNS',
  'WST_ERR_TLS',
  'WST_ERR_TUNNEL_LIMIT',
])

/** Failures after which it is unknown what the backend did with the request. */
const NO_RESPONSE: ReadonlySet<string> = new Set<WsTunnelErrorCode>([
  'WST_ERR_HANDSHAKE_TIMEOUT',
  'WST_ERR_NO_RESPONSE',
])

const NO_BODY: BodySent = { begun: false, whole: true }

/** The workers and balancers that all routes of a proxy share. */
export interface Backends {
  readonly workers: WorkerTable
  readonly balancers: ReadonlyMap<string, LoadBalancer>
}

/** Maximum of workers that one route keeps. A new one replaces the oldest one. */
const MAX_WORKERS = 1_000

const noRelease: Release = () => {}

/** The one candidate of a target that names the backend itself. */
class NamedCandidate implements Candidate, Candidates {
  readonly worker: Worker
  readonly path: string
  readonly template: TargetTemplate
  readonly settings: RouteSettings
  readonly selection = undefined
  readonly #named: NamedWorker | undefined

  constructor(
    worker: Worker,
    path: string,
    template: TargetTemplate,
    settings: RouteSettings,
    named: NamedWorker | undefined,
  ) {
    this.worker = worker
    this.path = path
    this.template = template
    this.settings = settings
    this.#named = named
  }

  get first(): this {
    return this
  }

  next(): undefined {
    return undefined
  }

  enter(): undefined {
    return undefined
  }

  acquire(signal: CancelSignal): Release | Promise<Release> {
    return this.#named?.slots.acquire(signal) ?? noRelease
  }
}

/** The workers of one route, and the candidates for each of its requests. */
export class RouteWorkers {
  readonly #settings: RouteSettings
  readonly #backends: Backends
  readonly #workers = new Map<string, Worker>()
  /** The worker of the last request: without it, each request would make a key for the map. */
  #lastWorker:
    | (Pick<RouteSettings, 'keepAlive' | 'localAddress' | 'http2'> & { origin: TargetOrigin; worker: Worker })
    | undefined

  constructor(settings: RouteSettings, backends: Backends) {
    this.#settings = settings
    this.#backends = backends
  }

  /** @throws {WsTunnelError} `WST_ERR_OPTION` if the target names a balancer that does not exist. */
  check({ origin: { scheme, host } }: TargetTemplate, where: string): void {
    const { balancers } = this.#backends
    if (scheme !== 'balancer' || balancers.has(host)) return
    const names = [...balancers.keys()].map(name => `balancer://${name}`).join(' or ')
    throw new WsTunnelError('WST_ERR_OPTION', {
      detail: `Expected \`${where}\` to name one of \`balancers\` (${names || 'there is none'}), got balancer://${host}`,
    })
  }

  /** @returns a promise only if a balancer waits for a usable member. */
  candidates(
    template: TargetTemplate,
    path: string,
    req: IncomingMessage,
    signal: CancelSignal,
  ): Candidates | Promise<Candidates> {
    const { scheme, host } = template.origin
    const balancer = scheme === 'balancer' ? this.#backends.balancers.get(host) : undefined
    if (balancer === undefined) return this.#named(template, path)
    const select = (member: BalancerMember): Candidate => this.#ofMember(balancer, member, template, path, req)
    return new BalancerCandidates(balancer, req, path, signal, select).start()
  }

  /** The backend that the target names itself. */
  #named(template: TargetTemplate, path: string): NamedCandidate {
    const { workers } = this.#backends
    const named = workers.empty ? undefined : workers.find(urlOf(template.origin, path))
    const settings = named?.settings(this.#settings) ?? this.#settings
    return new NamedCandidate(this.#worker(template, settings), path, template, settings, named)
  }

  #ofMember(
    balancer: LoadBalancer,
    member: BalancerMember,
    template: TargetTemplate,
    path: string,
    req: IncomingMessage,
  ): Candidate {
    const settings = member.settings(this.#settings)
    const own = member.template.path.join('')
    const base = this.#settings.join === 'slash' ? own.replace(/\/$/, '') : own
    return {
      worker: this.#worker(member.template, settings),
      path: base + path,
      template: { ...member.template, path: [base, ...template.path] },
      settings,
      selection: {
        balancer,
        member,
        choice: { balancer: balancer.name, member, session: balancer.session(req, path) },
      },
      enter: () => member.enter(),
      acquire: signal => member.enterTunnel(signal),
    }
  }

  /** The worker of a backend. Several URLs may name the same backend; they share one pool. */
  #worker({ origin }: TargetTemplate, settings: RouteSettings): Worker {
    const last = this.#lastWorker
    const { keepAlive, localAddress, http2 } = settings
    const isSame = last?.keepAlive === keepAlive && last.localAddress === localAddress && last.http2 === http2
    if (isSame && last.origin === origin) return last.worker
    const worker = this.#workerAt(origin, settings)
    this.#lastWorker = { origin, keepAlive, localAddress, http2, worker }
    return worker
  }

  #workerAt(origin: TargetOrigin, settings: RouteSettings): Worker {
    const { secure, authority, socketPath = '', address = '', acceptAddress } = origin
    const { keepAlive, localAddress } = settings
    const protocol = http2Mode(origin, settings.http2)
    const key = `${secure} ${protocol} ${authority} ${socketPath} ${address} ${keepAlive} ${localAddress} ${idOf(acceptAddress)}`
    const known = this.#workers.get(key)
    if (known !== undefined) return known
    if (this.#workers.size >= MAX_WORKERS) {
      const [oldest, worker] = this.#workers.entries().next().value as [string, Worker]
      this.#workers.delete(oldest)
      if (this.#lastWorker?.worker === worker) this.#lastWorker = undefined
      worker.close()
    }
    const worker = new Worker(origin, settings)
    this.#workers.set(key, worker)
    return worker
  }

  /** Closes the idle connections of its workers. */
  close(): void {
    for (const worker of this.#workers.values()) worker.close()
  }
}

const ids = new WeakMap<object, number>()
let lastId = 0

/** A number for each function: workers that accept different addresses share no pool. */
function idOf(call: object | undefined): number {
  if (call === undefined) return 0
  const id = ids.get(call) ?? ++lastId
  ids.set(call, id)
  return id
}

/** The members that a balancer selects for one request, one after the other. */
class BalancerCandidates implements Candidates {
  readonly #balancer: LoadBalancer
  readonly #req: IncomingMessage
  readonly #path: string
  readonly #signal: CancelSignal
  readonly #candidateOf: (member: BalancerMember) => Candidate
  /** Members already tried, and why. A full member may be tried again, a silent one may not. */
  readonly #excluded = new Map<BalancerMember, 'full' | 'silent'>()
  #attempts = 0
  #first: Candidate | undefined
  #last: BalancerMember | undefined

  constructor(
    balancer: LoadBalancer,
    req: IncomingMessage,
    path: string,
    signal: CancelSignal,
    candidateOf: (member: BalancerMember) => Candidate,
  ) {
    this.#balancer = balancer
    this.#req = req
    this.#path = path
    this.#signal = signal
    this.#candidateOf = candidateOf
  }

  get first(): Candidate {
    return this.#first as Candidate
  }

  get excluded(): ReadonlyMap<BalancerMember, 'full' | 'silent'> {
    return this.#excluded
  }

  /** Ends the wait for a member. Most selections do not wait. */
  get signal(): CancelSignal {
    return this.#signal
  }

  start(): this | Promise<this> {
    const selected = this.#select()
    if (selected instanceof Promise) {
      return selected.then(first => {
        this.#first = first
        return this
      })
    }
    this.#first = selected
    return this
  }

  #select(): Candidate | Promise<Candidate> {
    this.#attempts++
    const selected = this.#balancer.select(this.#req, this.#path, this)
    return selected instanceof Promise ? selected.then(this.#begin) : this.#begin(selected)
  }

  readonly #begin = (member: BalancerMember): Candidate => {
    this.#last = member
    return this.#candidateOf(member)
  }

  next(failure: unknown, body?: BodySent): Candidate | Promise<Candidate> | undefined {
    const member = this.#last
    if (!(failure instanceof WsTunnelError) || member === undefined) return undefined
    const { code } = failure
    const { begun, whole } = body ?? NO_BODY
    if (code === 'WST_ERR_HANDSHAKE_TIMEOUT' && whole) this.#balancer.judge(member, 'timeout')
    if (begun) return undefined
    const silent = NO_RESPONSE.has(code) && this.#balancer.retriesUnanswered(this.#req, body === undefined)
    if (!(FAILS_OVER.has(code) || silent)) return undefined
    if (silent) this.#excluded.set(member, 'silent')
    else if (code === 'WST_ERR_TUNNEL_LIMIT') this.#excluded.set(member, 'full')
    else member.fail()
    if (this.#attempts >= this.#balancer.attempts || (member.usable && !this.#excluded.has(member))) return undefined
    return this.#select()
  }
}

/** What counts the bytes of plain requests: a route or a member. */
interface ByteCounter {
  count(sent: number, received: number): void
}

/** The bytes of each connection that are counted already. A kept-alive connection carries many exchanges. */
const counted = new WeakMap<Socket, { sent: number; received: number }>()

/** Counts the bytes that a plain request sent and received on a connection. httpd: proxy_balancer_post_request. */
export function countBytes(route: ByteCounter, member: ByteCounter | undefined, socket: Socket): void {
  let total = counted.get(socket)
  if (total === undefined) {
    total = { sent: 0, received: 0 }
    counted.set(socket, total)
  }
  const sent = socket.bytesWritten - total.sent
  const received = socket.bytesRead - total.received
  total.sent += sent
  total.received += received
  route.count(sent, received)
  member?.count(sent, received)
}
