import type { IncomingMessage } from 'node:http'
import { authenticatesConnection } from '../backend/connection-auth.ts'
import { IncomingResponse } from '../backend/incoming-response.ts'
import { canConnectNatively, type NativeSwitched, nativeRoundTrip } from '../backend/native-round-trip.ts'
import { nodeRoundTrip, type Switched } from '../backend/node-round-trip.ts'
import { plainRoundTrip } from '../backend/plain-round-trip.ts'
import type { PlainEngine, PlainTrip } from '../backend/plain-trip.ts'
import type { RequestBody } from '../backend/request-body.ts'
import { socketRoundTrip } from '../backend/socket-round-trip.ts'
import { NEEDS_HTTP1, streamRoundTrip } from '../backend/stream-round-trip.ts'
import type { Worker } from '../backend/worker.ts'
import { relayInterim } from '../client/relay.ts'
import type { PlainResponse } from '../http/plain-response.ts'
import type { InterimResponse } from '../http/response-head.ts'
import { allowedToken } from '../http/upgrade.ts'
import type { Candidate } from '../routing/candidates.ts'
import { requestedUpgrade } from './decide.ts'
import type { Exchange } from './exchange.ts'
import { watchLatency } from './watch-latency.ts'

/** The 101 of one candidate. */
export type SwitchedReply = (Switched | NativeSwitched) & {
  readonly candidate: Candidate
  /** The upgrade that was requested, if one was. */
  readonly token: string | undefined
}

/** The response of one candidate: a 101, or any other. */
export type Reply = SwitchedReply | PlainResponse

export const isSwitched = (reply: Reply): reply is SwitchedReply => 'switched' in reply

/**
 * One round trip to one backend, for upgrades and plain requests alike. What it acquires belongs to the exchange.
 *
 * @throws {WsTunnelError} 502, 503 or 504, depending on the failure.
 */
export function roundTrip(exchange: Exchange, candidate: Candidate): Promise<Reply> {
  const { body } = exchange
  return body === undefined ? sendUpgrade(exchange, candidate) : sendPlain(exchange, candidate, body)
}

const tokenFor = ({ settings }: Candidate, req: IncomingMessage, token: string): string | undefined =>
  allowedToken(settings.upgrade, [token]) ?? requestedUpgrade(req, settings).token

/**
 * Sends a plain request. This is the seam of the engine for plain HTTP, whose promise is returned as it is: an async
 * function in between would make several objects for each request.
 */
function sendPlain(exchange: Exchange, candidate: Candidate, body: RequestBody): Promise<PlainResponse> {
  const { req, res, rewriting, signal } = exchange
  const { worker, path, settings: limits } = candidate
  try {
    signal.throwIfAborted()
    exchange.enter(candidate, candidate.enter())
    const headers = rewriting.plainRequest(candidate, body.parsed)
    exchange.isSent = true
    const trip = {
      worker,
      method: req.method ?? 'GET',
      path,
      headers,
      body,
      limits,
      signal,
      onInterim: interimRelay(exchange, candidate),
      req,
      res,
    }
    return watchLatency(req, body, candidate, engineOf(exchange, worker)(trip))
  } catch (error) {
    return Promise.reject(error)
  }
}

/** The engine of the route, if it has one of another package. */
function engineOf({ match }: Exchange, worker: Worker): PlainEngine {
  const { fallback } = match.route.settings
  if (typeof fallback === 'object') return fallback.send as PlainEngine
  return worker.sessions === undefined ? plainRoundTrip : multiplexedRoundTrip
}

/** Over HTTP/2 if the backend speaks it. Credentials that hold for a connection never go over one that other clients share. */
async function multiplexedRoundTrip(trip: PlainTrip): Promise<PlainResponse> {
  if (authenticatesConnection(trip.headers)) return plainRoundTrip(trip)
  const { worker, method, path, headers, limits, signal, onInterim, body, req } = trip
  const upload = { body, req, limits }
  const result = await streamRoundTrip({ worker, method, path, headers, limits, signal, onInterim, upload })
  return result === NEEDS_HTTP1 ? plainRoundTrip(trip) : (result as Exclude<typeof result, Switched>).response
}

const interimRelay =
  ({ res, rewriting }: Exchange, candidate: Candidate) =>
  (interim: InterimResponse): void =>
    relayInterim(res, interim, rewriting.interimResponse(interim, candidate))

async function sendUpgrade(exchange: Exchange, candidate: Candidate): Promise<Reply> {
  const { req, signal } = exchange
  signal.throwIfAborted()
  // A backend may allow another token than the one that made the request an upgrade.
  const token = exchange.token && tokenFor(candidate, req, exchange.token)
  const acquired = candidate.acquire(signal)
  exchange.enter(candidate, acquired instanceof Promise ? await acquired : acquired)
  return watchLatency(req, undefined, candidate, sendToken(exchange, candidate, token))
}

/** @param token of the upgrade; without one, the request is sent as a plain one. */
async function sendToken(exchange: Exchange, candidate: Candidate, token: string | undefined): Promise<Reply> {
  const { req, rewriting, signal, upgrade } = exchange
  const { worker, path, settings } = candidate
  const options = { limits: settings, signal, onInterim: interimRelay(exchange, candidate) }
  const headers = token === undefined ? rewriting.plainRequest(candidate) : rewriting.upgradeRequest(candidate, token)
  const request = { method: req.method ?? 'GET', path, headers: headers.toRaw() }
  if (worker.sessions !== undefined && token !== undefined && request.method === 'GET') {
    const trip = { ...options, worker, method: request.method, path, headers, protocol: token }
    const result = await streamRoundTrip(trip)
    if (result !== NEEDS_HTTP1) return result.switched ? { ...result, candidate, token } : result.response
  }
  const native = token !== undefined && canConnectNatively(worker, upgrade?.detachableSocket, settings)
  const made =
    token === undefined
      ? await nodeRoundTrip(worker, request, options)
      : await (native ? nativeRoundTrip(worker, request, options) : socketRoundTrip(worker, request, options))
  return made.switched ? { ...made, candidate, token } : new IncomingResponse(made.response)
}
