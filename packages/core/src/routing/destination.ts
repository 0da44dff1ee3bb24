import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { WorkerTable } from '../backend/named-worker.ts'
import { type TargetTemplate, urlOf } from '../backend/target.ts'
import { Worker } from '../backend/worker.ts'
import type { Balancer } from '../balancer/balancer.ts'
import type { Member } from '../balancer/balancer-member.ts'
import { WsTunnelError, type WsTunnelErrorCode } from '../errors.ts'
import type { BalancerChoice } from '../options/balancer-options.ts'
import type { RouteSettings } from '../options/options.ts'
import type { Leave, WhenAborted } from '../util/slots.ts'

/** Where one request goes: the worker, and the very bytes of the request target. */
export interface Destination {
  readonly worker: Worker
  readonly path: string
  /** The target it was built from, for ProxyPassReverse. */
  readonly template: TargetTemplate
  /** The route's settings, with what the backend says of itself over them. */
  readonly settings: RouteSettings
  /** A plain request begins; what it gives back is called at its end. */
  readonly enter: () => Leave
  /**
   * An upgrade begins, and takes one of the backend's places.
   *
   * @returns a promise only where it waits for a place.
   * @throws {WsTunnelError} `WST_ERR_TUNNEL_LIMIT`
   */
  readonly enterTunnel: (whenAborted: WhenAborted) => Leave | Promise<Leave>
  /** One of a balancer's. */
  readonly elected: Elected | undefined
}

/** What of a request's body a backend has when it fails. */
export interface BodySent {
  /** It was given some of it: nobody else can have it. */
  readonly begun: boolean
  /** The client has sent all of it: who is silent then is the backend. */
  readonly whole: boolean
}

/** A member that was chosen for one request. */
export interface Elected {
  readonly balancer: Balancer
  readonly member: Member
  readonly choice: BalancerChoice
  /**
   * Hears of a failure.
   *
   * @param body `undefined` for an upgrade, which has none
   * @returns the one to ask then; `undefined` where the failure is final. httpd: the loop in proxy_handler.
   */
  readonly next: (failure: unknown, body?: BodySent) => Destination | Promise<Destination> | undefined
  /** Hears of an answer that is no switch, before it is relayed. */
  readonly answered: (response: IncomingMessage) => void
}

/** Failures after which nothing of the request has reached the backend's application. */
const FAILS_OVER: ReadonlySet<string> = new Set<WsTunnelErrorCode>([
  'WST_ERR_CONNECT',
  'WST_ERR_CONNECT_TIMEOUT',
  'WST_ERR_DNS',
  'WST_ERR_TLS',
  'WST_ERR_TUNNEL_LIMIT',
])

/** Failures after which nobody knows what the backend made of the request. */
const UNANSWERED: ReadonlySet<string> = new Set<WsTunnelErrorCode>(['WST_ERR_HANDSHAKE_TIMEOUT', 'WST_ERR_NO_RESPONSE'])

/** What all routes of a proxy share. */
export interface Backends {
  readonly workers: WorkerTable
  readonly balancers: ReadonlyMap<string, Balancer>
}

/** Backends that one route may have at a time. */
const MAX_WORKERS = 1_000

const NO_BODY: BodySent = { begun: false, whole: true }

const noPlace: Leave = () => {}

/** Bytes of a connection that were counted already: a kept-alive one carries many exchanges. */
const counted = new WeakMap<Socket, { sent: number; received: number }>()

function countTraffic(member: Member, response: IncomingMessage): void {
  const { socket } = response
  response.once('close', () => {
    const before = counted.get(socket) ?? { sent: 0, received: 0 }
    const now = { sent: socket.bytesWritten, received: socket.bytesRead }
    counted.set(socket, now)
    member.count(now.sent - before.sent, now.received - before.received)
  })
}

/** Makes destinations of what a route's target says. */
export class Destinations {
  readonly #settings: RouteSettings
  readonly #backends: Backends
  readonly #workers = new Map<string, Worker>()

  constructor(settings: RouteSettings, backends: Backends) {
    this.#settings = settings
    this.#backends = backends
  }

  /** @throws {WsTunnelError} `WST_ERR_OPTION` for a balancer that is not there. */
  check({ origin: { scheme, host } }: TargetTemplate, where: string): void {
    const { balancers } = this.#backends
    if (scheme !== 'balancer' || balancers.has(host)) return
    const names = [...balancers.keys()].map(name => `balancer://${name}`).join(' or ')
    throw new WsTunnelError('WST_ERR_OPTION', {
      detail: `Expected \`${where}\` to name one of \`balancers\` (${names || 'none is there'}), got balancer://${host}`,
    })
  }

  /** @returns a promise only where a balancer waits for a member. */
  of(template: TargetTemplate, path: string, req: IncomingMessage): Destination | Promise<Destination> {
    const balancer =
      template.origin.scheme === 'balancer' ? this.#backends.balancers.get(template.origin.host) : undefined
    if (balancer !== undefined) return this.#elect(balancer, template, path, req, 1, new Map())
    const { workers } = this.#backends
    const named = workers.empty ? undefined : workers.find(urlOf(template.origin, path))
    const settings = named?.settings(this.#settings) ?? this.#settings
    return {
      worker: this.#worker(template, settings),
      path,
      template,
      settings,
      enter: () => noPlace,
      enterTunnel: whenAborted => named?.places.take(whenAborted) ?? noPlace,
      elected: undefined,
    }
  }

  #elect(
    balancer: Balancer,
    template: TargetTemplate,
    path: string,
    req: IncomingMessage,
    attempt: number,
    refusals: Map<Member, 'full' | 'silent'>,
  ): Destination | Promise<Destination> {
    const next = (
      member: Member,
      failure: unknown,
      body?: BodySent,
    ): Destination | Promise<Destination> | undefined => {
      if (!(failure instanceof WsTunnelError)) return undefined
      const { code } = failure
      const { begun, whole } = body ?? NO_BODY
      if (code === 'WST_ERR_HANDSHAKE_TIMEOUT' && whole) balancer.judge(member, 'timeout')
      const repeatable = balancer.failoverUnanswered && body === undefined && req.method === 'GET'
      const unanswered = repeatable && UNANSWERED.has(code)
      if (begun || !(FAILS_OVER.has(code) || unanswered)) return undefined
      if (unanswered) refusals.set(member, 'silent')
      else if (code === 'WST_ERR_TUNNEL_LIMIT') refusals.set(member, 'full')
      else member.fail()
      if (attempt >= balancer.attempts || (member.usable && !refusals.has(member))) return undefined
      return this.#elect(balancer, template, path, req, attempt + 1, refusals)
    }
    const candidate = (member: Member): Destination => {
      const settings = member.settings(this.#settings)
      const own = member.template.path.join('')
      const base = this.#settings.join === 'slash' ? own.replace(/\/$/, '') : own
      return {
        worker: this.#worker(member.template, settings),
        path: base + path,
        template: { ...member.template, path: [base, ...template.path] },
        settings,
        enter: () => member.enter(),
        enterTunnel: whenAborted => member.enterTunnel(whenAborted),
        elected: {
          balancer,
          member,
          choice: { balancer: balancer.name, member, session: balancer.session(req, path) },
          next: (failure, body) => next(member, failure, body),
          answered: response => {
            balancer.judge(member, response.statusCode as number)
            countTraffic(member, response)
          },
        },
      }
    }
    const elected = balancer.elect(req, path, refusals)
    return elected instanceof Promise ? elected.then(candidate) : candidate(elected)
  }

  /** Many URLs may name one backend; its pool is one. */
  #worker({ origin }: TargetTemplate, settings: RouteSettings): Worker {
    const { secure, authority, socketPath = '', address = '' } = origin
    const key = `${secure} ${authority} ${socketPath} ${address} ${settings.keepAlive}`
    const known = this.#workers.get(key)
    if (known !== undefined) return known
    if (this.#workers.size >= MAX_WORKERS) {
      const [oldest, worker] = this.#workers.entries().next().value as [string, Worker]
      this.#workers.delete(oldest)
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
