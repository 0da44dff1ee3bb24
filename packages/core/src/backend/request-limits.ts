import type { ClientRequest } from 'node:http'
import type { Socket } from 'node:net'
import { WsTunnelError, type WsTunnelErrorCode } from '../errors.ts'
import type { InterimResponse } from '../http/response-head.ts'

/** Interim answers accepted before the final one (httpd: AP_MAX_INTERIM_RESPONSES). */
const MAX_INTERIM_ANSWERS = 10

/** How long a worker may take. */
export interface Limits {
  readonly connectTimeout: number
  readonly handshakeTimeout: number
  /** ms of both that have passed. @default 0 */
  readonly spent?: number
}

/**
 * Puts the time limits on a request, hands on its interim answers and names its failure. Upgrades and plain HTTP share it.
 *
 * @returns `progress`, to be called while a body is on its way: the time for an answer counts from there.
 */
export function watchRequest(
  request: ClientRequest,
  { connectTimeout, handshakeTimeout, spent = 0 }: Limits,
  onInterim: (answer: InterimResponse) => void,
  onFailure: (error: WsTunnelError) => void,
): { progress: () => void } {
  let connected = false
  const give = (ms: number): NodeJS.Timeout | undefined =>
    ms === 0 ? undefined : setTimeout(() => request.destroy(late(connected, ms)), Math.max(0, ms - spent))

  const answerTimer = give(handshakeTimeout)
  let connectTimer: NodeJS.Timeout | undefined
  const socketOnConnect = (): void => {
    connected = true
    clearTimeout(connectTimer)
  }
  const settled = (): void => {
    clearTimeout(answerTimer)
    clearTimeout(connectTimer)
  }

  const watchSocket = (socket: Socket): void => {
    if (socket.connecting) {
      connectTimer = give(connectTimeout)
      socket.once('encrypted' in socket ? 'secureConnect' : 'connect', socketOnConnect)
    } else socketOnConnect()
  }
  if (request.socket) watchSocket(request.socket)
  else request.on('socket', watchSocket)

  let answered = false
  const requestOnAnswer = (): void => {
    answered = true
    settled()
  }
  const fail = (error: WsTunnelError): void => {
    settled()
    if (!answered) onFailure(error)
  }

  let interim = 0
  request.on('information', info => {
    if (++interim <= MAX_INTERIM_ANSWERS) onInterim(info)
    else {
      // What stands behind it in the same packet is still parsed: the failure must be known before an answer is.
      const error = new WsTunnelError('WST_ERR_BAD_RESPONSE', {
        detail: `more than ${MAX_INTERIM_ANSWERS} interim answers`,
      })
      fail(error)
      request.destroy(error)
    }
  })
  request.on('response', requestOnAnswer)
  request.on('upgrade', requestOnAnswer)
  request.on('close', () => {
    if (!answered) fail(new WsTunnelError('WST_ERR_NO_RESPONSE'))
  })
  // Before the listener of whoever made the request: what it does must find the failure named.
  request.prependListener('error', error => fail(tripError(error, connected, request.protocol === 'https:')))
  return { progress: () => void answerTimer?.refresh() }
}

/** A time is over: one in which nothing of the request could be sent is another failure than one without an answer. */
export function late(connected: boolean, ms: number): WsTunnelError {
  const code = connected ? 'WST_ERR_HANDSHAKE_TIMEOUT' : 'WST_ERR_CONNECT_TIMEOUT'
  return new WsTunnelError(code, { detail: `${ms} ms` })
}

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

const named = (error: NodeError, code: WsTunnelErrorCode): WsTunnelError =>
  new WsTunnelError(code, { detail: error.code ?? error.message, cause: error })

/** Node's error as one of ours. */
export function backendError(error: NodeError): WsTunnelError {
  return error instanceof WsTunnelError ? error : named(error, codeOf(error))
}

/**
 * Node's error of a request as one of ours: whether another backend may have the request depends on it.
 *
 * @param connected TCP and TLS stood: the request was sent, and the network may say of it what it says of a connection
 * @param secure before that it was TLS which broke off
 */
export function tripError(error: NodeError, connected: boolean, secure: boolean): WsTunnelError {
  if (error instanceof WsTunnelError) return error
  const code = codeOf(error)
  if (connected && (code === 'WST_ERR_CONNECT' || code === 'WST_ERR_CONNECT_TIMEOUT'))
    return named(error, 'WST_ERR_NO_RESPONSE')
  if (!connected && secure && code === 'WST_ERR_NO_RESPONSE') return named(error, 'WST_ERR_TLS')
  return named(error, code)
}
