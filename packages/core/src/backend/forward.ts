import { EventEmitter } from 'node:events'
import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { createProxyMiddleware, type RequestHandler } from 'http-proxy-middleware'
import { WsTunnelError } from '../errors.ts'
import type { HeaderList } from '../http/header-list.ts'
import { onAbort } from '../util/abort.ts'
import { backendError } from './backend-error.ts'
import type { NotSwitched, RoundTripOptions } from './node-round-trip.ts'
import type { RequestBody } from './request-body.ts'
import { watchRequest } from './request-limits.ts'
import type { Worker } from './worker.ts'

const NOTHING = Buffer.alloc(0)

/** One plain request for a backend. */
export interface PlainRequest {
  /** The exact bytes of the request target. */
  readonly path: string
  readonly headers: HeaderList
  readonly body: RequestBody
}

/** One attempt to send a plain request. */
interface Attempt {
  readonly request: PlainRequest
  readonly options: RoundTripOptions
  readonly source: Readable | undefined
  readonly onRequest: (sent: ClientRequest) => void
  readonly onResponse: (response: IncomingMessage) => void
  readonly onFailure: (error: Error) => void
}

const middlewares = new WeakMap<Worker, RequestHandler>()

/**
 * Sends a plain request over a connection of the worker's pool (ProxyWebsocketFallbackToProxyHttp On). Resolves with the
 * response when its head arrives. The body of the request may not be sent completely at that time.
 *
 * @throws {WsTunnelError} 502, 503 or 504, depending on the failure.
 */
export async function forward(
  worker: Worker,
  request: PlainRequest,
  options: RoundTripOptions,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<NotSwitched> {
  for (;;) {
    options.signal.throwIfAborted()
    try {
      return { switched: false, response: await attempt(worker, request, options, req, res) }
    } catch (error) {
      if (!(error instanceof StaleConnection)) throw error
      // The other idle connections may be stale, too. Without them, the next attempt gets a new connection.
      worker.dropIdle()
    }
  }
}

/** The backend closed a kept-alive connection while it was used again (RFC 9112 9.3.1: the request may be retried). */
class StaleConnection extends Error {}

function attempt(
  worker: Worker,
  request: PlainRequest,
  options: RoundTripOptions,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    let sent: ClientRequest | undefined
    const fail = (error: Error): void => {
      stop()
      view.detach()
      responseView.detach()
      reject(error)
    }
    const view = new RequestView(req, {
      request,
      options,
      source: request.body.source(),
      onRequest: clientRequest => {
        sent = clientRequest
      },
      onResponse: response => {
        stop()
        resolve(response)
      },
      onFailure: fail,
    })
    // A response may end before the body of its request was sent. The connection cannot be used again then.
    const responseView = new ResponseView(res, () => sent?.destroy())
    const stop = onAbort(options.signal, error => {
      fail(error)
      sent?.destroy()
    })
    void middlewareOf(worker)(view as never, responseView as never, error => fail(error as Error))
  })
}

/**
 * What http-proxy-middleware sees of a request: no header field of the client, no path, no server to listen on. Header
 * fields and path are set in `proxyReq`, so the backend gets only what we put there.
 */
class RequestView {
  readonly method: string | undefined
  readonly url = ''
  readonly httpVersion = '1.1'
  readonly httpVersionMajor = 1
  readonly headers = {}
  readonly socket = { writable: true }
  readonly attempt: Attempt
  readonly #listeners: Parameters<Readable['on']>[] = []

  constructor({ method }: IncomingMessage, attempt: Attempt) {
    this.method = method
    this.attempt = attempt
  }

  on(event: string, listener: (...args: unknown[]) => void): unknown {
    this.#listeners.push([event, listener])
    return this.attempt.source?.on(event, listener)
  }

  /** Removes the listeners of a failed attempt: another attempt may listen to the same request. */
  detach(): void {
    for (const [event, listener] of this.#listeners) this.attempt.source?.off(event, listener)
  }

  pipe(sink: ClientRequest): void {
    const { source } = this.attempt
    if (source === undefined) sink.end()
    else whenConnected(sink, () => source.pipe(sink))
  }
}

/** What http-proxy-middleware sees of the response, which we write ourselves. */
class ResponseView extends EventEmitter {
  readonly #res: ServerResponse
  readonly #onClose: () => void

  constructor(res: ServerResponse, onClose: () => void) {
    super()
    this.#res = res
    this.#onClose = onClose
    res.on('close', this.#resOnClose).on('error', this.#resOnError)
  }

  readonly #resOnClose = (): void => {
    this.#onClose()
    this.emit('close')
  }

  readonly #resOnError = (error: Error): void => {
    if (this.listenerCount('error') > 0) this.emit('error', error)
  }

  get headersSent(): boolean {
    return this.#res.headersSent
  }

  get finished(): boolean {
    return this.#res.writableEnded
  }

  get writableFinished(): boolean {
    return this.#res.writableFinished
  }

  get destroyed(): boolean {
    return this.#res.destroyed
  }

  destroy(error?: Error): void {
    this.#res.destroy(error)
  }

  /** Removes the listeners of a failed attempt. */
  detach(): void {
    this.#res.off('close', this.#resOnClose).off('error', this.#resOnError)
  }
}

function middlewareOf(worker: Worker): RequestHandler {
  let middleware = middlewares.get(worker)
  if (middleware === undefined) {
    const { secure, host, port } = worker.origin
    middleware = createProxyMiddleware({
      // A string would be parsed for each request. Without a filter, the path would be parsed for each request.
      target: { protocol: secure ? 'https:' : 'http:', hostname: host, port },
      pathFilter: () => true,
      agent: worker.agent,
      selfHandleResponse: true,
      // The default plugins respond to errors and log. The app handles errors, and the core logs nothing.
      ejectPlugins: true,
      plugins: [
        server => {
          server.on('proxyReq', (request, view) => {
            // An exception here would be uncaught.
            try {
              send(request, attemptOf(view))
            } catch (error) {
              request.destroy(error as Error)
            }
          })
          server.on('proxyRes', (response, view) => attemptOf(view).onResponse(response))
          server.on('error', (error, view) => attemptOf(view).onFailure(backendError(error)))
        },
      ],
    })
    middlewares.set(worker, middleware)
  }
  return middleware
}

const attemptOf = (view: unknown): Attempt => (view as RequestView).attempt

function send(sent: ClientRequest, { request, options, source, onRequest, onFailure }: Attempt): void {
  const { path, headers, body } = request
  onRequest(sent)
  if (options.signal.aborted) {
    sent.destroy()
    return
  }
  for (const name of sent.getHeaderNames()) sent.removeHeader(name)
  for (const [name, value] of headers) sent.appendHeader(name, value)
  if (body.parsed !== undefined) {
    sent.removeHeader('Transfer-Encoding')
    if (body.parsed.rewritten) sent.removeHeader('Content-Encoding')
    sent.setHeader('Content-Length', body.parsed.bytes.length)
  }
  sent.path = path
  sent.on('upgrade', (_response, socket) => {
    socket.on('error', () => {})
    socket.destroy()
    onFailure(new WsTunnelError('WST_ERR_BAD_SWITCH', { detail: 'no upgrade was requested' }))
  })
  const idempotent = sent.method === 'GET' || sent.method === 'HEAD' || sent.method === 'OPTIONS'
  const hasBody = sent.hasHeader('content-length') || sent.hasHeader('transfer-encoding')
  const watch = watchRequest(sent, options.limits, options.onInterim, error => {
    const stale = sent.reusedSocket && idempotent && !hasBody && error.code === 'WST_ERR_NO_RESPONSE'
    onFailure(stale ? new StaleConnection() : error)
  })
  // The head is sent at once, because the body may take long to arrive. Node's `flushHeaders` would write the bytes above 127
  // as UTF-8.
  if (hasBody) {
    sent.write(NOTHING)
    whenConnected(sent, () => {
      body.markParsedSent()
      source?.on('data', watch.progress)
    })
  }
}

/** Calls a function when the connection is established. No byte of the body is read before: another backend may get it. */
function whenConnected(request: ClientRequest, call: () => void): void {
  const socketOnAssigned = (socket: Socket): void => {
    const { connecting, secureConnecting = false } = socket as Socket & { secureConnecting?: boolean }
    if (connecting || secureConnecting) socket.once('encrypted' in socket ? 'secureConnect' : 'connect', call)
    else call()
  }
  if (request.socket) socketOnAssigned(request.socket)
  else request.once('socket', socketOnAssigned)
}
