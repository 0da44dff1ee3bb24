import type { IncomingMessage } from 'node:http'
import type { NotSwitched } from '../backend/node-round-trip.ts'
import { relay, respond } from '../client/relay.ts'
import { WsTunnelError } from '../errors.ts'
import type { LocalResponse } from '../options/route-options.ts'
import { noteResponse } from '../routing/candidates.ts'
import type { Exchange } from './exchange.ts'
import type { Reply } from './round-trip.ts'

/**
 * Relays the response of a backend. Resolves when it is sent or the client has left.
 *
 * @throws {WsTunnelError} `WST_ERR_BACKEND_STATUS` if `errorOverride` applies to its status. The app then responds instead.
 */
export async function relayResponse(exchange: Exchange, { response, candidate }: Reply & NotSwitched): Promise<void> {
  exchange.beginResponse()
  if (candidate.selection !== undefined) noteResponse(candidate.selection, response)
  checkStatus(response, candidate.settings.errorOverride)
  await relay(response, exchange.res, () => exchange.rewriting.plainResponse(response, candidate))
}

/** Sends a response without a backend. Resolves when it is sent or the client has left. */
export async function respondLocally(exchange: Exchange, response: LocalResponse): Promise<void> {
  exchange.beginResponse()
  await respond(exchange.res, response)
}

/** Throws if `errorOverride` applies to the status, so that the app responds instead (ProxyErrorOverride). */
function checkStatus(response: IncomingMessage, overridden: boolean | readonly number[]): void {
  const { statusCode = 502, headers } = response
  if (overridden === false || (overridden === true ? statusCode < 400 : !overridden.includes(statusCode))) return
  response.destroy()
  const { 'www-authenticate': challenge } = headers
  const keeps = statusCode === 401 && challenge !== undefined
  throw new WsTunnelError('WST_ERR_BACKEND_STATUS', {
    statusCode,
    detail: `status ${statusCode}`,
    ...(keeps && { headers: { 'WWW-Authenticate': challenge } }),
  })
}
