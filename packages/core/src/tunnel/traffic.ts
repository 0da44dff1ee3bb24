import { LinkedSet } from '../util/linked-set.ts'
import type { Tunnel } from './tunnel.ts'

/** Bytes of so many tunnels are added up whenever they are asked for. */
const FEW = 100

/** Of more of them no more often than this, ms: a balancer may ask for each election. */
const INTERVAL = 50

/** An open tunnel, and what of its bytes is counted. */
interface Followed {
  readonly tunnel: Tunnel
  sent: number
  received: number
}

/** Bytes that passed through one backend: those of open tunnels, too. */
export class Traffic {
  readonly #open = new LinkedSet<Followed>()
  #sent = 0
  #received = 0
  #lookedAt = 0

  add(sent: number, received: number): void {
    this.#sent += sent
    this.#received += received
  }

  get sent(): number {
    this.#look()
    return this.#sent
  }

  get received(): number {
    this.#look()
    return this.#received
  }

  /** Counts a tunnel's bytes while it is open, and to its end. */
  async follow(tunnel: Tunnel): Promise<void> {
    const followed: Followed = { tunnel, sent: 0, received: 0 }
    this.#open.add(followed)
    this.#note(followed, await tunnel.ended)
    this.#open.delete(followed)
  }

  #look(): void {
    const now = performance.now()
    if (this.#open.size > FEW && now - this.#lookedAt < INTERVAL) return
    this.#lookedAt = now
    for (const followed of this.#open) this.#note(followed, followed.tunnel)
  }

  #note(
    followed: Followed,
    { bytesFromClient, bytesFromBackend }: Pick<Tunnel, 'bytesFromClient' | 'bytesFromBackend'>,
  ): void {
    this.add(bytesFromClient - followed.sent, bytesFromBackend - followed.received)
    followed.sent = bytesFromClient
    followed.received = bytesFromBackend
  }
}
