import { isIPv6 } from 'node:net'
import { networkInterfaces } from 'node:os'
import { WsTunnelError, type WsTunnelErrorCode } from '../errors.ts'
import { lacksDescriptors, noteNoDescriptors } from '../util/descriptors.ts'

/** The system has no descriptor, port or memory for this process: the backend is not at fault. */
const EXHAUSTED_CODES = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'EADDRNOTAVAIL'])

const CONNECT_CODES = new Set([
  'ECONNREFUSED',
  'ENOENT',
  'EACCES',
  'EPERM',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'ENOTSOCK',
  'EAGAIN',
])

/** An error of Node. One that is about several addresses of a name has an error for each of them. */
type NodeError = Error & {
  code?: string
  syscall?: string
  hostname?: string
  address?: string
  errors?: readonly NodeError[]
}

function codeOf(error: NodeError): WsTunnelErrorCode {
  const { code = '', syscall } = error
  if (isExhausted(error)) return 'WST_ERR_EXHAUSTED'
  if (isLookupError(error)) return lacksDescriptors() ? 'WST_ERR_EXHAUSTED' : 'WST_ERR_DNS'
  if (code === 'ETIMEDOUT') return 'WST_ERR_CONNECT_TIMEOUT'
  if (syscall === 'connect' || CONNECT_CODES.has(code)) return 'WST_ERR_CONNECT'
  if (/^(HPE_|ERR_INVALID_CHAR|ERR_HTTP)/.test(code)) return 'WST_ERR_BAD_RESPONSE'
  if (code === 'ECONNRESET' || code === 'EPIPE') return 'WST_ERR_NO_RESPONSE'
  if (/^(ERR_TLS|ERR_SSL|EPROTO|CERT_|UNABLE_|SELF_SIGNED|DEPTH_ZERO|HOSTNAME_|ERR_OSSL|INVALID_)/.test(code))
    return 'WST_ERR_TLS'
  return 'WST_ERR_NO_RESPONSE'
}

const isLookupError = ({ code = '', syscall }: NodeError): boolean =>
  syscall === 'getaddrinfo' || /^(ENOTFOUND|EAI_|ERR_INVALID_IP)/.test(code)

function isExhausted({ code = '', address, errors }: NodeError): boolean {
  if (errors !== undefined) return errors.some(isExhausted)
  if (!EXHAUSTED_CODES.has(code)) return false
  if (code === 'EMFILE' || code === 'ENFILE') noteNoDescriptors()
  return code !== 'EADDRNOTAVAIL' || hasAddressFor(address)
}

/**
 * Whether this machine has an address from which it could reach an address of a backend. Without one, `EADDRNOTAVAIL` does
 * not mean that ports have run out: it is what a machine without IPv6 gets for every IPv6 address.
 */
function hasAddressFor(address = ''): boolean {
  if (!isIPv6(address)) return true
  const isLoopback = address === '::1'
  try {
    return Object.values(networkInterfaces()).some(each =>
      each?.some(({ family, internal }) => family === 'IPv6' && internal === isLoopback),
    )
  } catch {
    // The system needs a descriptor for the list.
    return true
  }
}

function withCode(error: NodeError, code: WsTunnelErrorCode): WsTunnelError {
  const { code: reason = error.message, hostname } = error
  const detail = code === 'WST_ERR_DNS' && hostname !== undefined ? `${reason} ${hostname}` : reason
  return new WsTunnelError(code, { detail, cause: error })
}

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
