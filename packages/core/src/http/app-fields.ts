import { IncomingMessage, validateHeaderName, validateHeaderValue } from 'node:http'
import { WsTunnelError } from '../errors.ts'
import { headerLines } from './header-list.ts'
import { isHttp2 } from './http2.ts'

/** A field of `req.headers` that is not what Node made of the client's lines: the app has set, added or deleted it. */
export interface AppField {
  /** The name as the app wrote it. */
  readonly name: string
  /** The value of every line. A deleted field has none. */
  readonly lines: readonly string[]
}

/**
 * The fields that the app has changed in `req.headers`, by lower-case name. `undefined` if there are none, which is found
 * out without an allocation unless the client repeated a field.
 *
 * @throws {WsTunnelError} `WST_ERR_APP_HEADERS` for a malformed name or value.
 */
export function appFields(req: IncomingMessage): ReadonlyMap<string, AppField> | undefined {
  return isUntouched(req) ? undefined : changedFields(req)
}

/** The lines that the app has set for one field; none if it has deleted the field, `undefined` if it has not changed it. */
export function appLines(req: IncomingMessage, name: string): readonly string[] | undefined {
  const lower = name.toLowerCase()
  const { headers } = req
  for (const key in headers) {
    if (key.length === lower.length && key !== lower && key.toLowerCase() === lower) return linesOf(headers[key])
  }
  const value = Object.hasOwn(headers, lower) ? headers[lower] : undefined
  return isSame(value, joined(req, lower, headerLines(req, lower))) ? undefined : linesOf(value)
}

/** The value of every line of a field, as the app has left it. */
export function fieldLines(req: IncomingMessage, name: string): readonly string[] {
  return appLines(req, name) ?? headerLines(req, name)
}

/** The value of a field as the app has left it, its lines joined by `, `; `''` if the field is absent. */
export function fieldValue(req: IncomingMessage, name: string): string {
  return requestField(req, name) ?? ''
}

/**
 * The value of a header field as the backend gets it unless `requestHeaders` edits it: what the app has set in
 * `req.headers`, else what the client sent. Several lines are joined by `, `, as httpd joins them. `undefined` if the field
 * is absent.
 */
export function requestField(req: IncomingMessage, name: string): string | undefined {
  const lines = fieldLines(req, name)
  return lines.length === 0 ? undefined : lines.join(', ')
}

/**
 * Compares `req.headers` with `rawHeaders`, line by line: Node adds the keys in the order of the lines. This is false for a
 * repeated field too, whose lines Node joins or drops.
 */
function isUntouched({ headers, rawHeaders }: IncomingMessage): boolean {
  let i = 0
  for (const key in headers) {
    const name = rawHeaders[i]
    if (name === undefined || headers[key] !== rawHeaders[i + 1]) return false
    if (name !== key && name.toLowerCase() !== key) return false
    i += 2
  }
  return i === rawHeaders.length
}

function changedFields(req: IncomingMessage): ReadonlyMap<string, AppField> | undefined {
  const { headers, rawHeaders } = req
  const received = new Map<string, string[]>()
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const lower = (rawHeaders[i] as string).toLowerCase()
    const lines = received.get(lower)
    if (lines === undefined) received.set(lower, [rawHeaders[i + 1] as string])
    else lines.push(rawHeaders[i + 1] as string)
  }
  const changed = new Map<string, AppField>()
  for (const [lower, lines] of received) {
    const value = Object.hasOwn(headers, lower) ? headers[lower] : undefined
    if (!isSame(value, joined(req, lower, lines))) changed.set(lower, { name: lower, lines: linesOf(value) })
  }
  for (const name of Object.keys(headers)) {
    const lower = name.toLowerCase()
    // Node's keys are in lower case, so another spelling is the app's and wins over the client's field.
    if (name !== lower || !received.has(lower)) changed.set(lower, { name, lines: linesOf(headers[name]) })
  }
  for (const field of changed.values()) check(field)
  return changed.size === 0 ? undefined : changed
}

function check({ name, lines }: AppField): void {
  if (name.startsWith(':')) return
  try {
    validateHeaderName(name)
    for (const line of lines) validateHeaderValue(name, line)
  } catch (cause) {
    throw new WsTunnelError('WST_ERR_APP_HEADERS', { detail: (cause as Error).message, cause })
  }
}

/** The lines that a value of `req.headers` stands for. The app may have set any value. */
function linesOf(value: unknown): string[] {
  return (Array.isArray(value) ? value : [value]).filter(line => line !== undefined && line !== null).map(String)
}

function isSame(value: unknown, expected: string | string[] | undefined): boolean {
  if (value === expected) return true
  if (!Array.isArray(value) || !Array.isArray(expected) || value.length !== expected.length) return false
  return value.every((line, i) => line === expected[i])
}

/** Fields of which even a single line is not the value in `req.headers`: a list, and the setter of the prototype. */
const NEVER_PLAIN: ReadonlySet<string> = new Set(['set-cookie', '__proto__'])

/** The method with which Node's parser adds a line to `req.headers`. */
type AddHeaderLine = (this: object, name: string, value: string, headers: object) => void
const { _addHeaderLine: addHeaderLine } = IncomingMessage.prototype as unknown as { _addHeaderLine: AddHeaderLine }

/** What Node makes of the lines of one field in `req.headers`: some it joins, of others it keeps the first. */
function joined(req: IncomingMessage, lower: string, lines: readonly string[]): string | string[] | undefined {
  if (lines.length === 0 || (lines.length === 1 && !NEVER_PLAIN.has(lower))) return lines[0]
  if (isHttp2(req)) return joinedHttp2(lower, lines)
  const headers: Record<string, string | string[]> = {}
  for (const line of lines) addHeaderLine.call(req, lower, line, headers)
  return Object.hasOwn(headers, lower) ? headers[lower] : undefined
}

function joinedHttp2(lower: string, lines: readonly string[]): string | string[] | undefined {
  if (lower === 'set-cookie') return [...lines]
  if (SINGLE_IN_HTTP2.has(lower)) return lines[0]
  return lines.join(lower === 'cookie' ? '; ' : ', ')
}

/** Node: `kSingleValueFields` in lib/internal/http2/util.js. */
const SINGLE_IN_HTTP2: ReadonlySet<string> = new Set([
  ':status',
  ':method',
  ':authority',
  ':scheme',
  ':path',
  ':protocol',
  'access-control-allow-credentials',
  'access-control-max-age',
  'access-control-request-method',
  'age',
  'authorization',
  'content-encoding',
  'content-language',
  'content-length',
  'content-location',
  'content-md5',
  'content-range',
  'content-type',
  'date',
  'dnt',
  'etag',
  'expires',
  'from',
  'host',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'last-modified',
  'location',
  'max-forwards',
  'proxy-authorization',
  'range',
  'referer',
  'retry-after',
  'tk',
  'upgrade-insecure-requests',
  'user-agent',
  'x-content-type-options',
])
