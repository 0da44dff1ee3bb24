import type { IncomingMessage } from 'node:http'
import { type Rewrite, type RouteOptions, WsTunnelError } from '@ws-tunnel/core'
import type { Alias } from '../directives/reader.ts'
import { applyRules, type RewriteOutcome, type RewriteRule } from '../rules/apply-rewrite.ts'
import { environmentOf, keepEnvironment } from '../rules/environment.ts'
import { nameOf, orUpgradeRequired, type RouteContext, settings, speaks, validated } from './routes.ts'

/** mod_rewrite as the core takes it. */
export interface Rewriting {
  readonly rewrite: Rewrite
  /** Before every other: what the rules decide for good. */
  readonly routes: readonly RouteOptions[]
}

/**
 * The rules of a server run once per request, before the routes; the routes below are chosen by what came out. httpd:
 * hook_uri2file, which goes before mod_proxy's proxy_trans.
 */
export function compileRewriting(context: RouteContext): Rewriting | undefined {
  const { server, report } = context
  const rules = server.rewrites ? server.rules : []
  if (rules.length === 0) return undefined
  const outcomes = new WeakMap<IncomingMessage, RewriteOutcome>()
  const { envRules } = server.scope
  const rewrite: Rewrite = (req, { path, query }, note) => {
    const env = environmentOf(req, envRules)
    const asked = { req, path, query, env }
    const outcome = applyRules(
      rules,
      asked,
      server.encodedSlashes === 'keep',
      note && ((rule, what) => note(`${nameOf(rule)}: ${what}`)),
    )
    keepEnvironment(req, envRules, outcome.env)
    outcomes.set(req, outcome)
    return outcome.kind === 'passed' ? outcome : undefined
  }
  const decoding = { encodedSlashes: server.encodedSlashes ?? 'reject', mergeSlashes: server.mergeSlashes ?? true }
  const when = (test: (outcome: RewriteOutcome) => boolean): Pick<RouteOptions, 'path' | 'when'> & typeof decoding => ({
    path: /^/,
    when: [{ test: req => test(outcomes.get(req) ?? UNREADABLE) }],
    ...decoding,
  })
  for (const rule of rules) warnOfOwnName(rule, context)
  const proxying = rules.filter(rule => rule.origin !== undefined)
  if (proxying.length > 0 && server.locations.some(speaks)) {
    const { place, name } = proxying[0] as RewriteRule
    report.refuse(place, name, 'together with sections that say more than ProxyPass it is not honoured')
  }
  return {
    rewrite,
    routes: [
      { name: 'a malformed path', ...when(outcome => outcome === UNREADABLE), target: () => false },
      ...proxying.flatMap(rule =>
        proxyingRoute(
          rule,
          when(outcome => outcome.kind === 'proxied' && outcome.rule === rule),
          outcomes,
          context,
        ),
      ),
      {
        name: 'RewriteRule with an answer',
        ...when(outcome => outcome.kind === 'answered'),
        target: req => answer(outcomes.get(req) as RewriteOutcome & { kind: 'answered' }),
        upgrade: false,
        fallback: true,
      },
      { name: 'RewriteRule without [PT]', ...when(outcome => outcome.kind === 'file'), target: false },
    ],
  }
}

/** httpd: reduce_uri. */
function warnOfOwnName({ name, place, substitution, origin, redirect }: RewriteRule, context: RouteContext): void {
  const { serverName, names } = context.server
  if (substitution === undefined || origin !== undefined || redirect !== undefined) return
  const [url, host = ''] = /^https?:\/\/([^/:?]+)/i.exec(substitution.literalStart) ?? []
  if (url === undefined || ![serverName, ...names].some(own => own?.toLowerCase() === host.toLowerCase())) return
  context.report.warn(
    place,
    name,
    'httpd takes its own name off such a URL where the scheme is its own; here it is a redirect',
    {
      at: url,
      expected: 'a path, or the flag R',
    },
  )
}

/** A malformed path, which no rule sees: its fault is the answer. */
const UNREADABLE: RewriteOutcome = { kind: 'unchanged', env: new Map() }

function proxyingRoute(
  rule: RewriteRule,
  chosen: Pick<RouteOptions, 'path' | 'when'>,
  outcomes: WeakMap<IncomingMessage, RewriteOutcome>,
  context: RouteContext,
): RouteOptions[] {
  const { server } = context
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
    name: nameOf(rule),
    ...chosen,
    target: req => ({ url, path: (outcomes.get(req) as RewriteOutcome & { kind: 'proxied' }).path }),
    ...settings(alias, url, server.scope, context),
  }
  // The target is a function, whose URL is not read before a request comes.
  if (!validated({ target: url }, alias, context)) return []
  return validated(route, alias, context) ? orUpgradeRequired(route) : []
}

function answer({ rule, status, location }: RewriteOutcome & { kind: 'answered' }): {
  status: number
  location?: string
} {
  if (status === 403)
    throw new WsTunnelError('WST_ERR_FORBIDDEN_TARGET', { detail: `RewriteRule in line ${rule.place.line}` })
  return { status, ...(location !== undefined && { location }) }
}
