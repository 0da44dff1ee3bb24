import type { Duplex } from 'node:stream'
import { OwnBuffer } from './own-buffer.ts'
import { BUFFER_SIZE, sharedBuffer } from './read-buffers.ts'
import { type BytesTaker, copyShared, NO_TAKER, type SocketReader } from './socket-reader.ts'

/**
 * A read of up to this many bytes is copied out of the shared buffer. After a longer read, the socket gets a buffer of
 * its own.
 */
const MAX_COPY = 16_384

/** Reads a connection without TLS. Each read is handed on at once. */
export class PlainReader implements SocketReader {
  taker: BytesTaker
  readonly #socket: Duplex
  #own: OwnBuffer | undefined

  constructor(socket: Duplex, taker: BytesTaker) {
    this.#socket = socket
    this.taker = taker
  }

  read(length: number, buffer: Buffer): Buffer | undefined {
    if (buffer === sharedBuffer) {
      this.taker.take(copyShared(length))
      if (length <= MAX_COPY || this.taker === NO_TAKER) return undefined
      this.#own ??= new OwnBuffer(this.#socket)
      return this.#own.obtain()
    }
    const own = this.#own as OwnBuffer
    const inUse = this.taker.take(length === BUFFER_SIZE ? buffer : buffer.subarray(0, length))
    own.inUse = inUse
    if (own.note(length <= MAX_COPY)) return own.release()
    return inUse ? own.lend() : undefined
  }

  handOn(): void {}

  returnBuffers(): void {
    this.#own?.returnLent()
  }

  close(): void {
    this.taker = NO_TAKER
    this.#own?.abandon()
  }
}
