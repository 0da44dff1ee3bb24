import type { IncomingMessage } from 'node:http'
import { type LocalResponse, type RouteOptions, WsTunnelError } from '@ws-tunnel/core'
import { type Alias, sectionsOf } from '../directives/model.ts'
import type { RewriteOutcome, RewriteRule } from '../rules/apply-rewrite.ts'
import type { RouteContext } from './context.ts'
import { requestEditing, responseEditing } from './header-editing.ts'
import type { Decision, Phases } from './phases.ts'
import { routeSettings, withoutTlsEngine } from './route-settings.ts'
import { isAccepted, orUpgradeRequired, routeName } from './routes.ts'
import { type Variant, variantsOf } from './variants.ts'

type Chosen = Pick<RouteOptions, 'path' | 'when'>

/**
 * Compiles the decisions of the phases to routes, which come before all others. Each route matches one kind of decision. httpd: hook_uri2file, which runs
 * before mod_proxy's proxy_trans; fixup_redir.
 */
export function compilePhaseRoutes(context: RouteContext, { decisionOf, scopeOf }: Phases): RouteOptions[] {
  const { server } = context
  const decoding = { encodedSlashes: server.encodedSlashes ?? 'reject', mergeSlashes: server.mergeSlashes ?? true }
  const when = (test: (decision: Decision | undefined) => boolean): Chosen & typeof decoding => ({
    path: /^/,
    when: [{ test: req => test(decisionOf(req)) }],
    ...decoding,
  })
  const local = { upgrade: false as const, fallback: true }
  const sections = sectionsOf(server).flatMap(({ scope }) => scope.rewriting?.rules ?? [])
  const rules = [...(server.rewrites ? server.rules : []), ...sections]
  const proxying = rules.filter(({ origin }) => origin !== undefined)
  const isProxied = (rule: RewriteRule, decision: Decision | undefined): boolean =>
    decision?.redirect === undefined && decision?.outcome.kind === 'proxied' && decision.outcome.rule === rule
  const hasRules = rules.length > 0
  return [
    { name: 'a malformed path', ...when(decision => decision === undefined), target: () => false },
    {
      name: 'a response of a rule or a section',
      ...when(decision => decision?.redirect !== undefined || decision?.outcome.kind === 'responded'),
      target: req => respond(decisionOf(req) as Decision),
      ...local,
    },
    ...proxying.flatMap(rule => {
      const chosen = when(decision => isProxied(rule, decision))
      // The sections of a request are known before the rule of a section names its backend: <Proxy> does not see that one.
      const inSection = sections.includes(rule)
      const real = inSection ? '!' : (rule.origin as string)
      return variantsOf({ ...EVERYTHING, real }, context).flatMap(variant =>
        proxyingRoute(rule, variant, chosen, decisionOf, context).map(route =>
          inSection && typeof route.target === 'function' ? { ...route, ...editingOf(scopeOf, context) } : route,
        ),
      )
    }),
    ...(hasRules
      ? [
          {
            name: 'RewriteRule without [PT]',
            ...when(decision => decision?.outcome.kind === 'file'),
            target: false as const,
          },
        ]
      : []),
  ]
}

/** The header lines of the sections that a request is in. */
const editingOf = (
  scopeOf: Phases['scopeOf'],
  context: RouteContext,
): Pick<RouteOptions, 'requestHeaders' | 'responseHeaders'> => ({
  requestHeaders: (headers, about) => requestEditing(scopeOf(about.req), context)(headers, about),
  responseHeaders: (headers, about) => responseEditing(scopeOf(about.req))(headers, about),
})

/** Stands for every path. */
const EVERYTHING: Alias = {
  name: 'RewriteRule',
  place: { file: '', line: 0, column: 0, text: '' },
  fake: '/',
  regex: undefined,
  real: '/',
  nocanon: false,
  mapping: 'decoded',
  parameters: new Map(),
}

/** The route of a rule with `[P]`, for the requests that are in a combination of sections. */
function proxyingRoute(
  rule: RewriteRule,
  { scope, lookaheads, when }: Variant,
  chosen: Chosen,
  decisionOf: (req: IncomingMessage) => Decision | undefined,
  context: RouteContext,
): RouteOptions[] {
  const { name, place, origin, substitution } = rule
  const url = origin as string
  const alias: Alias = {
    ...EVERYTHING,
    name,
    place,
    regex: rule.pattern,
    real: substitution?.literalStart ?? url,
    nocanon: rule.noEscape,
  }
  const common = {
    name: routeName(rule),
    ...chosen,
    path: new RegExp(`^${lookaheads}`, 's'),
    when: [...(chosen.when ?? []), ...when],
  }
  const failing = withoutTlsEngine(alias, url, context)
  if (failing !== undefined) return [{ ...common, target: failing, upgrade: false, fallback: true }]
  const route: RouteOptions = {
    ...common,
    target: req => ({ url, path: proxiedPath(decisionOf(req)) }),
    ...routeSettings(alias, url, scope, context),
  }
  // The core checks the URL that a function returns only at a request. So the URL is checked here as a fixed target.
  if (!isAccepted({ target: url }, alias, context)) return []
  return isAccepted(route, alias, context) ? orUpgradeRequired(route) : []
}

const proxiedPath = (decision: Decision | undefined): string =>
  (decision?.outcome as (RewriteOutcome & { kind: 'proxied' }) | undefined)?.path ?? '/'

/** @throws {WsTunnelError} 403 for `[F]`. */
function respond({ redirect, outcome }: Decision): LocalResponse {
  if (redirect !== undefined) return redirect
  const { rule, status, location } = outcome as RewriteOutcome & { kind: 'responded' }
  if (status === 403)
    throw new WsTunnelError('WST_ERR_FORBIDDEN_TARGET', { detail: `RewriteRule in line ${rule.place.line}` })
  return { status, ...(location !== undefined && { location }) }
}
