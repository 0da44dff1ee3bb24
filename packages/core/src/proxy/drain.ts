import type { Tunnel } from '../tunnel/tunnel.ts'
import { MAX_DELAY } from '../util/countdown.ts'

/** Ends what is still open when a proxy closes: all at `drainTimeout`, or the tunnels one after another in the last `drainSpread` ms. */
export class Drain {
  readonly #tunnels: ReadonlySet<Tunnel>
  readonly #onEnd: () => void
  /** When everything ends, on the clock of `performance`. */
  readonly #endsAt: number
  /** The tunnels that are left, the oldest last; made when the first one is ended. */
  #queue: Tunnel[] | undefined
  #timer: NodeJS.Timeout

  /** @param onEnd ends what is left at the end of the time */
  constructor(
    tunnels: ReadonlySet<Tunnel>,
    { drainTimeout, drainSpread }: { readonly drainTimeout: number; readonly drainSpread: number },
    onEnd: () => void,
  ) {
    this.#tunnels = tunnels
    this.#onEnd = onEnd
    const time = Math.min(drainTimeout, MAX_DELAY)
    this.#endsAt = performance.now() + time
    this.#timer = setTimeout(() => this.#endNext(), Math.max(0, time - drainSpread))
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  /** Ends the oldest tunnel. The others share the time that is left evenly, whatever number of them ends by itself. */
  #endNext(): void {
    this.#queue ??= Array.from(this.#tunnels).reverse()
    const left = this.#endsAt - performance.now()
    let oldest = this.#queue.pop()
    while (oldest !== undefined && !this.#tunnels.has(oldest)) oldest = this.#queue.pop()
    void oldest?.close('shutdown')
    if (left < 1) this.#onEnd()
    else if (this.#queue.length === 0) this.#timer = setTimeout(this.#onEnd, left)
    else this.#timer = setTimeout(() => this.#endNext(), left / this.#queue.length)
  }
}
