import type { Tunnel } from './tunnel.ts'

/** Bytes of so many tunnels are added up whenever they are asked for. */
const FEW = 100

/** Of more of them no more often than this, ms: a balancer may ask for each election. */
const INTERVAL = 50

/** Bytes that passed through one backend: those of open tunnels, too. */
export class Traffic {
  readonly #seen = new Map<Tunnel, readonly [sent: number, received: number]>()
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
    this.#seen.set(tunnel, [0, 0])
    this.#note(tunnel, await tunnel.ended)
    this.#seen.delete(tunnel)
  }

  #look(): void {
    const now = performance.now()
    if (this.#seen.size > FEW && now - this.#lookedAt < INTERVAL) return
    this.#lookedAt = now
    for (const tunnel of this.#seen.keys()) this.#note(tunnel, tunnel)
  }

  #note(
    tunnel: Tunnel,
    { bytesFromClient, bytesFromBackend }: Pick<Tunnel, 'bytesFromClient' | 'bytesFromBackend'>,
  ): void {
    const [sent, received] = this.#seen.get(tunnel) ?? [0, 0]
    this.add(bytesFromClient - sent, bytesFromBackend - received)
    this.#seen.set(tunnel, [bytesFromClient, bytesFromBackend])
  }
}
