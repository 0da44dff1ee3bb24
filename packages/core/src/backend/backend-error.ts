import { WsTunnelError, type WsTunnelErrorCode } from '../errors.ts'

const CONNECT_CODES = new Set([
  'ECONNREFUSED',
  'ENOENT',
  'EACCES',
  'EPERM',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'EMFILE',
  'ENFILE',
  'ENOTSOCK',
  'EAGAIN',
])

type NodeError = Error & { code?: string; syscall?: string }

function codeOf({ code = '', syscall }: NodeError): WsTunnelErrorCode {
  if (syscall === 'getaddrinfo' || /^(ENOTFOUND|EAI_|ERR_INVALID_IP)/.test(code)) return 'WST_ERR_DNS'
  if (code === 'ETIMEDOUT') return 'WST_ERR_CONNECT_TIMEOUT'
  if (syscall === 'connect' || CONNECT_CODES.has(code)) return 'WST_ERR_CONNECT'
  if (/^(HPE_|ERR_INVALID_CHAR|ERR_HTTP)/.test(code)) return 'WST_ERR_BAD_RESPONSE'
  if (code === 'ECONNRESET' || code === 'EPIPE') return 'WST_ERR_NO_RESPONSE'
  if (/^(ERR_TLS|ERR_SSL|EPROTO|CERT_|UNABLE_|SELF_SIGNED|DEPTH_ZERO|HOSTNAME_|ERR_OSSL|INVALID_)/.test(code))
    return 'WST_ERR_TLS'
  return 'WST_ERR_NO_RESPONSE'
}

const withCode = (error: NodeError, code: WsTunnelErrorCode): WsTunnelError =>
  new WsTunnelError(code, { detail: error.code ?? error.message, cause: error })

/** Converts an error of Node into one of ours. */
export function backendError(error: NodeError): WsTunnelError {
  return error instanceof WsTunnelError ? error : withCode(error, codeOf(error))
}

/**
 * Converts the error of a round trip into one of ours. Whether another backend may get the request depends on its code.
 *
 * @param connected TCP and TLS were established, so the request was sent. The same system errors then no longer mean
 * that the backend could not be reached.
 * @param secure the connection uses TLS. Before `connected`, a connection that breaks is a failed TLS handshake.
 */
export function roundTripError(error: NodeError, connected: boolean, secure: boolean): WsTunnelError {
  if (error instanceof WsTunnelError) return error
  const code = codeOf(error)
  if (connected && (code === 'WST_ERR_CONNECT' || code === 'WST_ERR_CONNECT_TIMEOUT'))
    return withCode(error, 'WST_ERR_NO_RESPONSE')
  if (!connected && secure && code === 'WST_ERR_NO_RESPONSE') return withCode(error, 'WST_ERR_TLS')
  return withCode(error, code)
}

/** The error of a time limit. Before the connection is established, nothing was sent, so that error has a different code. */
export function timeoutError(connected: boolean, ms: number): WsTunnelError {
  const code = connected ? 'WST_ERR_HANDSHAKE_TIMEOUT' : 'WST_ERR_CONNECT_TIMEOUT'
  return new WsTunnelError(code, { detail: `${ms} ms` })
}
