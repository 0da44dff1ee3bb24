import cluster from 'node:cluster'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer, type ListenOptions, type Server } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { WsTunnelError } from '../errors.ts'
import { callback, checked, duration, isRecord, text, wrong } from '../options/checks.ts'
import { movableProxies } from '../proxy/movable-proxies.ts'
import { moves } from '../tunnel/moves.ts'
import { loadNativeAddon } from '../tunnel/native-addon.ts'
import { Giver, type HandoverReport } from './giver.ts'
import { restoreKept } from './kept-state.ts'
import { Taker } from './taker.ts'

/** The longest wait for the sockets of a process that has died, ms. */
const DYING_TIME = 1_000

/** How a process takes over from the one that serves now, and later hands over to the next one. */
export interface HandoverOptions {
  /**
   * Path of a unix socket, through which the processes find each other. It gets the mode 0600, and both processes must run as the same
   * user.
   */
  path: string
  /**
   * How long what cannot move may last in the old process once the next one serves, ms: requests in progress and tunnels over TLS or HTTP/2.
   * @default the option `drainTimeout` of each proxy
   */
  drainTimeout?: number
  /**
   * Called when the next process serves, and the tunnels that could not move have ended or `drainTimeout` of their proxy has ended them. A
   * process that has nothing else to do ends by itself.
   */
  onHandedOver?: (report: HandoverReport) => void
}

const CHECKS = { path: text, drainTimeout: duration, onHandedOver: callback }

/** Takes over from the process that serves now, in three steps, and then waits for the next process. */
export class Handover {
  readonly #options: Required<Omit<HandoverOptions, 'drainTimeout'>> & { readonly drainTimeout: number | undefined }
  readonly #servers = new Set<Server>()
  #taker: Taker | undefined
  /** Whether the process before this one has died while it handed over. */
  #hasDied = false
  #giver: Giver | undefined

  /** @throws {WsTunnelError} `WST_ERR_OPTION` for wrong options, and where there is no `@ws-tunnel/native` */
  constructor(options: string | HandoverOptions, where = 'handover') {
    const given = typeof options === 'string' ? { path: options } : options
    if (!isRecord(given)) throw wrong(where, 'a path, or { path, drainTimeout, onHandedOver }', options)
    const read: Partial<HandoverOptions> = checked(where, given, CHECKS)
    const { path, drainTimeout, onHandedOver = () => {} } = read
    if (path === undefined) throw wrong(`${where}.path`, 'the path of a unix socket', path)
    if (loadNativeAddon() === null) {
      const detail = `\`${where}\`: descriptors go through @ws-tunnel/native, which is not installed or not built for this platform`
      throw new WsTunnelError('WST_ERR_OPTION', { detail })
    }
    this.#options = { path, drainTimeout, onHandedOver }
    moves.tunnels = true
  }

  /**
   * Connects to the process that serves now, and restores what it knows about members.
   *
   * @returns whether there is one
   * @throws {WsTunnelError} `WST_ERR_HANDOVER` if it refuses
   */
  async begin(): Promise<boolean> {
    const { path } = this.#options
    const isThere = existsSync(path)
    this.#taker = await Taker.connect(path)
    if (this.#taker === undefined) {
      // It may have died a moment ago.
      this.#hasDied = isThere
      return false
    }
    const { proxies, kept } = this.#taker.state
    for (const proxy of movableProxies()) {
      const found = proxies.find(({ proxy: name }) => name === proxy.handoverName)
      if (found !== undefined) proxy.restore(found.members)
    }
    restoreKept(kept)
    return true
  }

  /**
   * Listens: with the listener of the process that serves now, if it has one at this address.
   *
   * @throws what `server.listen` emits
   */
  async listen(server: Server, options: ListenOptions & { fd?: number }): Promise<void> {
    const fd = await this.#takeListener(options)
    if (fd === undefined && this.#hasDied && !cluster.isWorker) await untilFree(options)
    server.listen(fd === undefined ? options : { fd })
    // Node does not find the name of a socket that it gets by its descriptor. `server.address()` returns this property.
    if (fd !== undefined && options.path !== undefined) (server as { _pipeName?: string })._pipeName = options.path
    await once(server, 'listening')
    this.add(server)
  }

  async #takeListener(options: ListenOptions): Promise<number | undefined> {
    // The workers of a cluster have the listeners of their primary process.
    if (cluster.isWorker) return undefined
    try {
      return await this.#taker?.takeListener(options)
    } catch (error) {
      this.#giveUp(error as Error)
      return undefined
    }
  }

  /** Hands the listener of a server over, too. */
  add(server: Server): void {
    this.#servers.add(server)
    server.on('close', () => {
      // It listens again if the process that takes over dies.
      if (this.#giver?.isGiving) return
      this.#servers.delete(server)
      if (this.#servers.size === 0) this.close()
    })
  }

  /**
   * To be called when this process serves. Takes the tunnels, and then waits for the next process.
   *
   * @returns how many tunnels came
   */
  async complete(): Promise<number> {
    const taken = (await this.#taker?.takeTunnels().catch(error => this.#giveUp(error))) ?? 0
    this.abort()
    this.#giver = new Giver({ ...this.#options, servers: this.#servers, onError: warn })
    await this.#giver.listen()
    return taken
  }

  /** Hands over to no process any more. */
  close(): void {
    this.#giver?.close()
  }

  /** The process before this one has died. What it has not handed over is lost, and this process goes on. */
  #giveUp(error: Error): void {
    this.#hasDied = true
    this.abort()
    warn(error)
  }

  /** Ends the connection to the process that serves now, which goes on if it has not handed over. */
  abort(): void {
    this.#taker?.close()
    this.#taker = undefined
  }
}

/** Waits until a process that has died has left an address: the kernel closes its sockets one after another. */
async function untilFree(options: ListenOptions): Promise<void> {
  for (const until = performance.now() + DYING_TIME; performance.now() < until; await delay(20)) {
    const probe = createServer().listen(options)
    try {
      await once(probe, 'listening')
      probe.close()
      await once(probe, 'close')
      return
    } catch {
      // Still in use. If that lasts, the server itself reports it.
    }
  }
}

function warn(error: Error): void {
  process.emitWarning(`A hand-over has failed, and this process goes on: ${error.message}`, {
    type: 'WsTunnelWarning',
    code: 'WST_WARN_HANDOVER',
  })
}
