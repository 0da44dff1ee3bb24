import type { Socket } from 'node:net'
import {
  type CountingServer,
  type DetachedCounts,
  endConnectionCount,
  keepByteCounts,
  keepConnectionCount,
} from './detached-socket.ts'
import type {
  DetachableResponse,
  DetachedTunnel,
  Engine,
  EngineLimits,
  EngineListener,
  NativeEnds,
  StayReason,
  TunnelEnds,
} from './engine.ts'
import { type Frames, statesOf } from './frame-tracker.ts'
import {
  descriptor,
  flushSoon,
  keepAliveSeconds,
  loadNativeAddon,
  type NativeAddon,
  nextThread,
  type SlotListener,
  systemError,
} from './native-addon.ts'

/** A tunnel of another process, with the descriptors that belong to this one. */
export interface MovedTunnel extends DetachedTunnel {
  readonly bytesFromClient: number
  readonly bytesFromBackend: number
  /** ms without a byte. */
  readonly idle: number
}

/** Two connections between which a thread of `@ws-tunnel/native` moves the bytes. */
export class NativeEngine implements Engine, SlotListener {
  readonly #native: NativeAddon
  readonly #slot: number
  #listener: EngineListener | undefined
  /** The server at which the client's connection counts. */
  #server: CountingServer | undefined
  #response: DetachableResponse | undefined
  #clientCounts: DetachedCounts | undefined
  #onLooked: (() => void) | undefined
  #onDetached: ((detached: DetachedTunnel | StayReason) => void) | undefined
  #isDetached = false
  /** To be ended, as soon as it is known whether the tunnel was detached. */
  #endsLater: { readonly frame: boolean } | undefined
  #open = true
  #bytesFromClient = 0
  #bytesFromBackend = 0

  /**
   * Moves a tunnel out of JavaScript. Both of its sockets are destroyed, and their connections continue.
   *
   * @param ends that `canOffload` and `isReady` accept, and whose sockets have no unread bytes
   * @returns `undefined` if descriptors or memory have run out. The ends are unchanged then.
   */
  static adopt(
    ends: TunnelEnds,
    limits: EngineLimits,
    listener: EngineListener,
    frames?: Frames,
  ): NativeEngine | undefined {
    const { client, clientHead, backend, backendHead, response } = ends
    const native = loadNativeAddon() as NativeAddon
    let slot: number
    try {
      slot = native.addon.adopt(
        descriptor(client) as number,
        descriptor(backend) as number,
        Buffer.concat(clientHead),
        Buffer.concat(backendHead),
        keepAliveSeconds(limits.keepAlive),
        nextThread(limits.threads),
        frames && statesOf(frames),
      )
    } catch {
      return undefined
    }
    flushSoon()
    const engine = new NativeEngine(native, slot, listener)
    native.listeners[slot] = engine
    engine.#detachClient(client, clientHead, response)
    backend.destroy()
    return engine
  }

  /**
   * Attaches a client to a backend connection that belongs to a thread. The client's socket is destroyed, and its
   * connection continues.
   *
   * @param ends whose client `canOffloadClient` accepts and has no unread bytes
   * @returns `undefined` if descriptors or memory have run out. The ends are unchanged then.
   */
  static attach(ends: NativeEnds, listener: EngineListener, frames?: Frames): NativeEngine | undefined {
    const { client, clientHead, connection, headSize, unsentHead, response } = ends
    const engine = new NativeEngine(connection.native, connection.slot, listener)
    if (!connection.attachClient(client, Buffer.concat(clientHead), headSize, unsentHead ?? '', engine, frames))
      return undefined
    engine.#detachClient(client, clientHead, response, unsentHead?.length)
    return engine
  }

  /**
   * Takes over a tunnel that another process has detached. It is detached until {@link resume}.
   *
   * @throws if memory or threads have run out. The descriptors then still belong to the caller.
   */
  static takeOver(moved: MovedTunnel, limits: EngineLimits): NativeEngine {
    const { clientFd, backendFd, fromClient, fromBackend, done, bytesFromClient, bytesFromBackend, idle } = moved
    const native = loadNativeAddon() as NativeAddon
    const keepAlive = keepAliveSeconds(limits.keepAlive)
    const thread = nextThread(limits.threads)
    const bytes = [bytesFromClient, bytesFromBackend] as const
    const { addon } = native
    const slot = addon.adoptDetached(
      clientFd,
      backendFd,
      fromClient,
      fromBackend,
      done,
      ...bytes,
      idle,
      keepAlive,
      thread,
      moved.frames,
    )
    const engine = new NativeEngine(native, slot, undefined)
    native.listeners[slot] = engine
    engine.#isDetached = true
    return engine
  }

  private constructor(native: NativeAddon, slot: number, listener: EngineListener | undefined) {
    this.#native = native
    this.#slot = slot
    this.#listener = listener
  }

  /**
   * Destroys the client's socket.
   *
   * @param sent bytes that were sent to the client without the socket, before those of the tunnel
   */
  #detachClient(client: Socket, clientHead: readonly Buffer[], response: TunnelEnds['response'], sent = 0): void {
    // Loggers read the address at the end. Node caches it at its first use, and cannot find it without the descriptor.
    void client.remoteAddress
    this.#clientCounts = keepByteCounts(client, this, clientHead, sent)
    this.#server = keepConnectionCount(client)
    response?.detach(client)
    this.#response = response
    client.destroy()
  }

  /** Sets the listener of a tunnel that was taken over. */
  listen(listener: EngineListener): void {
    this.#listener = listener
  }

  /** The thread has started already, or waits for {@link resume}. Its events arrive in later turns of the event loop. */
  start(): void {}

  get bytesFromClient(): number {
    return this.#open ? this.#native.addon.bytesFromClient(this.#slot) : this.#bytesFromClient
  }

  get bytesFromBackend(): number {
    return this.#open ? this.#native.addon.bytesFromBackend(this.#slot) : this.#bytesFromBackend
  }

  get idle(): number {
    return this.#open ? this.#native.addon.idle(this.#slot) : 0
  }

  get offloaded(): boolean {
    return true
  }

  end(frame = false): void {
    if (!this.#open) return
    if (this.#onDetached !== undefined) {
      this.#endsLater = { frame }
      return
    }
    this.resume()
    this.#native.addon.end(this.#slot, frame)
    flushSoon()
  }

  destroy(): void {
    if (!this.#open) return
    this.#native.addon.close(this.#slot)
    flushSoon()
  }

  look(then: () => void): void {
    if (!this.#open) return
    this.#onLooked = then
    this.#native.addon.look(this.#slot)
    flushSoon()
  }

  detach(then: (detached: DetachedTunnel | StayReason) => void): void {
    if (!this.#open) return
    this.#onDetached = then
    this.#native.addon.detach(this.#slot)
    flushSoon()
  }

  resume(): void {
    if (!this.#open || !this.#isDetached) return
    this.#isDetached = false
    this.#native.addon.resume(this.#slot)
    flushSoon()
  }

  /**
   * Passes the events on: FINs, then failures, then the close. They cannot have happened in another order. FINs that come
   * with the close are not passed on: the tunnel would start limits that have no time left to be used.
   */
  onEvents(
    events: number,
    clientErrno: number,
    backendErrno: number,
    bytesFromClient: number,
    bytesFromBackend: number,
  ): void {
    const { events: bits, listeners } = this.#native
    if (events & bits.closed) {
      this.#open = false
      this.#bytesFromClient = bytesFromClient
      this.#bytesFromBackend = bytesFromBackend
      listeners[this.#slot] = undefined
    }
    if (this.#open && events & bits.clientFin) this.#listener?.onFin('client')
    if (this.#open && events & bits.backendFin) this.#listener?.onFin('backend')
    if (events & bits.clientBroken) this.#listener?.onBroken('client', systemError('tunnel', clientErrno))
    if (events & bits.backendBroken) this.#listener?.onBroken('backend', systemError('tunnel', backendErrno))
    if (this.#open) {
      if (events & bits.looked) this.#callOnLooked()
      if (events & bits.detached) this.#callOnDetached()
      return
    }
    this.#onLooked = this.#onDetached = undefined
    this.#releaseClient()
    const listener = this.#listener
    // An ended engine that V8 has in its old generation would delay the collection of the tunnel, and so of later ones.
    this.#listener = undefined
    listener?.onClosed()
  }

  #callOnLooked(): void {
    const then = this.#onLooked
    this.#onLooked = undefined
    then?.()
  }

  #callOnDetached(): void {
    const then = this.#onDetached
    const detached = this.#native.addon.detached(this.#slot)
    this.#onDetached = undefined
    this.#isDetached = detached !== undefined
    if (this.#endsLater !== undefined) this.end(this.#endsLater.frame)
    then?.(this.#isDetached && detached !== undefined ? detached : 'ending')
  }

  /**
   * Does what Node does when the client's socket closes. Replaces the reference from the socket to this engine by plain
   * numbers, because code that keeps the socket would otherwise retain the tunnel.
   */
  #releaseClient(): void {
    if (this.#server !== undefined) endConnectionCount(this.#server)
    this.#response?.close()
    if (this.#clientCounts !== undefined) {
      this.#clientCounts.engine = { bytesFromClient: this.#bytesFromClient, bytesFromBackend: this.#bytesFromBackend }
    }
    this.#server = this.#response = this.#clientCounts = undefined
  }
}
