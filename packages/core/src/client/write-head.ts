import { ServerResponse } from 'node:http'
import { WsTunnelError } from '../errors.ts'
import { HeaderList } from '../http/header-list.ts'
import { isHttp2 } from '../http/http2.ts'
import { makeHeadReadable } from './readable-head.ts'

/** Fields that are sent with the lines of middleware and of the backend: each line adds to what the others say. */
const SHARED = {
  'set-cookie': 'Set-Cookie',
  vary: 'Vary',
  link: 'Link',
  'server-timing': 'Server-Timing',
  'content-security-policy': 'Content-Security-Policy',
}

/**
 * Calls `writeHead` with a raw list. Fields that middleware has set stay. A field of `headers` replaces the one of
 * middleware, except that the fields of `SHARED` that both set are sent, and that framing is never taken from middleware:
 * only `headers` and Node know how long the body is. `res.getHeader` has the fields afterwards, as loggers expect.
 *
 * @throws {WsTunnelError} `WST_ERR_BAD_RESPONSE` if Node refuses a field. The fields of `headers` are then removed from
 *   `res`, and those that middleware had set are there again.
 */
export function writeHead(
  res: ServerResponse,
  statusCode: number,
  reason: string | undefined,
  headers: HeaderList,
): void {
  const shared = sharedFields(res)
  let list = headers
  try {
    const framed = framing(res, statusCode, headers)
    if (shared.length + framed.length > 0) list = HeaderList.from([...shared, ...framed, ...headers.raw])
    if (list.has('content-disposition')) moveLengthToEnd(list)
    res.sendDate = statusCode >= 200 && !headers.has('date')
    if (isHttp2(res.req)) res.writeHead(statusCode, Object.fromEntries(fieldsOfHttp2(list)))
    else if (Object.hasOwn(res, 'writeHead')) writeWrappedHead(res, statusCode, reason, list)
    else {
      res.writeHead(statusCode, reason ?? '', list.raw as never)
      makeHeadReadable(res, list)
    }
  } catch (cause) {
    if (!res.headersSent) restore(res, list, shared)
    throw new WsTunnelError('WST_ERR_BAD_RESPONSE', { detail: (cause as Error).message, cause })
  }
}

/** Undoes what an unwritten head has set: the app's error handler writes its own on this `res`. */
function restore(res: ServerResponse, list: HeaderList, shared: readonly string[]): void {
  for (const [name] of list) if (res.hasHeader(name)) res.removeHeader(name)
  for (const [name, value] of HeaderList.from(shared)) res.appendHeader(name, value)
  res.statusMessage = ''
}

const NONE: readonly string[] = []

/** The lines of the fields of `SHARED` that middleware has set: name, value, name, value. */
function sharedFields(res: ServerResponse): readonly string[] {
  let lines = NONE
  // Node would convert a name that is not in lower case.
  for (const lower in SHARED) {
    const value = res.getHeader(lower)
    if (value === undefined) continue
    const name = SHARED[lower as keyof typeof SHARED]
    for (const line of Array.isArray(value) ? value : [String(value)]) lines = [...lines, name, line]
  }
  return lines
}

/**
 * Removes the framing that middleware has set. A response whose `Transfer-Encoding` was removed would end with its
 * connection, so that a truncated body would seem complete: `chunked` is returned for it where Node would use it.
 */
function framing(res: ServerResponse, statusCode: number, headers: HeaderList): readonly string[] {
  if (res.hasHeader('content-length')) res.removeHeader('content-length')
  if (!res.hasHeader('transfer-encoding')) return NONE
  res.removeHeader('transfer-encoding')
  const { method, httpVersion } = res.req
  const isBodiless = statusCode < 200 || statusCode === 204 || statusCode === 304 || method === 'HEAD'
  return isBodiless || httpVersion !== '1.1' || headers.has('content-length') ? [] : ['Transfer-Encoding', 'chunked']
}

/**
 * Sets the fields one by one: middleware that wraps `writeHead` (on-headers, which express-session uses) may not
 * support a raw list.
 */
function writeWrappedHead(res: ServerResponse, statusCode: number, reason: string | undefined, list: HeaderList): void {
  for (const [name] of list) res.removeHeader(name)
  for (const [name, value] of list) res.appendHeader(name, value)
  res.writeHead(statusCode, reason ?? '')
}

/** Lower-case names with one value each, as Node's HTTP/2 takes them. Cookies stay a list. */
function fieldsOfHttp2(headers: HeaderList): Map<string, string | string[]> {
  const fields = new Map<string, string | string[]>()
  for (const [name] of headers) {
    const lower = name.toLowerCase()
    const values = headers.getAll(name)
    fields.set(lower, lower === 'set-cookie' ? values : values.join(', '))
  }
  return fields
}

/**
 * Node reads the value of a `Content-Disposition` that follows `Content-Length` as UTF-8. It writes all other fields as
 * latin1, which keeps every byte. The order of fields with different names has no meaning (RFC 9110 5.3).
 */
function moveLengthToEnd(list: HeaderList): void {
  const length = list.get('content-length')
  if (length !== undefined) list.unset('content-length').append('Content-Length', length)
}

const NOTHING = Buffer.alloc(0)

/**
 * Sends the head that {@link writeHead} has made, without waiting for the body. `res.flushHeaders` writes a text without an
 * encoding, so that it would be sent as UTF-8 if the socket had no other default.
 */
export function flushHead(res: ServerResponse): void {
  const { socket } = res
  if (isHttp2(res.req)) res.flushHeaders()
  // A response that waits for an earlier one of the connection has no socket yet.
  else if (socket === null) res.write(NOTHING)
  else {
    socket.setDefaultEncoding('latin1')
    try {
      res.flushHeaders()
    } finally {
      socket.setDefaultEncoding('utf8')
    }
  }
}

/** The longest body that is joined to its head as text: one write of one text costs less than one of two buffers. */
const MAX_TEXT = 16_384

const { end } = ServerResponse.prototype

/** Sends head and body in one write, and ends the response. */
export function endWhole(res: ServerResponse, body: Buffer): void {
  if (body.length === 0) res.end()
  // Middleware that wraps `end` may read the body as UTF-8.
  else if (res.end === end && body.length <= MAX_TEXT) res.end(body.toString('latin1'), 'latin1')
  else res.end(body)
}

/** Adds the trailer section. It is sent with the end of a chunked body, and not at all with another body. */
export function addTrailers(res: ServerResponse, raw: readonly string[]): void {
  const fields: [string, string][] = []
  for (let i = 0; i + 1 < raw.length; i += 2) fields.push([raw[i] as string, raw[i + 1] as string])
  if (fields.length > 0) res.addTrailers(isHttp2(res.req) ? Object.fromEntries(fields) : fields)
}
