import type { IncomingMessage, ServerResponse } from 'node:http'
import { discardRest, RequestBody } from '../backend/request-body.ts'
import { addressOf } from '../backend/target.ts'
import { PendingUpgrade } from '../client/pending-upgrade.ts'
import { cut } from '../client/relay.ts'
import { locate, WsTunnelError } from '../errors.ts'
import { connectionUpgrade } from '../http/upgrade.ts'
import type { Settings } from '../options/options.ts'
import type { BodySent, Candidate } from '../routing/candidates.ts'
import type { Match } from '../routing/route-table.ts'
import { Cancellation, type CancelSignal, unlessAborted } from '../util/abort.ts'
import type { Link } from '../util/linked-set.ts'
import type { Release } from '../util/slots.ts'
import { type Deciding, type Decision, decide } from './decide.ts'
import { Rewriting } from './rewriting.ts'

/** The property that holds the position of an exchange among those of its proxy. */
export const IN_PROXY: unique symbol = Symbol('ws-tunnel.in-proxy')

/** What a framework knows about a request, with the defaults filled in. */
export interface ExchangeContext {
  /** Path the request was mounted under. */
  readonly mount: string
  /** The request target below the mount. */
  readonly target: string
  /** Host and port of an absolute-form request target. */
  readonly authority: string | undefined
  /** A body that a body parser has read. */
  readonly body: unknown
  /** The bytes that it has kept of the body. */
  readonly rawBody: unknown
}

/**
 * One request that a route matched, and everything that ends with it. One signal cancels what was started for the
 * request, and one `release()` frees what it holds.
 */
export class Exchange {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly match: Match
  readonly rewriting: Rewriting
  /** The whole path that the client requested. */
  readonly url: string
  /** When the request came, on the clock of `performance`. */
  readonly startedAt: number = performance.now()
  /** Token of the upgrade, in the client's spelling; `undefined` for a plain request. */
  token: string | undefined
  /** What an upgrade counts for in `maxTunnelsPerKey`. */
  key: string | undefined
  /** The body of a plain request that goes to a backend. */
  body: RequestBody | undefined
  /** The candidate that it was sent to last. */
  candidate: Candidate | undefined
  /** A plain request is on its way to a backend, or has arrived there. */
  isSent = false
  /** A function of the app writes the response. */
  isServedByApp = false;
  [IN_PROXY]: Link<Exchange> | undefined = undefined
  /** The client's connection, if the request is an upgrade. */
  #upgrade: PendingUpgrade | undefined
  readonly #context: ExchangeContext
  readonly #maxPending: number
  readonly #cancellation = new Cancellation()
  /** Whether the rest of the body is read and dropped at the end. */
  #takesBody = false
  /** Releases what it has of its candidate. */
  #leave: Release | undefined
  /** Releases the slot of its route, which only an upgrade has. */
  #leaveRoute: Release | undefined

  constructor(req: IncomingMessage, res: ServerResponse, match: Match, settings: Settings, context: ExchangeContext) {
    this.req = req
    this.res = res
    this.match = match
    this.rewriting = new Rewriting(req, match.route.settings, settings, context.mount)
    this.url = context.mount + context.target
    this.#context = context
    this.#maxPending = settings.maxPendingUpgrades
  }

  /** Aborted when the client leaves, or when the proxy closes and `drainTimeout` has passed. Its reason is the error. */
  get signal(): CancelSignal {
    return this.#cancellation
  }

  /** The client's connection, if the request is an upgrade. */
  get upgrade(): PendingUpgrade | undefined {
    return this.#upgrade
  }

  /**
   * Decides what happens to the request and prepares for it. The socket of an upgrade is taken in the same turn of the
   * event loop as the call, even if the decision takes longer.
   *
   * @returns a promise only if the decision takes longer.
   */
  decide(): Decision | Promise<Decision> {
    const { decision } = this.#beginDecision()
    return decision instanceof Promise ? this.#whenDecided(decision) : this.#prepare(decision)
  }

  async #whenDecided(decision: Promise<Decision>): Promise<Decision> {
    return this.#prepare(await unlessAborted(this.signal, decision))
  }

  #prepare(decided: Decision): Decision {
    this.signal.throwIfAborted()
    if (decided.kind === 'app' || this.token !== undefined) return decided
    const { req } = this
    // Node drops the bytes that follow such a request in the same packet. They may be a request, and the client would wait
    // for its response if the connection stayed open.
    if (connectionUpgrade(req)) this.res.shouldKeepAlive = false
    if (decided.kind === 'http') {
      this.#takesBody = true
      const { body, rawBody } = this.#context
      const defer = typeof this.match.route.settings.fallback === 'object'
      this.body = new RequestBody(req, body, rawBody, defer)
    }
    return decided
  }

  #beginDecision(): Deciding {
    const { req, res, match } = this
    try {
      const deciding = decide(match, this.#context.authority, this.signal)
      this.token = deciding.token
      if (deciding.token === undefined) this.#watchClient()
      else {
        this.#upgrade = PendingUpgrade.start(req, res, this.#clientOnGone, this.#maxPending)
        this.key = match.route.keyOf(req)
        this.#leaveRoute = match.route.acquire(this.key)
      }
      return deciding
    } catch (error) {
      // The decision may wait for a member of a balancer.
      this.#cancellation.abort(error as Error)
      throw error
    }
  }

  #watchClient(): void {
    const { req, res } = this
    // If the client left while earlier middleware was running, no further event reports it.
    if (res.destroyed || req.socket.destroyed) this.#clientOnGone()
    res.on('close', this.#clientOnGone)
  }

  readonly #clientOnGone = (): void => this.#cancellation.abort(new WsTunnelError('WST_ERR_CLIENT_GONE'))

  /**
   * Whether the app has sent a response by itself meanwhile, or the client has left a plain request that goes to a
   * backend. The request needs no response then, and nothing failed. What fails in a function that writes the response is an
   * error, whatever it has sent.
   */
  get isAbandoned(): boolean {
    if (this.isServedByApp) return false
    if (this.res.writableEnded) return true
    return this.isSent && this.signal.aborted && this.signal.reason.code === 'WST_ERR_CLIENT_GONE'
  }

  /** Says in an error which route and which backend it is about. */
  locate(error: unknown, candidate: Candidate | undefined): void {
    if (!(error instanceof WsTunnelError)) return
    const target = candidate && addressOf(candidate.worker.origin)
    locate(error, { target, member: candidate?.selection?.member.url, route: this.match.route.index })
  }

  /** How much of the body was sent so far; `undefined` for an upgrade, which has no body. */
  get bodySent(): BodySent | undefined {
    return this.body
  }

  /** Hands the request back to the app, untouched. */
  handBack(): void {
    this.#upgrade?.handBack()
    this.#upgrade = undefined
  }

  /**
   * To be called before a response that is not a 101. A client that leaves from now on ends the response, and that ends
   * the exchange. Bytes that the client sends after an upgrade request are dropped.
   */
  beginResponse(): void {
    this.res.off('close', this.#clientOnGone)
    this.#upgrade?.refuse()
  }

  /** Cancels the exchange. A response that has begun is aborted. */
  abort(reason: WsTunnelError): void {
    if (this.res.headersSent) cut(this.res)
    this.#cancellation.abort(reason)
  }

  /** Begins a round trip. `leave` is called when it fails, or when the exchange or its tunnel ends. */
  enter(candidate: Candidate, leave: Release | undefined): void {
    this.candidate = candidate
    this.#leave = leave
  }

  /** A round trip has failed. */
  leave(): void {
    this.#leave?.()
    this.#leave = undefined
    // A client that leaves while the next candidate is selected did not leave during a round trip.
    if (!this.signal.aborted) this.isSent = false
  }

  /**
   * Moves what the exchange holds to its tunnel. The returned function releases it, and is to be called when the tunnel
   * ends. It does not reference the exchange, because the request would then stay in memory as long as the tunnel.
   */
  handOver(): () => void {
    const leave = this.#leave
    const leaveRoute = this.#leaveRoute
    this.#leave = this.#leaveRoute = undefined
    this.#upgrade = undefined
    return () => {
      leave?.()
      leaveRoute?.()
    }
  }

  /** Ends the exchange. Does nothing once a tunnel has taken it over. */
  release(): void {
    this.beginResponse()
    this.#upgrade = undefined
    if (this.#takesBody) discardRest(this.req)
    this.#leave?.()
    this.#leaveRoute?.()
    this.#leave = this.#leaveRoute = undefined
  }
}
