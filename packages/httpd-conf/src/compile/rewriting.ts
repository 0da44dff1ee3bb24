import type { IncomingMessage } from 'node:http'
import { type Rewrite, type RouteOptions, WsTunnelError } from '@ws-tunnel/core'
import type { Alias } from '../directives/model.ts'
import { applyRules, type RewriteOutcome, type RewriteRule } from '../rules/apply-rewrite.ts'
import { environmentOf, keepEnvironment } from '../rules/environment.ts'
import type { RouteContext } from './context.ts'
import { routeSettings } from './route-settings.ts'
import { isAccepted, orUpgradeRequired, routeName } from './routes.ts'
import { hasSettings } from './variants.ts'

/** The rules of mod_rewrite as options of the core. */
export interface Rewriting {
  readonly rewrite: Rewrite
  /** Routes that carry out the outcomes of the rules. They come before all other routes. */
  readonly routes: readonly RouteOptions[]
}

type Outcomes = WeakMap<IncomingMessage, RewriteOutcome>

/**
 * Compiles the rules of a server; `undefined` if it has none. The rules run once per request, before routes are
 * matched. Each route of the result matches one kind of outcome. httpd: hook_uri2file, which runs before mod_proxy's
 * proxy_trans.
 */
export function compileRewriting(context: RouteContext): Rewriting | undefined {
  const { server, report } = context
  const rules = server.rewrites ? server.rules : []
  if (rules.length === 0) return undefined
  const outcomes: Outcomes = new WeakMap()
  const { envRules } = server.scope
  const rewrite: Rewrite = (req, { path, query }, note) => {
    const env = environmentOf(req, envRules)
    const outcome = applyRules(
      rules,
      { req, path, query, env },
      server.encodedSlashes === 'keep',
      note && ((rule, text) => note(`${routeName(rule)}: ${text}`)),
    )
    keepEnvironment(req, envRules, outcome.env)
    outcomes.set(req, outcome)
    return outcome.kind === 'passed' ? outcome : undefined
  }
  const decoding = { encodedSlashes: server.encodedSlashes ?? 'reject', mergeSlashes: server.mergeSlashes ?? true }
  const when = (test: (outcome: RewriteOutcome) => boolean): Pick<RouteOptions, 'path' | 'when'> & typeof decoding => ({
    path: /^/,
    when: [{ test: req => test(outcomes.get(req) ?? NO_OUTCOME) }],
    ...decoding,
  })
  for (const rule of rules) warnOfOwnName(rule, context)
  const proxying = rules.filter(rule => rule.origin !== undefined)
  const [first] = proxying
  if (first !== undefined && server.locations.some(hasSettings))
    report.refuse(first, '[P] is not supported together with sections that have other directives than ProxyPass')
  return {
    rewrite,
    routes: [
      { name: 'a malformed path', ...when(outcome => outcome === NO_OUTCOME), target: () => false },
      ...proxying.flatMap(rule => {
        const isChosen = (outcome: RewriteOutcome): boolean => outcome.kind === 'proxied' && outcome.rule === rule
        return proxyingRoute(rule, when(isChosen), outcomes, context)
      }),
      {
        name: 'RewriteRule with a response',
        ...when(outcome => outcome.kind === 'responded'),
        target: req => respond(outcomes.get(req) as RewriteOutcome & { kind: 'responded' }),
        upgrade: false,
        fallback: true,
      },
      { name: 'RewriteRule without [PT]', ...when(outcome => outcome.kind === 'file'), target: false },
    ],
  }
}

/** Warns of a redirect to a name of the server itself, which httpd turns into a path. httpd: reduce_uri. */
function warnOfOwnName(rule: RewriteRule, { server, report }: RouteContext): void {
  const { substitution, origin, redirect } = rule
  if (substitution === undefined || origin !== undefined || redirect !== undefined) return
  const [url, host = ''] = /^https?:\/\/([^/:?]+)/i.exec(substitution.literalStart) ?? []
  const isOwn = [server.serverName, ...server.names].some(own => own?.toLowerCase() === host.toLowerCase())
  if (url !== undefined && isOwn)
    report.warn(
      rule,
      'httpd removes its own name from such a URL if the scheme is that of the request; here it is a redirect',
      { at: url, expected: 'a path, or the flag R' },
    )
}

/** The outcome of a request whose path is malformed. The rules do not run for it, and the core refuses it. */
const NO_OUTCOME: RewriteOutcome = { kind: 'unchanged', env: new Map() }

/** The route of a rule with `[P]`. */
function proxyingRoute(
  rule: RewriteRule,
  chosen: Pick<RouteOptions, 'path' | 'when'>,
  outcomes: Outcomes,
  context: RouteContext,
): RouteOptions[] {
  const { name, place, origin, substitution } = rule
  const url = origin as string
  const alias: Alias = {
    name,
    place,
    fake: '',
    regex: rule.pattern,
    real: substitution?.literalStart ?? url,
    nocanon: rule.noEscape,
    mapping: 'decoded',
    parameters: new Map(),
  }
  const route: RouteOptions = {
    name: routeName(rule),
    ...chosen,
    target: req => ({ url, path: (outcomes.get(req) as RewriteOutcome & { kind: 'proxied' }).path }),
    ...routeSettings(alias, url, context.server.scope, context),
  }
  // The core checks the URL that a function returns only at a request. So the URL is checked here as a fixed target.
  if (!isAccepted({ target: url }, alias, context)) return []
  return isAccepted(route, alias, context) ? orUpgradeRequired(route) : []
}

/** @throws {WsTunnelError} 403 for `[F]`. */
function respond({ rule, status, location }: RewriteOutcome & { kind: 'responded' }): {
  status: number
  location?: string
} {
  if (status === 403)
    throw new WsTunnelError('WST_ERR_FORBIDDEN_TARGET', { detail: `RewriteRule in line ${rule.place.line}` })
  return { status, ...(location !== undefined && { location }) }
}
