import { onAbort } from './abort.ts'
import { Countdown } from './countdown.ts'

/** How many waiters are looked at in one turn of the event loop: other clients are served in between. */
const LOOKS_PER_TURN = 16

interface Waiter<T> {
  readonly look: () => T | undefined
  readonly resolve: (value: T) => void
  readonly reject: (error: Error) => void
  readonly limit: Countdown | undefined
  stop: () => void
}

/** What a {@link WaitQueue} asks its owner. */
export interface WaitQueueOptions {
  /** How many may wait; 0 is no limit. */
  readonly max: number
  /** The error for one that comes when the queue is full. */
  readonly full: () => Error
  /** Whether there may be something for one of the waiters. It is asked before each look, so it must be cheap. */
  readonly isOpen: () => boolean
  /** Called at the end of each turn in which waiters were looked at. */
  readonly onTurnEnd?: () => void
}

/** The time limit of one wait. */
export interface WaitLimit {
  /** ms */
  readonly ms: number
  /** The error when it is reached. */
  readonly late: () => Error
}

/**
 * Waits for something that comes by events: first come, first served. Nothing is done until {@link wake} is called. Then
 * the waiters are looked at in their order, a limited number in each turn of the event loop.
 */
export class WaitQueue<T> {
  readonly #options: WaitQueueOptions
  readonly #waiters = new Set<Waiter<T>>()
  /** The position in the list, while the waiters are looked at. */
  #cursor: SetIterator<Waiter<T>> | undefined
  /** Something came after the look at the first waiters. */
  #again = false
  #closed: (() => Error) | undefined

  constructor(options: WaitQueueOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#waiters.size
  }

  /** Whether the waiters are looked at now. One that comes meanwhile must wait, because the others came first. */
  get isServing(): boolean {
    return this.#cursor !== undefined
  }

  /**
   * Waits until `look` returns a value. It is called when the queue is woken. What it throws ends the wait.
   *
   * @param signal Ends the wait; the promise then rejects with its reason.
   */
  wait(look: () => T | undefined, signal: AbortSignal, limit?: WaitLimit): Promise<T> {
    const { max, full } = this.#options
    if (this.#closed !== undefined) return Promise.reject(this.#closed())
    if (max > 0 && this.#waiters.size >= max) return Promise.reject(full())
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void => {
        this.#remove(waiter)
        reject(error)
      }
      const countdown = limit && new Countdown(limit.ms, () => fail(limit.late()))
      const waiter: Waiter<T> = { look, resolve, reject, limit: countdown, stop: () => {} }
      this.#waiters.add(waiter)
      waiter.stop = onAbort(signal, fail)
    })
  }

  /** To be called when something may have come for those who wait. */
  wake(): void {
    if (this.#waiters.size === 0) return
    if (this.#cursor !== undefined) {
      this.#again = true
      return
    }
    this.#cursor = this.#waiters.values()
    setImmediate(this.#turn)
  }

  /** Ends all waits, and all that begin later. */
  close(error: () => Error): void {
    this.#closed = error
    for (const waiter of this.#waiters) {
      this.#remove(waiter)
      waiter.reject(error())
    }
  }

  #remove(waiter: Waiter<T>): void {
    this.#waiters.delete(waiter)
    waiter.limit?.stop()
    waiter.stop()
  }

  readonly #turn = (): void => {
    if (this.#lookAtSome()) setImmediate(this.#turn)
    else this.#cursor = undefined
    this.#options.onTurnEnd?.()
  }

  /** @returns whether waiters are left to be looked at. */
  #lookAtSome(): boolean {
    for (let looks = 0; looks < LOOKS_PER_TURN; looks++) {
      if (!this.#options.isOpen()) return this.#startAgain()
      const next = (this.#cursor as SetIterator<Waiter<T>>).next()
      if (next.done) return this.#startAgain()
      this.#lookAt(next.value)
    }
    return true
  }

  #startAgain(): boolean {
    const again = this.#again && this.#waiters.size > 0
    this.#again = false
    if (again) this.#cursor = this.#waiters.values()
    return again
  }

  #lookAt(waiter: Waiter<T>): void {
    let found: T | undefined
    try {
      found = waiter.look()
    } catch (error) {
      this.#remove(waiter)
      waiter.reject(error as Error)
      return
    }
    if (found === undefined) return
    this.#remove(waiter)
    waiter.resolve(found)
  }
}
