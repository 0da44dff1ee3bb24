import type { IncomingMessage, Server } from 'node:http'
import type { Only } from '../options/options.ts'
import { anyClaim, type Claim, listenImplicitly } from './listener.ts'

/** The number of mounts that a proxy remembers for a server. A mount with a parameter has a path for each of its values. */
const MAX_MOUNTS = 50

/** A server on which a proxy listens by itself. */
interface Listening {
  readonly stop: () => void
  /** The paths below which the proxy has had requests. */
  readonly mounts: Set<string>
}

/** The servers on which a proxy listens for upgrades by itself, each from the first request that the proxy gets from it. */
export class ImplicitListeners {
  readonly #claims: (req: IncomingMessage, mount: string) => boolean | undefined
  readonly #listening = new WeakMap<Server, Listening>()
  readonly #servers = new Set<WeakRef<Server>>()

  /** @param claims whether an upgrade leads to a route of the proxy, if the proxy is mounted at `mount` */
  constructor(claims: (req: IncomingMessage, mount: string) => boolean | undefined) {
    this.#claims = claims
  }

  /**
   * Listens for upgrades on the server that the request came from, and remembers the mount.
   *
   * @param originForm whether the app gets `req.url` in origin form.
   */
  listen(req: IncomingMessage, mount: string, only: Only | undefined, originForm: boolean): void {
    const { server } = req.socket as { server?: Server }
    if (typeof server?.emit !== 'function') return
    const { mounts } = this.#listening.get(server) ?? this.#start(server, only, originForm)
    if (!mounts.has(mount) && mounts.size < MAX_MOUNTS) mounts.add(mount)
  }

  /** Listens for upgrades on a server before it has had a request. */
  listenOn(server: Server, claim: Claim | undefined, only: Only | undefined, originForm: boolean): void {
    if (!this.#listening.has(server)) this.#start(server, only, originForm, claim)
  }

  #start(server: Server, only: Only | undefined, originForm: boolean, claim?: Claim): Listening {
    const mounts = new Set<string>()
    const learned = (req: IncomingMessage): Claim[] => Array.from(mounts, mount => () => this.#claims(req, mount))
    const known = claim === undefined ? [] : [claim]
    const stop = listenImplicitly(server, only, originForm, req => anyClaim([...known, ...learned(req)], req))
    const listening = { stop, mounts }
    this.#listening.set(server, listening)
    this.#servers.add(new WeakRef(server))
    return listening
  }

  stop(): void {
    for (const reference of this.#servers) {
      const server = reference.deref()
      if (server !== undefined) this.#listening.get(server)?.stop()
    }
    this.#servers.clear()
  }
}
