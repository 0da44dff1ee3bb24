import type { Duplex } from 'node:stream'
import { type BusyBuffer, unwatchSilence, watchSilence } from './busy-buffers.ts'
import { replaceBuffer } from './onread.ts'
import { BUFFER_SIZE, obtainBuffer, recycleBuffer, sharedBuffer } from './read-buffers.ts'

/** Maximum of buffers of one socket that wait for its sink. More of them are left to the garbage collector. */
const MAX_LENT = 4

/** After so many silences a socket keeps its buffer: what Node keeps for each silence adds up to the buffer. */
const MAX_SILENCES = BUFFER_SIZE / 48

/**
 * The buffer that one busy socket reads into, and those that its sink still uses. A socket that was never busy has no
 * such object.
 */
export class OwnBuffer implements BusyBuffer {
  place = -1
  /** `undefined` while the socket is quiet. */
  bytes: Buffer | undefined
  /** Whether the sink uses bytes of it. */
  inUse = false
  readonly #socket: Duplex
  #lastWasSmall = false
  #lent: Buffer[] | undefined
  #readSinceCheck = false
  #silences = 0

  constructor(socket: Duplex) {
    this.#socket = socket
  }

  /** Gets a buffer, because the socket has become busy. */
  obtain(): Buffer {
    this.bytes = obtainBuffer()
    this.#lastWasSmall = false
    this.#readSinceCheck = true
    watchSilence(this)
    return this.bytes
  }

  /** Replaces the buffer, because its bytes are in use. */
  lend(): Buffer {
    this.#lent ??= []
    if (this.bytes !== undefined && this.#lent.length < MAX_LENT) this.#lent.push(this.bytes)
    this.inUse = false
    this.bytes = obtainBuffer()
    return this.bytes
  }

  /** To be called when the sink uses no byte any more. */
  returnLent(): void {
    this.inUse = false
    if (this.#lent === undefined) return
    for (const buffer of this.#lent) recycleBuffer(buffer)
    this.#lent = undefined
  }

  /** @returns the buffer that the quiet socket reads into */
  release(): Buffer {
    if (this.bytes !== undefined && !this.inUse) recycleBuffer(this.bytes)
    this.bytes = undefined
    this.inUse = false
    unwatchSilence(this)
    return sharedBuffer
  }

  /** Leaves all buffers to the garbage collector. The socket reads into the last one until it closes. */
  abandon(): void {
    this.#lent = undefined
    unwatchSilence(this)
  }

  /**
   * Notes a read of a busy socket.
   *
   * @returns whether the socket is quiet now: it had two small reads in a row. A series of large reads often ends with one
   * small read.
   */
  note(small: boolean): boolean {
    this.#readSinceCheck = true
    const quiet = this.#lastWasSmall && small
    this.#lastWasSmall = small
    return quiet
  }

  checkSilence(): void {
    const silent = !this.#readSinceCheck && this.isEmpty && this.#silences < MAX_SILENCES
    this.#readSinceCheck = false
    if (!silent) return
    this.#silences++
    if (!this.#socket.destroyed && replaceBuffer(this.#socket, sharedBuffer)) this.release()
    else this.abandon()
  }

  /** Whether all bytes in it were handed on. */
  protected get isEmpty(): boolean {
    return true
  }
}
