import type { IncomingMessage } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'
import type { Duplex } from 'node:stream'
import { type HeaderList, headerLines } from '../http/header-list.ts'
import { allowedTrailers } from '../http/trailers.ts'
import { Countdown } from '../util/countdown.ts'

/** Gets the news of a body that is sent. */
export interface BodySenderOwner {
  /** A part of the body was sent. */
  onBodyProgress(): void
  /** The client has sent no byte of its body for `stallTimeout`. */
  onBodyStalled(ms: number): void
}

/** Where a body goes. */
export interface BodySink {
  readonly socket: Duplex
  write(data: string | Buffer): boolean
  /** Given if the protocol frames bodies by itself: ends the body, with the lines of its trailer section. */
  endBody?(rawTrailers: readonly string[]): void
}

/** Sends the body of a client's request to a backend, no faster than the backend reads it. */
export class BodySender {
  /** Whether the whole body was sent. */
  isFinished = false
  readonly #req: IncomingMessage
  readonly #connection: BodySink
  readonly #owner: BodySenderOwner
  readonly #isChunked: boolean
  readonly #stallTimeout: number
  /** Bytes of a body with a length that have not been sent. */
  #left: number
  #stall: Countdown | undefined

  /** @param headers frame the body by a length or in chunks. */
  constructor(
    req: IncomingMessage,
    connection: BodySink,
    headers: HeaderList,
    stallTimeout: number,
    owner: BodySenderOwner,
  ) {
    this.#req = req
    this.#connection = connection
    const length = headers.get('content-length')
    this.#isChunked = length === undefined && connection.endBody === undefined
    this.#left = length === undefined ? Number.POSITIVE_INFINITY : Number(length)
    this.#owner = owner
    this.#stallTimeout = stallTimeout
  }

  /** Sends the head together with what has arrived of the body. */
  start(head: string): void {
    const { socket } = this.#connection
    const req = this.#req
    socket.cork()
    this.#connection.write(head)
    req.on('data', this.#clientOnData)
    req.on('end', this.#clientOnEnd)
    socket.on('drain', this.#backendOnDrain)
    // Emits `data` for the bytes that wait already.
    req.read()
    socket.uncork()
    if (this.#left === 0) this.#finish()
    if (this.isFinished) return
    const ms = this.#stallTimeout
    if (ms > 0) this.#stall = new Countdown(ms, () => this.#owner.onBodyStalled(ms))
    if (!socket.writableNeedDrain) req.resume()
  }

  /** Stops. Bytes that were not read stay in the request. */
  stop(): void {
    this.#stall?.stop()
    const req = this.#req
    req.off('data', this.#clientOnData)
    req.off('end', this.#clientOnEnd)
    this.#connection.socket.off('drain', this.#backendOnDrain)
    if (!this.isFinished) req.pause()
  }

  readonly #clientOnData = (chunk: Buffer): void => {
    this.#stall?.refresh()
    this.#owner.onBodyProgress()
    const connection = this.#connection
    let accepts: boolean
    if (this.#isChunked) {
      connection.socket.cork()
      connection.write(`${chunk.length.toString(16)}\r\n`)
      connection.write(chunk)
      accepts = connection.write('\r\n')
      connection.socket.uncork()
    } else accepts = connection.write(chunk)
    this.#left -= chunk.length
    if (this.#left === 0) this.#finish()
    else if (!accepts) this.#req.pause()
  }

  readonly #clientOnEnd = (): void => {
    // A stream of HTTP/2 ends for its reader also when the client resets it: the body is truncated then.
    if ((this.#req as Partial<Pick<Http2ServerRequest, 'stream'>>).stream?.closed) return
    this.#finish()
  }

  #finish(): void {
    this.isFinished = true
    this.stop()
    if (this.#isChunked) this.#connection.write(`0\r\n${trailerText(this.#req)}\r\n`)
    else this.#connection.endBody?.(trailersOf(this.#req))
  }

  readonly #backendOnDrain = (): void => {
    this.#stall?.refresh()
    this.#req.resume()
  }
}

/** The trailer section of a request: name, value, name, value. */
const trailersOf = (req: IncomingMessage): readonly string[] =>
  req.rawTrailers.length === 0 ? [] : allowedTrailers(req.rawTrailers, headerLines(req, 'connection'))

/** The same as text. Node's parser has checked its bytes. */
function trailerText(req: IncomingMessage): string {
  const raw = trailersOf(req)
  let text = ''
  for (let i = 0; i + 1 < raw.length; i += 2) text += `${raw[i]}: ${raw[i + 1]}\r\n`
  return text
}
