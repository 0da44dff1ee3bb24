import type { Connection } from './api.ts'
import { duration, timeOfDay } from './format.ts'

/** ms without an event after which a server counts as gone, and the number of intervals that this is at least. */
const SILENCE = 5_000
const INTERVALS = 5

/** Whether the server still sends. Its times are of the browser's monotonic clock. */
export class Contact {
  connection: Connection = 'connecting'
  /** The last event; `undefined` before the first one. */
  #last: number | undefined
  #lastDate = 0
  #interval = 0

  /** An event came. */
  heard(): void {
    const now = performance.now()
    if (this.#last !== undefined) this.#interval = Math.max(now - this.#last, this.#interval * 0.9)
    this.#last = now
    this.#lastDate = Date.now()
  }

  /** A new stream: the time without one is no interval. */
  set(connection: Connection): void {
    this.connection = connection
    if (connection === 'live') {
      this.#last = undefined
      this.#interval = 0
      this.heard()
    }
  }

  /** Whether what the page shows is old. It is not before the first event, because then there is nothing to show. */
  get isLost(): boolean {
    return this.#last !== undefined && (this.connection !== 'live' || this.#silence > this.#patience)
  }

  /** `No contact with the server for 12s. You see 14:03:11`. */
  get text(): string {
    const why = this.connection === 'refused' ? 'Not connected: the server refuses' : 'No contact with the server'
    if (this.isLost) return `${why}, for ${duration(this.#silence)}. You see ${timeOfDay(this.#lastDate)}`
    if (this.connection === 'live') return 'Live'
    return this.connection === 'refused' ? why : 'Connecting…'
  }

  get #patience(): number {
    return Math.max(SILENCE, this.#interval * INTERVALS)
  }

  get #silence(): number {
    return performance.now() - (this.#last ?? performance.now())
  }
}
