import type { BodyReader } from '../http/plain-response.ts'

/** Bytes of a body that are held until it is read. */
const MAX_HELD = 65_536

const NOTHING = Buffer.alloc(0)

/** The body of a response, which may begin to arrive before it is read. */
export class ReceivedBody {
  #held: Buffer[] | undefined
  #heldBytes = 0
  #reader: BodyReader | undefined
  /** How the body ended, if it did. */
  #end: 'complete' | 'cut' | undefined
  #trailers: readonly string[] = []

  /** @returns whether no more is to be held. */
  push(chunk: Buffer): boolean {
    if (this.#reader !== undefined) {
      this.#reader.onData(chunk)
      return false
    }
    // A list that grows has room for many chunks, which most bodies do not need.
    if (this.#held === undefined) this.#held = [chunk]
    else this.#held.push(chunk)
    this.#heldBytes += chunk.length
    return this.isFull
  }

  get isFull(): boolean {
    return this.#heldBytes >= MAX_HELD
  }

  complete(trailers: readonly string[]): void {
    this.#end = 'complete'
    this.#trailers = trailers
    this.#reader?.onEnd(trailers)
  }

  cut(): void {
    this.#end = 'cut'
    this.#reader?.onCut()
  }

  /** The whole body, if it has arrived and has no trailers. */
  takeWhole(): Buffer | undefined {
    if (this.#end !== 'complete' || this.#trailers.length > 0) return undefined
    const held = this.#held
    if (held === undefined) return NOTHING
    return held.length === 1 ? held[0] : Buffer.concat(held)
  }

  /** Delivers what has arrived, and from now on what arrives. */
  read(reader: BodyReader): void {
    this.#reader = reader
    const held = this.#held ?? []
    this.#held = undefined
    for (const chunk of held) reader.onData(chunk)
    if (this.#end === 'complete') reader.onEnd(this.#trailers)
    else if (this.#end === 'cut') reader.onCut()
  }
}
