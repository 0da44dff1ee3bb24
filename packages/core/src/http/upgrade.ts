import type { IncomingMessage } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'
import { headerLines, listMembers } from './header-list.ts'
import { TCHAR } from './token.ts'

/** A protocol, or a protocol and its version (RFC 9110 7.8). */
export const UPGRADE_TOKEN = new RegExp(`^[${TCHAR}]+(?:/[${TCHAR}]+)?$`)

/** The `upgrade` option as it is applied to a request. */
export interface UpgradeSetting {
  /** NONE: every request is an upgrade. */
  readonly always: boolean
  /** ANY: any token that the client requests. */
  readonly any: boolean
  /** Tokens that are allowed by name, in lower case. */
  readonly tokens: readonly string[]
}

/** The protocols a client asks for, in its order and spelling (RFC 9110 7.8). */
export function upgradeTokens(req: IncomingMessage): string[] {
  if (req.headers.upgrade === undefined) return []
  return listMembers(headerLines(req, 'upgrade')).filter(token => UPGRADE_TOKEN.test(token))
}

/** Protocols that would take the whole connection out of our hands: let through only where named (h2c smuggling, RFC 2817). */
function needsName(lowerToken: string): boolean {
  return lowerToken === 'h2c' || lowerToken === 'h2' || lowerToken.startsWith('tls/') || lowerToken.startsWith('http/')
}

/** The first token the route lets through, in the client's spelling; exact, unlike httpd's prefix match. */
export function allowedToken({ always, any, tokens }: UpgradeSetting, asked: readonly string[]): string | undefined {
  const found = asked.find(token => {
    const lower = token.toLowerCase()
    return tokens.includes(lower) || ((any || always) && !needsName(lower))
  })
  return found ?? (always ? 'websocket' : undefined)
}

/** A request with a body cannot switch before the body was read; httpd sends it first, we do not upgrade it. */
export function hasBody(req: IncomingMessage): boolean {
  const length = req.headers['content-length']
  return req.headers['transfer-encoding'] !== undefined || (length !== undefined && Number(length) !== 0)
}

/** The head says that a body follows, even one of no bytes; HTTP/2 says it by not ending the stream (RFC 9113 8.1). */
export function announcesBody(req: IncomingMessage): boolean {
  const { headers, httpVersionMajor } = req
  if (headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined) return true
  return httpVersionMajor > 1 && (req as unknown as Http2ServerRequest).stream?.endAfterHeaders === false
}

/** HTTP/1.1 (RFC 9110 7.8: 1.0 must not) and no body: the connection can be switched at all. */
export function canSwitch(req: IncomingMessage): boolean {
  return req.httpVersionMajor === 1 && req.httpVersionMinor === 1 && req.method !== 'CONNECT' && !hasBody(req)
}

/** Connection names `upgrade`, as RFC 9110 7.8 wants it. */
export function connectionUpgrade(req: IncomingMessage): boolean {
  return namesUpgrade(headerLines(req, 'connection'))
}

/** The same of the lines of a Connection. */
export function namesUpgrade(lines: readonly string[]): boolean {
  return listMembers(lines).some(option => option.toLowerCase() === 'upgrade')
}

/** RFC 6455 4.1: a WebSocket handshake is a GET. */
export function methodFits(req: IncomingMessage, token: string): boolean {
  return req.method === 'GET' || token.toLowerCase() !== 'websocket'
}

/** Whether Node should give the connection up for this request: some route could let it through. */
export function looksLikeUpgrade(req: IncomingMessage): boolean {
  return (
    canSwitch(req) &&
    connectionUpgrade(req) &&
    upgradeTokens(req).some(token => !needsName(token.toLowerCase()) && methodFits(req, token))
  )
}
