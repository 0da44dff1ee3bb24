import type { IncomingMessage, ServerResponse } from 'node:http'
import { HeaderList } from '../http/header-list.ts'
import type { HeaderEditing } from '../options/route-options.ts'
import { editHeaders } from './edit-headers.ts'

/**
 * Applies `localHeaders` to the fields that are set on `res`. Whoever writes the response sends them with it.
 *
 * @throws {WsTunnelError} `WST_ERR_CALLBACK` if a header function throws, or sets a malformed field.
 */
export function setLocalHeaders(req: IncomingMessage, res: ServerResponse, editing: HeaderEditing | undefined): void {
  if (editing === undefined || res.headersSent) return
  const before = namesOf(res)
  const headers = new HeaderList()
  for (const name of before) for (const value of linesOf(res, name)) headers.append(name, value)
  editHeaders(headers, editing, { req, choice: undefined })
  for (const name of before) res.removeHeader(name)
  for (const [name, value] of headers) res.appendHeader(name, value)
}

/** The names of the fields. Over HTTP/1, Node keeps their spelling. */
const namesOf = (res: ServerResponse & { getRawHeaderNames?: () => string[] }): string[] =>
  res.getRawHeaderNames?.() ?? res.getHeaderNames()

function linesOf(res: ServerResponse, name: string): string[] {
  const value = res.getHeader(name)
  return Array.isArray(value) ? value : [String(value)]
}
