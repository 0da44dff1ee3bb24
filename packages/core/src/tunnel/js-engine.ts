import { performance } from 'node:perf_hooks'
import type { Duplex } from 'node:stream'
import type { Engine, EngineListener, Side, TunnelEnds } from './engine.ts'
import { Pump, type PumpOwner } from './pump.ts'

/** Where the listeners of a socket find the engine. */
const ENGINE = Symbol('ws-tunnel.engine')

type Driven = Duplex & { [ENGINE]?: JsEngine | undefined }

function socketOnError(this: Driven, error: Error): void {
  this[ENGINE]?.broken(this, error)
}

function socketOnClose(this: Driven): void {
  this[ENGINE]?.closed()
}

/** Two sockets of Node, whatever they are made of, and a pump each way. */
export class JsEngine implements Engine, PumpOwner {
  readonly #client: Driven
  readonly #backend: Driven
  readonly #listener: EngineListener
  #fromClient: Pump | undefined
  #fromBackend: Pump | undefined
  #openSockets = 2

  constructor({ client, backend }: TunnelEnds, listener: EngineListener) {
    this.#client = client
    this.#backend = backend
    this.#listener = listener
  }

  /** @param ends those of the constructor */
  start({ clientHead, backendHead }: TunnelEnds): void {
    const client = this.#client
    const backend = this.#backend
    for (const socket of [client, backend]) {
      socket[ENGINE] = this
      if (socket.closed) this.#openSockets--
      else socket.on('close', socketOnClose)
      socket.on('error', socketOnError)
    }
    this.#fromClient = new Pump(client, backend, clientHead, this)
    this.#fromBackend = new Pump(backend, client, backendHead, this)
    if (client.destroyed) this.#listener.onBroken('client', client.errored ?? undefined)
    if (backend.destroyed) this.#listener.onBroken('backend', backend.errored ?? undefined)
    if (this.#openSockets === 0) this.#listener.onClosed()
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

  end(): void {
    this.#fromClient?.flush()
    this.#fromBackend?.flush()
    for (const socket of [this.#client, this.#backend]) {
      socket.resume()
      // Node makes an error for a second `end`, with its stack, and throws it away.
      if (!socket.writableEnded) socket.end()
    }
  }

  cut(): void {
    this.#client.destroy()
    this.#backend.destroy()
  }

  /** Lets go of both sockets, which another engine has. */
  release(): void {
    for (const socket of [this.#client, this.#backend]) {
      socket.off('close', socketOnClose)
      socket.off('error', socketOnError)
    }
    this.#fromClient?.stop()
    this.#fromBackend?.stop()
  }

  /** A socket has read its FIN. */
  ended(socket: Duplex): void {
    this.#listener.onFin(this.#sideOf(socket))
  }

  /** A socket has failed. */
  broken(socket: Duplex, error: Error): void {
    this.#listener.onBroken(this.#sideOf(socket), error)
  }

  /** A socket is closed. */
  closed(): void {
    if (--this.#openSockets === 0) this.#listener.onClosed()
    else this.#listener.onBroken(this.#client.destroyed ? 'client' : 'backend', undefined)
  }

  #sideOf(socket: Duplex): Side {
    return socket === this.#client ? 'client' : 'backend'
  }
}
