import type { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import type { Dispatcher } from 'undici'
import { WsTunnelError } from '../errors.ts'
import { firstLine, hasField } from '../http/header-list.ts'
import type { BodyReader, PlainResponse } from '../http/plain-response.ts'
import { keptRequestHead } from '../http/request-head.ts'
import { type InterimResponse, readStatusLine } from '../http/response-head.ts'
import { Countdown } from '../util/countdown.ts'
import type { BackendConnection, ConnectionUser } from './backend-connection.ts'
import { backendError, roundTripError, timeoutError } from './backend-error.ts'
import { BodySender, type BodySenderOwner } from './body-sender.ts'
import { authenticatesConnection, challengesConnection, clientOf } from './connection-auth.ts'
import { isIdempotent } from './idempotent.ts'
import { LONG_BODY, LongBody } from './long-body.ts'
import type { PlainTrip } from './plain-trip.ts'
import { ReceivedBody } from './received-body.ts'
import { notRequested, undiciError } from './undici-error.ts'

/**
 * Sends a plain request over a kept connection of the worker, or over a new one (ProxyWebsocketFallbackToProxyHttp On).
 * Resolves with the response when its head arrives. The body of the request may not be sent completely at that time.
 *
 * @throws {WsTunnelError} 408, 502, 503 or 504, depending on the failure.
 */
export function plainRoundTrip(trip: PlainTrip): Promise<PlainResponse> {
  return new PlainRoundTrip(trip).start()
}

type Phase = 'connecting' | 'waiting' | 'responding' | 'ended'

const noop = (): void => {}

/** One plain request and its response: undici's handler and the response in one object. */
class PlainRoundTrip implements PlainResponse, ConnectionUser, BodySenderOwner {
  statusCode = 0
  statusMessage = ''
  httpVersion = '1.1'
  rawHeaders: readonly string[] = []
  readonly #trip: PlainTrip
  readonly #client: EventEmitter
  readonly #head: string
  #phase: Phase = 'connecting'
  #resolve: (response: PlainResponse) => void = noop
  #reject: (error: Error) => void = noop
  #connectLimit: Countdown | undefined
  #responseLimit: Countdown | undefined
  #socket: Socket | undefined
  #connection: BackendConnection | undefined
  #controller: Dispatcher.DispatchController | undefined
  #sender: BodySender | undefined
  /** Whether the head was written. Before that, the backend knows nothing of the request. */
  #isWritten = false
  readonly #body = new ReceivedBody()
  #longLength = 0
  #long: LongBody | undefined

  constructor(trip: PlainTrip) {
    this.#trip = trip
    this.#client = clientOf(trip.req)
    const { method, path, headers } = trip
    this.#head = keptRequestHead(method, path, headers, headers.has('te') ? 'TE, ' : '')
  }

  start(): Promise<PlainResponse> {
    const { signal, limits, worker } = this.#trip
    return new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
      if (signal.aborted) {
        this.#fail(signal.reason)
        return
      }
      signal.addEventListener('abort', this)
      const kept = worker.pool.take(this.#client)
      if (kept === undefined) this.#connect()
      else {
        if (limits.handshakeTimeout > 0) kept.limitResponse(limits.handshakeTimeout)
        this.#use(kept)
      }
    })
  }

  /** The signal is aborted. */
  handleEvent(): void {
    this.#fail(this.#trip.signal.reason)
  }

  get socket(): Socket {
    return this.#socket as Socket
  }

  #startLimit(ms: number, left = ms): Countdown | undefined {
    return ms === 0 ? undefined : new Countdown(ms, () => this.onResponseLate(ms), { left })
  }

  onResponseLate(ms: number): void {
    // The other idle connections are silent too, if this one was idle.
    if (this.#connection?.isReused) this.#trip.worker.pool.dropIdle()
    this.#fail(timeoutError(this.#phase !== 'connecting', ms))
  }

  /** @param left what is left of the time for the response, ms */
  #connect(left?: number): void {
    const { worker, limits } = this.#trip
    this.#phase = 'connecting'
    this.#responseLimit = this.#startLimit(limits.handshakeTimeout, left)
    try {
      this.#socket = worker.pool.open(
        connection => this.#connectionOnOpen(connection),
        error => this.#fail(roundTripError(error, false, worker.origin.secure)),
      )
    } catch (error) {
      // Node checks TLS options when it connects.
      this.#fail(backendError(error as Error))
      return
    }
    this.#connectLimit = this.#startLimit(limits.connectTimeout)
  }

  #connectionOnOpen(connection: BackendConnection): void {
    this.#connectLimit?.stop()
    if (this.#phase === 'connecting') this.#use(connection)
    else connection.destroy()
  }

  #use(connection: BackendConnection): void {
    const { method, path, headers } = this.#trip
    this.#phase = 'waiting'
    this.#connection = connection
    this.#socket = connection.socket
    if (authenticatesConnection(headers)) connection.owner = this.#client
    connection.use(this, method, path)
  }

  /** The first failure before the response counts. */
  #fail(error: Error): void {
    if (this.#phase === 'responding' || this.#phase === 'ended') return
    this.#phase = 'ended'
    this.#settled()
    this.#sender?.stop()
    this.#release()
    this.#reject(error)
  }

  #release(): void {
    if (this.#connection === undefined) this.#socket?.destroy()
    else this.#connection.destroy()
  }

  #settled(): void {
    this.#trip.signal.removeEventListener('abort', this)
    this.#connectLimit?.stop()
    this.#responseLimit?.stop()
    this.#connection?.stopLimit()
  }

  /** undici can write the request. */
  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#phase !== 'waiting') return
    const { headers, body, limits, req } = this.#trip
    const connection = this.#connection as BackendConnection
    const head = this.#head
    this.#isWritten = true
    connection.begin()
    if (body.parsed !== undefined) {
      body.markParsedSent()
      connection.socket.cork()
      connection.write(head)
      connection.write(body.parsed.bytes)
      connection.socket.uncork()
    } else if (body.isStreamed) {
      this.#sender = new BodySender(req, connection, headers, limits.stallTimeout, this)
      this.#sender.start(head)
    } else connection.write(head)
  }

  onBodyProgress(): void {
    this.#responseLimit?.refresh()
    this.#connection?.refreshLimit()
  }

  onBodyStalled(ms: number): void {
    if (this.#phase === 'waiting') this.#fail(new WsTunnelError('WST_ERR_STALLED', { detail: `${ms} ms` }))
    else this.#cut()
  }

  onInterim(response: InterimResponse): void {
    this.#trip.onInterim(response)
  }

  onBadResponse(error: WsTunnelError): void {
    this.#fail(error)
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    statusCode: number,
    _headers: unknown,
    statusMessage: string = '',
  ): void {
    if (this.#phase !== 'waiting') return
    const rawHeaders = textOf(controller.rawHeaders as Buffer[])
    if (statusCode < 200) {
      if (statusCode < 100) this.#fail(new WsTunnelError('WST_ERR_BAD_RESPONSE', { detail: `status ${statusCode}` }))
      else if (statusCode === 101) this.#fail(notRequested())
      else if (this.#connection?.acceptInterim()) this.onInterim({ statusCode, statusMessage, rawHeaders })
      return
    }
    const connection = this.#connection as BackendConnection
    const text = connection.takeStatusLine()
    const line = text === undefined ? { httpVersion: '1.1', statusMessage } : readStatusLine(text)
    if (line === undefined) {
      this.#fail(new WsTunnelError('WST_ERR_BAD_RESPONSE', { detail: 'a malformed status line' }))
      return
    }
    this.#phase = 'responding'
    this.#settled()
    this.statusCode = statusCode
    this.httpVersion = line.httpVersion
    this.statusMessage = line.statusMessage
    this.rawHeaders = rawHeaders
    if (statusCode === 401 && challengesConnection(this)) connection.owner = this.#client
    this.#longLength = this.#lengthOfLong(connection)
    if (this.#longLength > 0) controller.pause()
    this.#resolve(this)
  }

  onResponseData(_controller: unknown, chunk: Buffer): void {
    if (this.#phase === 'responding' && this.#body.push(chunk)) this.pause()
  }

  onResponseEnd(controller: Dispatcher.DispatchController): void {
    if (this.#phase !== 'responding') return
    const connection = this.#connection as BackendConnection
    if (connection.isBroken) {
      this.#cut()
      return
    }
    this.#phase = 'ended'
    // The connection of a request whose body is not sent cannot be used again.
    if (this.#sender === undefined || this.#sender.isFinished) this.#trip.worker.pool.put(connection)
    else {
      this.#sender.stop()
      connection.destroy()
    }
    this.#body.complete(textOf(controller.rawTrailers as Buffer[]))
  }

  onResponseError(_controller: unknown, error: Error): void {
    if (this.#phase === 'responding') this.#cut()
    else if (this.#phase === 'waiting') {
      if (this.#mayRepeat()) this.#repeat()
      else this.#fail(undiciError(error, this.#trip.worker.origin.secure))
    }
  }

  /** Whether the backend has closed a kept connection as it was used again (RFC 9110 9.2.2, RFC 9112 9.3.1). */
  #mayRepeat(): boolean {
    const { method, body } = this.#trip
    if (!this.#connection?.isReused || body.begun) return false
    return !this.#isWritten || (!this.#connection.hasResponse && isIdempotent(method))
  }

  /** The other idle connections may be closed, too. The time for the response runs on. */
  #repeat(): void {
    const left = this.#connection?.limitLeft
    this.#sender?.stop()
    this.#sender = undefined
    this.#connection?.destroy()
    this.#connection = undefined
    this.#isWritten = false
    this.#trip.worker.pool.dropIdle()
    this.#connect(left)
  }

  takeWhole(): Buffer | undefined {
    return this.#body.takeWhole()
  }

  /** The length of a body that is read by {@link LongBody}; 0 for any other. */
  #lengthOfLong({ owner }: BackendConnection): number {
    const { method, worker } = this.#trip
    if (owner !== undefined || worker.origin.secure || method === 'HEAD' || this.statusCode === 204) return 0
    const length = Number(firstLine(this, 'content-length') ?? 0)
    if (length < LONG_BODY || this.statusCode === 304 || hasField(this, 'transfer-encoding')) return 0
    return length
  }

  /** The body of {@link LongBody} has ended. */
  #longBodyOnEnd(): void {
    this.#phase = 'ended'
    this.#sender?.stop()
    this.#body.complete([])
  }

  read(reader: BodyReader): void {
    const isFull = this.#body.isFull
    this.#body.read(reader)
    if (this.#longLength > 0 && this.#phase === 'responding') {
      const connection = this.#connection as BackendConnection
      const onEnd = (): void => this.#longBodyOnEnd()
      this.#long = new LongBody(connection, this.#longLength, reader, onEnd, () => this.#cut())
      this.#long.start()
    } else if (isFull) this.resume()
  }

  pause(): void {
    if (this.#long !== undefined) this.#long.pause()
    else this.#controller?.pause()
  }

  resume(): void {
    if (this.#phase !== 'responding') return
    if (this.#long !== undefined) this.#long.resume()
    else this.#controller?.resume()
  }

  destroy(): void {
    if (this.#phase !== 'responding') return
    this.#phase = 'ended'
    this.#sender?.stop()
    this.#release()
  }

  #cut(): void {
    if (this.#phase !== 'responding') return
    this.destroy()
    this.#body.cut()
  }
}

/** Header fields as text. One character is one byte. */
function textOf(fields: readonly Buffer[]): string[] {
  const text: string[] = []
  for (const field of fields) text.push(field.toString('latin1'))
  return text
}
