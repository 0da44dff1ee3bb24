import { type IncomingMessage, validateHeaderName, validateHeaderValue } from 'node:http'
import { WsTunnelError } from '../errors.ts'
import type { HeaderList } from '../http/header-list.ts'
import type { BalancerChoice } from '../options/balancer-options.ts'
import type { HeaderEditing } from '../options/options.ts'

/**
 * Applies the option `requestHeaders` or `responseHeaders`: first `unset`, then `set`, then `append`; or the function.
 *
 * @throws {WsTunnelError} `WST_ERR_CALLBACK` if the function throws or leaves a field that Node refuses to send.
 */
export function editHeaders(
  headers: HeaderList,
  editing: HeaderEditing | undefined,
  req: IncomingMessage,
  choice?: BalancerChoice,
): HeaderList {
  if (editing === undefined) return headers
  if (typeof editing === 'function') {
    try {
      editing(headers, req, choice)
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
