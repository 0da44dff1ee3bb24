import type { Tunnel, TunnelEnd } from './tunnel.ts'

/** The open tunnels of a proxy. */
export class TunnelSet {
  readonly #tunnels = new Set<Tunnel>()

  get open(): ReadonlySet<Tunnel> {
    return this.#tunnels
  }

  /** Keeps the tunnel until it has ended. */
  async run(tunnel: Tunnel): Promise<TunnelEnd> {
    this.#tunnels.add(tunnel)
    const end = await tunnel.ended
    this.#tunnels.delete(tunnel)
    return end
  }
}
