import { WsTunnelError } from '../errors.ts'
import type { LocalResponse } from '../options/route-options.ts'

/**
 * Checks the response that a target function returned.
 *
 * @throws {WsTunnelError} `WST_ERR_CALLBACK` for a status that is not from 300 to 599, and for a location that is not a URL.
 */
export function checkLocalResponse({ status, location }: LocalResponse): LocalResponse {
  if (!Number.isInteger(status) || status < 300 || status > 599)
    throw new WsTunnelError('WST_ERR_CALLBACK', { detail: `the target function returned the status ${status}` })
  if (location !== undefined && (typeof location !== 'string' || !/^[\x21-\x7e\x80-\xff]+$/.test(location)))
    throw new WsTunnelError('WST_ERR_CALLBACK', { detail: 'the target function returned a location that is not a URL' })
  return { status, ...(location !== undefined && { location }) }
}
