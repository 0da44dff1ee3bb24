import type { Agent, ClientRequest, IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { WsTunnelError } from '@ws-tunnel/core'
import {
  backendError,
  Countdown,
  IncomingResponse,
  isIdempotent,
  MAX_INTERIM_RESPONSES,
  onAbort,
  type PlainResponse,
  type PlainTrip,
  roundTripError,
  timeoutError,
} from '@ws-tunnel/core/engine'
import { agentOf, dropIdle } from './agents.ts'
import { backendUrl } from './backend-url.ts'
import { type BodyOwner, BodyPipe } from './body-pipe.ts'
import { copyOf, editedFields, type FieldsObject, fieldsObject } from './fields.ts'
import { callListeners, type ListenerOwner, type ProxyServer } from './listeners.ts'
import type { ResponseRewriter } from './response-rewriting.ts'
import { BegunResponse, failServing, SelfHandledResponse } from './self-handled-response.ts'

/** What the attempts of one engine share. */
export interface AttemptEngine {
  /** What http-proxy-middleware gives to its plugins. It makes the requests and has all listeners. */
  readonly server: ProxyServer
  /** Options of httpxy. */
  readonly sent: object
  /** Whether the listeners of `proxyRes` write the responses. */
  readonly selfHandles: boolean
  readonly rewrite: ResponseRewriter | undefined
  /** Called when an attempt has failed. */
  noteFailure(trip: PlainTrip): void
}

/** The attempt that a request of Node belongs to. Its listeners are shared: closures for each request would cost more. */
const ATTEMPT = Symbol('attempt')

type Sent = ClientRequest & { [ATTEMPT]?: Attempt }

const attemptOf = (sent: Sent): Attempt => sent[ATTEMPT] as Attempt

/**
 * One try to send a request to a backend. httpxy takes it for the request and the response of the client, and for the stream
 * with the body: so httpxy sends what the trip says, and adds no listener to objects of the app.
 */
export class Attempt implements BodyOwner, ListenerOwner {
  readonly #engine: AttemptEngine
  readonly trip: PlainTrip
  readonly #fields: FieldsObject
  readonly #agent: Agent
  readonly #resolve: (response: PlainResponse) => void
  readonly #reject: (error: unknown) => void
  #settled = false
  #connected = false
  #interim = 0
  #sent: ClientRequest | undefined
  #pipe: BodyPipe | undefined
  #response: PlainResponse | undefined
  #stopWaiting: (() => void) | undefined
  #responseLimit: Countdown | undefined
  #connectLimit: Countdown | undefined
  constructor(
    engine: AttemptEngine,
    trip: PlainTrip,
    resolve: (response: PlainResponse) => void,
    reject: (error: unknown) => void,
  ) {
    this.#engine = engine
    this.trip = trip
    this.#fields = fieldsObject(trip.headers, trip.method)
    this.#agent = agentOf(trip)
    this.#resolve = resolve
    this.#reject = reject
  }

  /** The fields for the backend. httpxy copies them. */
  get headers(): FieldsObject {
    return this.#fields
  }

  get method(): string {
    return this.trip.method
  }

  get httpVersionMajor(): number {
    return 1
  }

  /** httpxy looks whether the client is still there. */
  get socket(): Socket {
    return this.trip.req.socket
  }

  /** httpxy listens for the end of the client's request and response, for which the signal of the trip stands. */
  on(): this {
    return this
  }

  /** Lets httpxy make the request. */
  start(): void {
    const { worker, path, signal, limits } = this.trip
    this.#stopWaiting = onAbort(signal, this.#fail)
    if (this.#settled) return
    this.#responseLimit = this.#startLimit(limits.handshakeTimeout)
    const { secure, host, port } = worker.origin
    // httpxy sends the path of a target as it is if `ignorePath` is set.
    const target = { protocol: secure ? 'https:' : 'http:', hostname: host, port, pathname: path }
    const options = { ...this.#engine.sent, target, ignorePath: true, agent: this.#agent, buffer: this }
    void this.#engine.server.web(this as never, this as never, options as never)
  }

  #startLimit(ms: number): Countdown | undefined {
    return ms === 0 ? undefined : new Countdown(ms, () => this.#fail(timeoutError(this.#connected, ms)))
  }

  /** httpxy calls it when the request has a socket, after the listeners of `proxyReq`. */
  pipe(sent: Sent): void {
    this.#sent = sent
    if (this.#settled) {
      sent.destroy()
      return
    }
    sent[ATTEMPT] = this
    // The relay of the core, or a function of the app, gets the response instead of httpxy.
    sent.off('response', sent.listeners('response')[0] as () => void)
    sent.on('response', sentOnResponse)
    sent.on('upgrade', sentOnUpgrade)
    sent.on('information', sentOnInformation)
    sent.on('close', sentOnClose)
    // This listener runs before that of httpxy, whose error has no code of ours.
    sent.prependListener('error', sentOnError)
    this.#watchConnect(sent.socket as Socket & { secureConnecting?: boolean })
    try {
      this.#send(sent)
    } catch (error) {
      this.#fail(error)
    }
  }

  #watchConnect(socket: Socket & { secureConnecting?: boolean }): void {
    this.#connected = !socket.connecting && !socket.secureConnecting
    if (this.#connected) return
    this.#connectLimit = this.#startLimit(this.trip.limits.connectTimeout)
    socket.once('encrypted' in socket ? 'secureConnect' : 'connect', () => {
      this.#connected = true
      this.#connectLimit?.stop()
      this.#sendBody()
    })
  }

  #send(sent: ClientRequest): void {
    const { body, headers } = this.trip
    // A listener of `proxyReq` has written the body or a part of it, as `fixRequestBody` does.
    const isWritten = sent.headersSent
    if (sent.writableEnded) return
    if (body.fault !== undefined && !isWritten) throw body.fault
    if (isWritten && !body.isStreamed) this.#endParsed(sent, undefined)
    else if (body.parsed !== undefined) this.#endParsed(sent, body.parsed.bytes)
    else if (!body.isStreamed) sent.end()
    else {
      if (!isWritten && headers.has('transfer-encoding')) sent.setHeader('Transfer-Encoding', 'chunked')
      // The head is sent at once, because the body may take long to arrive.
      flushHead(sent)
      this.#pipe = new BodyPipe(this.trip, sent, this)
      if (this.#connected) this.#pipe.start()
    }
  }

  #endParsed(sent: ClientRequest, bytes: Buffer | undefined): void {
    sent.end(bytes)
    if (this.#connected) this.trip.body.markParsedSent()
  }

  /** Called when the connection is established. No byte of the body is read before: another backend may get it. */
  #sendBody(): void {
    if (this.#settled) return
    this.trip.body.markParsedSent()
    this.#pipe?.start()
  }

  onBodyProgress(): void {
    this.#responseLimit?.refresh()
  }

  onBodyStalled(ms: number): void {
    if (this.#response === undefined) this.#fail(new WsTunnelError('WST_ERR_STALLED', { detail: `${ms} ms` }))
    else this.#response.destroy()
  }

  onResponse(message: IncomingMessage): void {
    const { req, res } = this.trip
    const { statusCode = 0 } = message
    if (statusCode < 100) {
      message.on('error', () => {}).destroy()
      this.#fail(new WsTunnelError('WST_ERR_BAD_RESPONSE', { detail: `status ${statusCode}` }))
      return
    }
    // A response may end before the body of its request was sent. The connection cannot be used again then.
    if (!(this.#sent as ClientRequest).writableFinished) message.on('close', messageOnClose)
    if (this.#engine.server.listenerCount('end') > 0) message.on('end', () => this.#emit('end', req, res, message))
    const response = this.#responseOf(message)
    // A listener of `proxyRes` may have failed.
    if (this.#settled) return
    this.#settle()
    this.#response = response
    this.#resolve(response)
  }

  #responseOf(message: IncomingMessage): PlainResponse {
    const { server, selfHandles, rewrite } = this.#engine
    const trip = this.trip
    const { req, res } = trip
    if (selfHandles) return new SelfHandledResponse(message, trip, () => this.#emit('proxyRes', message, req, res))
    if (server.listenerCount('proxyRes') > 0) {
      const before = copyOf(message.headers)
      this.#emit('proxyRes', message, req, res)
      // A listener that reads the body must not take what the relay has not seen.
      if (message.readableFlowing) message.pause()
      message.rawHeaders = editedFields(message.rawHeaders, before, message.headers) ?? message.rawHeaders
    }
    rewrite?.(message.rawHeaders, message, backendUrl(trip), req)
    return res.headersSent ? new BegunResponse(message, trip) : new IncomingResponse(message)
  }

  #emit(event: string, ...args: unknown[]): void {
    callListeners(this.#engine.server, event, args, this)
  }

  onMessageClose(): void {
    this.#pipe?.stop()
    if (!this.#sent?.writableFinished) this.#sent?.destroy()
  }

  onUpgrade(socket: Socket): void {
    socket.on('error', noop)
    socket.destroy()
    this.#fail(new WsTunnelError('WST_ERR_BAD_SWITCH', { detail: 'no upgrade was requested' }))
  }

  onInformation(response: { statusCode: number; statusMessage: string; rawHeaders: string[] }): void {
    if (this.#settled) return
    if (++this.#interim <= MAX_INTERIM_RESPONSES) this.trip.onInterim(response)
    else {
      const detail = `more than ${MAX_INTERIM_RESPONSES} interim responses`
      this.#fail(new WsTunnelError('WST_ERR_BAD_RESPONSE', { detail }))
    }
  }

  #failed(error: WsTunnelError): void {
    const trip = this.trip
    const { body, method } = trip
    const hasBody = body.parsed !== undefined || body.isStreamed
    const isStale = this.#sent?.reusedSocket && error.code === 'WST_ERR_NO_RESPONSE' && this.#interim === 0
    if (!isStale || hasBody || !isIdempotent(method)) {
      this.#fail(error)
      return
    }
    this.#settle()
    this.#pipe?.stop()
    // The other idle connections may be closed, too. Without them, the next attempt gets a new connection.
    dropIdle(this.#agent)
    new Attempt(this.#engine, trip, this.#resolve, this.#reject).start()
  }

  onClose(): void {
    if (!this.#settled) this.#failed(new WsTunnelError('WST_ERR_NO_RESPONSE'))
  }

  /** The request has failed, or could not be made. */
  onError(error: Error): void {
    if (!this.#settled) this.#failed(roundTripError(error, this.#connected, this.trip.worker.origin.secure))
  }

  readonly #fail = (error: unknown): void => {
    if (this.#settled) return
    this.#settle()
    this.#pipe?.stop()
    this.#sent?.destroy()
    this.#engine.noteFailure(this.trip)
    this.#reject(backendError(error as Error))
  }

  #settle(): void {
    this.#settled = true
    this.#stopWaiting?.()
    this.#responseLimit?.stop()
    this.#connectLimit?.stop()
  }

  /** A listener has thrown, or its promise has rejected. A response that has begun is cut. */
  failByListener(error: WsTunnelError): void {
    if (!this.#settled) this.#fail(error)
    else if (!failServing(this.trip.res, error)) this.#response?.destroy()
  }
}

const noop = (): void => {}

/** Sends the head. `flushHeaders` writes a text without an encoding, so that bytes above 127 would be sent as UTF-8. */
function flushHead(sent: ClientRequest): void {
  const { socket } = sent
  socket?.setDefaultEncoding('latin1')
  try {
    sent.flushHeaders()
  } finally {
    socket?.setDefaultEncoding('utf8')
  }
}

function messageOnClose(this: IncomingMessage & { req: Sent }): void {
  attemptOf(this.req).onMessageClose()
}

function sentOnResponse(this: Sent, message: IncomingMessage): void {
  attemptOf(this).onResponse(message)
}

function sentOnUpgrade(this: Sent, _message: IncomingMessage, socket: Socket): void {
  attemptOf(this).onUpgrade(socket)
}

function sentOnInformation(this: Sent, response: Parameters<Attempt['onInformation']>[0]): void {
  attemptOf(this).onInformation(response)
}

function sentOnClose(this: Sent): void {
  attemptOf(this).onClose()
}

function sentOnError(this: Sent, error: Error): void {
  attemptOf(this).onError(error)
}
