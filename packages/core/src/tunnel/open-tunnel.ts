import type { Socket } from 'node:net'
import { performance } from 'node:perf_hooks'
import { Countdown, MAX_DELAY } from '../util/countdown.ts'
import type { Link } from '../util/linked-set.ts'
import { EndedEngine } from './ended-engine.ts'
import type {
  AdoptedEnds,
  DetachedTunnel,
  Engine,
  EngineLimits,
  EngineListener,
  NativeEnds,
  Side,
  StayReason,
  TunnelEnds,
  TunnelPast,
} from './engine.ts'
import { framesFrom } from './frame-tracker.ts'
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
  /** How much earlier the tunnel may end. */
  readonly lifetimeJitter: number
  /** Whether a WebSocket gets a Close frame before its FIN if the proxy ends it. */
  readonly closeFrame: boolean
}

/** What belongs to one tunnel alone. */
export interface TunnelOwn {
  /** When it ends at the latest, ms since the epoch. */
  readonly deadline?: number | undefined
  /** What it counts for in `maxTunnelsPerKey`. */
  readonly key?: string | undefined
}

/** Learns of the end of a tunnel. An object, because a closure or a promise for each tunnel would cost memory. */
export interface EndListener {
  /** Called once, before {@link Tunnel.ended} resolves. */
  tunnelOnEnd(tunnel: OpenTunnel, end: TunnelEnd): void
}

/** ms until a tunnel that ends is destroyed. In this time it delivers what it received and waits for the FIN of both ends. */
const FLUSH_TIMEOUT = 500

/** The property that holds the position of a tunnel among the open ones of its proxy. */
export const OPEN: unique symbol = Symbol('ws-tunnel.open')

/** The property that holds its position among those of its balancer's member. */
export const CARRIED: unique symbol = Symbol('ws-tunnel.carried')

const NO_LISTENERS: readonly EndListener[] = []

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
  readonly openedAt: number
  readonly handovers: number
  /** What it counts for in `maxTunnelsPerKey`. */
  readonly key: string | undefined
  readonly #limits: TunnelLimits
  /** Made when the app asks for {@link ended}. */
  #ended: PromiseWithResolvers<TunnelEnd> | undefined
  #end: TunnelEnd | undefined
  #endListeners: readonly EndListener[] = NO_LISTENERS
  #release: (() => void) | undefined
  readonly #startedAt: number
  #engine: Engine
  /** When the current limit on silence began. Silence before that does not count. */
  #watchedSince: number
  #halfOpen: Side | undefined
  #reason: EndReason | undefined
  #error: Error | undefined
  #silence: Countdown | undefined
  #lifetimeTimer: NodeJS.Timeout | undefined
  /** How much earlier than `maxLifetime` it ends, ms. */
  readonly #earlier: number
  /** Whether its frames are followed. */
  readonly #framed: boolean
  /** When it ends at the latest, ms since the epoch. */
  readonly #deadline: number | undefined
  #flush: Countdown | undefined
  #open: Link<OpenTunnel> | undefined
  #carried: Link<OpenTunnel> | undefined

  constructor(
    ends: TunnelEnds | NativeEnds | AdoptedEnds,
    info: TunnelInfo,
    limits: TunnelLimits,
    own: TunnelOwn = {},
  ) {
    const now = performance.now()
    const past = 'past' in ends ? ends.past : NO_PAST
    const { openedAt, age, watched, halfOpen, handovers, earlier = Math.random() * limits.lifetimeJitter } = past
    this.info = info
    this.openedAt = openedAt ?? Date.now()
    this.handovers = handovers
    this.#startedAt = now - age
    this.#watchedSince = now - watched
    this.#halfOpen = halfOpen
    this.#limits = limits
    this.key = own.key
    this.#earlier = earlier
    this.#deadline = past.deadline ?? own.deadline
    for (const socket of socketsOf(ends)) {
      socket.setTimeout?.(0)
      socket.setNoDelay?.(true)
    }
    this.#framed = limits.closeFrame && info.protocol.toLowerCase() === 'websocket'
    this.#engine = openEngine(ends, limits, this, this.#framed ? framesFrom() : undefined)
    if (!('past' in ends)) this.#startTimers()
    this.#engine.start()
  }

  // Accessors, because `util.inspect` would show the app properties of its tunnel that it cannot use.

  get [OPEN](): Link<OpenTunnel> | undefined {
    return this.#open
  }

  set [OPEN](link: Link<OpenTunnel> | undefined) {
    this.#open = link
  }

  get [CARRIED](): Link<OpenTunnel> | undefined {
    return this.#carried
  }

  set [CARRIED](link: Link<OpenTunnel> | undefined) {
    this.#carried = link
  }

  /** Adds a listener. To be called before the end. */
  onEnd(listener: EndListener): void {
    this.#endListeners = [...this.#endListeners, listener]
  }

  /** Keeps a function for {@link release}. */
  hold(release: () => void): void {
    this.#release = release
  }

  /** Calls the function, once. To be called at the end. */
  release(): void {
    const release = this.#release
    this.#release = undefined
    release?.()
  }

  get ended(): Promise<TunnelEnd> {
    if (this.#ended === undefined) {
      this.#ended = Promise.withResolvers()
      if (this.#end !== undefined) this.#ended.resolve(this.#end)
    }
    return this.#ended.promise
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
    this.#beginEnd(reason)
    return this.ended
  }

  /**
   * Stops the tunnel, so that another process can take it over. Resolves to what that process needs, or to the reason why
   * the tunnel stays. {@link resume} or {@link commit} must follow.
   */
  detach(): Promise<{ readonly detached: DetachedTunnel; readonly past: TunnelPast } | StayReason> {
    if (this.#reason !== undefined) return Promise.resolve('ending')
    return new Promise(resolve => {
      this.onEnd({ tunnelOnEnd: () => resolve('ending') })
      this.#engine.detach(detached => {
        resolve(typeof detached === 'string' ? detached : { detached, past: this.#past() })
      })
    })
  }

  #past(): TunnelPast {
    const now = performance.now()
    return {
      openedAt: this.openedAt,
      age: now - this.#startedAt,
      watched: now - this.#watchedSince,
      halfOpen: this.#halfOpen,
      handovers: this.handovers + 1,
      earlier: this.#earlier,
      deadline: this.#deadline,
    }
  }

  /** The limits that go with it to another process. */
  get limits(): TunnelLimits {
    return this.#limits
  }

  /** Whether another process has it, and the descriptors of this one are still to be closed. */
  get isLeaving(): boolean {
    return this.#reason === 'handed-over'
  }

  /** Whether it has begun to end. */
  get isEnding(): boolean {
    return this.#reason !== undefined
  }

  /** Continues after {@link detach}, here or in the process that took the tunnel over. Takes a {@link commit} back. */
  resume(): void {
    if (this.#reason === 'handed-over') this.#reason = undefined
    if (this.#reason !== undefined) return
    this.#engine.resume()
    this.#startTimers()
  }

  /** From now on the detached tunnel belongs to another process, unless {@link resume} follows. */
  commit(): void {
    if (this.#reason !== undefined) return
    this.#reason = 'handed-over'
    this.#clearTimers()
  }

  /** After {@link commit}: closes the descriptors of this process. The connections continue in the other one. */
  leave(): void {
    this.#engine.destroy()
  }

  #startTimers(): void {
    const { idleTimeout, halfOpenTimeout } = this.#limits
    this.#clearTimers()
    const isHalfOpen = this.#halfOpen !== undefined && limitsHalfOpen(this.#limits)
    if (isHalfOpen) this.#watchSilence(halfOpenTimeout, 'half-open')
    else if (idleTimeout > 0) this.#watchSilence(idleTimeout, 'idle')
    const [left, reason] = this.#timeLeft()
    if (left === undefined) return
    this.#lifetimeTimer = setTimeout(timerOnEnd, Math.min(Math.max(left, 1), MAX_DELAY), this, reason)
  }

  /** The sooner of `maxLifetime` and the deadline, ms from now. */
  #timeLeft(): [ms: number | undefined, reason: EndReason] {
    const { maxLifetime } = this.#limits
    const lifetime = maxLifetime > 0 ? maxLifetime - this.#earlier - (performance.now() - this.#startedAt) : undefined
    const deadline = this.#deadline === undefined ? undefined : this.#deadline - Date.now()
    return deadline !== undefined && (lifetime === undefined || deadline < lifetime)
      ? [deadline, 'deadline']
      : [lifetime, 'lifetime']
  }

  /** Called by the timer of the lifetime, which is longer than a timer can be for a deadline next year. */
  lifetimeOnEnd(reason: EndReason): void {
    if ((this.#timeLeft()[0] ?? 0) > 1) this.#startTimers()
    else this.#beginEnd(reason)
  }

  onFin(side: Side): void {
    if (this.#reason !== undefined) return
    if (this.#halfOpen !== undefined && this.#halfOpen !== side) {
      this.#beginEnd('finished')
      return
    }
    this.#halfOpen = side
    if (!limitsHalfOpen(this.#limits)) return
    this.#watchedSince = performance.now()
    this.#watchSilence(this.#limits.halfOpenTimeout, 'half-open')
  }

  onBroken(side: Side, error: Error | undefined): void {
    this.#error ??= error
    this.#beginEnd(`${side}-error`)
  }

  onClosed(): void {
    this.#clearTimers()
    this.#flush?.stop()
    this.#engine = new EndedEngine(this.#engine)
    this.#reason ??= 'finished'
    const end: TunnelEnd = {
      reason: this.#reason,
      bytesFromClient: this.bytesFromClient,
      bytesFromBackend: this.bytesFromBackend,
      duration: performance.now() - this.#startedAt,
      error: this.#error,
    }
    this.#end = end
    const listeners = this.#endListeners
    this.#endListeners = NO_LISTENERS
    for (const listener of listeners) listener.tunnelOnEnd(this, end)
    this.#ended?.resolve(end)
  }

  /**
   * Ends the tunnel when no byte has moved for `limit` ms. Only the countdown checks that, so a byte costs nothing. If the
   * tunnel seems silent, the bytes that wait in its sockets are read before it ends.
   */
  #watchSilence(limit: number, reason: EndReason): void {
    this.#silence?.stop()
    const left = (): number => limit - Math.min(this.idle, performance.now() - this.#watchedSince)
    const look = (then: () => void): void => (left() > 0 ? then() : this.#engine.look(then))
    const check = (): void => {
      const ms = left()
      if (ms <= 0) this.#beginEnd(reason)
      else this.#silence = new Countdown(Math.ceil(ms), check, { look })
    }
    this.#silence = new Countdown(Math.max(Math.ceil(left()), 1), check, { look })
  }

  /** Starts to end the tunnel. The first reason stays. */
  #beginEnd(reason: EndReason): void {
    if (this.#reason !== undefined) return
    this.#reason = reason
    this.#clearTimers()
    this.#engine.end(this.#framed && !OWN_ENDS.has(reason))
    const flushTimeout = reason === 'finished' ? this.#limits.halfOpenTimeout : FLUSH_TIMEOUT
    if (flushTimeout === 0) return
    const look = (then: () => void): void => this.#engine.look(then)
    this.#flush = new Countdown(flushTimeout, () => this.#engine.destroy(), { look })
  }

  #clearTimers(): void {
    this.#silence?.stop()
    clearTimeout(this.#lifetimeTimer)
  }
}

/** Whether the limit after the first FIN is the one that counts then. */
const limitsHalfOpen = ({ idleTimeout, halfOpenTimeout }: TunnelLimits): boolean =>
  halfOpenTimeout > 0 && !(idleTimeout > 0 && idleTimeout < halfOpenTimeout)

const NO_PAST: Partial<TunnelPast> & Omit<TunnelPast, 'openedAt' | 'earlier'> = {
  age: 0,
  watched: 0,
  halfOpen: undefined,
  handovers: 0,
  deadline: undefined,
}

/** The reasons that the peers give. The proxy adds no frame then. */
const OWN_ENDS: ReadonlySet<EndReason> = new Set(['finished', 'client-error', 'backend-error'])

/** Module-level: a closure for each tunnel would cost memory. */
const timerOnEnd = (tunnel: OpenTunnel, reason: EndReason): void => tunnel.lifetimeOnEnd(reason)

function socketsOf(ends: TunnelEnds | NativeEnds | AdoptedEnds): Socket[] {
  if ('adopted' in ends) return []
  return 'connection' in ends ? [ends.client] : [ends.client, ends.backend]
}
