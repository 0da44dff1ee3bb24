import type { ServerResponse } from 'node:http'
import { WsTunnelError } from '../errors.ts'
import { HeaderList } from '../http/header-list.ts'
import { isHttp2 } from '../http/http2.ts'

/**
 * Calls `writeHead` with a raw list. Fields that middleware has set stay. A field of `headers` replaces the one of
 * middleware, except that cookies of both are sent.
 *
 * @throws {WsTunnelError} `WST_ERR_BAD_RESPONSE` if Node refuses a field. The fields of `headers` are then removed from
 *   `res`.
 */
export function writeHead(
  res: ServerResponse,
  statusCode: number,
  reason: string | undefined,
  headers: HeaderList,
): void {
  const list = withOwnCookies(res, headers)
  res.sendDate = statusCode >= 200 && !headers.has('date')
  try {
    if (isHttp2(res.req)) res.writeHead(statusCode, Object.fromEntries(fieldsOfHttp2(list)))
    else if (Object.hasOwn(res, 'writeHead')) writeWrappedHead(res, statusCode, reason, list)
    else res.writeHead(statusCode, reason ?? '', list.toRaw() as never)
  } catch (cause) {
    // The app's error handler writes its own head on this `res`.
    for (const [name] of list) if (res.hasHeader(name)) res.removeHeader(name)
    res.statusMessage = ''
    throw new WsTunnelError('WST_ERR_BAD_RESPONSE', { detail: (cause as Error).message, cause })
  }
}

function withOwnCookies(res: ServerResponse, headers: HeaderList): HeaderList {
  const cookies = res.getHeader('set-cookie')
  if (cookies === undefined) return headers
  const list = new HeaderList()
  for (const cookie of Array.isArray(cookies) ? cookies : [String(cookies)]) list.append('Set-Cookie', cookie)
  for (const [name, value] of headers) list.append(name, value)
  return list
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
