import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { BodyReader, PlainResponse } from '../http/plain-response.ts'

/** A response that Node's HTTP client has read. */
export class IncomingResponse implements PlainResponse {
  readonly #message: IncomingMessage

  constructor(message: IncomingMessage) {
    this.#message = message
    // Without a listener, the error of a response that breaks off before it is read would end the process.
    message.on('error', ignore)
  }

  /** As the backend has sent it. */
  get statusCode(): number {
    return this.#message.statusCode as number
  }

  get statusMessage(): string {
    return this.#message.statusMessage ?? ''
  }

  /** That of the backend's response: `1.1`. */
  get httpVersion(): string {
    return this.#message.httpVersion
  }

  /** Name, value, name, value, in the order and the case of the backend. */
  get rawHeaders(): readonly string[] {
    return this.#message.rawHeaders
  }

  get socket(): Socket {
    return this.#message.socket
  }

  takeWhole(): Buffer | undefined {
    const message = this.#message
    if (!message.complete || message.destroyed || message.readableFlowing || message.rawTrailers.length > 0)
      return undefined
    // Node 26 gives one chunk with each call, older releases all of them.
    const chunks: Buffer[] = []
    for (let chunk = message.read(); chunk !== null; chunk = message.read()) chunks.push(chunk)
    return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)
  }

  read(reader: BodyReader): void {
    const message = this.#message
    message.on('data', chunk => reader.onData(chunk))
    message.on('end', () => reader.onEnd(message.rawTrailers))
    message.on('close', () => {
      if (!message.readableEnded) reader.onCut()
    })
    if (message.destroyed) reader.onCut()
    else {
      // Emits `data` for the bytes that wait already.
      message.read()
      message.resume()
    }
  }

  /** Stops reading the body. */
  pause(): void {
    this.#message.pause()
  }

  /** Reads the body on. */
  resume(): void {
    this.#message.resume()
  }

  destroy(): void {
    this.#message.destroy()
  }
}

const ignore = (): void => {}
