import { WsTunnelError } from '../errors.ts'
import { onAbort } from './abort.ts'

/** Tells when whoever waits has given up. */
export type WhenAborted = (callback: (error: WsTunnelError) => void) => void

/** Gives a place back; a second call does nothing. */
export type Leave = () => void

interface Waiting {
  readonly enter: () => void
}

/** Places for tunnels at one backend (max=), and who waits for one, in the order in which they came (acquire=). */
export class Places {
  readonly #max: number
  readonly #patience: number
  readonly #name: string
  readonly #waiting = new Set<Waiting>()
  #taken = 0

  /**
   * @param max 0 is no limit
   * @param patience how long to wait for a place, ms
   * @param name of the backend, for messages
   */
  constructor(max: number, patience: number, name: string) {
    this.#max = max
    this.#patience = patience
    this.#name = name
  }

  /** Tunnels that have one, those in their handshake included. */
  get taken(): number {
    return this.#taken
  }

  get full(): boolean {
    return this.#max > 0 && this.#taken >= this.#max
  }

  /**
   * Takes a place.
   *
   * @returns a promise only where none is free and there is patience.
   * @throws {WsTunnelError} `WST_ERR_TUNNEL_LIMIT`
   */
  acquire(signal: AbortSignal): Leave | Promise<Leave> {
    if (!this.full || this.#patience === 0) return this.takeNow()
    return new Promise((resolve, reject) => {
      const leaveQueue = (): void => {
        clearTimeout(timer)
        this.#waiting.delete(waiting)
      }
      const giveUp = (error: WsTunnelError): void => {
        leaveQueue()
        reject(error)
      }
      const waiting = {
        enter: () => {
          leaveQueue()
          resolve(this.#enter())
        },
      }
      const timer = setTimeout(() => giveUp(this.#limit()), this.#patience)
      this.#waiting.add(waiting)
      onAbort(signal, error => giveUp(error as WsTunnelError))
    })
  }

  /** @throws {WsTunnelError} `WST_ERR_TUNNEL_LIMIT` */
  takeNow(): Leave {
    if (this.full) throw this.#limit()
    return this.#enter()
  }

  #limit(): WsTunnelError {
    return new WsTunnelError('WST_ERR_TUNNEL_LIMIT', { detail: `maxTunnels of ${this.#name} is ${this.#max}` })
  }

  #enter(): Leave {
    this.#taken++
    let inside = true
    return () => {
      if (!inside) return
      inside = false
      this.#taken--
      const [next] = this.#waiting
      next?.enter()
    }
  }
}
