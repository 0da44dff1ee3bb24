import { WsTunnelError } from '../errors.ts'
import { type CancelSignal, onAbort } from './abort.ts'
import { Countdown } from './countdown.ts'

/** Frees a slot. A second call does nothing. */
export type Release = () => void

/** Slots for the tunnels of one backend or route (max=), and a queue for upgrades that wait for one (acquire=). */
export class Slots {
  readonly #max: number
  readonly #timeout: number
  readonly #name: string
  readonly #queue = new Set<() => void>()
  #inUse = 0
  /** Called when a slot is free that no upgrade waits for. */
  onFree: (() => void) | undefined

  /**
   * @param max Number of slots; 0 is no limit.
   * @param timeout How long to wait for a free slot, ms; 0 does not wait.
   * @param name Name of the backend, for messages.
   */
  constructor(max: number, timeout: number, name: string) {
    this.#max = max
    this.#timeout = timeout
    this.#name = name
  }

  /** Slots of open tunnels and of handshakes in progress. */
  get inUse(): number {
    return this.#inUse
  }

  get full(): boolean {
    return this.#max > 0 && this.#inUse >= this.#max
  }

  /** Free slots; infinite without a limit. */
  get free(): number {
    return this.#max === 0 ? Number.POSITIVE_INFINITY : Math.max(0, this.#max - this.#inUse)
  }

  /**
   * Acquires a slot. Waits for one if all are in use, first come, first served.
   *
   * @param signal Ends the wait; the promise then rejects with its reason.
   * @returns a promise only if it waits.
   * @throws {WsTunnelError} `WST_ERR_TUNNEL_LIMIT` if no slot becomes free in time.
   */
  acquire(signal: CancelSignal): Release | Promise<Release> {
    if (!this.full || this.#timeout === 0) return this.acquireNow()
    return new Promise((resolve, reject) => {
      const leaveQueue = (): void => {
        limit.stop()
        this.#queue.delete(slotOnFree)
        stop()
      }
      const fail = (error: Error): void => {
        leaveQueue()
        reject(error)
      }
      const slotOnFree = (): void => {
        leaveQueue()
        resolve(this.#assign())
      }
      const limit = new Countdown(this.#timeout, () => fail(this.#limitReached()))
      let stop = (): void => {}
      this.#queue.add(slotOnFree)
      stop = onAbort(signal, fail)
    })
  }

  /**
   * Acquires a slot without waiting.
   *
   * @throws {WsTunnelError} `WST_ERR_TUNNEL_LIMIT` if all slots are in use.
   */
  acquireNow(): Release {
    if (this.full) throw this.#limitReached()
    return this.#assign()
  }

  /** Acquires a slot even if all are in use, for a tunnel that is open already. */
  acquireAnyway(): Release {
    return this.#assign()
  }

  #limitReached(): WsTunnelError {
    return new WsTunnelError('WST_ERR_TUNNEL_LIMIT', { detail: `maxTunnels of ${this.#name} is ${this.#max}` })
  }

  #assign(): Release {
    this.#inUse++
    let acquired = true
    return () => {
      if (!acquired) return
      acquired = false
      this.#inUse--
      const [first] = this.#queue
      if (first === undefined) this.onFree?.()
      else first()
    }
  }
}
