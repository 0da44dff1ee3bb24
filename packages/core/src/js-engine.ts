import { performance } from 'node:perf_hooks'
import type { Engine, EngineListener, Side, TunnelEnds } from './engine.ts'
import { type Pump, pump } from './pump.ts'

/** Two sockets of Node, whatever they are made of, and a pump each way. */
export class JsEngine implements Engine {
  bytesFromClient = 0
  bytesFromBackend = 0
  readonly #ends: TunnelEnds
  readonly #listener: EngineListener
  #activeAt = performance.now()
  #openSockets = 2
  #pumps: readonly Pump[] = []

  constructor(ends: TunnelEnds, listener: EngineListener) {
    this.#ends = ends
    this.#listener = listener
  }

  start(): void {
    const { client, clientHead, backend, backendHead } = this.#ends
    for (const socket of [client, backend]) {
      if (socket.closed) this.#openSockets--
      else socket.on('close', this.#socketOnClose)
    }
    client.on('end', this.#clientOnEnd)
    backend.on('end', this.#backendOnEnd)
    client.on('error', this.#clientOnError)
    backend.on('error', this.#backendOnError)
    this.#pumps = [
      pump(client, backend, clientHead, this.#fromClient),
      pump(backend, client, backendHead, this.#fromBackend),
    ]
    if (client.destroyed) this.#listener.onBroken('client', client.errored ?? undefined)
    if (backend.destroyed) this.#listener.onBroken('backend', backend.errored ?? undefined)
    if (this.#openSockets === 0) this.#listener.onClosed()
  }

  get idle(): number {
    return performance.now() - this.#activeAt
  }

  end(): void {
    for (const { flush } of this.#pumps) flush()
    for (const socket of [this.#ends.client, this.#ends.backend]) {
      socket.resume()
      // Node makes an error for a second `end`, with its stack, and throws it away.
      if (!socket.writableEnded) socket.end()
    }
  }

  cut(): void {
    this.#ends.client.destroy()
    this.#ends.backend.destroy()
  }

  /** Lets go of both sockets, which another engine has. */
  release(): void {
    const { client, backend } = this.#ends
    for (const socket of [client, backend]) socket.off('close', this.#socketOnClose)
    client.off('end', this.#clientOnEnd)
    backend.off('end', this.#backendOnEnd)
    client.off('error', this.#clientOnError)
    backend.off('error', this.#backendOnError)
    for (const { stop } of this.#pumps) stop()
  }

  readonly #fromClient = (bytes: number): void => {
    this.bytesFromClient += bytes
    this.#activeAt = performance.now()
  }

  readonly #fromBackend = (bytes: number): void => {
    this.bytesFromBackend += bytes
    this.#activeAt = performance.now()
  }

  readonly #clientOnEnd = (): void => this.#listener.onFin('client')

  readonly #backendOnEnd = (): void => this.#listener.onFin('backend')

  readonly #clientOnError = (error: Error): void => this.#listener.onBroken('client', error)

  readonly #backendOnError = (error: Error): void => this.#listener.onBroken('backend', error)

  readonly #socketOnClose = (): void => {
    if (--this.#openSockets === 0) this.#listener.onClosed()
    else this.#listener.onBroken(this.#destroyed(), undefined)
  }

  #destroyed(): Side {
    return this.#ends.client.destroyed ? 'client' : 'backend'
  }
}
