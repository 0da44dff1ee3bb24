import type { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'
import { type HeaderList, headerLines, type MessageHead } from '../http/header-list.ts'

/** Schemes that authenticate a connection, not a request: each later request on it counts as the same user's. */
const SCHEME = /^[ \t]*(?:NTLM|Negotiate)(?:[ \t]|$)/i

/** The same in a list of challenges. */
const CHALLENGE = /(?:^|,)[ \t]*(?:NTLM|Negotiate)(?:[ \t,]|$)/i

/** Whether a request has credentials that the backend may apply to the connection. */
export function authenticatesConnection(headers: HeaderList): boolean {
  const credentials = headers.get('authorization')
  return credentials !== undefined && SCHEME.test(credentials)
}

/** Whether a 401 begins to authenticate the connection. */
export function challengesConnection(response: MessageHead): boolean {
  return headerLines(response, 'www-authenticate').some(line => CHALLENGE.test(line))
}

/** What the connection of a client is known by. All requests of an HTTP/2 session have one. */
export const clientOf = (req: IncomingMessage): EventEmitter =>
  (req as unknown as Http2ServerRequest).stream?.session ?? req.socket
