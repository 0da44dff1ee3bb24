import type { ClientRequest } from 'node:http'
import type { Socket } from 'node:net'
import { WsTunnelError } from '../errors.ts'
import type { InterimResponse } from '../http/response-head.ts'
import { Countdown } from '../util/countdown.ts'
import { roundTripError, timeoutError } from './backend-error.ts'

/** Interim responses that are accepted before the final one (httpd: AP_MAX_INTERIM_RESPONSES). */
export const MAX_INTERIM_RESPONSES = 10

/** How long a backend may take, ms; 0 is no limit. */
export interface Limits {
  /** TCP and TLS connect. */
  readonly connectTimeout: number
  /** From the request to the head of its response. */
  readonly handshakeTimeout: number
  /** How much of both times has passed already. @default 0 */
  readonly spent?: number
}

/**
 * Applies the time limits to a request of Node, relays its interim responses and reports its failure. Upgrades and plain
 * requests share it.
 *
 * @returns `progress`, to be called while a body is sent: the time for the response counts from the last call.
 */
export function watchRequest(
  request: ClientRequest,
  { connectTimeout, handshakeTimeout, spent = 0 }: Limits,
  onInterim: (response: InterimResponse) => void,
  onFailure: (error: WsTunnelError) => void,
): { progress: () => void } {
  let connected = false
  const start = (ms: number): Countdown | undefined =>
    ms === 0 ? undefined : new Countdown(Math.max(0, ms - spent), () => request.destroy(timeoutError(connected, ms)))

  const responseLimit = start(handshakeTimeout)
  let connectLimit: Countdown | undefined
  const socketOnConnect = (): void => {
    connected = true
    connectLimit?.stop()
  }
  const stopLimits = (): void => {
    responseLimit?.stop()
    connectLimit?.stop()
  }

  const watchSocket = (socket: Socket): void => {
    if (socket.connecting) {
      connectLimit = start(connectTimeout)
      socket.once('encrypted' in socket ? 'secureConnect' : 'connect', socketOnConnect)
    } else socketOnConnect()
  }
  if (request.socket) watchSocket(request.socket)
  else request.on('socket', watchSocket)

  let responded = false
  const requestOnResponse = (): void => {
    responded = true
    stopLimits()
  }
  const fail = (error: WsTunnelError): void => {
    stopLimits()
    if (!responded) onFailure(error)
  }

  let interim = 0
  request.on('information', info => {
    if (++interim <= MAX_INTERIM_RESPONSES) onInterim(info)
    else {
      // Node still parses the rest of the packet, which may have a final response. The failure is reported before that.
      const error = new WsTunnelError('WST_ERR_BAD_RESPONSE', {
        detail: `more than ${MAX_INTERIM_RESPONSES} interim responses`,
      })
      fail(error)
      request.destroy(error)
    }
  })
  request.on('response', requestOnResponse)
  request.on('upgrade', requestOnResponse)
  request.on('close', () => {
    if (!responded) fail(new WsTunnelError('WST_ERR_NO_RESPONSE'))
  })
  // This listener runs before the `error` listeners of the caller, so that the failure is reported before they run.
  request.prependListener('error', error => fail(roundTripError(error, connected, request.protocol === 'https:')))
  return { progress: () => responseLimit?.refresh() }
}
