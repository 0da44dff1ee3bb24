import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'

export interface RequestShape {
  method?: string
  url?: string
  httpVersion?: string
}

/** A request as Node's parser leaves it, without a wire: for the modules that only read it. */
export function requestOf(
  lines: readonly string[],
  { method = 'GET', url = '/', httpVersion = '1.1' }: RequestShape = {},
): IncomingMessage {
  const req = new IncomingMessage(new Socket())
  const [major = '', minor = ''] = httpVersion.split('.')
  Object.assign(req, { method, url, httpVersion, httpVersionMajor: Number(major), httpVersionMinor: Number(minor) })
  for (const line of lines) {
    // From 1 on: the pseudo-fields of HTTP/2 begin with a colon.
    const colon = line.indexOf(':', 1)
    const [name, value] = [line.slice(0, colon), line.slice(colon + 1).trim()]
    req.rawHeaders.push(name, value)
    const lower = name.toLowerCase()
    const before = req.headers[lower]
    req.headers[lower] = before === undefined ? value : `${before}, ${value}`
  }
  return req
}
