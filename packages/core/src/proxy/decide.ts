import { type IncomingMessage, METHODS } from 'node:http'
import { checkOrigin, checkRequest, checkWebSocketFields } from '../client/request-checks.ts'
import { WsTunnelError } from '../errors.ts'
import { isExtendedConnect } from '../http/http2.ts'
import { allowedToken, canSwitch, connectionUpgrade, methodFits, upgradeLines, upgradeTokens } from '../http/upgrade.ts'
import type { FallbackFunction, LocalResponse, RouteSettings } from '../options/route-options.ts'
import type { Candidates } from '../routing/candidates.ts'
import type { Routing } from '../routing/route.ts'
import type { Match } from '../routing/route-table.ts'
import type { CancelSignal } from '../util/abort.ts'

const KNOWN_METHODS: ReadonlySet<string> = new Set(METHODS)

/** Why a request is handed back to the app. */
export type AppReason = 'no route' | 'target false' | 'function false'

/** Why a request that names an upgrade is served as plain HTTP. */
export type PlainReason = 'token' | 'request' | 'method' | 'connection'

/** What happens to a request: `handle` acts on it, `explain` prints it. */
export type Decision =
  | { readonly kind: 'app'; readonly reason: AppReason }
  | { readonly kind: 'respond'; readonly response: LocalResponse }
  | { readonly kind: 'fallback'; readonly call: FallbackFunction; readonly reason: PlainReason | undefined }
  | { readonly kind: 'http'; readonly candidates: Candidates; readonly reason: PlainReason | undefined }
  | { readonly kind: 'upgrade'; readonly candidates: Candidates; readonly token: string }

/** A decision in progress. The token is known at once; the decision itself may take longer. */
export interface Deciding {
  /** The token for the backend, in the client's spelling; `undefined` for plain HTTP. */
  readonly token: string | undefined
  /** A promise only if a target function returns one, or if a balancer waits for a usable member. */
  readonly decision: Decision | Promise<Decision>
}

type LeftToApp = Decision & { readonly kind: 'app' }

const NO_ROUTE: LeftToApp = { kind: 'app', reason: 'no route' }
const TARGET_FALSE: LeftToApp = { kind: 'app', reason: 'target false' }
const FUNCTION_FALSE: Decision = { kind: 'app', reason: 'function false' }

/** The decision for a request that no route proxies; `undefined` for any other request. It needs the match alone. */
export function leftToApp(match: Match | null): LeftToApp | undefined {
  if (match === null) return NO_ROUTE
  return match.route.settings.target === false ? TARGET_FALSE : undefined
}

/**
 * Decides what happens to a request that a route proxies. It reads the request and does not change it. The route's target,
 * its target function or its balancer selects the backend.
 *
 * @param authority of an absolute-form request target
 * @param signal ends the wait for a member
 * @throws {WsTunnelError} for a request that is refused: 400, 403, 426, 501.
 */
export function decide(match: Match, authority: string | undefined, signal: CancelSignal): Deciding {
  const { req, route } = match
  checkRequest(req, authority)
  const { fallback } = route.settings
  if (typeof fallback === 'function') {
    // No target is selected for a request that gets to no backend.
    const { token, reason } = requestedUpgrade(req, route.settings)
    if (token === undefined) return { token, decision: { kind: 'fallback', call: fallback, reason } }
  }
  const routing = handled(route.resolve(match, signal))
  const upgrade = requestedUpgrade(req, settingsOf(routing, route.settings))
  const { token } = upgrade
  if (token !== undefined) checkOrigin(req, route.settings.allowedOrigins)
  const decision =
    routing instanceof Promise
      ? handled(routing.then(found => decided(match, upgrade, found)))
      : decided(match, upgrade, routing)
  return { token, decision }
}

/** The decision, once it is known where the request goes. */
function decided({ req, route }: Match, { token, reason }: RequestedUpgrade, found: Routing): Decision {
  if (found === false) return FUNCTION_FALSE
  if ('status' in found) return { kind: 'respond', response: found }
  if (token !== undefined) return { kind: 'upgrade', candidates: found, token }
  const { fallback } = route.settings
  if (typeof fallback === 'function') return { kind: 'fallback', call: fallback, reason }
  if (!KNOWN_METHODS.has(req.method ?? ''))
    throw new WsTunnelError('WST_ERR_NOT_IMPLEMENTED', { detail: `method ${req.method}` })
  return { kind: 'http', candidates: found, reason }
}

/** Handles the rejection of a promise. If the request is refused before the promise settles, it has no other handler. */
function handled<T>(value: T | Promise<T>): T | Promise<T> {
  if (value instanceof Promise) value.catch(() => {})
  return value
}

/** The settings of the first candidate. Those of the route if there is no candidate, or if a promise will give it. */
const settingsOf = (routing: Routing | Promise<Routing>, route: RouteSettings): RouteSettings =>
  routing !== false && 'first' in routing ? routing.first.settings : route

/** An upgrade to `token`, or plain HTTP for `reason`. */
type RequestedUpgrade =
  | { readonly token: string; readonly reason?: undefined }
  | { readonly token: undefined; readonly reason: PlainReason | undefined }

const NOT_REQUESTED: RequestedUpgrade = { token: undefined, reason: undefined }

/**
 * Whether a request is an upgrade on a route with these settings.
 *
 * @throws {WsTunnelError} 426 or 400 if the route has no fallback, 400 for a handshake with duplicate fields.
 */
export function requestedUpgrade(req: IncomingMessage, settings: RouteSettings): RequestedUpgrade {
  const { upgrade, fallback, strictHandshake } = settings
  const requested = upgradeTokens(req)
  if (requested.length === 0 && !upgrade.always) {
    if (fallback || upgradeLines(req).length === 0) return NOT_REQUESTED
    throw upgradeRequired(upgrade.tokens)
  }
  const token = allowedToken(upgrade, requested)
  if (token === undefined) {
    // RFC 8441 5: the stream is a tunnel for this protocol, or it is refused.
    if (isExtendedConnect(req))
      throw new WsTunnelError('WST_ERR_NOT_IMPLEMENTED', { detail: `:protocol ${requested.join(', ')}` })
    if (fallback) return { token, reason: 'token' }
    throw upgradeRequired(upgrade.tokens)
  }
  const reason = notAnUpgrade(req, token, upgrade.always)
  if (reason !== undefined) {
    if (fallback) return { token: undefined, reason: requested.length === 0 ? undefined : reason }
    throw new WsTunnelError('WST_ERR_BAD_HANDSHAKE', {
      detail: 'an upgrade is an HTTP/1.1 request without body, a GET for WebSocket, with Connection: upgrade',
    })
  }
  checkWebSocketFields(req, strictHandshake && token.toLowerCase() === 'websocket')
  return { token }
}

function notAnUpgrade(req: IncomingMessage, token: string, always: boolean): PlainReason | undefined {
  if (!canSwitch(req)) return 'request'
  if (!methodFits(req, token)) return 'method'
  return connectionUpgrade(req) || always ? undefined : 'connection'
}

function upgradeRequired(tokens: readonly string[]): WsTunnelError {
  const allowed = tokens.length === 0 ? 'websocket' : tokens.join(', ')
  return new WsTunnelError('WST_ERR_UPGRADE_REQUIRED', {
    detail: `the request must name ${allowed}`,
    headers: { Upgrade: allowed, Connection: 'Upgrade, close' },
  })
}
