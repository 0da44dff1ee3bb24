import { BUFFER_SIZE, sharedBuffer } from './read-buffers.ts'
import { copyShared, SocketReader } from './socket-reader.ts'

/** A record of fewer bytes is handed on at once. */
const MIN_GATHERED = 4_096

/** The readers with bytes to be handed on at the end of this turn. */
let gathering: RecordReader[] = []

function handOnAll(): void {
  const readers = gathering
  gathering = []
  for (const reader of readers) reader.endTurn()
}

/**
 * Reads a connection with TLS. Node hands out one record at a time, of at most 16 KB, and a write of its own for each of
 * them is dear. So a busy socket gets its records side by side in its own buffer, and they are handed on together: at the
 * end of the turn, when the buffer is full, or when a small record arrives. An immediate runs right after the sockets
 * were read.
 */
export class RecordReader extends SocketReader {
  /** The bytes that were received but not handed on are between these two. */
  #from = 0
  #to = 0
  /** Whether the end of the turn is awaited. */
  #gathering = false

  read(length: number, buffer: Buffer): Buffer | undefined {
    const small = length < MIN_GATHERED
    if (buffer === sharedBuffer) {
      if (small) {
        this.taker.take(copyShared(length))
        return undefined
      }
      sharedBuffer.copy(this.becomeBusy(), 0, 0, length)
      this.#from = 0
      this.#to = length
      return this.#nextBuffer(false)
    }
    this.#to += length
    const quiet = this.note(small)
    if (small || (this.#isFull && !this.#moveToStart())) this.handOn()
    return this.#nextBuffer(quiet)
  }

  /** Called at the end of the turn. */
  endTurn(): void {
    this.#gathering = false
    this.handOn()
  }

  handOn(): boolean {
    const [from, to] = [this.#from, this.#to]
    const own = this.own
    if (from === to || own === undefined) return false
    this.#from = to
    const inUse = this.taker.take(own.subarray(from, to))
    if (inUse) this.inUse = true
    return true
  }

  /** Makes room for more records. @returns whether it has */
  #moveToStart(): boolean {
    const [from, to] = [this.#from, this.#to]
    if (this.inUse || to - from > from) return false
    this.own?.copyWithin(0, from, to)
    this.#from = 0
    this.#to = to - from
    return true
  }

  #nextBuffer(quiet: boolean): Buffer {
    const own = this.own as Buffer
    if (this.#from < this.#to) {
      if (!this.#gathering) {
        this.#gathering = true
        if (gathering.push(this) === 1) setImmediate(handOnAll)
      }
      return own.subarray(this.#to)
    }
    if (quiet) return this.becomeQuiet()
    if (this.inUse && !this.#isFull) return own.subarray(this.#to)
    this.#from = this.#to = 0
    return this.inUse ? this.lend() : own
  }

  get #isFull(): boolean {
    return BUFFER_SIZE - this.#to < MIN_GATHERED
  }
}
