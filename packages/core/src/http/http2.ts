import type { IncomingMessage } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'

/**
 * Whether a request came over an HTTP/2 session. Its version does not tell: on an HTTP/1 socket the version is what the
 * client wrote on the request line, and Node's parser accepts `HTTP/2.0` there.
 */
export const isHttp2 = (req: IncomingMessage): boolean =>
  (req as Partial<Pick<Http2ServerRequest, 'stream'>>).stream !== undefined

/** The protocol that a client has used, as httpd names it: `HTTP/2.0` also for a request that an app gets as one of HTTP/1.1. */
export const protocolOf = (req: IncomingMessage): string =>
  (req.socket as { alpnProtocol?: unknown }).alpnProtocol === 'h2' ? 'HTTP/2.0' : `HTTP/${req.httpVersion}`

const EXTENDED_CONNECT: unique symbol = Symbol.for('ws-tunnel.extended-connect.1') as never

/** Marks a request that stands for an extended CONNECT (RFC 8441). */
export function markExtendedConnect(req: IncomingMessage): void {
  ;(req as { [EXTENDED_CONNECT]?: boolean })[EXTENDED_CONNECT] = true
}

/** Whether the request stands for an extended CONNECT: it is an upgrade, or it is refused. */
export const isExtendedConnect = (req: IncomingMessage): boolean =>
  (req as { [EXTENDED_CONNECT]?: boolean })[EXTENDED_CONNECT] === true
