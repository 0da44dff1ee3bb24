import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2'

/** Fields of an HTTP/1 connection. HTTP/2 has none of them (RFC 9113 8.2.2). */
const OF_CONNECTION: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'te',
])

/** Fields of which HTTP/2 of Node refuses a second line. The first is sent, as Node's own HTTP/1 parser does. */
const SINGLE: ReadonlySet<string> = new Set(
  `access-control-allow-credentials access-control-max-age access-control-request-method age authorization content-encoding content-language
  content-length content-location content-md5 content-range content-type date dnt etag expires from host if-match if-modified-since
  if-none-match if-range if-unmodified-since last-modified location max-forwards origin proxy-authorization referer retry-after tk
  upgrade-insecure-requests user-agent x-content-type-options`.split(/\s+/),
)

/** The head of a response of HTTP/1. */
export interface Http1Head {
  readonly statusCode: number
  /** Name, value, name, value. */
  readonly rawHeaders: readonly string[]
}

/** Reads a head that Node has written, as latin1, without its empty line. */
export function readHttp1Head(text: string): Http1Head {
  const [statusLine = '', ...lines] = text.split('\r\n')
  const rawHeaders = lines.flatMap(line => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon), line.slice(colon + 1).trimStart()]
  })
  return { statusCode: Number(statusLine.slice('HTTP/1.1 '.length, 'HTTP/1.1 200'.length)), rawHeaders }
}

/**
 * The fields of an HTTP/1 response for HTTP/2: names in lower case, without those of the connection and those that `Connection` names
 * (RFC 9113 8.2.2).
 */
export function http2Fields(rawHeaders: readonly string[]): { fields: OutgoingHttpHeaders; isChunked: boolean } {
  const lists = new Map<string, string[]>()
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] as string).toLowerCase()
    const list = lists.get(name)
    if (list === undefined) lists.set(name, [rawHeaders[i + 1] as string])
    else list.push(rawHeaders[i + 1] as string)
  }
  const isChunked = lists.has('transfer-encoding')
  const named = (lists.get('connection') ?? []).flatMap(value => value.toLowerCase().split(','))
  const fields: OutgoingHttpHeaders = {}
  for (const [name, values] of lists) {
    if (OF_CONNECTION.has(name) || named.some(each => each.trim() === name)) continue
    fields[name] = values.length === 1 || SINGLE.has(name) ? values[0] : values
  }
  return { fields, isChunked }
}

/** A request of HTTP/2 as HTTP/1.1 has it. */
export interface Http1Request {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: string[]
}

/** Why a request of HTTP/2 cannot be an HTTP/1.1 request; `undefined` if it can. */
export function faultOf(headers: IncomingHttpHeaders): string | undefined {
  const { ':authority': authority, ':path': path = '', host } = headers
  if (authority !== undefined && host !== undefined && authority.toLowerCase() !== host.toLowerCase())
    return ':authority and Host differ'
  if (authority === undefined && host === undefined) return 'no :authority'
  if (!path.startsWith('/') && !(path === '*' && headers[':method'] === 'OPTIONS')) return ':path is not a path'
  return undefined
}

/**
 * The HTTP/1.1 request that an HTTP/2 request means: Host from `:authority`, no pseudo-header fields, and for a body without length the
 * framing that HTTP/1.1 needs.
 *
 * @param more lines to add: name, value, name, value
 */
export function http1Request(
  headers: IncomingHttpHeaders,
  rawHeaders: readonly string[],
  more: readonly string[],
): Http1Request {
  const { ':authority': authority, ':method': method = 'GET', ':path': url = '/', host = authority ?? '' } = headers
  const lines = ['Host', authority ?? host]
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string
    if (!name.startsWith(':') && name !== 'host' && name !== 'cookie') lines.push(name, rawHeaders[i + 1] as string)
  }
  // Browsers send each cookie as a field of its own. In HTTP/1.1 there is one field (RFC 9113 8.2.3).
  if (headers.cookie !== undefined) lines.push('Cookie', headers.cookie)
  lines.push(...more)
  const fields: IncomingHttpHeaders = { host: authority ?? host }
  for (const [name, value] of Object.entries(headers))
    if (!name.startsWith(':') && name !== 'host') fields[name] = value
  for (let i = 0; i + 1 < more.length; i += 2) fields[(more[i] as string).toLowerCase()] = more[i + 1]
  return { method: method === 'CONNECT' ? 'GET' : method, url, headers: fields, rawHeaders: lines }
}
