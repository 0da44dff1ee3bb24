import type { IncomingMessage } from 'node:http'
import { endToEndFilter, hasField, headerLines, isHopByHop, listMembers } from './header-list.ts'
import { isHttp2 } from './http2.ts'

/**
 * Fields that mean nothing, or something dangerous, after the body: framing, routing, authentication, and what a recipient
 * must know before it reads the body (RFC 9110 6.5.1).
 */
const FORBIDDEN: ReadonlySet<string> = new Set([
  'age',
  'authorization',
  'cache-control',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'cookie',
  'date',
  'expect',
  'expires',
  'forwarded',
  'host',
  'location',
  'max-forwards',
  'origin',
  'pragma',
  'proxy-authorization',
  'range',
  'retry-after',
  'set-cookie',
  'vary',
  'via',
  'warning',
  'www-authenticate',
])

const isForbidden = (lower: string): boolean =>
  FORBIDDEN.has(lower) || isHopByHop(lower) || /^(?::|if-|x-forwarded-|sec-websocket-)/.test(lower.replaceAll('_', '-'))

/** The fields of a trailer section that may be passed on: name, value, name, value. */
export function allowedTrailers(raw: readonly string[], connection: readonly string[]): string[] {
  const isEndToEnd = endToEndFilter(connection)
  const allowed: string[] = []
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as string
    const lower = name.toLowerCase()
    if (!isForbidden(lower) && isEndToEnd(lower)) allowed.push(name, raw[i + 1] as string)
  }
  return allowed
}

/** The names that lines of `Trailer` announce, without those that are not passed on. */
export function announcedTrailers(lines: readonly string[]): string[] {
  return listMembers(lines).filter(name => !isForbidden(name.toLowerCase()))
}

const namesTrailers = (req: IncomingMessage): boolean =>
  hasField(req, 'te') && listMembers(headerLines(req, 'te')).some(coding => /^trailers$/i.test(coding))

/** Whether the client accepts a trailer section (RFC 9110 10.1.4). HTTP/2 has one without a request for it. */
export const acceptsTrailers = (req: IncomingMessage): boolean => isHttp2(req) || namesTrailers(req)

/** Whether the backend is told so: a client that means it names TE in `Connection`. */
export function requestsTrailers(req: IncomingMessage): boolean {
  return namesTrailers(req) && listMembers(headerLines(req, 'connection')).some(option => /^te$/i.test(option))
}
