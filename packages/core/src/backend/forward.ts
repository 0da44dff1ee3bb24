import { EventEmitter } from 'node:events'
import { type ClientRequest, type IncomingMessage, METHODS, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { createProxyMiddleware, type RequestHandler } from 'http-proxy-middleware'
import { WsTunnelError } from '../errors.ts'
import type { HeaderList } from '../http/header-list.ts'
import type { InterimResponse } from '../http/response-head.ts'
import { announcesBody } from '../http/upgrade.ts'
import { backendError, type Limits, watchRequest } from './request-limits.ts'
import type { Worker } from './worker.ts'

/** One plain request for a worker, and what to do with its answer. */
export interface Forward {
  readonly worker: Worker
  /** The very bytes of the request target. */
  readonly path: string
  readonly headers: HeaderList
  readonly limits: Limits
  /** A body that middleware has parsed already (`req.body`). */
  readonly body: unknown
  readonly onInterim: (answer: InterimResponse) => void
  /** The worker is given a body that middleware has parsed. */
  readonly onParsedBody: () => void
  readonly onAnswer: (response: IncomingMessage) => Promise<void>
}

/** A forward under way. */
interface Attempt extends Forward {
  readonly parsed: ParsedBody | undefined
  /** Where the body comes from, if one is announced. */
  readonly source: Readable | undefined
  readonly started: (request: ClientRequest) => void
  readonly settle: (error?: Error) => void
}

const middlewares = new WeakMap<Worker, RequestHandler>()

/**
 * Serves a request that asks for no upgrade (ProxyWebsocketFallbackToProxyHttp On). Resolves when the answer is sent or
 * the client has left.
 *
 * @throws {WsTunnelError} before the answer has begun: 502, 503 or 504 by the worker, 499 for a client that has left,
 * 500 for a body that is gone, 501 for a method Node does not know.
 */
export async function forward(req: IncomingMessage, res: ServerResponse, order: Forward): Promise<void> {
  if (!METHODS.includes(req.method ?? ''))
    throw new WsTunnelError('WST_ERR_NOT_IMPLEMENTED', { detail: `method ${req.method}` })
  // Nothing would tell of a client that left while earlier middleware took its time.
  if (res.destroyed || req.socket.destroyed) throw new WsTunnelError('WST_ERR_CLIENT_GONE')
  const parsed = parsedBody(req, order.body)
  for (;;) {
    try {
      return await attempt(req, res, { ...order, parsed })
    } catch (error) {
      if (!(error instanceof StaleConnection)) throw error
      // The others idle in the pool for as long; the next attempt has a fresh one.
      order.worker.dropIdle()
    }
  }
}

/** An answer may come before the body has: what is left of it must not stand before the next request. */
export function discardRest(req: IncomingMessage): void {
  if (!announcesBody(req)) return
  req.unpipe()
  if (!req.readableEnded) req.resume()
}

/** The worker closed a kept-alive connection in the moment it was used again (RFC 9112 9.3.1: may be retried). */
class StaleConnection extends Error {}

function attempt(
  req: IncomingMessage,
  res: ServerResponse,
  order: Forward & { parsed: ParsedBody | undefined },
): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: Error): void => {
      // Once the head of the answer is out, a failure has cut the connection and is nobody's to answer.
      if (error === undefined || res.headersSent) resolve()
      else {
        view.leave()
        answer.leave()
        reject(error)
      }
    }
    let request: ClientRequest | undefined
    const started = (sent: ClientRequest): void => {
      request = sent
    }
    const view = new RequestView(req, { ...order, source: bodyOf(req, order.parsed), started, settle })
    const answer = new AnswerView(res, () => {
      settle()
      request?.destroy()
    })
    void middlewareOf(order.worker)(view as never, answer as never, error => settle(error as Error))
  })
}

/**
 * What http-proxy-middleware may see of a request: no header of the client, no path, no server to listen on. Headers and
 * path are set in `proxyReq`, so nothing of the request reaches the backend that was not put there by us.
 */
class RequestView {
  readonly method: string | undefined
  readonly url = ''
  readonly httpVersion = '1.1'
  readonly httpVersionMajor = 1
  readonly headers = {}
  readonly socket = { writable: true }
  readonly attempt: Attempt
  readonly #heard: Parameters<Readable['on']>[] = []

  constructor({ method }: IncomingMessage, attempt: Attempt) {
    this.method = method
    this.attempt = attempt
  }

  on(event: string, listener: (...args: unknown[]) => void): unknown {
    this.#heard.push([event, listener])
    return this.attempt.source?.on(event, listener)
  }

  /** The attempt has failed, and another may hear of the same request. */
  leave(): void {
    for (const [event, listener] of this.#heard) this.attempt.source?.off(event, listener)
  }

  pipe(sink: ClientRequest): void {
    const { source } = this.attempt
    if (source === undefined) sink.end()
    else whenConnected(sink, () => source.pipe(sink))
  }
}

/** What it may see of an answer, which is ours to write. */
class AnswerView extends EventEmitter {
  readonly #res: ServerResponse
  readonly #whenGone: () => void

  constructor(res: ServerResponse, whenGone: () => void) {
    super()
    this.#res = res
    this.#whenGone = whenGone
    res.on('close', this.#resOnClose).on('error', this.#resOnError)
  }

  readonly #resOnClose = (): void => {
    this.#whenGone()
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

  /** The attempt has failed, and another may answer. */
  leave(): void {
    this.#res.off('close', this.#resOnClose).off('error', this.#resOnError)
  }
}

function middlewareOf(worker: Worker): RequestHandler {
  let middleware = middlewares.get(worker)
  if (middleware === undefined) {
    const { secure, host, port } = worker.origin
    middleware = createProxyMiddleware({
      // A text would be parsed again for each request; so would the path, without a filter.
      target: { protocol: secure ? 'https:' : 'http:', hostname: host, port },
      pathFilter: () => true,
      agent: worker.agent,
      selfHandleResponse: true,
      // The default plugins answer errors and log; errors are the app's, and the core logs nothing.
      ejectPlugins: true,
      plugins: [
        server => {
          server.on('proxyReq', (request, view) => {
            // A throw here would be the process's.
            try {
              send(request, attemptOf(view))
            } catch (error) {
              request.destroy(error as Error)
            }
          })
          server.on('proxyRes', (response, view) => receive(response, attemptOf(view)))
          server.on('error', (error, view) => attemptOf(view).settle(backendError(error)))
        },
      ],
    })
    middlewares.set(worker, middleware)
  }
  return middleware
}

const attemptOf = (view: unknown): Attempt => (view as RequestView).attempt

function send(request: ClientRequest, attempt: Attempt): void {
  const { path, headers, limits, parsed, source, onInterim, onParsedBody, started, settle } = attempt
  started(request)
  for (const name of request.getHeaderNames()) request.removeHeader(name)
  for (const [name, value] of headers) request.appendHeader(name, value)
  if (parsed !== undefined) {
    request.removeHeader('Transfer-Encoding')
    if (parsed.rewritten) request.removeHeader('Content-Encoding')
    request.setHeader('Content-Length', parsed.bytes.length)
  }
  request.path = path
  request.on('upgrade', (_response, socket) => {
    socket.on('error', () => {})
    socket.destroy()
    settle(new WsTunnelError('WST_ERR_BAD_SWITCH', { detail: 'no upgrade was asked for' }))
  })
  const idempotent = request.method === 'GET' || request.method === 'HEAD' || request.method === 'OPTIONS'
  const hasBody = request.hasHeader('content-length') || request.hasHeader('transfer-encoding')
  const watch = watchRequest(request, limits, onInterim, error => {
    const stale = request.reusedSocket && idempotent && !hasBody && error.code === 'WST_ERR_NO_RESPONSE'
    settle(stale ? new StaleConnection() : error)
  })
  // A body may be long in coming; the backend should know of the request before.
  if (hasBody) {
    request.flushHeaders()
    whenConnected(request, () => {
      if (parsed !== undefined) onParsedBody()
      source?.on('data', watch.progress)
    })
  }
}

/** No byte of the body is taken before there is a connection for it: until then another backend may be asked. */
function whenConnected(request: ClientRequest, call: () => void): void {
  const socketOnAssigned = (socket: Socket): void => {
    const { connecting, secureConnecting = false } = socket as Socket & { secureConnecting?: boolean }
    if (connecting || secureConnecting) socket.once('encrypted' in socket ? 'secureConnect' : 'connect', call)
    else call()
  }
  if (request.socket) socketOnAssigned(request.socket)
  else request.once('socket', socketOnAssigned)
}

function receive(response: IncomingMessage, { onAnswer, settle }: Attempt): void {
  onAnswer(response).then(() => settle(), settle)
}

/** A body that a parser has read. */
interface ParsedBody {
  readonly bytes: Buffer
  /** Not the bytes the client sent: its Content-Encoding is undone. */
  readonly rewritten: boolean
}

function bodyOf(req: IncomingMessage, parsed: ParsedBody | undefined): Readable | undefined {
  if (parsed !== undefined) return Readable.from([parsed.bytes])
  return announcesBody(req) ? req : undefined
}

/** JSON and forms are written anew; what cannot be is refused rather than forwarded without its body. */
function parsedBody(req: IncomingMessage, body: unknown): ParsedBody | undefined {
  if (!announcesBody(req) || !req.readableDidRead) return undefined
  if (!req.readableEnded) throw new WsTunnelError('WST_ERR_BODY_CONSUMED', { detail: 'in part' })
  const length = Number(req.headers['content-length'])
  const rewritten = (bytes: Buffer): ParsedBody => ({ bytes, rewritten: true })
  if (Buffer.isBuffer(body)) return { bytes: body, rewritten: body.length !== length }
  if (typeof body === 'string') return rewritten(Buffer.from(body))
  const type = (req.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
  if (body !== undefined && /^application\/(?:json|.*\+json)$/.test(type)) {
    return rewritten(Buffer.from(JSON.stringify(body)))
  }
  if (typeof body === 'object' && body !== null && type === 'application/x-www-form-urlencoded') {
    return rewritten(Buffer.from(formText(body)))
  }
  if (length === 0) return undefined
  throw new WsTunnelError('WST_ERR_BODY_CONSUMED', {
    detail: `content type ${type || 'unknown'}; mount the tunnel before the body parser`,
  })
}

/** Nested values in the bracket form that the extended parser of Express reads. */
function formText(body: object): string {
  const form = new URLSearchParams()
  const add = (name: string, value: unknown): void => {
    if (Array.isArray(value)) for (const item of value) add(typeof item === 'object' ? `${name}[]` : name, item)
    else if (typeof value === 'object' && value !== null)
      for (const [key, item] of Object.entries(value)) add(`${name}[${key}]`, item)
    else form.append(name, String(value))
  }
  for (const [name, value] of Object.entries(body)) add(name, value)
  return form.toString()
}
