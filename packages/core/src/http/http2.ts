import type { IncomingMessage } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'

/**
 * Whether a request came over an HTTP/2 session. Its version does not tell: on an HTTP/1 socket the version is what the
 * client wrote on the request line, and Node's parser accepts `HTTP/2.0` there.
 */
export const isHttp2 = (req: IncomingMessage): boolean =>
  (req as Partial<Pick<Http2ServerRequest, 'stream'>>).stream !== undefined
