import { performance } from 'node:perf_hooks'

/** The longest delay of a Node timer, ms. A timer with a longer one would fire at once. */
export const MAX_DELAY: number = 2 ** 31 - 1

/** A limit is counted in this many parts. */
const PARTS = 4

/** Shortest part, ms. */
const MIN_PART = 250

/** A timer that fires this much later than due, ms, did so because the process stood still. */
const STOOD_STILL = 100

/** Turns of the event loop in {@link readWaiting}. */
const TURNS = 3

/**
 * Calls `then` after the event loop has read what waits in its sockets. It takes several turns: in the first a full
 * sink accepts bytes again, and only after that its source is read.
 */
export function readWaiting(then: () => void): void {
  let turns = TURNS
  const next = (): void => {
    // An immediate runs after the poll phase of its turn.
    if (turns-- > 0) setImmediate(next)
    else then()
  }
  next()
}

/** Module-level: a closure for each countdown would cost memory in idle tunnels. */
const partOnEnd = (countdown: Countdown): void => countdown.endPart()

/** What may be given beside the limit of a {@link Countdown}. */
export interface CountdownOptions {
  /** Has waiting bytes read before the limit is reached, then calls `then`. @default {@link readWaiting} */
  readonly look?: ((then: () => void) => void) | undefined
  /** Whether the process may end while it runs. @default false */
  readonly unref?: boolean
  /** What is left of the limit at the start, ms. {@link Countdown.refresh} begins with the whole limit. @default the limit */
  readonly left?: number
}

/**
 * A time limit for a silent peer. It counts the time in which this process ran.
 *
 * After a process stood still (SIGSTOP, a blocked event loop, a frozen container), the bytes of its peers wait in the
 * kernel, and its timers fire before they are read. Such a timer is no proof of silence. Therefore the limit is counted
 * in parts, and a part whose timer fires much later than due does not count. Before the limit is reached, the waiting
 * bytes are read, and they may stop the countdown.
 */
export class Countdown {
  /** The limit. */
  readonly ms: number
  readonly #onReached: () => void
  readonly #look: (then: () => void) => void
  readonly #unref: boolean
  #left: number
  #part = 0
  #due = 0
  #timer: NodeJS.Timeout | undefined
  #stoodStill = false
  #rests = false
  /** Number of the present look. A look that was cancelled has another one. */
  #looks = 0

  /**
   * @param ms the limit
   * @param onReached is called once, when the limit is reached
   */
  constructor(ms: number, onReached: () => void, options: CountdownOptions = {}) {
    const { look = readWaiting, unref = false, left = ms } = options
    this.ms = ms
    this.#left = left
    this.#onReached = onReached
    this.#look = look
    this.#unref = unref
    this.#startPart()
  }

  /** What is left of the limit, ms, also after {@link stop}. A part counts as passed at most once. */
  get left(): number {
    const passed = this.#part - (this.#due - performance.now())
    return Math.max(0, this.#left - Math.min(this.#part, passed))
  }

  /** Begins again. It does nothing after {@link stop}, and after the limit was reached. */
  refresh(): void {
    if (this.#timer === undefined || this.#rests) return
    this.#beginAgain(this.#timer)
  }

  #beginAgain(timer: NodeJS.Timeout): void {
    this.#looks++
    this.#left = this.ms
    this.#due = performance.now() + this.#part
    timer.refresh()
  }

  /** Begins again, also after {@link rest}. */
  restart(): void {
    this.#rests = false
    if (this.#timer !== undefined) this.#beginAgain(this.#timer)
    else {
      this.#left = this.ms
      this.#startPart()
    }
  }

  /** Stops, and keeps the timer for a {@link restart} that comes soon. */
  rest(): void {
    this.#looks++
    this.#rests = true
  }

  /** Ends it: nothing is called any more. */
  stop(): void {
    this.#looks++
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #startPart(): void {
    this.#part = Math.min(this.#left, Math.max(this.ms / PARTS, MIN_PART))
    this.#due = performance.now() + this.#part
    this.#timer = setTimeout(partOnEnd, this.#part, this)
    if (this.#unref) this.#timer.unref()
  }

  /** Called by the timer. */
  endPart(): void {
    if (this.#rests) {
      this.#timer = undefined
      return
    }
    const stoodStill = performance.now() - this.#due > STOOD_STILL
    // Two such parts in a row count: otherwise a process whose event loop is always late would have no limits.
    if (!stoodStill || this.#stoodStill) this.#left -= this.#part
    this.#stoodStill = stoodStill && !this.#stoodStill
    if (this.#left > 0) {
      this.#startPart()
      return
    }
    const number = ++this.#looks
    this.#look(() => {
      if (number !== this.#looks) return
      this.#timer = undefined
      this.#onReached()
    })
  }
}
