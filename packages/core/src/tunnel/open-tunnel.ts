import { performance } from 'node:perf_hooks'
import type { Engine, EngineLimits, EngineListener, NativeEnds, Side, TunnelEnds } from './engine.ts'
import { openEngine } from './open-engine.ts'
import type { EndReason, Tunnel, TunnelEnd, TunnelInfo } from './tunnel.ts'

/** The limits of a tunnel, ms; 0 is never. */
export interface TunnelLimits extends EngineLimits {
  /** Without a byte in either direction. */
  readonly idleTimeout: number
  /** Without a byte after the FIN of one end. */
  readonly halfOpenTimeout: number
  /** From the 101 on. */
  readonly maxLifetime: number
  /** Without a byte until the kernel probes whether the peer is there. */
  readonly keepAlive: number
}

/** ms until a tunnel that ends is destroyed. In this time it delivers what it received and waits for the FIN of both ends. */
const FLUSH_TIMEOUT = 500

let lastId = 0

/**
 * The limits, the state and the end of a tunnel. Its engine moves the bytes.
 *
 *             FIN of one end, passed on         FIN of the other
 *     open ------------------------------> half-open -----------> ended (finished)
 *       |                                     |
 *       |   error or RST of an end, idle, lifetime, half-open, shutdown, close()
 *       +-------------------------------------+-----------------> ended (by that reason): what was received
 *                                                                 is delivered, then FIN; the sockets are
 *                                                                 destroyed after FLUSH_TIMEOUT
 */
export class OpenTunnel implements Tunnel, EngineListener {
  readonly id: number = ++lastId
  readonly info: TunnelInfo
  readonly openedAt: number = Date.now()
  readonly ended: Promise<TunnelEnd>
  readonly #limits: TunnelLimits
  readonly #resolveEnd: (end: TunnelEnd) => void
  readonly #startedAt = performance.now()
  #engine: Engine
  /** When the current limit on silence began. Silence before that does not count. */
  #watchedSince = this.#startedAt
  #halfOpen: Side | undefined
  #reason: EndReason | undefined
  #error: Error | undefined
  #silenceTimer: NodeJS.Timeout | undefined
  #lifetimeTimer: NodeJS.Timeout | undefined
  #flushTimer: NodeJS.Timeout | undefined

  constructor(ends: TunnelEnds | NativeEnds, info: TunnelInfo, limits: TunnelLimits) {
    this.info = info
    this.#limits = limits
    const { promise, resolve } = Promise.withResolvers<TunnelEnd>()
    this.ended = promise
    this.#resolveEnd = resolve
    for (const socket of 'connection' in ends ? [ends.client] : [ends.client, ends.backend]) {
      socket.setTimeout?.(0)
      socket.setNoDelay?.(true)
      if (limits.keepAlive > 0) socket.setKeepAlive?.(true, limits.keepAlive)
    }
    this.#engine = openEngine(ends, limits, this)
    const { idleTimeout, maxLifetime } = limits
    if (idleTimeout > 0) this.#watchSilence(idleTimeout, 'idle')
    if (maxLifetime > 0) this.#lifetimeTimer = setTimeout(() => this.#end('lifetime'), maxLifetime)
    this.#engine.start()
  }

  get bytesFromClient(): number {
    return this.#engine.bytesFromClient
  }

  get bytesFromBackend(): number {
    return this.#engine.bytesFromBackend
  }

  get idle(): number {
    return this.#engine.idle
  }

  get offloaded(): boolean {
    return this.#engine.offloaded
  }

  close(reason: EndReason = 'closed'): Promise<TunnelEnd> {
    this.#end(reason)
    return this.ended
  }

  onFin(side: Side): void {
    const { idleTimeout, halfOpenTimeout } = this.#limits
    if (this.#reason !== undefined) return
    if (this.#halfOpen !== undefined && this.#halfOpen !== side) {
      this.#end('finished')
      return
    }
    this.#halfOpen = side
    if (halfOpenTimeout === 0 || (idleTimeout > 0 && idleTimeout < halfOpenTimeout)) return
    this.#watchedSince = performance.now()
    this.#watchSilence(halfOpenTimeout, 'half-open')
  }

  onBroken(side: Side, error: Error | undefined): void {
    this.#error ??= error
    this.#end(`${side}-error`)
  }

  onClosed(): void {
    this.#clearTimers()
    clearTimeout(this.#flushTimer)
    this.#engine = new EndedEngine(this.#engine)
    this.#resolveEnd({
      reason: this.#reason ?? 'finished',
      bytesFromClient: this.bytesFromClient,
      bytesFromBackend: this.bytesFromBackend,
      duration: performance.now() - this.#startedAt,
      error: this.#error,
    })
  }

  /** Ends the tunnel when no byte has moved for `limit` ms. Only the timer checks that, so a byte costs nothing. */
  #watchSilence(limit: number, reason: EndReason): void {
    clearTimeout(this.#silenceTimer)
    const check = (): void => {
      const left = limit - Math.min(this.idle, performance.now() - this.#watchedSince)
      if (left <= 0) this.#end(reason)
      else this.#silenceTimer = setTimeout(check, Math.ceil(left))
    }
    this.#silenceTimer = setTimeout(check, limit)
  }

  /** Starts to end the tunnel. The first reason stays. */
  #end(reason: EndReason): void {
    if (this.#reason !== undefined) return
    this.#reason = reason
    this.#clearTimers()
    this.#engine.end()
    const flushTimeout = reason === 'finished' ? this.#limits.halfOpenTimeout : FLUSH_TIMEOUT
    if (flushTimeout > 0) this.#flushTimer = setTimeout(() => this.#engine.destroy(), flushTimeout)
  }

  #clearTimers(): void {
    clearTimeout(this.#silenceTimer)
    clearTimeout(this.#lifetimeTimer)
  }
}

/**
 * Replaces the engine of an ended tunnel, because code that keeps the tunnel would otherwise retain its sockets and their
 * listeners.
 */
class EndedEngine implements Engine {
  readonly bytesFromClient: number
  readonly bytesFromBackend: number
  readonly offloaded: boolean

  constructor({ bytesFromClient, bytesFromBackend, offloaded }: Engine) {
    this.bytesFromClient = bytesFromClient
    this.bytesFromBackend = bytesFromBackend
    this.offloaded = offloaded
  }

  get idle(): number {
    return 0
  }

  start(): void {}

  end(): void {}

  destroy(): void {}
}
