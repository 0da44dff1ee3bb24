import type { Socket } from 'node:net'
import { performance } from 'node:perf_hooks'
import { type Pump, pump } from './pump.ts'

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
}

/** The two ends and the bytes that came with the heads. */
export interface TunnelEnds {
  readonly client: Socket
  readonly clientHead: readonly Buffer[]
  readonly backend: Socket
  readonly backendHead: Buffer
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
  readonly #client: Socket
  readonly #backend: Socket
  readonly #limits: TunnelLimits
  readonly #resolveEnd: (end: TunnelEnd) => void
  readonly #startedAt = performance.now()
  #activeAt = this.#startedAt
  #bytesFromClient = 0
  #bytesFromBackend = 0
  #halfOpen = false
  #reason: EndReason | undefined
  #error: Error | undefined
  #openSockets = 2
  #quietTimer: NodeJS.Timeout | undefined
  #lifetimeTimer: NodeJS.Timeout | undefined
  #flushTimer: NodeJS.Timeout | undefined
  readonly #pumps: readonly Pump[]

  constructor({ client, clientHead, backend, backendHead }: TunnelEnds, facts: TunnelFacts, limits: TunnelLimits) {
    this.facts = facts
    this.#client = client
    this.#backend = backend
    this.#limits = limits
    const { promise, resolve } = Promise.withResolvers<TunnelEnd>()
    this.ended = promise
    this.#resolveEnd = resolve
    this.#listen()
    this.#pumps = [
      pump(client, backend, clientHead, this.#fromClient),
      pump(backend, client, [backendHead], this.#fromBackend),
    ]
    this.#limit()
    if (client.destroyed) this.#breakOff('client-error', client.errored ?? undefined)
    if (backend.destroyed) this.#breakOff('backend-error', backend.errored ?? undefined)
    if (this.#openSockets === 0) this.#finish()
  }

  get bytesFromClient(): number {
    return this.#bytesFromClient
  }

  get bytesFromBackend(): number {
    return this.#bytesFromBackend
  }

  /** ms without a byte either way. */
  get idle(): number {
    return performance.now() - this.#activeAt
  }

  /** Ends both sides: what was received is delivered, then FIN. Resolves to the end. */
  close(reason: EndReason = 'closed'): Promise<TunnelEnd> {
    this.#end(reason)
    return this.ended
  }

  readonly #fromClient = (bytes: number): void => {
    this.#bytesFromClient += bytes
    this.#activeAt = performance.now()
  }

  readonly #fromBackend = (bytes: number): void => {
    this.#bytesFromBackend += bytes
    this.#activeAt = performance.now()
  }

  #listen(): void {
    const { keepAlive } = this.#limits
    for (const socket of [this.#client, this.#backend]) {
      socket.setTimeout?.(0)
      socket.setNoDelay?.(true)
      if (keepAlive > 0) socket.setKeepAlive?.(true, keepAlive)
      socket.on('end', this.#socketOnEnd)
      if (socket.closed) this.#openSockets--
      else socket.on('close', this.#socketOnClose)
    }
    this.#client.on('error', this.#clientOnError)
    this.#backend.on('error', this.#backendOnError)
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
      const left = limit - this.idle
      if (left <= 0) this.#end(reason)
      else this.#quietTimer = setTimeout(look, Math.ceil(left))
    }
    this.#quietTimer = setTimeout(look, limit)
  }

  readonly #socketOnEnd = (): void => {
    const { idleTimeout, halfOpenTimeout } = this.#limits
    if (this.#reason !== undefined) return
    if (this.#halfOpen) {
      this.#end('finished')
      return
    }
    this.#halfOpen = true
    if (halfOpenTimeout === 0 || (idleTimeout > 0 && idleTimeout < halfOpenTimeout)) return
    this.#activeAt = performance.now()
    this.#watchQuiet(halfOpenTimeout, 'half-open')
  }

  readonly #clientOnError = (error: Error): void => this.#breakOff('client-error', error)

  readonly #backendOnError = (error: Error): void => this.#breakOff('backend-error', error)

  #breakOff(reason: 'client-error' | 'backend-error', error: Error | undefined): void {
    this.#error ??= error
    this.#end(reason)
  }

  /** The first reason counts. */
  #end(reason: EndReason): void {
    if (this.#reason !== undefined) return
    this.#reason = reason
    clearTimeout(this.#quietTimer)
    clearTimeout(this.#lifetimeTimer)
    for (const { flush } of this.#pumps) flush()
    for (const socket of [this.#client, this.#backend]) {
      socket.resume()
      socket.end()
    }
    const flushTimeout = reason === 'finished' ? this.#limits.halfOpenTimeout : FLUSH_TIMEOUT
    if (flushTimeout > 0) this.#flushTimer = setTimeout(this.#cut, flushTimeout)
  }

  readonly #cut = (): void => {
    this.#client.destroy()
    this.#backend.destroy()
  }

  readonly #socketOnClose = (): void => {
    if (--this.#openSockets === 0) this.#finish()
    else if (this.#reason === undefined) {
      this.#breakOff(this.#client.destroyed ? 'client-error' : 'backend-error', undefined)
    }
  }

  #finish(): void {
    clearTimeout(this.#quietTimer)
    clearTimeout(this.#lifetimeTimer)
    clearTimeout(this.#flushTimer)
    this.#resolveEnd({
      reason: this.#reason ?? 'finished',
      bytesFromClient: this.#bytesFromClient,
      bytesFromBackend: this.#bytesFromBackend,
      duration: performance.now() - this.#startedAt,
      error: this.#error,
    })
  }
}
