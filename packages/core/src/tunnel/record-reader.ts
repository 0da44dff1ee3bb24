import type { Duplex } from 'node:stream'
import { OwnBuffer } from './own-buffer.ts'
import { BUFFER_SIZE, sharedBuffer } from './read-buffers.ts'
import { type BytesTaker, copyShared, NO_TAKER, type SocketReader } from './socket-reader.ts'

/** A record of fewer bytes is handed on at once. */
const MIN_GATHERED = 4_096

/** The readers with bytes to be handed on at the end of this turn. */
let gathering: RecordReader[] = []

function handOnAll(): void {
  const readers = gathering
  gathering = []
  for (const reader of readers) reader.handOn()
}

/** Records side by side in the buffer of a busy socket. */
class RecordBuffer extends OwnBuffer {
  /** The bytes that were received but not handed on are between these two. */
  from = 0
  to = 0

  /** Makes room for more records. @returns whether it has */
  moveToStart(): boolean {
    const waiting = this.to - this.from
    if (this.inUse || waiting > this.from) return false
    this.bytes?.copyWithin(0, this.from, this.to)
    this.from = 0
    this.to = waiting
    return true
  }

  get isFull(): boolean {
    return BUFFER_SIZE - this.to < MIN_GATHERED
  }

  protected override get isEmpty(): boolean {
    return this.from === this.to
  }
}

/**
 * Reads a connection with TLS. Node hands out one record at a time, of at most 16 KB, and a write of its own for each of
 * them is dear. So a busy socket gets its records side by side in its own buffer, and they are handed on together: at the
 * end of the turn, when the buffer is full, or when a small record arrives. An immediate runs right after the sockets
 * were read.
 */
export class RecordReader implements SocketReader {
  taker: BytesTaker
  readonly #socket: Duplex
  #own: RecordBuffer | undefined

  constructor(socket: Duplex, taker: BytesTaker) {
    this.#socket = socket
    this.taker = taker
  }

  read(length: number, buffer: Buffer): Buffer | undefined {
    const small = length < MIN_GATHERED
    if (buffer === sharedBuffer) {
      if (small || this.taker === NO_TAKER) {
        this.taker.take(copyShared(length))
        return undefined
      }
      this.#own ??= new RecordBuffer(this.#socket)
      sharedBuffer.copy(this.#own.obtain(), 0, 0, length)
      this.#own.from = this.#own.to = 0
      return this.#add(this.#own, length, false)
    }
    return this.#add(this.#own as RecordBuffer, length, small)
  }

  handOn(): void {
    const own = this.#own
    if (own?.bytes === undefined || own.from === own.to) return
    const bytes = own.bytes.subarray(own.from, own.to)
    own.from = own.to
    if (this.taker.take(bytes)) own.inUse = true
  }

  returnBuffers(): void {
    this.#own?.returnLent()
  }

  close(): void {
    this.taker = NO_TAKER
    this.#own?.abandon()
  }

  /** Adds a record that is behind the others. @returns the buffer for the next one */
  #add(own: RecordBuffer, length: number, small: boolean): Buffer {
    const first = own.from === own.to
    own.to += length
    const quiet = own.note(small)
    if (small || (own.isFull && !own.moveToStart())) this.handOn()
    const bytes = own.bytes as Buffer
    if (own.from < own.to) {
      if (first && gathering.push(this) === 1) setImmediate(handOnAll)
      return bytes.subarray(own.to)
    }
    if (quiet) return own.release()
    if (own.inUse && !own.isFull) return bytes.subarray(own.to)
    own.from = own.to = 0
    return own.inUse ? own.lend() : bytes
  }
}
