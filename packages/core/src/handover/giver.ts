import { randomBytes } from 'node:crypto'
import { chmodSync, renameSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { type MovableProxy, movableProxies } from '../proxy/movable-proxies.ts'
import { recordOf, type TunnelRecord } from '../proxy/tunnel-record.ts'
import type { StayReason } from '../tunnel/engine.ts'
import { descriptor, listeningDescriptor, loadNativeAddon, type NativeAddon } from '../tunnel/native-addon.ts'
import type { OpenTunnel } from '../tunnel/open-tunnel.ts'
import { saveKept } from './kept-state.ts'
import { failure, MessageStream } from './message-stream.ts'
import { type GiverMessage, publishStep, type TakerMessage, VERSION } from './messages.ts'
import { addressOf, closeIdleConnections, countConnections, stopAccepting } from './stop-accepting.ts'

/** Tunnels that are moved at once. One message of the kernel carries at most 253 descriptors. */
const BATCH = 32

/** ms between two attempts to move the tunnels that could not be moved. */
const PASS_DELAY = 25

/** ms for requests in progress, which may open tunnels. */
const LATE_TIME = 10_000

/** ms for tunnels in which bytes wait. */
const BUSY_TIME = 2_000

type Taker = MessageStream<TakerMessage, GiverMessage>

/** What became of the tunnels of a process that was replaced. */
export interface HandoverReport {
  /** Tunnels that the next process has. */
  readonly moved: number
  /** Tunnels that stayed until their end or `drainTimeout`, by the reason. */
  readonly stayed: Readonly<Record<StayReason, number>>
}

export interface GiverOptions {
  /** A unix socket. */
  readonly path: string
  /** The servers whose listeners are handed over. */
  readonly servers: ReadonlySet<Server>
  /** How long what cannot move may last, ms; `undefined` is the `drainTimeout` of each proxy. */
  readonly drainTimeout: number | undefined
  readonly onHandedOver: (report: HandoverReport) => void
  readonly onError: (error: Error) => void
}

interface Detached {
  readonly tunnel: OpenTunnel
  readonly record: TunnelRecord
  readonly fds: readonly [number, number]
}

/** Gives the listeners and the tunnels of this process to the next one, which connects to a unix socket. */
export class Giver {
  readonly #options: GiverOptions
  readonly #native = loadNativeAddon() as NativeAddon
  readonly #server: Server
  /** The second connection of the process that takes. */
  readonly #awaited = new Map<string, (socket: Socket) => void>()
  #isGiving = false
  #stayed: Record<StayReason, number> = noneStayed()

  constructor(options: GiverOptions) {
    this.#options = options
    this.#server = createServer(socket => {
      this.#serve(socket).catch((error: Error) => options.onError(error))
    })
  }

  /** Whether another process takes over, or has done so. */
  get isGiving(): boolean {
    return this.#isGiving
  }

  /** Listens. The name of the socket appears when only this user may connect, and replaces that of an earlier process. */
  listen(): Promise<void> {
    const { path } = this.#options
    const own = `${path}.${process.pid}`
    rmSync(own, { force: true })
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(own, () => {
        try {
          chmodSync(own, 0o600)
          renameSync(own, path)
          this.#server.unref()
          publishStep('giver', 'ready')
          resolve()
        } catch (error) {
          this.#server.close()
          reject(error)
        }
      })
    })
  }

  /** Takes no other process any more. */
  close(): void {
    if (!this.#server.listening || this.#isGiving) return
    rmSync(this.#options.path, { force: true })
    this.#server.close()
  }

  async #serve(socket: Socket): Promise<void> {
    const taker: Taker = new MessageStream(socket)
    const refuse = async (reason: string): Promise<void> => {
      await taker.send({ type: 'refused', reason })
      socket.end()
    }
    const fd = descriptor(socket)
    if (fd === undefined) return
    if (this.#native.addon.peerUser(fd) !== process.geteuid?.()) return refuse('it runs as another user')
    const first = await taker.next()
    if (first.type === 'descriptors') {
      const take = this.#awaited.get(first.token)
      if (take === undefined) return refuse('the token of the second connection is wrong')
      take(socket)
      return
    }
    if (first.type !== 'hello') return refuse(`expected the message hello, got ${first.type}`)
    if (first.version !== VERSION) return refuse(`it has version ${VERSION} of the protocol, not ${first.version}`)
    if (this.#isGiving) return refuse('it hands over to another process already')
    this.#isGiving = true
    let finished = false
    try {
      const passing = await this.#welcome(taker)
      try {
        finished = await this.#give(taker, passing)
      } finally {
        passing.destroy()
      }
    } finally {
      this.#isGiving = finished
      socket.destroy()
    }
  }

  /** Resolves to the connection through which the descriptors go. */
  async #welcome(taker: Taker): Promise<Socket> {
    const token = randomBytes(16).toString('hex')
    const connected = new Promise<Socket>(resolve => this.#awaited.set(token, resolve))
    const { promise: closed, reject } = Promise.withResolvers<never>()
    try {
      const proxies = movableProxies().map(proxy => ({ proxy: proxy.handoverName, members: proxy.members() }))
      await taker.send({
        type: 'welcome',
        version: VERSION,
        pid: process.pid,
        token,
        listeners: this.#listening().map(addressOf),
        state: { proxies, kept: saveKept() },
      })
      const timer = setTimeout(() => reject(failure('the second connection has not come')), BUSY_TIME)
      const passing = await Promise.race([connected, closed]).finally(() => clearTimeout(timer))
      await taker.send({ type: 'connected' })
      publishStep('giver', 'connected')
      return passing
    } finally {
      this.#awaited.delete(token)
    }
  }

  /** @returns whether the other process serves now. */
  async #give(taker: Taker, passing: Socket): Promise<boolean> {
    const listeners = this.#listening()
    for (;;) {
      const message = await taker.next(0)
      if (message.type === 'tunnels') break
      if (message.type !== 'listener') throw failure(`expected the message listener or tunnels, got ${message.type}`)
      this.#pass(passing, [listeningDescriptor(listeners[message.index])])
      await taker.send({ type: 'listener' })
      publishStep('giver', 'listener')
    }
    const moved = await this.#giveTunnels(taker, passing)
    await taker.send({ type: 'done' })
    publishStep('giver', 'done')
    this.#server.close()
    await this.#drain()
    this.#options.onHandedOver({ moved, stayed: this.#stayed })
    return true
  }

  #listening(): Server[] {
    return Array.from(this.#options.servers).filter(server => listeningDescriptor(server) !== undefined)
  }

  #pass(passing: Socket, fds: readonly (number | undefined)[]): void {
    const to = descriptor(passing)
    if (to === undefined || fds.includes(undefined)) throw failure('a descriptor is closed')
    this.#native.addon.sendDescriptors(to, fds as number[])
  }

  /**
   * Moves the tunnels. After the first pass the other process alone accepts connections. Requests in progress may still
   * open tunnels here, which move later.
   *
   * @returns how many were moved
   */
  async #giveTunnels(taker: Taker, passing: Socket): Promise<number> {
    const start = performance.now()
    let moved = await this.#passOnce(taker, passing)
    const stopped = this.#listening().map(server => stopAccepting(server))
    publishStep('giver', 'stopped')
    try {
      for (;;) {
        const time = performance.now() - start
        const isBusy = await this.#mayOpenTunnels()
        const waits = isBusy ? time < LATE_TIME : this.#stayed.busy > 0 && time < BUSY_TIME
        const before = moved
        moved += await this.#passOnce(taker, passing)
        if (!waits && moved === before) return moved
        await delay(PASS_DELAY)
      }
    } catch (error) {
      // The other process has died, so this one serves again.
      for (const listenAgain of stopped) listenAgain(this.#options.onError)
      throw error
    }
  }

  /** Whether a request is in progress, or may still come on a connection that was accepted. */
  async #mayOpenTunnels(): Promise<boolean> {
    if (movableProxies().some(proxy => proxy.isBusy)) return true
    let connections = 0
    for (const server of this.#options.servers) {
      closeIdleConnections(server)
      connections += await countConnections(server)
    }
    const { tls, http2, busy, ending } = this.#stayed
    return connections > tls + http2 + busy + ending
  }

  /** Tries once to move each tunnel. @returns how many were moved */
  async #passOnce(taker: Taker, passing: Socket): Promise<number> {
    this.#stayed = noneStayed()
    const all = movableProxies()
      .flatMap(proxy => Array.from(proxy.tunnels, tunnel => ({ proxy, tunnel })))
      .filter(({ tunnel }) => !tunnel.isLeaving)
    let moved = 0
    for (let at = 0; at < all.length; at += BATCH) {
      moved += await this.#giveBatch(taker, passing, all.slice(at, at + BATCH))
    }
    return moved
  }

  async #giveBatch(
    taker: Taker,
    passing: Socket,
    batch: readonly { readonly proxy: MovableProxy; readonly tunnel: OpenTunnel }[],
  ): Promise<number> {
    const results = await Promise.all(batch.map(({ proxy, tunnel }) => this.#detach(proxy, tunnel)))
    const detached = results.filter(result => result !== undefined)
    if (detached.length === 0) return 0
    const committed = new Set<OpenTunnel>()
    try {
      this.#pass(
        passing,
        detached.flatMap(({ fds }) => fds),
      )
      await taker.send({ type: 'offer', tunnels: detached.map(({ record }) => record) })
      publishStep('giver', 'offer')
      const accepted = await taker.receive('accepted')
      publishStep('giver', 'accepted')
      detached.forEach(({ tunnel }, i) => {
        if (accepted.tunnels[i] !== true || tunnel.isEnding) return
        tunnel.commit()
        committed.add(tunnel)
      })
      await taker.send({ type: 'commit', tunnels: detached.map(({ tunnel }) => committed.has(tunnel)) })
      publishStep('giver', 'commit')
    } catch (error) {
      for (const { tunnel } of detached) tunnel.resume()
      throw error
    }
    for (const { tunnel } of detached) {
      if (committed.has(tunnel)) tunnel.leave()
      else tunnel.resume()
    }
    publishStep('giver', 'moved')
    return committed.size
  }

  async #detach(proxy: MovableProxy, tunnel: OpenTunnel): Promise<Detached | undefined> {
    const result = await tunnel.detach()
    if (typeof result === 'string') {
      this.#stayed[result]++
      return undefined
    }
    const { clientFd, backendFd } = result.detached
    const record = recordOf(tunnel, result, { proxy: proxy.handoverName, ...proxy.routeOf(tunnel) })
    return { tunnel, record, fds: [clientFd, backendFd] }
  }

  async #drain(): Promise<void> {
    await Promise.all(movableProxies().map(proxy => proxy.close(this.#options.drainTimeout)))
  }
}

const noneStayed = (): Record<StayReason, number> => ({ tls: 0, http2: 0, busy: 0, ending: 0 })
