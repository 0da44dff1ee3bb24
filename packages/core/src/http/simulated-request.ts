import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'

/** The properties of a request that does not come from a connection. */
export interface RequestShape {
  method?: string
  url?: string
  httpVersion?: string
  /** Name, value, name, value. */
  rawHeaders?: string[]
  remoteAddress?: string
  /** Whether it came over TLS. */
  encrypted?: boolean
}

/** Node's parser calls this for the fields of a head; `headers` then reads them, with Node's rules for duplicates. */
interface ParsedHead {
  _addHeaderLines(rawHeaders: string[], count: number): void
}

/** A request as Node's parser creates it, without a connection. */
export function simulatedRequest({
  method = 'GET',
  url = '/',
  httpVersion = '1.1',
  rawHeaders = [],
  remoteAddress,
  encrypted = false,
}: RequestShape): IncomingMessage {
  const socket = new Socket()
  if (remoteAddress !== undefined) Object.defineProperty(socket, 'remoteAddress', { value: remoteAddress })
  if (encrypted) Object.defineProperty(socket, 'encrypted', { value: true })
  const req = new IncomingMessage(socket)
  const [httpVersionMajor, httpVersionMinor] = httpVersion.split('.').map(Number)
  Object.assign(req, { method, url, httpVersion, httpVersionMajor, httpVersionMinor })
  ;(req as unknown as ParsedHead)._addHeaderLines(rawHeaders, rawHeaders.length)
  return req
}
