import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type ClientSessionRequestOptions,
  connect,
  constants,
  type OutgoingHttpHeaders,
} from 'node:http2'
import type { Socket } from 'node:net'

/** ms that a session without a stream is kept. */
const KEEP_IDLE = 30_000

/** Bytes that a backend may send on one stream before they are read. A response that the client does not read holds no more. */
const WINDOW = 262_144

/** Node counts header fields; its default for a response is 128. An HTTP/1.1 response may have 2000. */
const MAX_FIELDS = 2_000

/** One HTTP/2 session with a backend, which many requests share. */
export class BackendSession {
  /** The connection. */
  readonly socket: Socket
  /** Whether it has carried a request before. */
  isReused = false
  readonly #session: ClientHttp2Session
  #streams = 0
  #isRetired = false
  /** The last stream that the backend has processed, or may process, by its GOAWAY (RFC 9113 6.8). */
  #lastStream = Number.POSITIVE_INFINITY
  #idle: NodeJS.Timeout | undefined
  #error: Error | undefined

  constructor(socket: Socket, secure: boolean) {
    this.socket = socket
    this.#session = connect(`${secure ? 'https' : 'http'}://backend`, {
      createConnection: () => socket,
      settings: { enablePush: false, initialWindowSize: WINDOW },
      maxHeaderListPairs: MAX_FIELDS,
      strictSingleValueFields: false,
    } as Parameters<typeof connect>[1])
    this.#session.on('error', error => {
      this.#error ??= error
    })
    this.#session.on('goaway', (_code, lastStream) => {
      this.#lastStream = lastStream
      this.#isRetired = true
    })
  }

  /** Calls `ready` when the SETTINGS of the backend have come. */
  onReady(ready: () => void): void {
    this.#session.once('remoteSettings', ready)
  }

  /** Calls `ended` when the connection has ended. */
  onEnded(ended: (error: Error) => void): void {
    this.#session.once('close', () => {
      clearTimeout(this.#idle)
      ended(this.#error ?? Object.assign(new Error('the session has closed'), { code: 'ECONNRESET' }))
    })
  }

  /** Whether a request may be sent: the backend limits the streams that are open at a time. */
  get hasRoom(): boolean {
    const { closed, destroyed, remoteSettings } = this.#session
    const { maxConcurrentStreams = 0xffff_ffff } = remoteSettings
    return !this.#isRetired && !closed && !destroyed && this.#streams < maxConcurrentStreams
  }

  get hasEnded(): boolean {
    return this.#session.destroyed || this.socket.destroyed
  }

  /** Whether the backend accepts extended CONNECT (RFC 8441 3). */
  get allowsConnectProtocol(): boolean {
    return this.#session.remoteSettings.enableConnectProtocol === true
  }

  /** @throws if Node refuses a field, or the session has closed. */
  request(headers: OutgoingHttpHeaders, options: ClientSessionRequestOptions): ClientHttp2Stream {
    const stream = this.#session.request(headers, options)
    this.#streams++
    clearTimeout(this.#idle)
    stream.once('close', this.#streamOnClose)
    return stream
  }

  readonly #streamOnClose = (): void => {
    this.isReused = true
    if (--this.#streams > 0) return
    if (this.#isRetired) this.#session.close()
    else this.#idle = setTimeout(() => this.retire(), KEEP_IDLE).unref()
  }

  /** Whether the backend certainly has not processed a stream that was reset. */
  isUnprocessed({ id, rstCode }: ClientHttp2Stream): boolean {
    return rstCode === constants.NGHTTP2_REFUSED_STREAM || id === undefined || id > this.#lastStream
  }

  /** Takes no further request. The connection closes with the last stream. */
  retire(): void {
    this.#isRetired = true
    if (this.#streams === 0) this.#session.close()
  }
}
