import type { Duplex } from 'node:stream'
import { type BusyReader, watchSilence } from './busy-readers.ts'
import { replaceBuffer } from './onread.ts'
import { BUFFER_SIZE, obtainBuffer, recycleBuffer, sharedBuffer } from './read-buffers.ts'

/** Maximum of buffers of one socket that wait for its sink. More of them are left to the garbage collector. */
const MAX_LENT = 4

/** A socket keeps its buffer after this many returns during a silence: what Node keeps for each adds up to the buffer. */
const MAX_RELEASES = BUFFER_SIZE / 48

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
export abstract class SocketReader implements BusyReader {
  taker: BytesTaker
  protected readonly socket: Duplex
  /** `undefined` while the socket is quiet. */
  protected own: Buffer | undefined
  /** Whether bytes of the own buffer are in use. */
  protected inUse = false
  /** Whether the last read was a small one. */
  #small = true
  /** Buffers that are in use and that the socket does not read into any more. */
  #lent: Buffer[] | undefined
  #watched = false
  #readSinceCheck = false
  #releases = 0

  constructor(socket: Duplex, taker: BytesTaker) {
    this.socket = socket
    this.taker = taker
  }

  /**
   * Takes the bytes of one read.
   *
   * @returns the buffer for the next read; `undefined` for the same buffer again.
   */
  abstract read(length: number, buffer: Buffer): Buffer | undefined

  /** Hands on all bytes that were received. @returns whether there were any */
  abstract handOn(): boolean

  /** To be called when no byte that was taken is in use any more. */
  returnBuffers(): void {
    this.inUse = false
    if (this.#lent === undefined) return
    for (const buffer of this.#lent) recycleBuffer(buffer)
    this.#lent = undefined
  }

  checkSilence(): boolean {
    if (this.own !== undefined && !this.#readSinceCheck && !this.handOn() && this.#releases < MAX_RELEASES) {
      if (this.socket.destroyed || !replaceBuffer(this.socket, sharedBuffer)) this.own = undefined
      else {
        this.becomeQuiet()
        this.#releases++
      }
    }
    this.#readSinceCheck = false
    this.#watched = this.own !== undefined
    return this.#watched
  }

  /** Gets a buffer that no other socket uses. */
  protected becomeBusy(): Buffer {
    this.own = obtainBuffer()
    this.#small = false
    this.#readSinceCheck = true
    if (!this.#watched) watchSilence(this)
    this.#watched = true
    return this.own
  }

  /** Replaces the own buffer, because its bytes are in use. */
  protected lend(): Buffer {
    if (this.own !== undefined) {
      this.#lent ??= []
      if (this.#lent.length < MAX_LENT) this.#lent.push(this.own)
    }
    this.inUse = false
    this.own = obtainBuffer()
    return this.own
  }

  protected becomeQuiet(): Buffer {
    if (this.own !== undefined && !this.inUse) recycleBuffer(this.own)
    this.own = undefined
    return sharedBuffer
  }

  /**
   * Notes a read of a busy socket.
   *
   * @returns whether the socket is quiet now: it had two small reads in a row. A series of large reads often ends with one
   * small read.
   */
  protected note(small: boolean): boolean {
    this.#readSinceCheck = true
    const quiet = this.#small && small
    this.#small = small
    return quiet
  }
}

/** The first bytes of the shared buffer, in a buffer of their own. */
export function copyShared(length: number): Buffer {
  const copy = Buffer.allocUnsafe(length)
  sharedBuffer.copy(copy, 0, 0, length)
  return copy
}
