import { type IncomingMessage, validateHeaderName, validateHeaderValue } from 'node:http'
import { simulatedRequest } from '../http/simulated-request.ts'
import { TOKEN } from '../http/token.ts'

/** A request that was not sent. */
export interface ExplainRequest {
  /** @default 'GET' */
  method?: string
  /** The request target, as a client writes it: path and query. */
  url: string
  /** Fields by name, with a list for a field of several lines; or `[name, value]` pairs in order. @default {} */
  headers?: Readonly<Record<string, string | readonly string[]>> | readonly (readonly [name: string, value: string])[]
  /** The client's address. @default '127.0.0.1' */
  remoteAddress?: string
  /** The request came over TLS. @default false */
  encrypted?: boolean
  /** @default '1.1' */
  httpVersion?: '1.0' | '1.1'
}

/**
 * Makes the request that is explained.
 *
 * @throws {TypeError} if the request could not have arrived: a wrong method, target or header field.
 */
export function explainedRequest({
  method = 'GET',
  url,
  headers = {},
  remoteAddress = '127.0.0.1',
  encrypted = false,
  httpVersion = '1.1',
}: ExplainRequest): IncomingMessage {
  if (!TOKEN.test(method)) throw new TypeError(`Expected \`method\` to be a token, got ${method}`)
  if (!/^[^\0-\x20\x7f]+$/.test(url)) throw new TypeError('Expected `url` to be a request target without spaces')
  const rawHeaders: string[] = []
  for (const [name, values] of isPairs(headers) ? headers : Object.entries(headers)) {
    for (const value of [values].flat()) {
      validateHeaderName(name)
      validateHeaderValue(name, value)
      rawHeaders.push(name, value)
    }
  }
  return simulatedRequest({ method, url, httpVersion, rawHeaders, remoteAddress, encrypted })
}

const isPairs = (headers: object): headers is readonly (readonly [string, string])[] => Array.isArray(headers)
