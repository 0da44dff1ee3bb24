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

  get statusCode(): number {
    return this.#message.statusCode as number
  }

  get statusMessage(): string {
    return this.#message.statusMessage ?? ''
  }

  get httpVersion(): string {
    return this.#message.httpVersion
  }

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
    return message.read() ?? NOTHING
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

  pause(): void {
    this.#message.pause()
  }

  resume(): void {
    this.#message.resume()
  }

  destroy(): void {
    this.#message.destroy()
  }
}

const NOTHING = Buffer.alloc(0)

const ignore = (): void => {}
