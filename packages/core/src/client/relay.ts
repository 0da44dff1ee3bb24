import { ServerResponse } from 'node:http'
import { constants, type Http2ServerResponse } from 'node:http2'
import { WsTunnelError } from '../errors.ts'
import type { HeaderList } from '../http/header-list.ts'
import { isHttp2 } from '../http/http2.ts'
import type { BodyReader, PlainResponse } from '../http/plain-response.ts'
import type { InterimResponse } from '../http/response-head.ts'
import type { LocalResponse } from '../options/route-options.ts'
import { isPlain } from '../tunnel/onread.ts'
import { Countdown } from '../util/countdown.ts'
import { addTrailers, endWhole, flushHead, writeHead } from './write-head.ts'

const NOTHING = Buffer.alloc(0)

const { write } = ServerResponse.prototype

/** Selects the fields of the trailer section of a response that the client gets: name, value, name, value. */
export interface TrailerRewriting {
  trailers(response: PlainResponse, raw: readonly string[]): readonly string[]
}

/** What is relayed of a response. */
export interface RelayOptions {
  /** The header fields for the client. */
  readonly headers: HeaderList
  /** Selects the trailers for the client. */
  readonly rewriting: TrailerRewriting
  /** How long the client may accept no byte, ms; 0 is no limit. */
  readonly stallTimeout: number
}

/**
 * Copies a backend's response to the client, whole. Resolves when it is sent or the client has left. A response that
 * breaks off closes the client's connection, so that it is not taken for a complete one.
 *
 * @throws {WsTunnelError} `WST_ERR_BAD_SWITCH` and `WST_ERR_BAD_RESPONSE` for a head that cannot be relayed.
 */
export function relay(response: PlainResponse, res: ServerResponse, options: RelayOptions): Promise<void> {
  const { statusCode, statusMessage } = response
  if (statusCode < 200)
    throw new WsTunnelError('WST_ERR_BAD_SWITCH', { detail: `status ${statusCode} that was not requested` })
  writeHead(res, statusCode, statusMessage, options.headers)
  const whole = response.takeWhole()
  return new Promise(resolve => {
    if (whole === undefined) new Relay(response, res, options, resolve)
    else {
      res.on('close', resolve)
      if (res.destroyed) resolve()
      else {
        endWhole(res, whole)
        limitEnd(res, options.stallTimeout)
      }
    }
  })
}

/** Copies a body that is not there as a whole yet. */
class Relay implements BodyReader {
  readonly #response: PlainResponse
  readonly #res: ServerResponse
  readonly #options: RelayOptions
  readonly #resolve: () => void
  readonly lends: boolean
  #begun = false
  #stall: Countdown | undefined

  constructor(response: PlainResponse, res: ServerResponse, options: RelayOptions, resolve: () => void) {
    this.#response = response
    this.#res = res
    this.#options = options
    this.#resolve = resolve
    // Middleware that wraps `write`, HTTP/2 and TLS may use the bytes later than their socket says.
    this.lends = res.write === write && res.socket !== null && isPlain(res.socket) && !isHttp2(res.req)
    res.on('close', this.#resOnClose)
    res.on('drain', this.#resOnDrain)
    if (res.destroyed) this.#resOnClose()
    else {
      response.read(this)
      // The head must not wait for the body, which may come late or never.
      if (!this.#begun) flushHead(res)
    }
  }

  get isDrained(): boolean {
    return this.#res.socket?.writableLength === 0
  }

  onData(chunk: Buffer): void {
    this.#begun = true
    if (this.#res.write(chunk)) return
    this.#response.pause()
    const { stallTimeout } = this.#options
    if (stallTimeout > 0) this.#stall ??= new Countdown(stallTimeout, this.#clientOnStalled)
  }

  onEnd(trailers: readonly string[]): void {
    this.#begun = true
    if (trailers.length > 0) addTrailers(this.#res, this.#options.rewriting.trailers(this.#response, trailers))
    this.#res.end()
    limitEnd(this.#res, this.#options.stallTimeout)
  }

  onCut(): void {
    const res = this.#res
    // The client learns the status, even if nothing else of the response came.
    if (!this.#begun) flushHead(res)
    const { socket } = res
    if (isHttp2(res.req) || socket === null || socket.writableLength === 0) cut(res)
    else socket.write(NOTHING, () => cut(res))
  }

  readonly #resOnDrain = (): void => {
    this.#stall?.stop()
    this.#stall = undefined
    this.#response.resume()
  }

  readonly #clientOnStalled = (): void => cut(this.#res)

  readonly #resOnClose = (): void => {
    this.#stall?.stop()
    this.#response.destroy()
    this.#resolve()
  }
}

/** Limits how long the last bytes of a response may wait for a client that does not read them. */
function limitEnd(res: ServerResponse, stallTimeout: number): void {
  if (stallTimeout === 0 || isHttp2(res.req) || !res.socket?.writableLength) return
  const limit = new Countdown(stallTimeout, () => cut(res))
  res.once('close', () => limit.stop())
}

/** Aborts a response, so that a truncated body is not taken for a complete one. */
export function cut(res: ServerResponse): void {
  if ('stream' in res) (res as unknown as Http2ServerResponse).stream?.close(constants.NGHTTP2_INTERNAL_ERROR)
  else res.destroy()
}

/**
 * Relays an interim response (1xx). Node has no function that accepts any status and any field, so the bytes are written to
 * the socket. A response that waits for an earlier one has no socket yet. Its interim responses are dropped, which RFC 9110
 * 15.2 allows.
 */
export function relayInterim(
  res: ServerResponse,
  { statusCode, statusMessage }: InterimResponse,
  headers: HeaderList,
): void {
  const { socket, req } = res
  if (res.headersSent || socket === null || !socket.writable || req.httpVersion !== '1.1') return
  const lines = Array.from(headers, ([name, value]) => `${name}: ${value}\r\n`)
  socket.write(`HTTP/1.1 ${statusCode} ${statusMessage}\r\n${lines.join('')}\r\n`, 'latin1')
}

/** Sends a response without a backend. Resolves when it is sent or the client has left. */
export async function respond(res: ServerResponse, { status, location }: LocalResponse): Promise<void> {
  res.statusCode = status
  if (location !== undefined) res.setHeader('Location', location)
  if (res.hasHeader('transfer-encoding')) res.removeHeader('transfer-encoding')
  if (!isHttp2(res.req)) res.setHeader('Content-Length', 0)
  const sent = new Promise<void>(resolve => res.once('close', resolve))
  res.end()
  if (!res.closed) await sent
}
