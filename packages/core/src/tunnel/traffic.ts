import { type Link, LinkedSet } from '../util/linked-set.ts'
import type { EndListener, OpenTunnel } from './open-tunnel.ts'
import type { TunnelEnd } from './tunnel.ts'

/** With up to this number of tunnels, their bytes are added up at each read of a sum. */
const FEW = 100

/** With more tunnels, ms between two additions. A balancer may read the sums for each selection. */
const INTERVAL = 50

type Counted = Pick<OpenTunnel, 'onEnd' | 'bytesFromClient' | 'bytesFromBackend'>

const FOLLOWED: unique symbol = Symbol('ws-tunnel.followed')

/** An open tunnel, and how many of its bytes are in the sums. */
class Followed implements EndListener {
  [FOLLOWED]: Link<Followed> | undefined = undefined
  sent = 0
  received = 0
  readonly tunnel: Counted
  readonly #traffic: Traffic

  constructor(tunnel: Counted, traffic: Traffic) {
    this.tunnel = tunnel
    this.#traffic = traffic
  }

  tunnelOnEnd(_tunnel: unknown, end: TunnelEnd): void {
    this.#traffic.unfollow(this, end)
  }
}

/** Sums of the bytes that passed through one backend, those of open tunnels included. */
export class Traffic {
  readonly #open = new LinkedSet<Followed>(FOLLOWED)
  #sent = 0
  #received = 0
  #updatedAt = 0

  /** Adds the bytes of a plain request. */
  add(sent: number, received: number): void {
    this.#sent += sent
    this.#received += received
  }

  /** Bytes sent to the backend. */
  get sent(): number {
    this.#update()
    return this.#sent
  }

  /** Bytes received from the backend. */
  get received(): number {
    this.#update()
    return this.#received
  }

  /** Counts the bytes of a tunnel until it ends. */
  follow(tunnel: Counted): void {
    const followed = new Followed(tunnel, this)
    this.#open.add(followed)
    tunnel.onEnd(followed)
  }

  /** To be called when the tunnel has ended. */
  unfollow(followed: Followed, end: TunnelEnd): void {
    this.#count(followed, end)
    this.#open.delete(followed)
  }

  #update(): void {
    const now = performance.now()
    if (this.#open.size > FEW && now - this.#updatedAt < INTERVAL) return
    this.#updatedAt = now
    for (const followed of this.#open) this.#count(followed, followed.tunnel)
  }

  #count(
    followed: Followed,
    { bytesFromClient, bytesFromBackend }: Pick<TunnelEnd, 'bytesFromClient' | 'bytesFromBackend'>,
  ): void {
    this.add(bytesFromClient - followed.sent, bytesFromBackend - followed.received)
    followed.sent = bytesFromClient
    followed.received = bytesFromBackend
  }
}
