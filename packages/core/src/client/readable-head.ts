import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { HeaderList } from '../http/header-list.ts'

const HEAD: unique symbol = Symbol('ws-tunnel.head')

type WithHead = ServerResponse & { [HEAD]: HeaderList }

/**
 * Lets loggers read the fields of a head that was written as a raw list: Node writes such a list as it is, and keeps nothing
 * of it for `res.getHeader`. Nothing is copied: most responses are read by no logger.
 */
export function makeHeadReadable(res: ServerResponse, list: HeaderList): void {
  // With a field that middleware has set, Node keeps those of the list as well.
  const [first] = list
  if (first === undefined || res.hasHeader(first[0])) return
  const readable = res as WithHead
  readable[HEAD] = list
  readable.getHeader = getHeader
  readable.hasHeader = hasHeader
  readable.getHeaders = getHeaders
  readable.getHeaderNames = getHeaderNames
}

function getHeader(this: WithHead, name: string): string | string[] | undefined {
  const values = this[HEAD].getAll(name)
  return values.length > 1 ? values : values[0]
}

function hasHeader(this: WithHead, name: string): boolean {
  return this[HEAD].has(name)
}

function getHeaderNames(this: WithHead): string[] {
  return [...new Set(Array.from(this[HEAD], ([name]) => name.toLowerCase()))]
}

function getHeaders(this: WithHead): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = Object.create(null)
  for (const name of this.getHeaderNames()) headers[name] = this.getHeader(name)
  return headers
}
