import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import type { CipherNameAndProtocol, TLSSocket } from 'node:tls'
import { ChunkedBody } from '../http/chunked-body.ts'
import { http2Fields, readHttp1Head } from '../http/http2-fields.ts'
import { StreamDuplex } from '../tunnel/stream-duplex.ts'
import { cancelStream } from '../util/cancel-stream.ts'

/** The longest head that a response may have, in bytes. Node's own limit for a request is lower. */
const MAX_HEAD = 262_144

/** The highest status that HTTP/2 of Node sends. */
const MAX_STATUS = 599

const NOTHING = Buffer.alloc(0)

/** How the bytes of the response are passed on. */
type Mode = 'head' | 'raw' | 'chunked' | 'drop'

/**
 * An HTTP/2 stream dressed as the socket of an HTTP/1.1 connection with one request, so that whatever serves such a request can
 * serve the stream. The head that Node's `ServerResponse` writes becomes the HEADERS of the stream, and the chunked coding of its
 * body is undone.
 */
export class StreamSocket extends StreamDuplex {
  declare protected readonly stream: ServerHttp2Stream
  readonly #isConnect: boolean
  readonly #isHead: boolean
  #mode: Mode = 'head'
  #head: Buffer = NOTHING
  #chunked: ChunkedBody | undefined
  #trailers: OutgoingHttpHeaders = {}
  /** ms, as of a socket. */
  timeout = 0
  /** As of a TLS socket, whose readers ask whether the property exists. */
  declare readonly encrypted?: true
  readonly authorized: boolean | undefined
  /** The name that the client has sent in its TLS handshake, as of a TLS socket. */
  readonly servername: string | false | undefined
  readonly alpnProtocol = 'h2'
  readonly server: unknown

  /**
   * @param readsBody whether the bytes of the client are those of the socket. Otherwise they are the body of the request, which
   *   another stream delivers.
   */
  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, readsBody: boolean, server: unknown) {
    super(stream, readsBody)
    this.#isConnect = headers[':method'] === 'CONNECT'
    this.#isHead = headers[':method'] === 'HEAD'
    this.server = server
    const socket = stream.session?.socket as Partial<TLSSocket> | undefined
    if (socket?.encrypted) this.encrypted = true
    this.authorized = socket?.authorized
    this.servername = (socket as { servername?: string | false } | undefined)?.servername
    stream.on('timeout', () => this.emit('timeout'))
  }

  /** The certificate of the client, as of a TLS socket. */
  getPeerCertificate(detailed = false): unknown {
    return this.#tlsSocket?.getPeerCertificate?.(detailed as true)
  }

  getProtocol(): string | null {
    return this.#tlsSocket?.getProtocol?.() ?? null
  }

  getCipher(): Partial<CipherNameAndProtocol> {
    return this.#tlsSocket?.getCipher?.() ?? {}
  }

  isSessionReused(): boolean {
    return this.#tlsSocket?.isSessionReused?.() ?? false
  }

  get #tlsSocket(): Partial<TLSSocket> | undefined {
    return this.stream.session?.socket as Partial<TLSSocket> | undefined
  }

  get connecting(): boolean {
    return false
  }

  setTimeout(ms: number, onTimeout?: () => void): this {
    this.timeout = ms
    if (!this.stream.destroyed) this.stream.setTimeout(ms)
    if (onTimeout !== undefined) this[ms === 0 ? 'off' : 'once']('timeout', onTimeout)
    return this
  }

  /** The other streams of the session share its connection, so a stream does not change it. */
  setNoDelay(): this {
    return this
  }

  setKeepAlive(): this {
    return this
  }

  ref(): this {
    return this
  }

  unref(): this {
    return this
  }

  resetAndDestroy(): this {
    return this.destroy()
  }

  destroySoon(): void {
    if (this.writable) this.end()
    if (this.writableFinished) this.destroy()
    else this.once('finish', this.destroy)
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.bytesWritten += chunk.length
    try {
      const body = this.#mode === 'head' ? this.#takeHead(chunk) : chunk
      const bytes = this.#mode === 'chunked' ? this.#undo(body) : body
      if (bytes.length === 0 || this.#mode === 'drop' || this.#mode === 'head') done()
      else this.send(bytes, done)
    } catch (error) {
      done(error as Error)
    }
  }

  override _final(done: (error?: Error | null) => void): void {
    if (this.#mode === 'head') cancelStream(this.stream)
    super._final(done)
  }

  /** Sends the heads that are complete. @returns the bytes that follow the last of them. */
  #takeHead(chunk: Buffer): Buffer {
    let rest = this.#head.length === 0 ? chunk : Buffer.concat([this.#head, chunk])
    for (let end = rest.indexOf('\r\n\r\n'); end !== -1; end = rest.indexOf('\r\n\r\n')) {
      const isFinal = this.#sendHead(rest.toString('latin1', 0, end))
      rest = rest.subarray(end + 4)
      if (!isFinal) continue
      this.#head = NOTHING
      return rest
    }
    if (rest.length > MAX_HEAD) throw new Error('the head of the response is too long')
    this.#head = rest
    return NOTHING
  }

  /** Sends one head. @returns whether it is the final one. */
  #sendHead(text: string): boolean {
    const stream = this.stream
    const { statusCode, rawHeaders } = readHttp1Head(text)
    if (stream.destroyed) {
      this.#mode = 'drop'
      return true
    }
    if (statusCode < 200 && statusCode !== 101) {
      stream.additionalHeaders({ ':status': statusCode, ...http2Fields(rawHeaders).fields })
      return false
    }
    const { fields, isChunked } = http2Fields(rawHeaders)
    if (statusCode === 101) {
      this.#mode = 'raw'
      delete fields['sec-websocket-accept']
      this.#begin(200, fields)
    } else if ((this.#isConnect && statusCode < 300) || statusCode > MAX_STATUS) {
      // A 2xx would open a tunnel that has no other end (RFC 8441 5). Node cannot send a status above 599.
      this.#mode = 'drop'
      stream.respond({ ':status': 502 }, { endStream: true })
    } else this.#respond(statusCode, fields, isChunked)
    return true
  }

  #respond(statusCode: number, fields: OutgoingHttpHeaders, isChunked: boolean): void {
    const hasNoContent = statusCode === 204 || statusCode === 205
    // A length of a body that is not sent would make the response malformed (RFC 9113 8.1.1).
    if (hasNoContent) delete fields['content-length']
    if (this.#isHead || hasNoContent || statusCode === 304) {
      this.#mode = 'drop'
      this.stream.respond({ ':status': statusCode, ...fields }, { endStream: true })
      return
    }
    this.#mode = isChunked ? 'chunked' : 'raw'
    if (isChunked) this.#chunked = new ChunkedBody()
    // With a length the client itself sees that a body is truncated.
    if (isChunked || fields['content-length'] === undefined) this.#begin(statusCode, fields)
    else this.stream.respond({ ':status': statusCode, ...fields })
  }

  /**
   * Begins a response that may break off. Node sends END_STREAM before RST_STREAM, so that a truncated body would seem
   * complete, unless the stream waits for trailers.
   */
  #begin(statusCode: number, fields: OutgoingHttpHeaders): void {
    const stream = this.stream
    stream.on('wantTrailers', () => {
      // Node may emit the event again after an empty trailer section, and refuses a second one.
      if (stream.sentTrailers === undefined) stream.sendTrailers(this.#trailers)
    })
    stream.respond({ ':status': statusCode, ...fields }, { waitForTrailers: true })
  }

  #undo(bytes: Buffer): Buffer {
    const chunked = this.#chunked as ChunkedBody
    const body = chunked.take(bytes)
    if (chunked.rawTrailers !== undefined) this.#trailers = http2Fields(chunked.rawTrailers).fields
    return body
  }
}
