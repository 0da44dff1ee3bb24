import { hash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'
import { WsTunnelError } from '../errors.ts'
import { hasField, headerLines, headerValue, listMembers } from './header-list.ts'
import { isHttp2 } from './http2.ts'
import type { ResponseHead } from './response-head.ts'
import { UPGRADE_TOKEN } from './token.ts'

/** The option `upgrade` in the form in which requests are checked against it. */
export interface UpgradeSetting {
  /** `'NONE'`: every request is an upgrade, without a check. */
  readonly always: boolean
  /** `'ANY'`: every token that the client sends is allowed. */
  readonly any: boolean
  /** The tokens that are allowed by name, in lower case. */
  readonly tokens: readonly string[]
}

/** Reads a valid value of the option `upgrade`. */
export function readUpgrade(value: string | readonly string[] | false): UpgradeSetting {
  if (value === false) return { always: false, any: false, tokens: [] }
  const tokens = (typeof value === 'string' ? [value] : value).map(token => token.toLowerCase())
  const always = tokens[0] === 'none'
  const any = tokens[0] === 'any'
  return { always, any, tokens: always || any ? [] : tokens }
}

/** The lines of the client's `Upgrade`. An app that deletes `req.headers.upgrade` makes the request a plain one. */
export function upgradeLines(req: IncomingMessage): readonly string[] {
  return req.headers.upgrade === undefined ? NONE : headerLines(req, 'upgrade')
}

/** The protocols in the `Upgrade` of a request, in the client's order and spelling (RFC 9110 7.8). */
export function upgradeTokens(req: IncomingMessage): readonly string[] {
  const lines = upgradeLines(req)
  return lines.length === 0 ? NONE : listMembers(lines).filter(token => UPGRADE_TOKEN.test(token))
}

/** Most requests name no protocol. */
const NONE: readonly string[] = []

/**
 * Whether a protocol is allowed only by its name, not by `'ANY'` or `'NONE'`. Such a protocol takes the whole connection
 * out of the proxy's control (h2c smuggling, RFC 2817).
 */
function needsName(lowerToken: string): boolean {
  return lowerToken === 'h2c' || lowerToken === 'h2' || lowerToken.startsWith('tls/') || lowerToken.startsWith('http/')
}

/** The first requested token that the route allows, in the client's spelling. The whole token must match; httpd: a prefix. */
export function allowedToken(
  { always, any, tokens }: UpgradeSetting,
  requested: readonly string[],
): string | undefined {
  const found = requested.find(token => {
    const lower = token.toLowerCase()
    return tokens.includes(lower) || ((any || always) && !needsName(lower))
  })
  return found ?? (always ? 'websocket' : undefined)
}

const isCoded = (req: IncomingMessage): boolean => hasField(req, 'transfer-encoding')

/**
 * A request with a body is not upgraded: its connection cannot switch before the body is read. httpd sends the body
 * first. The client's lines count, not `req.headers`: they are what Node's parser has read the body by.
 */
export function hasBody(req: IncomingMessage): boolean {
  return headerLines(req, 'content-length').some(length => Number(length) !== 0) || isCoded(req)
}

/**
 * Whether the head announces a body, even an empty one. An HTTP/2 head does so if it does not end the stream (RFC 9113
 * 8.1).
 */
export function announcesBody(req: IncomingMessage): boolean {
  if (hasField(req, 'content-length') || isCoded(req)) return true
  return isHttp2(req) && (req as unknown as Http2ServerRequest).stream?.endAfterHeaders === false
}

/** Whether the connection can be switched at all: HTTP/1.1 (RFC 9110 7.8 excludes 1.0) and no body. */
export function canSwitch(req: IncomingMessage): boolean {
  return req.httpVersion === '1.1' && !isHttp2(req) && req.method !== 'CONNECT' && !hasBody(req)
}

/** Whether `Connection` contains `upgrade`, as RFC 9110 7.8 requires. */
export function connectionUpgrade(req: IncomingMessage): boolean {
  return containsUpgrade(headerLines(req, 'connection'))
}

/** Whether one of these lines of `Connection` contains `upgrade`. */
function containsUpgrade(lines: readonly string[]): boolean {
  if (lines.length === 0) return false
  return listMembers(lines).some(option => option.toLowerCase() === 'upgrade')
}

/** Whether the method suits the protocol: a WebSocket handshake is a GET (RFC 6455 4.1). */
export function methodFits(req: IncomingMessage, token: string): boolean {
  return req.method === 'GET' || token.toLowerCase() !== 'websocket'
}

/** Whether some route may upgrade the request, so that Node should emit `upgrade` for it. */
export function looksLikeUpgrade(req: IncomingMessage): boolean {
  return (
    canSwitch(req) &&
    connectionUpgrade(req) &&
    upgradeTokens(req).some(token => !needsName(token.toLowerCase()) && methodFits(req, token))
  )
}

/**
 * Checks that a 101 switches to the requested protocol. httpd: AH00898 "Unexpected Upgrade".
 *
 * @param key the client's `Sec-WebSocket-Key`, if `Sec-WebSocket-Accept` is to be checked against it.
 * @throws {WsTunnelError} `WST_ERR_BAD_SWITCH` for HTTP/1.0, no token, another token or several, and a wrong
 *   `Sec-WebSocket-Accept`.
 */
export function checkSwitch(response: ResponseHead, token: string, key?: string): void {
  const refuse = (detail: string): WsTunnelError => new WsTunnelError('WST_ERR_BAD_SWITCH', { detail })
  if (response.httpVersion !== '1.1') throw refuse(`HTTP/${response.httpVersion}`)
  const tokens = listMembers(headerLines(response, 'upgrade'))
  if (tokens.length !== 1 || tokens[0]?.toLowerCase() !== token.toLowerCase()) {
    throw refuse(`expected Upgrade: ${token}, got ${tokens.length === 0 ? 'none' : JSON.stringify(tokens.join(', '))}`)
  }
  if (!containsUpgrade(headerLines(response, 'connection'))) throw refuse('no Connection: upgrade')
  if (key !== undefined && token.toLowerCase() === 'websocket') {
    if (headerValue(response, 'sec-websocket-accept') !== acceptFor(key)) throw refuse('wrong Sec-WebSocket-Accept')
  }
}

/** The `Sec-WebSocket-Accept` for a key (RFC 6455 4.2.2). */
export const acceptFor = (key: string): string => hash('sha1', `${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`, 'base64')
