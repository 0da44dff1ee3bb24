import { performance } from 'node:perf_hooks'
import type { DialledEnds, Engine, EngineListener, Side, TunnelEnds } from './engine.ts'
import { JsEngine } from './js-engine.ts'
import { canOffload, isReady, join, NativeEngine, offload, withUnread } from './native-engine.ts'

/**
 * Why a tunnel ended: both sides sent FIN (`finished`), one broke off (`client-error`, `backend-error`), a limit was
 * reached (`idle`, `half-open`, `lifetime`), the proxy closed (`shutdown`), or `tunnel.close()` was called (`closed`).
 */
export type EndReason =
  | 'finished'
  | 'client-error'
  | 'backend-error'
  | 'idle'
  | 'half-open'
  | 'lifetime'
  | 'shutdown'
  | 'closed'

/** How a tunnel ended. */
export interface TunnelEnd {
  readonly reason: EndReason
  /** Bytes the client sent after the head of its request. */
  readonly bytesFromClient: number
  /** Bytes the backend sent after the head of its 101. */
  readonly bytesFromBackend: number
  /** ms from the 101 to the end. */
  readonly duration: number
  /** The socket's error, for `client-error` and `backend-error`. */
  readonly error: Error | undefined
}

/** A tunnel's limits, ms; 0 is never. */
export interface TunnelLimits {
  readonly idleTimeout: number
  readonly halfOpenTimeout: number
  readonly maxLifetime: number
  readonly keepAlive: number
  /** Leave JavaScript, where that is possible. */
  readonly async: boolean
  /** How long it stays before. */
  readonly asyncDelay: number
  /** Over how many threads such tunnels are spread. */
  readonly threads: number
}

/** What is known of a tunnel from its switch on. */
export interface TunnelFacts {
  /** Address of the client's end of the connection. */
  readonly clientAddress: string
  /** Path the client asked for, as it wrote it. */
  readonly url: string
  /** Place of the route in the list. */
  readonly route: number
  /** `host:port` of the backend, or its socket path. */
  readonly target: string
  /** URL of the balancer's member that was chosen. */
  readonly member: string | undefined
  /** Token of the protocol that both switched to. */
  readonly protocol: string
  /** ms from the request to the 101. */
  readonly handshakeTime: number
}

/** How long a broken-off tunnel may take to deliver what it received, and to hear the FIN of the other side, ms. */
const FLUSH_TIMEOUT = 500

/** When a tunnel that could not leave JavaScript is looked at again, ms: at first, and at most. */
const HAND_OVER_RETRY = 20
const MAX_HAND_OVER_RETRY = 10_000

const OVER: Engine = { bytesFromClient: 0, bytesFromBackend: 0, idle: 0, end: () => {}, cut: () => {} }

let lastId = 0

/**
 * Client <-> backend until both have ended.
 *
 *             FIN of one side, passed on        FIN of the other
 *     open ------------------------------> half-open -----------> ended (finished)
 *       |                                     |
 *       |   error or RST of a side, idle, lifetime, half-open, shutdown, close()
 *       +-------------------------------------+-----------------> ended (by that reason): what was received
 *                                                                 is delivered, FIN, cut after FLUSH_TIMEOUT
 */
export class Tunnel {
  readonly id: number = ++lastId
  readonly facts: TunnelFacts
  /** When the 101 went out, ms since the epoch. */
  readonly openedAt: number = Date.now()
  /** Resolves, never rejects, when both sockets are closed. */
  readonly ended: Promise<TunnelEnd>
  readonly #limits: TunnelLimits
  readonly #resolveEnd: (end: TunnelEnd) => void
  readonly #startedAt = performance.now()
  #engine: Engine
  #offloaded = false
  /** Bytes that an engine before this one has moved. */
  #movedFromClient = 0
  #movedFromBackend = 0
  /** When the watch for quiet began: a byte before it does not count. */
  #watchedSince = this.#startedAt
  #halfOpen: Side | undefined
  #reason: EndReason | undefined
  #error: Error | undefined
  #quietTimer: NodeJS.Timeout | undefined
  #lifetimeTimer: NodeJS.Timeout | undefined
  #flushTimer: NodeJS.Timeout | undefined
  #handOverTimer: NodeJS.Timeout | undefined

  constructor(given: TunnelEnds | DialledEnds, facts: TunnelFacts, limits: TunnelLimits) {
    this.facts = facts
    this.#limits = limits
    const { promise, resolve } = Promise.withResolvers<TunnelEnd>()
    this.ended = promise
    this.#resolveEnd = resolve
    for (const socket of 'dial' in given ? [given.client] : [given.client, given.backend]) {
      socket.setTimeout?.(0)
      socket.setNoDelay?.(true)
      if (limits.keepAlive > 0) socket.setKeepAlive?.(true, limits.keepAlive)
    }
    const ends = 'dial' in given ? join(given, this.#listener) : given
    if (ends instanceof NativeEngine) {
      this.#engine = ends
      this.#offloaded = true
      this.#limit()
      return
    }
    const leaves = limits.async && canOffload(ends)
    const at = leaves && limits.asyncDelay === 0 && isReady(ends) ? this.#offload(withUnread(ends)) : ends
    this.#engine = at instanceof NativeEngine ? at : new JsEngine(at, this.#listener)
    this.#limit()
    if (!(this.#engine instanceof JsEngine)) {
      this.#offloaded = true
      return
    }
    if (leaves && at === ends) this.#handOverIn(ends, limits.asyncDelay === 0 ? HAND_OVER_RETRY : limits.asyncDelay)
    this.#engine.start(at as TunnelEnds)
  }

  get bytesFromClient(): number {
    return this.#movedFromClient + this.#engine.bytesFromClient
  }

  get bytesFromBackend(): number {
    return this.#movedFromBackend + this.#engine.bytesFromBackend
  }

  /** ms without a byte either way. */
  get idle(): number {
    return this.#engine.idle
  }

  /** Whether its bytes are moved outside of JavaScript now, or were to its end (ProxyWebsocketAsync). */
  get offloaded(): boolean {
    return this.#offloaded
  }

  /** Ends both sides: what was received is delivered, then FIN. Resolves to the end. */
  close(reason: EndReason = 'closed'): Promise<TunnelEnd> {
    this.#end(reason)
    return this.ended
  }

  #offload(ends: TunnelEnds): NativeEngine | TunnelEnds {
    return offload(ends, this.#limits.threads, this.#listener)
  }

  #limit(): void {
    const { idleTimeout, maxLifetime } = this.#limits
    if (idleTimeout > 0) this.#watchQuiet(idleTimeout, 'idle')
    if (maxLifetime > 0) this.#lifetimeTimer = setTimeout(() => this.#end('lifetime'), maxLifetime)
  }

  /** Fires when no byte has moved for `limit`; a timer that is only looked at when it fires costs nothing per byte. */
  #watchQuiet(limit: number, reason: EndReason): void {
    clearTimeout(this.#quietTimer)
    const look = (): void => {
      const left = limit - Math.min(this.idle, performance.now() - this.#watchedSince)
      if (left <= 0) this.#end(reason)
      else this.#quietTimer = setTimeout(look, Math.ceil(left))
    }
    this.#quietTimer = setTimeout(look, limit)
  }

  #handOverIn(ends: TunnelEnds, delay: number, retry = HAND_OVER_RETRY): void {
    const left = { ...ends, clientHead: [], backendHead: [] }
    this.#handOverTimer = setTimeout(() => this.#handOver(left, retry), delay)
  }

  /** From JavaScript to a thread, as soon as nothing waits in between. */
  #handOver(ends: TunnelEnds, retry: number): void {
    const engine = this.#engine as JsEngine
    if (!isReady(ends) || ends.client.readableLength + ends.backend.readableLength > 0) {
      this.#handOverIn(ends, retry, Math.min(2 * retry, MAX_HAND_OVER_RETRY))
      return
    }
    const at = this.#offload(ends)
    if (!(at instanceof NativeEngine)) return
    engine.release()
    this.#movedFromClient += engine.bytesFromClient
    this.#movedFromBackend += engine.bytesFromBackend
    this.#engine = at
    this.#offloaded = true
  }

  readonly #listener: EngineListener = {
    onFin: side => this.#onFin(side),
    onBroken: (side, error) => {
      this.#error ??= error
      this.#end(`${side}-error`)
    },
    onClosed: () => this.#finish(),
  }

  #onFin(side: Side): void {
    const { idleTimeout, halfOpenTimeout } = this.#limits
    if (this.#reason !== undefined) return
    if (this.#halfOpen !== undefined && this.#halfOpen !== side) {
      this.#end('finished')
      return
    }
    this.#halfOpen = side
    clearTimeout(this.#handOverTimer)
    if (halfOpenTimeout === 0 || (idleTimeout > 0 && idleTimeout < halfOpenTimeout)) return
    this.#watchedSince = performance.now()
    this.#watchQuiet(halfOpenTimeout, 'half-open')
  }

  /** The first reason counts. */
  #end(reason: EndReason): void {
    if (this.#reason !== undefined) return
    this.#reason = reason
    clearTimeout(this.#quietTimer)
    clearTimeout(this.#lifetimeTimer)
    clearTimeout(this.#handOverTimer)
    this.#engine.end()
    const flushTimeout = reason === 'finished' ? this.#limits.halfOpenTimeout : FLUSH_TIMEOUT
    if (flushTimeout > 0) this.#flushTimer = setTimeout(() => this.#engine.cut(), flushTimeout)
  }

  #finish(): void {
    clearTimeout(this.#quietTimer)
    clearTimeout(this.#lifetimeTimer)
    clearTimeout(this.#handOverTimer)
    clearTimeout(this.#flushTimer)
    this.#resolveEnd({
      reason: this.#reason ?? 'finished',
      bytesFromClient: this.bytesFromClient,
      bytesFromBackend: this.bytesFromBackend,
      duration: performance.now() - this.#startedAt,
      error: this.#error,
    })
    this.#letGo()
  }

  /** Whoever still knows of the tunnel need not keep its sockets, nor what listens to them. */
  #letGo(): void {
    this.#movedFromClient = this.bytesFromClient
    this.#movedFromBackend = this.bytesFromBackend
    this.#engine = OVER
  }
}
