import { validateHeaderName, validateHeaderValue } from 'node:http'
import { WsTunnelError } from '../errors.ts'
import type { HeaderList } from '../http/header-list.ts'
import type { HeaderContext, HeaderEditing } from '../options/route-options.ts'

/**
 * Applies `requestHeaders` or `responseHeaders` to a list, in place.
 *
 * @throws {WsTunnelError} `WST_ERR_CALLBACK` if a header function throws, or sets a malformed field.
 */
export function editHeaders(
  headers: HeaderList,
  editing: HeaderEditing | undefined,
  context: HeaderContext,
): HeaderList {
  if (editing === undefined) return headers
  if (typeof editing === 'function') {
    try {
      editing(headers, context)
      for (const [name, value] of headers) {
        validateHeaderName(name)
        validateHeaderValue(name, value)
      }
    } catch (cause) {
      if (cause instanceof WsTunnelError) throw cause
      throw new WsTunnelError('WST_ERR_CALLBACK', { detail: `a header function: ${String(cause)}`, cause })
    }
    return headers
  }
  for (const name of editing.unset ?? []) headers.unset(name)
  for (const [name, value] of Object.entries(editing.set ?? {})) headers.set(name, value)
  for (const [name, value] of Object.entries(editing.append ?? {})) headers.append(name, value)
  return headers
}
