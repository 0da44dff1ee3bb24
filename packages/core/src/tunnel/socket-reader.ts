import { sharedBuffer } from './read-buffers.ts'

/** Gets the bytes of a socket. */
export interface BytesTaker {
  /**
   * Takes the bytes of one read, or of several.
   *
   * @returns whether the bytes are still in use. Their buffer is not used for another read then.
   */
  take(bytes: Buffer): boolean
}

/** Reads one socket into the shared buffer while it is quiet, and into a buffer of its own while it is busy. */
export interface SocketReader {
  taker: BytesTaker
  /**
   * Called with each read.
   *
   * @returns the buffer for the next read; `undefined` for the same buffer again.
   */
  read(length: number, buffer: Buffer): Buffer | undefined
  /** Hands on all bytes that were received. */
  handOn(): void
  /** To be called when no byte that was taken is in use any more. */
  returnBuffers(): void
  /** Drops the bytes that arrive from now on. */
  close(): void
}

/** The taker of a closed reader. */
export const NO_TAKER: BytesTaker = { take: () => false }

/** The first bytes of the shared buffer, in a buffer of their own. */
export function copyShared(length: number): Buffer {
  const copy = Buffer.allocUnsafe(length)
  sharedBuffer.copy(copy, 0, 0, length)
  return copy
}
