import { IncomingMessage, validateHeaderName, validateHeaderValue } from 'node:http'
import { Socket } from 'node:net'
import { TOKEN } from '../http/token.ts'

/** A request that was not sent. */
export interface ExplainRequest {
  /** @default 'GET' */
  method?: string
  /** The request target, as a client writes it: path and query. */
  url: string
  /** By name, with a list for several lines of one field; or `[name, value]` pairs in their order. @default {} */
  headers?: Readonly<Record<string, string | readonly string[]>> | readonly (readonly [name: string, value: string])[]
  /** The client's address. @default '127.0.0.1' */
  remoteAddress?: string
  /** The request came over TLS. @default false */
  encrypted?: boolean
  /** @default '1.1' */
  httpVersion?: '1.0' | '1.1'
}

/** Fields of which Node keeps the first line only. */
const SINGLE = new Set(
  `age authorization content-length content-type etag expires from host if-modified-since if-unmodified-since
  last-modified location max-forwards proxy-authorization referer retry-after server user-agent`.split(/\s+/),
)

/**
 * Makes a request as Node's parser would.
 *
 * @throws {TypeError} for a method, target or header field that cannot be sent.
 */
export function fakeRequest({
  method = 'GET',
  url,
  headers = {},
  remoteAddress = '127.0.0.1',
  encrypted = false,
  httpVersion = '1.1',
}: ExplainRequest): IncomingMessage {
  if (!TOKEN.test(method)) throw new TypeError(`Expected \`method\` to be a token, got ${method}`)
  if (!/^[^\0-\x20\x7f]+$/.test(url)) throw new TypeError('Expected `url` to be a request target without spaces')
  const socket = new Socket()
  Object.defineProperty(socket, 'remoteAddress', { value: remoteAddress })
  if (encrypted) Object.defineProperty(socket, 'encrypted', { value: true })
  const req = new IncomingMessage(socket)
  const [major, minor] = httpVersion.split('.').map(Number)
  Object.assign(req, { method, url, httpVersion, httpVersionMajor: major, httpVersionMinor: minor })
  const fields = isPairs(headers) ? headers : Object.entries(headers)
  for (const [name, values] of fields) {
    for (const value of [values].flat()) {
      validateHeaderName(name)
      validateHeaderValue(name, value)
      req.rawHeaders.push(name, value)
      const lower = name.toLowerCase()
      const before = req.headers[lower]
      if (lower === 'set-cookie') req.headers[lower] = [...(req.headers[lower] ?? []), value]
      else if (before === undefined) req.headers[lower] = value
      else if (!SINGLE.has(lower)) req.headers[lower] = `${before}${lower === 'cookie' ? '; ' : ', '}${value}`
    }
  }
  return req
}

const isPairs = (headers: object): headers is readonly (readonly [string, string])[] => Array.isArray(headers)
