import type { BodyReader } from '../http/plain-response.ts'
import { readDirectly } from '../tunnel/direct-read.ts'
import type { BytesTaker, SocketReader } from '../tunnel/socket-reader.ts'
import type { BackendConnection } from './backend-connection.ts'

/** From this length on, a body is read without undici. Its connection is not used again, which costs less than the detour. */
export const LONG_BODY = 1_048_576

/**
 * The rest of a long body whose length is known, read from the connection into buffers that are reused. Node would allocate a
 * buffer for each read, and undici would copy it: both together are half of the cost of a long body.
 */
export class LongBody implements BytesTaker {
  readonly #connection: BackendConnection
  readonly #sink: BodyReader
  readonly #onEnd: () => void
  readonly #onCut: () => void
  #left: number
  #reader: SocketReader | undefined

  constructor(connection: BackendConnection, length: number, sink: BodyReader, onEnd: () => void, onCut: () => void) {
    this.#connection = connection
    this.#left = length
    this.#sink = sink
    this.#onEnd = onEnd
    this.#onCut = onCut
  }

  /** Takes the connection from undici, which has read the head and is paused. */
  start(): void {
    const { socket } = this.#connection
    this.#connection.takeFromParser()
    socket.on('close', this.#onCut)
    for (let chunk: Buffer | null = socket.read(); chunk !== null; chunk = socket.read()) this.take(chunk)
    if (this.#left === 0) return
    this.#reader = this.#sink.lends ? readDirectly(socket, this) : undefined
    if (this.#reader === undefined) socket.on('data', chunk => this.take(chunk))
    if (!socket.isPaused()) socket.resume()
  }

  take(bytes: Buffer): boolean {
    if (this.#left === 0) return false
    if (this.#sink.isDrained) this.#reader?.returnBuffers()
    const part = bytes.length > this.#left ? bytes.subarray(0, this.#left) : bytes
    this.#left -= part.length
    this.#sink.onData(part)
    if (this.#left === 0) {
      this.#connection.socket.off('close', this.#onCut)
      this.#connection.destroy()
      this.#onEnd()
    }
    return !this.#sink.isDrained
  }

  pause(): void {
    this.#connection.socket.pause()
  }

  resume(): void {
    if (this.#sink.isDrained) this.#reader?.returnBuffers()
    this.#connection.socket.resume()
  }
}
