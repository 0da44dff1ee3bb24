import type { Socket } from 'node:net'
import { relay, respond } from '../client/relay.ts'
import { WsTunnelError } from '../errors.ts'
import { headerValue } from '../http/header-list.ts'
import type { PlainResponse } from '../http/plain-response.ts'
import type { ServedResponse } from '../http/served-response.ts'
import type { LocalResponse } from '../options/route-options.ts'
import { type Candidate, countBytes } from '../routing/candidates.ts'
import type { Exchange } from './exchange.ts'

/**
 * Relays the response of a backend. Resolves when it is sent or the client has left.
 *
 * @throws {WsTunnelError} `WST_ERR_BACKEND_STATUS` if `errorOverride` applies to its status. The app then responds instead.
 */
export function relayResponse(exchange: Exchange, response: PlainResponse): Promise<void> {
  exchange.beginResponse()
  const candidate = exchange.candidate as Candidate
  const { selection, settings } = candidate
  selection?.balancer.judge(selection.member, response.statusCode)
  checkStatus(response, settings.errorOverride)
  return isServed(response) ? serve(exchange, response, candidate) : relayFrom(exchange, response, candidate)
}

/** Counts the bytes of a response that was relayed on this connection to a backend, whether completely or not. */
export function countRelayed({ candidate, match }: Exchange, socket: Socket): void {
  countBytes(match.route, candidate?.selection?.member, socket)
}

function relayFrom({ rewriting, res }: Exchange, response: PlainResponse, candidate: Candidate): Promise<void> {
  try {
    const headers = rewriting.plainResponse(response, candidate)
    return relay(response, res, { headers, rewriting, stallTimeout: candidate.settings.stallTimeout })
  } catch (error) {
    response.destroy()
    return Promise.reject(error)
  }
}

const isServed = (response: PlainResponse): response is ServedResponse => 'serve' in response

/** Lets a function of the app write the response. */
function serve(exchange: Exchange, response: ServedResponse, candidate: Candidate): Promise<void> {
  exchange.isServedByApp = true
  return response.serve(head => exchange.rewriting.plainResponse(head, candidate))
}

/** Sends a response without a backend. Resolves when it is sent or the client has left. */
export async function respondLocally(exchange: Exchange, response: LocalResponse): Promise<void> {
  exchange.beginResponse()
  await respond(exchange.res, response)
}

/** Throws if `errorOverride` applies to the status, so that the app responds instead (ProxyErrorOverride). */
function checkStatus(response: PlainResponse, overridden: boolean | readonly number[]): void {
  const { statusCode } = response
  if (overridden === false || (overridden === true ? statusCode < 400 : !overridden.includes(statusCode))) return
  response.destroy()
  const challenge = headerValue(response, 'www-authenticate')
  const keeps = statusCode === 401 && challenge !== ''
  throw new WsTunnelError('WST_ERR_BACKEND_STATUS', {
    statusCode,
    detail: `status ${statusCode}`,
    ...(keeps && { headers: { 'WWW-Authenticate': challenge } }),
  })
}
