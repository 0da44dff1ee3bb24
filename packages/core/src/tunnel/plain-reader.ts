import { BUFFER_SIZE, sharedBuffer } from './read-buffers.ts'
import { copyShared, SocketReader } from './socket-reader.ts'

/**
 * A read of up to this many bytes is copied out of the shared buffer. After a longer read, the socket gets a buffer of
 * its own.
 */
const MAX_COPY = 16_384

/** Reads a connection without TLS. Each read is handed on at once. */
export class PlainReader extends SocketReader {
  read(length: number, buffer: Buffer): Buffer | undefined {
    if (buffer === sharedBuffer) {
      this.taker.take(copyShared(length))
      return length > MAX_COPY ? this.becomeBusy() : undefined
    }
    this.inUse = this.taker.take(length === BUFFER_SIZE ? buffer : buffer.subarray(0, length))
    if (this.note(length <= MAX_COPY)) return this.becomeQuiet()
    return this.inUse ? this.lend() : undefined
  }

  handOn(): boolean {
    return false
  }
}
