import type { Engine } from './engine.ts'

/**
 * Replaces the engine of an ended tunnel, because code that keeps the tunnel would otherwise retain its sockets and their
 * listeners.
 */
export class EndedEngine implements Engine {
  readonly bytesFromClient: number
  readonly bytesFromBackend: number
  readonly offloaded: boolean

  constructor({ bytesFromClient, bytesFromBackend, offloaded }: Engine) {
    this.bytesFromClient = bytesFromClient
    this.bytesFromBackend = bytesFromBackend
    this.offloaded = offloaded
  }

  get idle(): number {
    return 0
  }

  start(): void {}

  end(): void {}

  destroy(): void {}

  look(): void {}

  detach(): void {}

  resume(): void {}
}
