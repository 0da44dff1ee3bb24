import { type IncomingMessage, METHODS, validateHeaderName, validateHeaderValue } from 'node:http'
import type { Captures } from '../backend/target.ts'
import { checkOrigin, checkRequest, requestedUpgrade } from '../client/request-checks.ts'
import { WsTunnelError, type WsTunnelErrorCode } from '../errors.ts'
import type { HeaderList } from '../http/header-list.ts'
import { RequestUrl } from '../http/path.ts'
import { simulatedRequest } from '../http/simulated-request.ts'
import { TOKEN } from '../http/token.ts'
import { allowedToken, canSwitch, connectionUpgrade, methodFits, upgradeTokens } from '../http/upgrade.ts'
import { type Condition, resolveOptions, type Target, type WsTunnelOptions } from '../options/options.ts'
import type { Destination } from '../routing/destination.ts'
import { LocalDestination, type Miss, type Route, settingsFor } from '../routing/route.ts'
import { type Match, RouteTable } from '../routing/route-table.ts'
import { Rewriting } from './rewriting.ts'

/** A request that was not sent. */
export interface ExplainRequest {
  /** @default 'GET' */
  method?: string
  /** The request target, as a client writes it: path and query. */
  url: string
  /** By name, a list for several lines of one field; or `[name, value]` pairs in their order. @default {} */
  headers?: Readonly<Record<string, string | readonly string[]>> | readonly (readonly [name: string, value: string])[]
  /** The client's address. @default '127.0.0.1' */
  remoteAddress?: string
  /** It came over TLS. @default false */
  encrypted?: boolean
  /** @default '1.1' */
  httpVersion?: '1.0' | '1.1'
}

/** What a route made of the request. */
export interface ExplainedRoute {
  /** Its place in the list. */
  index: number
  /** As its option says. */
  name: string | undefined
  /** Path as written; a RegExp in slashes. */
  path: string
  /** Target as written; `false` for a route that hands back, `function` for one that asks. */
  target: string | false
  /** An earlier one had not ended the search. */
  tried: boolean
  matched: boolean
  /** Why it did not match, or was not tried. */
  reason: string | undefined
  /** What it captured. */
  captures: Captures | undefined
}

/** What the backend would see. */
export interface ExplainedBackend {
  /** Host name or address; the name is that of `Host` where a socket is connected to. */
  host: string
  port: number
  /** A unix socket that is connected to instead. */
  socketPath: string | undefined
  tls: boolean
  /** The balancer that chooses, and its members in the order in which they are asked. */
  balancer: { name: string; members: string[] } | undefined
  requestLine: string
  /** Header lines in their order; framing that Node adds to a plain request is among them. */
  headers: [name: string, value: string][]
}

/** What would become of the request. */
export type ExplainedOutcome =
  /** Handed back to the app. */
  | { kind: 'app'; route: number | undefined; reason: string }
  /** Answered by an error, which reaches the app's error handler. */
  | {
      kind: 'refused'
      route: number | undefined
      code: WsTunnelErrorCode
      statusCode: number
      message: string
      /** Header fields of the answer. */
      headers: Record<string, string>
    }
  /** Answered by its function, without a backend. */
  | { kind: 'answer'; route: number; status: number; location: string | undefined }
  /** Forwarded as plain HTTP; with why, where it asks for an upgrade. */
  | { kind: 'http'; route: number; reason: string | undefined; backend: ExplainedBackend }
  /** Sent as an upgrade to this protocol; a tunnel follows if the backend switches. */
  | { kind: 'upgrade'; route: number; token: string; backend: ExplainedBackend }

/** An explanation; nothing but data, so that it can be printed as JSON. */
export interface Explanation {
  request: { method: string; url: string; httpVersion: string; headers: [name: string, value: string][] }
  /** Path and query that `rewrite` made for the routes. */
  rewritten: string | undefined
  /** What `rewrite` says it did, line by line. */
  rewriting: string[]
  routes: ExplainedRoute[]
  outcome: ExplainedOutcome
}

/**
 * What a proxy with these options would do with a request: each route with why it matched or not, and what the backend
 * would see. Functions of the options are called as for a real request, a target's too; no backend is asked, and
 * `onError` hears nothing.
 *
 * @throws {WsTunnelError} `WST_ERR_OPTION` for wrong options, as `createTunnelProxy` does.
 * @throws {TypeError} for a request that cannot be written.
 */
export async function explain(options: WsTunnelOptions, request: ExplainRequest): Promise<Explanation> {
  const settings = resolveOptions(options)
  const table = new RouteTable(settings, options.routes === undefined)
  const req = requestOf(request)
  const url = new RequestUrl(req.url as string)
  const missed: string[] = []
  const rewriting: string[] = []
  let match: Match | null = null
  let outcome: ExplainedOutcome
  try {
    match = table.match(
      req,
      url,
      (route, miss) => missed.push(reasonOf(route, miss)),
      line => rewriting.push(line),
    )
    outcome = await outcomeOf(match)
  } catch (error) {
    if (!(error instanceof WsTunnelError)) throw error
    const { code, statusCode, message, headers } = error
    const route = match?.route.index ?? missed.length
    outcome = { kind: 'refused', route, code, statusCode, message, headers }
  } finally {
    table.close()
  }

  /** The way of `handle` up to the backend. */
  async function outcomeOf(found: Match | null): Promise<ExplainedOutcome> {
    if (found === null) return { kind: 'app', route: undefined, reason: 'no route matches' }
    const { index, settings: route } = found.route
    if (route.target === false) return { kind: 'app', route: index, reason: 'its target is false' }
    checkRequest(req, url.authority)
    const routing = found.destination()
    // As in `handle`: after a refusal nobody waits for it.
    if (routing instanceof Promise) routing.catch(() => {})
    const token = requestedUpgrade(req, settingsFor(routing, found.route))
    if (token !== undefined) checkOrigin(req, route.allowedOrigins)
    const destination = await routing
    if (destination === false) return { kind: 'app', route: index, reason: 'its function gave false' }
    if (destination instanceof LocalDestination) {
      const { status, location } = destination
      return { kind: 'answer', route: index, status, location }
    }
    const fields = new Rewriting(req, route, settings, '')
    if (token !== undefined) {
      const backend = await backendOf(req, destination, fields.upgradeRequest(destination, token))
      return { kind: 'upgrade', route: index, token, backend }
    }
    if (!METHODS.includes(req.method as string)) {
      throw new WsTunnelError('WST_ERR_NOT_IMPLEMENTED', { detail: `method ${req.method}` })
    }
    // Node says it of a request from a pool.
    const headers = fields.plainRequest(destination).append('Connection', 'keep-alive')
    return {
      kind: 'http',
      route: index,
      reason: plainReason(req, found),
      backend: await backendOf(req, destination, headers),
    }
  }

  const routes = settings.routes.map(({ name, path, target }, index): ExplainedRoute => {
    const ended = outcome.route ?? settings.routes.length
    const tried = missed.length > index || index === ended
    const matched = match !== null && index === match.route.index
    const refused = index === ended && !matched && outcome.kind === 'refused' ? outcome.message : undefined
    return {
      index,
      name,
      path: String(path),
      target: shownTarget(target),
      tried,
      matched,
      reason: matched ? undefined : (missed[index] ?? refused ?? untried(url, ended)),
      captures: matched ? match?.captures : undefined,
    }
  })
  const { method, httpVersion } = req
  return {
    request: { method: method as string, url: request.url, httpVersion, headers: pairs(req.rawHeaders) },
    rewritten: match === null || match.url === url ? undefined : match.url.rawPath + match.url.query,
    rewriting,
    routes,
    outcome,
  }
}

const untried = (url: RequestUrl, ended: number): string =>
  url.rawPath.startsWith('/') ? `route ${ended} ends the search` : 'the request target is no path'

const shownTarget = (target: Target): string | false =>
  typeof target === 'function' ? `function${target.name === '' ? '' : ` ${target.name}`}` : target

function reasonOf({ settings }: Route, miss: Miss): string {
  if (miss === 'path') return 'the path does not match'
  if (miss === 'upgrade') return 'the request has no Upgrade, and `fallback` is false'
  return `condition ${miss.condition} does not hold: ${shownCondition(settings.when[miss.condition] as Condition)}`
}

function shownCondition(condition: Condition): string {
  if ('any' in condition) return `any of ${condition.any.map(shownCondition).join(', ')}`
  if ('test' in condition) return `test${condition.test.name === 'test' ? '' : ` ${condition.test.name}`}`
  const subject = 'header' in condition ? condition.header : `the ${condition.url}`
  return 'not' in condition ? `${subject} does not match ${condition.not}` : `${subject} matches ${condition.matches}`
}

/** Why a request that names an upgrade is plain HTTP all the same; the words of {@link requestedUpgrade}. */
function plainReason(req: IncomingMessage, { route }: Match): string | undefined {
  const asked = upgradeTokens(req)
  if (asked.length === 0) return undefined
  const token = allowedToken(route.settings.upgrade, asked)
  if (token === undefined) return `the route does not let ${asked.join(', ')} through`
  if (!canSwitch(req)) return 'only an HTTP/1.1 request without body can switch'
  if (!methodFits(req, token)) return 'a WebSocket handshake is a GET'
  return connectionUpgrade(req) ? undefined : 'there is no Connection: upgrade'
}

async function backendOf(
  req: IncomingMessage,
  destination: Destination,
  headers: HeaderList,
): Promise<ExplainedBackend> {
  const { host, port, socketPath, secure } = destination.worker.origin
  return {
    host,
    port,
    socketPath,
    tls: secure,
    balancer: destination.elected && {
      name: destination.elected.balancer.name,
      members: await candidates(destination),
    },
    requestLine: `${req.method} ${destination.path} HTTP/1.1`,
    headers: [...headers].map(([...pair]) => pair),
  }
}

/** Who would be asked if each in turn could not be reached. The balancers of an explanation serve nobody else. */
async function candidates(first: Destination): Promise<string[]> {
  const urls: string[] = []
  try {
    for (let next: Destination | undefined = first; next?.elected !== undefined; ) {
      urls.push(next.elected.member.url)
      next = await next.elected.next(new WsTunnelError('WST_ERR_CONNECT'))
    }
  } catch (error) {
    if (!(error instanceof WsTunnelError)) throw error
  }
  return urls
}

const pairs = (raw: readonly string[]): [string, string][] =>
  Array.from({ length: raw.length / 2 }, (_, i) => [raw[2 * i] as string, raw[2 * i + 1] as string])

/** @throws {TypeError} if the request could not have arrived: a wrong method, URL or header field. */
function requestOf({
  method = 'GET',
  url,
  headers = {},
  remoteAddress = '127.0.0.1',
  encrypted = false,
  httpVersion = '1.1',
}: ExplainRequest): IncomingMessage {
  if (!TOKEN.test(method)) throw new TypeError(`Expected \`method\` to be a token, got ${method}`)
  if (!/^[^\0-\x20\x7f]+$/.test(url)) throw new TypeError('Expected `url` to be a request target without spaces')
  const rawHeaders: string[] = []
  for (const [name, values] of isPairs(headers) ? headers : Object.entries(headers)) {
    for (const value of [values].flat()) {
      validateHeaderName(name)
      validateHeaderValue(name, value)
      rawHeaders.push(name, value)
    }
  }
  return simulatedRequest({ method, url, httpVersion, rawHeaders, remoteAddress, encrypted })
}

const isPairs = (headers: object): headers is readonly (readonly [string, string])[] => Array.isArray(headers)
