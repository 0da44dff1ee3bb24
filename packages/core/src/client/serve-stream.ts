import { randomBytes } from 'node:crypto'
import { IncomingMessage, type RequestListener, ServerResponse } from 'node:http'
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'
import { markExtendedConnect } from '../http/http2.ts'
import { faultOf, http1Request } from '../http/http2-fields.ts'
import { UPGRADE_TOKEN } from '../http/token.ts'
import { serveUpgrade } from './serve-upgrade.ts'
import { StreamSocket } from './stream-socket.ts'

/** A request of HTTP/2. */
export interface ArrivedStream {
  readonly stream: ServerHttp2Stream
  readonly headers: IncomingHttpHeaders
  /** Name, value, name, value. */
  readonly rawHeaders: readonly string[]
  /** What the socket of the request has as `server`. */
  readonly server: unknown
}

/** Responds to a request of HTTP/2 without an app. */
function refuse(stream: ServerHttp2Stream, status: number): void {
  stream.on('error', () => {})
  // The client may still send. Its bytes are dropped, so that it does not wait for its window, until the response has left.
  stream.resume()
  stream.on('finish', () => setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR)))
  if (!stream.destroyed) stream.respond({ ':status': status, 'content-length': 0 })
  stream.end()
}

/**
 * Serves an extended CONNECT (RFC 8441) as the upgrade that it means: a GET with `Upgrade` that comes with its socket. A CONNECT
 * without `:protocol` is refused with 501.
 */
export function serveExtendedConnect(
  handler: RequestListener,
  { stream, headers, rawHeaders, server }: ArrivedStream,
): void {
  const protocol = headers[':protocol']
  if (typeof protocol !== 'string') {
    refuse(stream, 501)
    return
  }
  if (faultOf(headers) !== undefined || !UPGRADE_TOKEN.test(protocol)) {
    refuse(stream, 400)
    return
  }
  const more = ['Connection', 'Upgrade', 'Upgrade', protocol]
  // The key proves nothing to a client of HTTP/2, which sends none (RFC 8441 5.1). The backend needs one.
  if (protocol.toLowerCase() === 'websocket') more.push('Sec-WebSocket-Key', randomBytes(16).toString('base64'))
  const socket = new StreamSocket(stream, headers, true, server) as unknown as Socket
  const req = requestOf(socket, headers, rawHeaders, more)
  markExtendedConnect(req)
  req.complete = true
  req.push(null)
  serveUpgrade(handler, req, socket, Buffer.alloc(0))
}

/**
 * Serves a plain request of HTTP/2 as an HTTP/1.1 request, for an app that knows HTTP/1 alone.
 */
export function servePlainStream(
  handler: RequestListener,
  { stream, headers, rawHeaders, server }: ArrivedStream,
): void {
  if (faultOf(headers) !== undefined) {
    refuse(stream, 400)
    return
  }
  const socket = new StreamSocket(stream, headers, false, server) as unknown as Socket
  const isBodiless = stream.endAfterHeaders
  const more = isBodiless || headers['content-length'] !== undefined ? [] : ['Transfer-Encoding', 'chunked']
  const req = requestOf(socket, headers, rawHeaders, more)
  const res = new ServerResponse(req)
  res.shouldKeepAlive = false
  res.assignSocket(socket)
  res.on('finish', () => {
    res.detachSocket(socket)
    socket.end()
    process.nextTick(() => res.emit('close'))
  })
  socket.on('drain', () => res.emit('drain'))
  socket.on('error', () => {})
  socket.on('close', () => {
    if (!req.complete) req.destroy()
    if (!res.writableFinished) res.destroy()
  })
  if (isBodiless) endOf(req)
  else deliverBody(stream, req)
  if (headers['expect']?.toLowerCase() === '100-continue') res.writeContinue()
  handler(req, res)
}

function requestOf(
  socket: Socket,
  headers: IncomingHttpHeaders,
  rawHeaders: readonly string[],
  more: readonly string[],
): IncomingMessage {
  const { method, url, headers: fields, rawHeaders: lines } = http1Request(headers, rawHeaders, more)
  const req = new IncomingMessage(socket)
  req.method = method
  req.url = url
  req.httpVersion = '1.1'
  req.httpVersionMajor = 1
  req.httpVersionMinor = 1
  req.headers = fields as IncomingMessage['headers']
  req.rawHeaders = lines
  return req
}

function endOf(req: IncomingMessage): void {
  req.complete = true
  req.push(null)
}

/** Delivers the DATA of a stream as the body of a request, and no faster than it is read. */
function deliverBody(stream: ServerHttp2Stream, req: IncomingMessage): void {
  stream.on('data', chunk => {
    if (!req.push(chunk)) stream.pause()
  })
  stream.on('trailers', (_fields: unknown, _flags: number, rawTrailers: string[]) => {
    if (rawTrailers !== undefined) req.rawTrailers = rawTrailers
  })
  // Node ends the reading side also when the client resets the stream, or its connection closes: the body is truncated then.
  stream.on('end', () => {
    if (!stream.closed) endOf(req)
  })
  stream.pause()
  req._read = () => {
    if (!stream.destroyed) stream.resume()
  }
}
