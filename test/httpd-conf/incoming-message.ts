import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'

/** A request as Node parses it, which no client sent. */
export function requestOf(url: string, rawHeaders: readonly string[] = [], method = 'GET'): IncomingMessage {
  const req = new IncomingMessage(new Socket())
  Object.assign(req, { url, method, httpVersion: '1.1' })
  req.rawHeaders = [...rawHeaders]
  return req
}
