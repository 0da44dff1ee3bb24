import { Socket } from 'node:net'
import { performance } from 'node:perf_hooks'
import type { Duplex } from 'node:stream'
import { readWaiting } from '../util/countdown.ts'
import type { Link } from '../util/linked-set.ts'
import type { Engine, EngineListener, Side, StayReason, TunnelEnds } from './engine.ts'
import { closeFrame, type Frames, type FrameTracker } from './frame-tracker.ts'
import { keepAliveLater, keepAliveNever, YOUNG, type Young } from './late-keep-alive.ts'
import { isEncrypted } from './onread.ts'
import { Pump, type PumpOwner } from './pump.ts'

/**
 * Key under which a socket refers to its engine. All sockets share two listeners, because a closure for each costs
 * memory.
 */
const ENGINE = Symbol('ws-tunnel.engine')

type Driven = Duplex & { [ENGINE]?: JsEngine | undefined }

function socketOnError(this: Driven, error: Error): void {
  this[ENGINE]?.onSocketError(this, error)
}

function socketOnClose(this: Driven): void {
  this[ENGINE]?.onSocketClose()
}

/** Moves the bytes between two sockets of Node of any kind, with a pump in each direction. */
export class JsEngine implements Engine, PumpOwner, Young {
  readonly #client: Driven
  readonly #backend: Driven
  readonly #listener: EngineListener
  readonly #keepAlive: number;
  [YOUNG]: Link<Young> | undefined = undefined
  /** Bytes that arrived with the heads; `undefined` after the start. */
  #heads: Pick<TunnelEnds, 'clientHead' | 'backendHead'> | undefined
  /** `undefined` if the frames are not followed. */
  readonly frames: Frames | undefined
  #fromClient: Pump | undefined
  #fromBackend: Pump | undefined
  #openSockets = 2

  /**
   * @param keepAlive ms without a byte until the kernel probes whether a peer is there; 0 is never
   */
  constructor(ends: TunnelEnds, keepAlive: number, listener: EngineListener, frames?: Frames) {
    this.#client = ends.client
    this.#backend = ends.backend
    this.#listener = listener
    this.#keepAlive = keepAlive
    this.#heads = ends
    this.frames = frames
  }

  start(): void {
    const client = this.#client
    const backend = this.#backend
    for (const socket of [client, backend]) {
      socket[ENGINE] = this
      if (socket.closed) this.#openSockets--
      else socket.on('close', socketOnClose)
      socket.on('error', socketOnError)
    }
    const { clientHead = [], backendHead = [] } = this.#heads ?? {}
    this.#heads = undefined
    this.#fromClient = new Pump(client, backend, clientHead, this, this.frames?.client)
    this.#fromBackend = new Pump(backend, client, backendHead, this, this.frames?.backend)
    if (this.#keepAlive > 0) keepAliveLater(this)
    if (client.destroyed) this.#listener.onBroken('client', client.errored ?? undefined)
    if (backend.destroyed) this.#listener.onBroken('backend', backend.errored ?? undefined)
    if (this.#openSockets === 0) this.#closed()
  }

  #closed(): void {
    keepAliveNever(this)
    this.#listener.onClosed()
  }

  setKeepAlive(): void {
    for (const socket of [this.#client, this.#backend] as Partial<Socket>[])
      socket.setKeepAlive?.(true, this.#keepAlive)
  }

  get bytesFromClient(): number {
    return this.#fromClient?.bytes ?? 0
  }

  get bytesFromBackend(): number {
    return this.#fromBackend?.bytes ?? 0
  }

  get idle(): number {
    return performance.now() - Math.max(this.#fromClient?.activeAt ?? 0, this.#fromBackend?.activeAt ?? 0)
  }

  get offloaded(): boolean {
    return false
  }

  end(frame = false): void {
    this.#fromClient?.flush()
    this.#fromBackend?.flush()
    if (frame) {
      this.#sendClose(this.#backend, this.frames?.client, true)
      this.#sendClose(this.#client, this.frames?.backend, false)
    }
    for (const socket of [this.#client, this.#backend]) {
      socket.resume()
      // A second `end` would make Node create an error with its stack, which it discards.
      if (!socket.writableEnded) socket.end()
    }
  }

  #sendClose(to: Driven, frames: FrameTracker | undefined, masked: boolean): void {
    if (frames?.isAtBoundary && to.writable) to.write(closeFrame(masked))
  }

  destroy(): void {
    this.#client.destroy()
    this.#backend.destroy()
  }

  look(then: () => void): void {
    readWaiting(then)
  }

  /** Node's sockets cannot be moved. {@link HandOverEngine} gives their connections to a thread first. */
  detach(then: (detached: StayReason) => void): void {
    const ends = [this.#client, this.#backend]
    const isPlain = ends.every(end => end instanceof Socket && !isEncrypted(end))
    setImmediate(then, isPlain ? 'busy' : ends.some(isEncrypted) ? 'tls' : 'http2')
  }

  resume(): void {}

  /** Removes all listeners from both sockets: another engine has taken their connections over. */
  release(): void {
    keepAliveNever(this)
    for (const socket of [this.#client, this.#backend]) {
      socket.off('close', socketOnClose)
      socket.off('error', socketOnError)
    }
    this.#fromClient?.stop()
    this.#fromBackend?.stop()
  }

  onSourceEnd(socket: Duplex): void {
    this.#listener.onFin(this.#sideOf(socket))
  }

  onSocketError(socket: Duplex, error: Error): void {
    this.#listener.onBroken(this.#sideOf(socket), error)
  }

  onSocketClose(): void {
    if (--this.#openSockets === 0) this.#closed()
    else this.#listener.onBroken(this.#client.destroyed ? 'client' : 'backend', undefined)
  }

  #sideOf(socket: Duplex): Side {
    return socket === this.#client ? 'client' : 'backend'
  }
}
