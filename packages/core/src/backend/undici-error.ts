import { WsTunnelError } from '../errors.ts'
import { roundTripError } from './backend-error.ts'

/** The error of a 101 that was not requested. */
export const notRequested = (): WsTunnelError =>
  new WsTunnelError('WST_ERR_BAD_SWITCH', { detail: 'no upgrade was requested' })

/** Converts the error of a request that undici has written, or was about to write. */
export function undiciError(error: Error & { code?: string }, secure: boolean): WsTunnelError {
  const { code, name, message } = error
  if (code === 'UND_ERR_SOCKET' && message === 'bad upgrade') return notRequested()
  const isBad = name === 'HTTPParserError' || code === 'UND_ERR_HEADERS_OVERFLOW' || message === 'bad response'
  if (isBad) return new WsTunnelError('WST_ERR_BAD_RESPONSE', { detail: message, cause: error })
  if (code === 'UND_ERR_SOCKET') return new WsTunnelError('WST_ERR_NO_RESPONSE', { detail: message, cause: error })
  return roundTripError(error, true, secure)
}
