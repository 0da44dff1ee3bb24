import type { DetachedTunnel, Engine, EngineLimits, EngineListener, Side, StayReason, TunnelEnds } from './engine.ts'
import type { Frames } from './frame-tracker.ts'
import { JsEngine } from './js-engine.ts'
import { NativeEngine } from './native-engine.ts'
import { isReady } from './offloading.ts'

/** ms until the hand-over of a tunnel is retried. The time doubles with each retry, up to the maximum. */
const RETRY_DELAY = 20
const MAX_RETRY_DELAY = 10_000

/**
 * Moves the bytes in JavaScript, and hands the tunnel over to a thread when `asyncDelay` has passed and no byte waits to
 * be written. After the first FIN, the tunnel stays in JavaScript. Without `async` it is handed over only if another process
 * takes the tunnel over.
 */
export class HandOverEngine implements Engine, EngineListener {
  readonly #limits: EngineLimits
  readonly #listener: EngineListener
  #engine: Engine
  /** `undefined` once the tunnel was handed over, or will not be. */
  #ends: TunnelEnds | undefined
  #timer: NodeJS.Timeout | undefined
  #retryDelay = RETRY_DELAY
  /** Bytes that were moved in JavaScript before the hand-over. */
  #movedFromClient = 0
  #movedFromBackend = 0

  constructor(ends: TunnelEnds, limits: EngineLimits, listener: EngineListener, frames?: Frames) {
    this.#limits = limits
    this.#listener = listener
    this.#engine = new JsEngine(ends, limits.keepAlive, this, frames)
    this.#ends = { ...ends, clientHead: [], backendHead: [] }
  }

  start(): void {
    const { async, asyncDelay } = this.#limits
    if (async) this.#tryIn(asyncDelay === 0 ? RETRY_DELAY : asyncDelay)
    this.#engine.start()
  }

  get bytesFromClient(): number {
    return this.#movedFromClient + this.#engine.bytesFromClient
  }

  get bytesFromBackend(): number {
    return this.#movedFromBackend + this.#engine.bytesFromBackend
  }

  get idle(): number {
    return this.#engine.idle
  }

  get offloaded(): boolean {
    return this.#engine.offloaded
  }

  end(frame = false): void {
    this.#stay()
    this.#engine.end(frame)
  }

  destroy(): void {
    this.#stay()
    this.#engine.destroy()
  }

  look(then: () => void): void {
    this.#engine.look(then)
  }

  detach(then: (detached: DetachedTunnel | StayReason) => void): void {
    if (this.#ends !== undefined && this.#isReady(this.#ends)) this.#handOver(this.#ends)
    this.#engine.detach(then)
  }

  resume(): void {
    this.#engine.resume()
  }

  onFin(side: Side): void {
    this.#stay()
    this.#listener.onFin(side)
  }

  onBroken(side: Side, error: Error | undefined): void {
    this.#listener.onBroken(side, error)
  }

  onClosed(): void {
    this.#stay()
    this.#listener.onClosed()
  }

  #tryIn(delay: number): void {
    this.#timer = setTimeout(() => this.#tryNow(), delay)
  }

  /** Cancels the hand-over: the current engine stays. */
  #stay(): void {
    clearTimeout(this.#timer)
    this.#ends = undefined
  }

  #isReady(ends: TunnelEnds): boolean {
    return isReady(ends) && ends.client.readableLength + ends.backend.readableLength === 0
  }

  #tryNow(): void {
    const ends = this.#ends
    if (ends === undefined) return
    if (this.#isReady(ends)) this.#handOver(ends)
    else {
      this.#tryIn(this.#retryDelay)
      this.#retryDelay = Math.min(2 * this.#retryDelay, MAX_RETRY_DELAY)
    }
  }

  #handOver(ends: TunnelEnds): void {
    this.#stay()
    const next = NativeEngine.adopt(ends, this.#limits, this.#listener, (this.#engine as JsEngine).frames)
    // Descriptors or memory have run out.
    if (next === undefined) return
    const before = this.#engine as JsEngine
    before.release()
    this.#movedFromClient = before.bytesFromClient
    this.#movedFromBackend = before.bytesFromBackend
    this.#engine = next
  }
}
