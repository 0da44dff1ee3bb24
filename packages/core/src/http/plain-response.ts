import type { Socket } from 'node:net'
import type { ResponseHead } from './response-head.ts'

/** The response of a backend: its head, and the body that follows. */
export interface PlainResponse extends ResponseHead {
  readonly statusCode: number
  /** One character is one byte. */
  readonly statusMessage: string
  /** The connection that it came over. */
  readonly socket: Socket
  /** The whole body, if it has arrived already and has no trailers. To be called once, before {@link read}. */
  takeWhole(): Buffer | undefined
  /** Delivers the body: what has arrived before this returns, the rest as it arrives. */
  read(reader: BodyReader): void
  /** Stops reading the body. */
  pause(): void
  /** Reads the body on. */
  resume(): void
  /** Ends the round trip; the rest of the body is dropped. It does nothing after the end of the body. */
  destroy(): void
}

/** Takes the body of a response. */
export interface BodyReader {
  /** Whether {@link isDrained} says when bytes that {@link onData} took are in use no longer. Their buffer may then be reused. */
  readonly lends: boolean
  /** Whether no byte that it took is in use. */
  readonly isDrained: boolean
  /** Bytes of the body have arrived. */
  onData(chunk: Buffer): void
  /**
   * The body is complete.
   *
   * @param trailers name, value, name, value
   */
  onEnd(trailers: readonly string[]): void
  /** The body broke off. */
  onCut(): void
}
