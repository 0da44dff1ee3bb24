import type { IncomingMessage, Server } from 'node:http'
import type { Only } from '../options/options.ts'
import { listenImplicitly } from './listener.ts'

/** The servers on which a proxy listens for upgrades by itself, each from the first request that the proxy gets from it. */
export class ImplicitListeners {
  readonly #stops = new WeakMap<Server, () => void>()
  readonly #servers = new Set<WeakRef<Server>>()

  /**
   * Listens for upgrades on the server that the request came from.
   *
   * @param originForm whether the app gets `req.url` in origin form.
   */
  listen(req: IncomingMessage, only: Only | undefined, originForm: boolean): void {
    const { server } = req.socket as { server?: Server }
    if (typeof server?.emit !== 'function' || this.#stops.has(server)) return
    this.#stops.set(server, listenImplicitly(server, only, originForm))
    this.#servers.add(new WeakRef(server))
  }

  stop(): void {
    for (const reference of this.#servers) {
      const server = reference.deref()
      if (server !== undefined) this.#stops.get(server)?.()
    }
    this.#servers.clear()
  }
}
