import type { EventEmitter } from 'node:events'
import { maxHeaderSize } from 'node:http'
import type { Socket } from 'node:net'
import { Writable } from 'node:stream'
import type { Dispatcher, Client as UndiciClient } from 'undici'
import { WsTunnelError } from '../errors.ts'
import { type InterimResponse, maybeInterim, readInterim } from '../http/response-head.ts'
import { Countdown } from '../util/countdown.ts'
import { Client } from './undici-client.ts'

/** Interim responses that are accepted before the final one (httpd: AP_MAX_INTERIM_RESPONSES). */
const MAX_INTERIM_RESPONSES = 10

/** ms that an idle connection is kept, unless the backend names another time. Node's servers close theirs after 5 s. */
const KEEP_IDLE = 4_000

/** undici wants a URL. It connects nowhere, because it gets a connection that is established. */
const NO_URL = 'http://backend'

/** The request that is on a connection, and its response. */
export interface ConnectionUser extends Dispatcher.DispatchHandler {
  onInterim(response: InterimResponse): void
  /** No response has come within the time of {@link BackendConnection.limitResponse}, ms. */
  onResponseLate(ms: number): void
  /** The response cannot be accepted. */
  onBadResponse(error: WsTunnelError): void
}

const write = Writable.prototype.write as (this: Socket, data: string | Buffer, encoding?: BufferEncoding) => boolean

/** What undici writes is dropped: it changes the case, the order and the framing of header fields. */
function drop(this: Socket): boolean {
  return true
}

/**
 * One established connection to a backend, for one plain request after the other. undici reads it: it parses the responses,
 * and knows whether the connection can be used again. The requests are written here, byte for byte.
 */
export class BackendConnection {
  readonly socket: Socket
  /** The client's connection that this one belongs to, because the backend has authenticated it (NTLM, Negotiate). */
  owner: EventEmitter | undefined
  /** Whether it has carried a request before. */
  isReused = false
  /** Whether the backend has reset it. */
  isBroken = false
  readonly #client: UndiciClient
  readonly #read: () => Buffer | null
  #user: ConnectionUser | undefined
  /** The limit for the responses. It is used again, because a new timer for each request costs more. */
  #limit: Countdown | undefined
  /** Bytes of the final response up to the packet that completes its head. */
  #head: Buffer | undefined
  /** Bytes of an incomplete interim response. */
  #interim: Buffer | undefined
  #interimCount = 0
  #awaitsHead = false

  constructor(socket: Socket) {
    this.socket = socket
    // This listener runs before those of undici, which takes an RST for the end of a body without a length. Node does not
    // destroy a TLS connection that gets a malformed record.
    socket.on('error', () => {
      this.isBroken = true
      socket.destroy()
    })
    const { read } = socket
    this.#read = read
    // Node itself calls `read(0)`, which begins to read and takes nothing.
    socket.read = size => (size === 0 ? read.call(socket, 0) : this.#nextChunk())
    socket.write = drop
    socket.once('close', () => this.#limit?.stop())
    let given = false
    this.#client = new Client(NO_URL, {
      connect: (_options, done) => {
        // undici connects again for a request that waits while the connection closes.
        if (given) process.nextTick(done, new Error('the connection has closed'), null)
        else process.nextTick(done, null, socket)
        given = true
      },
      allowH2: false,
      pipelining: 1,
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: KEEP_IDLE,
    })
  }

  /** Sends a request on the connection. undici calls the user when it can be written. */
  use(user: ConnectionUser, method: string, path: string): void {
    this.#user = user
    this.#client.dispatch({ method: method as Dispatcher.HttpMethod, path, reset: false }, user)
  }

  /** Limits how long the response may take, until {@link stopLimit}. */
  limitResponse(ms: number): void {
    if (this.#limit?.ms === ms) this.#limit.restart()
    else {
      this.#limit?.stop()
      // The connections keep the process running as long as a request waits.
      this.#limit = new Countdown(ms, () => this.#user?.onResponseLate(ms), { unref: true })
    }
  }

  refreshLimit(): void {
    this.#limit?.refresh()
  }

  /** What is left of the limit for the response, ms. */
  get limitLeft(): number | undefined {
    return this.#limit?.left
  }

  stopLimit(): void {
    this.#limit?.rest()
  }

  /** The request is written now. What has arrived before is no response to it, and undici closes the connection for it. */
  begin(): void {
    this.#head = this.#interim = undefined
    this.#interimCount = 0
    this.#awaitsHead = true
  }

  write(data: string | Buffer): boolean {
    return typeof data === 'string' ? write.call(this.socket, data, 'latin1') : write.call(this.socket, data)
  }

  /** Whether a part of the response to the present request has arrived. */
  get hasResponse(): boolean {
    return this.#head !== undefined || this.#interim !== undefined || this.#interimCount > 0
  }

  /** The head of the final response has been read. @returns its first line; `undefined` if undici alone has seen it. */
  takeStatusLine(): string | undefined {
    const head = this.#head
    this.#head = undefined
    this.#awaitsHead = false
    if (head === undefined) return undefined
    const end = head.indexOf(0x0d)
    return head.toString('latin1', 0, end === -1 ? head.length : end)
  }

  /** undici has read an interim response that {@link readInterim} did not. @returns whether it is accepted. */
  acceptInterim(): boolean {
    this.#head = undefined
    if (++this.#interimCount <= MAX_INTERIM_RESPONSES) return true
    this.#refuse(`more than ${MAX_INTERIM_RESPONSES} interim responses`)
    return false
  }

  /** undici reads no more: its parser is paused in the middle of a response. The connection cannot be used again. */
  takeFromParser(): void {
    this.socket.read = this.#read
    this.socket.removeAllListeners('readable')
    this.#user = undefined
  }

  /** The request is finished, and its connection may be used again. */
  release(): void {
    this.#user = undefined
    this.isReused = true
  }

  destroy(): void {
    this.#user = undefined
    this.socket.destroy()
  }

  #nextChunk(): Buffer | null {
    for (;;) {
      const chunk = this.#read.call(this.socket)
      if (chunk === null || !this.#awaitsHead) return chunk
      const bytes = this.#head === undefined ? this.#finalBytes(chunk) : this.#moreOfHead(this.#head, chunk)
      if (bytes !== undefined) return bytes
      if (this.socket.destroyed) return null
    }
  }

  /** Holds back interim responses: undici refuses a 100 that was not asked for, and reads reason phrases as UTF-8. */
  #finalBytes(chunk: Buffer): Buffer | undefined {
    let bytes = this.#interim === undefined ? chunk : Buffer.concat([this.#interim, chunk])
    this.#interim = undefined
    // Line ends before a response have no meaning (RFC 9112 2.2).
    while (bytes[0] === 0x0d || bytes[0] === 0x0a) bytes = bytes.subarray(1)
    while (bytes.length > 0 && isInterimStart(bytes)) {
      const text = bytes.toString('latin1', 0, maxHeaderSize)
      const read = readInterim(text)
      if (read === undefined) {
        if (text.includes('\r\n\r\n')) break
        if (bytes.length >= maxHeaderSize) this.#refuse(`a head of more than ${maxHeaderSize} bytes`)
        else this.#interim = bytes
        return undefined
      }
      if (!this.acceptInterim()) return undefined
      this.#user?.onInterim(read.head)
      bytes = bytes.subarray(read.size)
    }
    if (bytes.length === 0) return undefined
    this.#head = bytes
    return bytes
  }

  #moreOfHead(head: Buffer, chunk: Buffer): Buffer | undefined {
    if (head.length >= maxHeaderSize) {
      this.#refuse(`a head of more than ${maxHeaderSize} bytes`)
      return undefined
    }
    this.#head = Buffer.concat([head, chunk])
    return chunk
  }

  #refuse(detail: string): void {
    this.#user?.onBadResponse(new WsTunnelError('WST_ERR_BAD_RESPONSE', { detail }))
    this.destroy()
  }
}

/** Whether bytes begin with an interim response, or may do so when more have arrived. */
const isInterimStart = (bytes: Buffer): boolean =>
  // The digit after `HTTP/1.1 `.
  (bytes.length < 10 || bytes[9] === 0x31) && maybeInterim(bytes.toString('latin1', 0, 13))
