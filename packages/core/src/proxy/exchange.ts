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
import { unlessAborted } from '../util/abort.ts'
import { type Deciding, type Decision, decide } from './decide.ts'
import { Rewriting } from './rewriting.ts'

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
  /** The body of a plain request that goes to a backend. */
  body: RequestBody | undefined
  /** A plain request is on its way to a backend, or has arrived there. */
  isSent = false
  /** The client's connection, if the request is an upgrade. */
  #upgrade: PendingUpgrade | undefined
  readonly #context: ExchangeContext
  readonly #maxPending: number
  readonly #cancellation = new AbortController()
  #releases: (() => void)[] = []

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
  get signal(): AbortSignal {
    return this.#cancellation.signal
  }

  /** The client's connection, if the request is an upgrade. */
  get upgrade(): PendingUpgrade | undefined {
    return this.#upgrade
  }

  /**
   * Decides what happens to the request and prepares for it. The socket of an upgrade is taken in the same turn of the
   * event loop as the call, even if the decision takes longer.
   */
  async decide(): Promise<Decision> {
    const { req, res } = this
    const { token, decision } = this.#beginDecision()
    const decided = decision instanceof Promise ? await unlessAborted(this.signal, decision) : decision
    this.signal.throwIfAborted()
    if (decided.kind === 'app' || token !== undefined) return decided
    // Node drops the bytes that follow such a request in the same packet. They may be a request, and the client would wait
    // for its response if the connection stayed open.
    if (connectionUpgrade(req)) res.shouldKeepAlive = false
    if (decided.kind === 'http') {
      this.onRelease(() => discardRest(req))
      this.body = new RequestBody(req, this.#context.body)
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
        this.onRelease(match.route.acquire())
      }
      return deciding
    } catch (error) {
      // The decision may wait for a member of a balancer.
      this.#cancellation.abort(error)
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
   * backend. The request needs no response then, and nothing failed.
   */
  get isAbandoned(): boolean {
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

  /** Calls `release` when the exchange ends, or when its tunnel does. */
  onRelease(release: () => void): void {
    this.#releases.push(release)
  }

  /**
   * Moves what the exchange holds to its tunnel. The returned function releases it, and is to be called when the tunnel
   * ends. It does not reference the exchange, because the request would then stay in memory as long as the tunnel.
   */
  handOver(): () => void {
    // A copy has no spare capacity, which an open tunnel would retain.
    const releases = this.#releases.slice()
    this.#releases = []
    this.#upgrade = undefined
    return () => callAll(releases)
  }

  /** Ends the exchange. Does nothing once a tunnel has taken it over. */
  release(): void {
    this.beginResponse()
    this.#upgrade = undefined
    callAll(this.#releases.splice(0))
  }
}

function callAll(calls: readonly (() => void)[]): void {
  for (const call of calls) call()
}
