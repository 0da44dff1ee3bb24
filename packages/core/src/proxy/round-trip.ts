import type { IncomingMessage } from 'node:http'
import { IncomingResponse } from '../backend/incoming-response.ts'
import {
  canConnectNatively,
  type NativeLimits,
  type NativeSwitched,
  nativeRoundTrip,
} from '../backend/native-round-trip.ts'
import {
  type BackendResponse,
  nodeRoundTrip,
  type RoundTripOptions,
  type Switched,
} from '../backend/node-round-trip.ts'
import { plainRoundTrip } from '../backend/plain-round-trip.ts'
import { socketRoundTrip } from '../backend/socket-round-trip.ts'
import { relayInterim } from '../client/relay.ts'
import type { PlainResponse } from '../http/plain-response.ts'
import type { RequestHead } from '../http/request-head.ts'
import type { InterimResponse } from '../http/response-head.ts'
import { allowedToken } from '../http/upgrade.ts'
import type { Candidate } from '../routing/candidates.ts'
import type { Release } from '../util/slots.ts'
import { requestedUpgrade } from './decide.ts'
import type { Exchange } from './exchange.ts'

/** An ordinary response. */
export interface Answered {
  readonly switched: false
  readonly response: PlainResponse
}

/** The response of one candidate. */
export type Reply = (Switched | NativeSwitched | Answered) & {
  readonly candidate: Candidate
  /** The upgrade that was requested, if one was. */
  readonly token: string | undefined
}

/**
 * One round trip to one backend, for upgrades and plain requests alike. What it acquires is released with the exchange, or
 * at once if it fails.
 *
 * @throws {WsTunnelError} 502, 503 or 504, depending on the failure.
 */
export async function roundTrip(exchange: Exchange, candidate: Candidate): Promise<Reply> {
  const { token, signal } = exchange
  signal.throwIfAborted()
  // A backend may allow another token than the one that made the request an upgrade.
  const sent = token && tokenFor(candidate, exchange.req, token)
  const acquired = token === undefined ? candidate.enter() : candidate.acquire(signal)
  const release: Release = acquired instanceof Promise ? await acquired : acquired
  try {
    const response = await send(exchange, candidate, sent)
    exchange.onRelease(release)
    return { ...response, candidate, token: sent }
  } catch (error) {
    release()
    // A client that leaves while the next candidate is selected did not leave during a round trip.
    if (!signal.aborted) exchange.isSent = false
    throw error
  }
}

const tokenFor = ({ settings }: Candidate, req: IncomingMessage, token: string): string | undefined =>
  allowedToken(settings.upgrade, [token]) ?? requestedUpgrade(req, settings).token

async function send(
  exchange: Exchange,
  candidate: Candidate,
  token: string | undefined,
): Promise<Switched | NativeSwitched | Answered> {
  const { req, res, rewriting, signal, body } = exchange
  const { worker, path, settings } = candidate
  const method = req.method ?? 'GET'
  const onInterim = (interim: InterimResponse): void =>
    relayInterim(res, interim, rewriting.interimResponse(interim, candidate))
  if (body !== undefined) {
    const headers = rewriting.plainRequest(candidate, body.parsed)
    exchange.isSent = true
    const trip = { worker, method, path, headers, body, limits: settings, signal, onInterim, req, res }
    return { switched: false, response: await plainRoundTrip(trip) }
  }
  const headers = token === undefined ? rewriting.plainRequest(candidate) : rewriting.upgradeRequest(candidate, token)
  const options = { limits: settings, signal, onInterim }
  const request = { method, path, headers: headers.toRaw() }
  const response = await sendUpgrade(exchange, candidate, request, options, token)
  return response.switched ? response : { switched: false, response: new IncomingResponse(response.response) }
}

function sendUpgrade(
  { upgrade }: Exchange,
  { worker, settings }: Candidate,
  request: RequestHead,
  options: RoundTripOptions<NativeLimits>,
  token: string | undefined,
): Promise<BackendResponse | NativeSwitched> {
  if (token === undefined) return nodeRoundTrip(worker, request, options)
  const native = canConnectNatively(worker, upgrade?.detachableSocket, settings)
  return native ? nativeRoundTrip(worker, request, options) : socketRoundTrip(worker, request, options)
}
