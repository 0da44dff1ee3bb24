import type { IncomingMessage } from 'node:http'
import { locate, WsTunnelError, type WsTunnelErrorCode } from '../errors.ts'
import type { HeaderList } from '../http/header-list.ts'
import { upgradeTokens } from '../http/upgrade.ts'
import { resolveOptions, type Settings, type WsTunnelOptions } from '../options/options.ts'
import type { Captures, Condition, RouteSettings } from '../options/route-options.ts'
import type { Candidate, Candidates } from '../routing/candidates.ts'
import type { Miss, Route } from '../routing/route.ts'
import { type Match, RouteTable } from '../routing/route-table.ts'
import { type AppReason, type Decision, decide, leftToApp, type PlainReason } from './decide.ts'
import { type ExplainRequest, explainedRequest } from './explain-request.ts'
import { type ReadTarget, readTarget } from './read-target.ts'
import { Rewriting } from './rewriting.ts'

/** How a route treated the request. */
export interface ExplainedRoute {
  /** Index in the list of routes. */
  index: number
  /** The option `name`. */
  name: string | undefined
  /** Path as written; a RegExp between slashes. */
  path: string
  /** Target as written; `false` for a route that hands back, `function` for a function. */
  target: string | false
  /** Whether the search reached this route. */
  tried: boolean
  matched: boolean
  /** Why it did not match, or was not tried. */
  reason: string | undefined
  /** What it captured. */
  captures: Captures | undefined
}

/** What the backend would receive. */
export interface ExplainedBackend {
  /** Host name or address. For a unix socket it is the name that `Host` gets. */
  host: string
  port: number
  /** The unix socket to connect to, if the target names one. */
  socketPath: string | undefined
  tls: boolean
  /** The balancer that selects, and the URLs of its members in the order in which they would be tried. */
  balancer: { name: string; members: string[] } | undefined
  requestLine: string
  /** Header lines in their order, with the framing that Node adds to a plain request. */
  headers: [name: string, value: string][]
}

/** What would happen to the request. */
export type ExplainedOutcome =
  /** It is handed back to the app. */
  | { kind: 'app'; route: number | undefined; reason: string }
  /** It is refused with an error, which reaches the app's error handler. */
  | {
      kind: 'refused'
      route: number | undefined
      code: WsTunnelErrorCode
      statusCode: number
      message: string
      /** Header fields of the response. */
      headers: Record<string, string>
    }
  /** The target function responds, without a backend. */
  | { kind: 'respond'; route: number; status: number; location: string | undefined }
  /** The function in `fallback` serves it. `reason` says why, if the request names an upgrade. */
  | { kind: 'fallback'; route: number; reason: string | undefined }
  /** It is forwarded as plain HTTP. `reason` says why, if the request names an upgrade. */
  | { kind: 'http'; route: number; reason: string | undefined; backend: ExplainedBackend }
  /** It is sent as an upgrade to this protocol. A tunnel opens if the backend switches. */
  | { kind: 'upgrade'; route: number; token: string; backend: ExplainedBackend }

/** An explanation. It is plain data, so that it can be printed as JSON. */
export interface Explanation {
  request: { method: string; url: string; httpVersion: string; headers: [name: string, value: string][] }
  /** Path and query that `rewrite` made for the routes. */
  rewritten: string | undefined
  /** What `rewrite` reports, line by line. */
  rewriting: string[]
  routes: ExplainedRoute[]
  outcome: ExplainedOutcome
}

/**
 * Explains what a proxy with these options would do with a request: for each route whether it matches and why, and what
 * the backend would receive. Functions of the options are called as for a real request, target functions included. No
 * backend is contacted, and `onError` is not called.
 *
 * @throws {WsTunnelError} `WST_ERR_OPTION` for wrong options, as `createTunnelProxy` does.
 * @throws {TypeError} for a request that cannot be sent.
 */
export async function explain<Req extends object = IncomingMessage>(
  options: WsTunnelOptions<Req>,
  request: ExplainRequest,
): Promise<Explanation> {
  const settings = resolveOptions(options as WsTunnelOptions)
  const table = new RouteTable(settings, options.routes === undefined)
  const req = explainedRequest(request)
  let read: ReadTarget | undefined
  const missed: string[] = []
  const rewriting: string[] = []
  let match: Match | null = null
  let outcome: ExplainedOutcome
  try {
    read = readTarget(req, {}, settings)
    match = table.match(
      req,
      read.url,
      (route, miss) => missed.push(missText(route, miss)),
      line => rewriting.push(line),
    )
    const { guard } = match?.route.settings ?? settings.defaults
    await guard?.(req)
    const waits = new AbortController()
    const decision = leftToApp(match) ?? (await decide(match as Match, read.authority, waits.signal).decision)
    outcome = await outcomeOf(decision, match, settings)
  } catch (error) {
    if (!(error instanceof WsTunnelError)) throw error
    locate(error, { route: match?.route.index })
    const { code, statusCode, message, headers } = error
    const route = read && (match?.route.index ?? missed.length)
    outcome = { kind: 'refused', route, code, statusCode, message, headers }
  } finally {
    table.close()
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
      target: targetText(target),
      tried,
      matched,
      reason: matched ? undefined : (missed[index] ?? refused ?? untriedText(read, ended)),
      captures: matched ? match?.captures : undefined,
    }
  })
  const { method, httpVersion } = req
  return {
    request: { method: method as string, url: request.url, httpVersion, headers: pairs(req.rawHeaders) },
    rewritten: match === null || match.url === read?.url ? undefined : match.url.rawPath + match.url.query,
    rewriting,
    routes,
    outcome,
  }
}

/** A decision in words and data. */
async function outcomeOf(decision: Decision, match: Match | null, settings: Settings): Promise<ExplainedOutcome> {
  if (match === null || decision.kind === 'app') {
    const { reason } = decision as Decision & { kind: 'app' }
    return { kind: 'app', route: match?.route.index, reason: APP_REASONS[reason] }
  }
  const { req, route } = match
  const { index } = route
  if (decision.kind === 'respond') {
    const { status, location } = decision.response
    return { kind: 'respond', route: index, status, location }
  }
  if (decision.kind === 'fallback') {
    return { kind: 'fallback', route: index, reason: decision.reason && plainText(decision.reason, req) }
  }
  const { candidates } = decision
  const fields = new Rewriting(req, route.settings, settings, '')
  if (decision.kind === 'upgrade') {
    const headers = fields.upgradeRequest(candidates.first, decision.token)
    return { kind: 'upgrade', route: index, token: decision.token, backend: await backendOf(req, candidates, headers) }
  }
  // Node adds this field to a request that uses a pool.
  const headers = fields.plainRequest(candidates.first).append('Connection', 'keep-alive')
  const reason = decision.reason && plainText(decision.reason, req)
  return { kind: 'http', route: index, reason, backend: await backendOf(req, candidates, headers) }
}

const APP_REASONS: Readonly<Record<AppReason, string>> = {
  'no route': 'no route matches',
  'target false': 'its target is false',
  'function false': 'its target function returned false',
}

function plainText(reason: PlainReason, req: IncomingMessage): string {
  if (reason === 'token') return `the route does not allow ${upgradeTokens(req).join(', ')}`
  if (reason === 'request') return 'only an HTTP/1.1 request without body can switch'
  if (reason === 'method') return 'a WebSocket handshake is a GET'
  return 'there is no Connection: upgrade'
}

function untriedText(read: ReadTarget | undefined, ended: number): string {
  if (read === undefined) return 'the request is refused before a route is tried'
  return read.url.rawPath.startsWith('/') ? `route ${ended} ends the search` : 'the request target is not a path'
}

const targetText = (target: RouteSettings['target']): string | false =>
  typeof target === 'function' ? `function${target.name === '' ? '' : ` ${target.name}`}` : target

function missText({ settings }: Route, miss: Miss): string {
  if (miss === 'path') return 'the path does not match'
  if (miss === 'upgrade') return 'the request has no Upgrade, and `fallback` is false'
  return `condition ${miss.condition} does not hold: ${conditionText(settings.when[miss.condition] as Condition)}`
}

function conditionText(condition: Condition): string {
  if ('any' in condition) return `any of ${condition.any.map(conditionText).join(', ')}`
  if ('test' in condition) return `test${condition.test.name === 'test' ? '' : ` ${condition.test.name}`}`
  const subject = 'header' in condition ? condition.header : `the ${condition.url}`
  return 'not' in condition ? `${subject} does not match ${condition.not}` : `${subject} matches ${condition.matches}`
}

async function backendOf(req: IncomingMessage, candidates: Candidates, headers: HeaderList): Promise<ExplainedBackend> {
  const { worker, path, selection } = candidates.first
  const { host, port, socketPath, secure, scheme } = worker.origin
  return {
    host,
    port,
    socketPath,
    tls: secure,
    balancer: selection && { name: selection.balancer.name, members: await memberUrls(candidates) },
    requestLine: `${req.method} ${path} HTTP/${/^h2c?$/.test(scheme) ? '2' : '1.1'}`,
    headers: [...headers].map(([...pair]) => pair),
  }
}

/** The members in the order in which they would be tried if none could be reached. No other request uses these balancers. */
async function memberUrls(candidates: Candidates): Promise<string[]> {
  const urls: string[] = []
  try {
    let next: Candidate | undefined = candidates.first
    while (next?.selection !== undefined) {
      urls.push(next.selection.member.url)
      next = await candidates.next(new WsTunnelError('WST_ERR_CONNECT'))
    }
  } catch (error) {
    if (!(error instanceof WsTunnelError)) throw error
  }
  return urls
}

const pairs = (raw: readonly string[]): [string, string][] =>
  Array.from({ length: raw.length / 2 }, (_, i) => [raw[2 * i] as string, raw[2 * i + 1] as string])
