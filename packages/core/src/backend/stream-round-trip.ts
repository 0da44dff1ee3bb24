import { type IncomingMessage, STATUS_CODES } from 'node:http'
import { type ClientHttp2Stream, constants, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http2'
import type { Socket } from 'node:net'
import { WsTunnelError } from '../errors.ts'
import { HeaderList } from '../http/header-list.ts'
import { http2Fields } from '../http/http2-fields.ts'
import type { BodyReader, PlainResponse } from '../http/plain-response.ts'
import { acceptFor } from '../http/upgrade.ts'
import { StreamDuplex } from '../tunnel/stream-duplex.ts'
import { cancelStream } from '../util/cancel-stream.ts'
import { Countdown } from '../util/countdown.ts'
import { timeoutError } from './backend-error.ts'
import type { BackendSession } from './backend-session.ts'
import { BodySender, type BodySenderOwner } from './body-sender.ts'
import { isIdempotent } from './idempotent.ts'
import type { RoundTripOptions, Switched } from './node-round-trip.ts'
import type { PlainLimits } from './plain-trip.ts'
import { ReceivedBody } from './received-body.ts'
import type { RequestBody } from './request-body.ts'
import { MAX_INTERIM_RESPONSES } from './request-limits.ts'
import type { Worker } from './worker.ts'

/** One request for one backend of HTTP/2. */
export interface StreamTrip extends RoundTripOptions {
  readonly worker: Worker
  readonly method: string
  readonly path: string
  readonly headers: HeaderList
  /** The protocol of an extended CONNECT. */
  readonly protocol?: string
  /** A body, and the request that it is read from. */
  readonly upload?: { readonly body: RequestBody; readonly req: IncomingMessage; readonly limits: PlainLimits }
}

/** A response, or a stream that has become a tunnel. */
export type StreamResult = Switched | { readonly switched: false; readonly response: PlainResponse }

/** What makes a round trip over HTTP/1.1 necessary. */
export const NEEDS_HTTP1 = 'needs HTTP/1.1'

/** Sessions that a request is sent on before it fails: a session may close as it is used again. */
const MAX_SENDS = 2

/**
 * Sends a request over an HTTP/2 session of the worker. It is repeated on another session if the backend has certainly not processed it
 * (RFC 9113 8.7), or if a session that was idle closes and the method is idempotent.
 *
 * @returns {@link NEEDS_HTTP1} if the backend has selected HTTP/1.1, requires it for this request, or does not allow extended CONNECT.
 * @throws {WsTunnelError} 408, 502, 503 or 504, depending on the failure.
 */
export async function streamRoundTrip(trip: StreamTrip): Promise<StreamResult | typeof NEEDS_HTTP1> {
  const { worker, limits, signal, protocol } = trip
  for (let sends = 1; ; sends++) {
    const session = await worker.sessions?.take(limits.connectTimeout, signal)
    if (session === undefined) return NEEDS_HTTP1
    if (protocol !== undefined && !session.allowsConnectProtocol) return NEEDS_HTTP1
    const result = await new StreamRoundTrip(trip, session, sends < MAX_SENDS).start()
    if (result !== 'repeat') return result
    worker.sessions?.retire(session)
  }
}

type Outcome = StreamResult | typeof NEEDS_HTTP1 | 'repeat'

const noop = (): void => {}

/** One stream and its response. */
class StreamRoundTrip implements PlainResponse, BodySenderOwner {
  statusCode = 0
  statusMessage = ''
  httpVersion = '2.0'
  rawHeaders: readonly string[] = []
  readonly #trip: StreamTrip
  readonly #session: BackendSession
  readonly #mayRepeat: boolean
  readonly #wasReused: boolean
  readonly #body = new ReceivedBody()
  #resolve: (outcome: Outcome) => void = noop
  #reject: (error: Error) => void = noop
  #phase: 'waiting' | 'responding' | 'ended' = 'waiting'
  #stream: ClientHttp2Stream | undefined
  #sender: BodySender | undefined
  #limit: Countdown | undefined
  #interimCount = 0
  /** Bytes of the body that are still to come; infinite without a length. */
  #left = Number.POSITIVE_INFINITY
  #rawTrailers: readonly string[] = []
  #ownTrailers: OutgoingHttpHeaders = {}

  constructor(trip: StreamTrip, session: BackendSession, mayRepeat: boolean) {
    this.#trip = trip
    this.#session = session
    this.#mayRepeat = mayRepeat
    this.#wasReused = session.isReused
  }

  start(): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
      const { signal, limits } = this.#trip
      if (signal.aborted) {
        reject(signal.reason)
        return
      }
      const { handshakeTimeout } = limits
      if (handshakeTimeout > 0) this.#limit = new Countdown(handshakeTimeout, () => this.#timeout(handshakeTimeout))
      signal.addEventListener('abort', this.#signalOnAbort)
      try {
        this.#send()
      } catch (cause) {
        this.#fail(new WsTunnelError('WST_ERR_NO_RESPONSE', { detail: (cause as Error).message, cause }))
      }
    })
  }

  #send(): void {
    const { worker, method, path, headers, protocol, upload } = this.#trip
    const isStreamed = upload?.body.isStreamed === true
    const parsed = upload?.body.parsed?.bytes
    const hasNoBody = protocol === undefined && !isStreamed && parsed === undefined
    const stream = this.#session.request(
      {
        ':method': protocol === undefined ? method : 'CONNECT',
        ...(protocol !== undefined && { ':protocol': protocol }),
        ':scheme': worker.origin.secure ? 'https' : 'http',
        ':authority': headers.get('host') ?? worker.origin.authority,
        ':path': path,
        ...fieldsOf(headers),
      },
      // Without trailers to wait for, Node would end the stream before it resets it, and a part of a body would seem whole.
      { endStream: hasNoBody, waitForTrailers: !hasNoBody },
    )
    this.#stream = stream
    stream.on('error', noop)
    stream.on('headers', this.#streamOnInterim)
    stream.on('response', this.#streamOnResponse)
    stream.on('close', this.#streamOnClose)
    stream.on('wantTrailers', () => {
      if (!stream.closed && stream.sentTrailers === undefined) stream.sendTrailers(this.#ownTrailers)
    })
    if (parsed !== undefined) {
      upload?.body.markParsedSent()
      stream.end(parsed)
    } else if (isStreamed && upload !== undefined) {
      const sink = {
        socket: stream,
        write: (data: string | Buffer): boolean => data.length === 0 || stream.write(data),
        endBody: (raw: readonly string[]): void => {
          this.#ownTrailers = http2Fields(raw).fields
          stream.end()
        },
      }
      this.#sender = new BodySender(upload.req, sink, headers, upload.limits.stallTimeout, this)
      this.#sender.start('')
    }
  }

  readonly #signalOnAbort = (): void => this.#fail(this.#trip.signal.reason)

  #timeout(ms: number): void {
    // The session may be dead. Later requests get another one.
    this.#trip.worker.sessions?.retire(this.#session)
    this.#fail(timeoutError(true, ms))
  }

  onBodyProgress(): void {
    this.#limit?.refresh()
  }

  onBodyStalled(ms: number): void {
    if (this.#phase === 'waiting') this.#fail(new WsTunnelError('WST_ERR_STALLED', { detail: `${ms} ms` }))
    else if (this.#phase === 'responding') this.#cut()
  }

  /** The first failure before the response counts. */
  #fail(error: Error): void {
    if (this.#phase !== 'waiting') return
    this.#end()
    this.#reject(error)
  }

  /** Ends the waiting or the response, and the stream with it. */
  #end(): void {
    this.#phase = 'ended'
    this.#settle()
    this.#sender?.stop()
    const stream = this.#stream
    if (stream !== undefined) cancelStream(stream)
  }

  #settle(): void {
    this.#limit?.stop()
    this.#trip.signal.removeEventListener('abort', this.#signalOnAbort)
  }

  readonly #streamOnInterim = (
    { ':status': statusCode = 0 }: { ':status'?: number },
    _flags: number,
    raw: string[],
  ): void => {
    if (this.#phase !== 'waiting') return
    if (++this.#interimCount > MAX_INTERIM_RESPONSES) {
      const detail = `more than ${MAX_INTERIM_RESPONSES} interim responses`
      this.#fail(new WsTunnelError('WST_ERR_BAD_RESPONSE', { detail }))
    } else
      this.#trip.onInterim({
        statusCode,
        statusMessage: STATUS_CODES[statusCode] ?? '',
        rawHeaders: withoutPseudo(raw),
      })
  }

  readonly #streamOnResponse = (
    headers: IncomingHttpHeaders & { ':status'?: number },
    _flags: number,
    raw: string[],
  ): void => {
    if (this.#phase !== 'waiting') return
    const { protocol } = this.#trip
    this.statusCode = headers[':status'] ?? 0
    this.statusMessage = STATUS_CODES[this.statusCode] ?? ''
    const lines = withoutPseudo(raw)
    if (protocol !== undefined && this.statusCode >= 200 && this.statusCode < 300) {
      this.#switch(protocol, lines)
      return
    }
    this.#phase = 'responding'
    this.#settle()
    const stream = this.#stream as ClientHttp2Stream
    const hasBody = this.#trip.method !== 'HEAD' && this.statusCode !== 204 && this.statusCode !== 304
    const length = headers['content-length']
    // The framing that HTTP/1.1 needs for the same body.
    if (hasBody && length === undefined) lines.push('Transfer-Encoding', 'chunked')
    if (hasBody && length !== undefined) this.#left = Number(length)
    this.rawHeaders = lines
    stream.on('data', this.#streamOnData)
    stream.on('end', this.#streamOnEnd)
    stream.on('trailers', (_fields: unknown, _flagsOfTrailers: number, rawTrailers: string[]) => {
      this.#rawTrailers = rawTrailers
    })
    this.#resolve({ switched: false, response: this })
  }

  /** The stream is the tunnel now. Its 200 means what a 101 means in HTTP/1.1 (RFC 8441 5). */
  #switch(protocol: string, lines: string[]): void {
    this.#phase = 'ended'
    this.#settle()
    const stream = this.#stream as ClientHttp2Stream
    stream.off('headers', this.#streamOnInterim)
    stream.off('response', this.#streamOnResponse)
    stream.off('close', this.#streamOnClose)
    const key = this.#trip.headers.get('sec-websocket-key')
    if (key !== undefined) lines.push('Sec-WebSocket-Accept', acceptFor(key))
    lines.push('Connection', 'Upgrade', 'Upgrade', protocol)
    const response = { httpVersion: '1.1', statusMessage: 'Switching Protocols', rawHeaders: lines }
    const socket = new StreamDuplex(stream, true) as unknown as Socket
    this.#resolve({ switched: true, response, socket, head: Buffer.alloc(0) })
  }

  readonly #streamOnData = (chunk: Buffer): void => {
    if (this.#phase !== 'responding') return
    this.#left -= chunk.length
    if (this.#body.push(chunk)) this.pause()
  }

  readonly #streamOnEnd = (): void => {
    if (this.#phase !== 'responding') return
    const stream = this.#stream as ClientHttp2Stream
    const isShort = this.#left > 0 && this.#left !== Number.POSITIVE_INFINITY
    // A stream of Node also ends for its reader when it is reset.
    if (stream.rstCode !== constants.NGHTTP2_NO_ERROR || isShort) {
      this.#cut()
      return
    }
    this.#phase = 'ended'
    this.#sender?.stop()
    // The rest of the request is not sent: the backend has responded already.
    // A refused CONNECT has no rest, so it is ended: backends limit how often a client may reset.
    if (this.#trip.protocol !== undefined) stream.end()
    else if (!stream.writableFinished) cancelStream(stream)
    this.#body.complete(this.#rawTrailers)
  }

  readonly #streamOnClose = (): void => {
    if (this.#phase === 'responding') this.#cut()
    else if (this.#phase === 'waiting') this.#closedUnanswered(this.#stream as ClientHttp2Stream)
  }

  #closedUnanswered(stream: ClientHttp2Stream): void {
    const { method, upload, protocol } = this.#trip
    const begun = upload?.body.begun === true
    const isUnprocessed = this.#session.isUnprocessed(stream)
    const isStale = this.#wasReused && this.#session.hasEnded && (isIdempotent(method) || protocol !== undefined)
    const { rstCode } = stream
    if (!begun && rstCode === constants.NGHTTP2_HTTP_1_1_REQUIRED) this.#settleWith(NEEDS_HTTP1)
    else if (!begun && this.#mayRepeat && (isUnprocessed || isStale)) this.#settleWith('repeat')
    else {
      const detail = `the stream was reset: ${nameOf(rstCode)}`
      this.#fail(new WsTunnelError(isUnprocessed ? 'WST_ERR_CONNECT' : 'WST_ERR_NO_RESPONSE', { detail }))
    }
  }

  #settleWith(outcome: Outcome): void {
    this.#end()
    this.#resolve(outcome)
  }

  #cut(): void {
    this.#end()
    this.#body.cut()
  }

  // The response.

  get socket(): Socket {
    return this.#session.socket
  }

  takeWhole(): Buffer | undefined {
    return this.#body.takeWhole()
  }

  read(reader: BodyReader): void {
    const { isFull } = this.#body
    this.#body.read(reader)
    if (isFull) this.resume()
  }

  pause(): void {
    this.#stream?.pause()
  }

  resume(): void {
    if (this.#phase === 'responding') this.#stream?.resume()
  }

  destroy(): void {
    if (this.#phase === 'responding') this.#end()
  }
}

/** Fields of the request: those of HTTP/2, without what the pseudo-header fields and extended CONNECT say (RFC 8441 5). */
function fieldsOf(headers: HeaderList): OutgoingHttpHeaders {
  const { fields } = http2Fields(headers.toRaw())
  delete fields['host']
  delete fields['sec-websocket-key']
  if (headers.has('te')) fields['te'] = 'trailers'
  return fields
}

const withoutPseudo = (raw: readonly string[]): string[] => HeaderList.from(raw, name => !name.startsWith(':')).toRaw()

/** RFC 9113 7. */
const CODES = `NO_ERROR PROTOCOL_ERROR INTERNAL_ERROR FLOW_CONTROL_ERROR SETTINGS_TIMEOUT STREAM_CLOSED FRAME_SIZE_ERROR
  REFUSED_STREAM CANCEL COMPRESSION_ERROR CONNECT_ERROR ENHANCE_YOUR_CALM INADEQUATE_SECURITY HTTP_1_1_REQUIRED`.split(
  /\s+/,
)

const nameOf = (code: number = 0): string => CODES[code] ?? String(code)
