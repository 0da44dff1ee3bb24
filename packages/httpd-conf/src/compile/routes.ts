import type { IncomingMessage } from 'node:http'
import { type Condition, type RouteOptions, WsTunnelError } from '@ws-tunnel/core'
import { type Alias, type Location, sectionsOf } from '../directives/model.ts'
import { ignoringCase } from '../patterns/edit-pattern.ts'
import { isAnchored, parsePattern } from '../patterns/pattern-tree.ts'
import { environmentOf } from '../rules/environment.ts'
import { pathOf as requestPath } from '../rules/request-path.ts'
import { balancerName } from '../syntax/backend-url.ts'
import { isFallback, type RouteContext } from './context.ts'
import { optionsComplaint } from './options-complaint.ts'
import { routeSettings, withoutTlsEngine } from './route-settings.ts'
import { compileTarget } from './target.ts'
import { locationTest, neverMatches, prefixTest, sectionPattern, type Variant, variantsOf } from './variants.ts'

/**
 * The routes of a server: those of its sections, the last section first, then the ProxyPass lines in their order.
 * httpd: proxy_trans.
 */
export function compileRoutes(context: RouteContext): RouteOptions[] {
  const { server, report } = context
  const sections = server.locations.filter(each => each.scope.alias !== undefined && !neverMatches(each)).reverse()
  const routes: RouteOptions[] = []
  sections.forEach((section, i) => {
    const alias = section.scope.alias as Alias
    const later = sections.slice(0, i)
    const [inside, inRequested] = lastSectionTest(section, later, context)
    for (const { when, lookaheads, scope } of variantsOf(alias, context, section))
      routes.push(
        ...compileRoute(alias, { scope, lookaheads: inside + lookaheads, when: [...inRequested, ...when] }, context),
      )
  })
  for (const alias of server.aliases) {
    for (const variant of variantsOf(alias, context)) routes.push(...compileRoute(alias, variant, context))
  }
  const all = server.aliases.findIndex(({ fake, regex, real }) => regex === undefined && fake === '/' && real !== '!')
  const unreachable = all === -1 ? undefined : server.aliases[all + 1]
  if (unreachable !== undefined && isFallback(server.scope.fallback, context))
    report.warn(unreachable, `never reached, in httpd too: line ${server.aliases[all]?.place.line} matches every path`)
  return routes
}

/**
 * Tests that a section is the last one with a ProxyPass that a request is in. The others do not count, even if the ProxyPass
 * of this one does not match. If a rule may change the path, the requested path is tested, because httpd looks for the
 * section before it applies the rules.
 *
 * @returns look-aheads of the path, and conditions. A look-ahead that a ProxyPass implies is left out.
 */
function lastSectionTest(
  section: Location,
  later: readonly Location[],
  context: RouteContext,
): [lookaheads: string, when: Condition[]] {
  const { server } = context
  if (server.rewrites && server.rules.some(({ passThrough }) => passThrough)) {
    const [own, others] = [sectionPattern(section), later.map(sectionPattern)]
    const isLast = (path: string): boolean => own.test(path) && !others.some(pattern => pattern.test(path))
    return ['', [{ test: req => isLast(requestPath(req).before) }]]
  }
  const isImplied = ({ regex, scope }: Location): boolean => regex?.source === scope.alias?.regex?.source
  const hiding = later.filter(each => !isImplied(each) || !isFallback(each.scope.fallback, context))
  const own = isImplied(section) ? '' : `(?=${locationTest(section)})`
  return [own + hiding.map(each => `(?!${locationTest(each)})`).join(''), []]
}

/** The path of a route. A literal prefix stays a string unless a section splits it. */
function pathOf({ fake, regex }: Alias, lookaheads: string): string | RegExp {
  if (regex === undefined) {
    if (lookaheads === '' && /^\/[\w/.~$&+,;=@%!'() -]*$/.test(fake)) return fake
    return new RegExp(`^${lookaheads}${prefixTest(fake)}(?<rest>.*)$`, 's')
  }
  if (lookaheads === '') return new RegExp(regex.source, regex.flags)
  // Only the pattern ignores case. The look-aheads for sections do not.
  const source = regex.flags.includes('i') ? ignoringCase(regex.source) : regex.source
  const flags = regex.flags.replace('i', '')
  // With the flag m, ^ also matches after a newline.
  const start = flags.includes('m') ? '(?<![^])' : '^'
  if (start === '^' && isAnchored(parsePattern(source).alternatives))
    return new RegExp(`^${lookaheads}(?:${source})`, flags)
  // The pattern may match later in the path. So a look-behind tests the look-aheads at the start of the path.
  return new RegExp(`(?<=${start}${lookaheads}[^]*)(?:${source})`, flags)
}

function compileRoute(
  alias: Alias,
  { scope, lookaheads, when: inSections }: Variant,
  context: RouteContext,
): RouteOptions[] {
  const { server, report } = context
  if (alias.regex === undefined && !alias.fake.startsWith('/')) return []
  const target = alias.real === '!' ? false : compileTarget(alias, report)
  if (target === undefined) return []
  // With nocanon the raw path is matched too, which may spell the path of a section in another way.
  const isRaw = alias.nocanon && lookaheads !== ''
  const path = pathOf(alias, isRaw ? '' : lookaheads)
  if (alias.mapping === 'servlet' && typeof path !== 'string') {
    report.refuse(alias, 'mapping=servlet is supported only for a literal path that no section splits', {
      at: 'mapping',
    })
    return []
  }
  const { envRules } = server.scope
  const mayBeExcluded =
    envRules.some(({ sets }) => sets.some(([variable]) => variable === 'no-proxy')) ||
    [...server.rules, ...sectionsOf(server).flatMap(({ scope }) => scope.rewriting?.rules ?? [])].some(
      ({ environment }) => environment.length > 0,
    )
  const when: Condition[] = [
    ...(mayBeExcluded ? [{ test: (req: IncomingMessage) => !environmentOf(req, envRules).has('no-proxy') }] : []),
    ...(isRaw ? [{ url: 'path' as const, matches: new RegExp(`^${lookaheads}`, 's') }] : []),
    ...inSections,
  ]
  const common = {
    name: routeName(alias),
    path,
    when,
    encodedSlashes: server.encodedSlashes ?? 'reject',
    mergeSlashes: server.mergeSlashes ?? true,
    mapping: alias.mapping,
  }
  const failing = target === false ? undefined : withoutTlsEngine(alias, target, context)
  if (failing !== undefined) return [{ ...common, target: failing, upgrade: false, fallback: true }]
  const route: RouteOptions =
    target === false ? { ...common, target } : { ...common, target, ...routeSettings(alias, target, scope, context) }
  if (!isAccepted(route, alias, context)) return []
  return typeof target === 'string' && balancerName(target) !== undefined ? orUpgradeRequired(route) : [route]
}

/**
 * A route without fallback does not match a request that is not an upgrade. In httpd this is so only for a ProxyPass to
 * one backend. A request for a balancer or of a rule with `[P]` reaches the handler, which responds with 426. httpd:
 * proxy_wstunnel_handler.
 *
 * @returns the route, and one after it that responds with 426.
 */
export function orUpgradeRequired(route: RouteOptions): RouteOptions[] {
  if (route.fallback !== false) return [route]
  const refuse = (): never => {
    throw new WsTunnelError('WST_ERR_UPGRADE_REQUIRED', {
      detail: 'request an upgrade to websocket',
      headers: { Upgrade: 'websocket', Connection: 'Upgrade, close' },
    })
  }
  const { name, path, when, encodedSlashes, mergeSlashes, mapping } = route
  const same = Object.entries({ name, path, when, encodedSlashes, mergeSlashes, mapping }).filter(
    ([, value]) => value !== undefined,
  )
  return [route, { ...Object.fromEntries(same), target: refuse, upgrade: false, fallback: true }]
}

/** The name of a route in explanations: the directive and its position. */
export const routeName = ({ name, place: { file, line } }: Pick<Alias, 'name' | 'place'>): string =>
  `${name} ${file}:${line}`

/** Checks a route with the core. A complaint of the core becomes an error of the line. */
export function isAccepted(route: RouteOptions, alias: Alias, { report, balancers }: RouteContext): boolean {
  const complaint = optionsComplaint({ routes: [route], balancers })
  if (complaint !== undefined) report.error(alias, complaint, { at: alias.real })
  return complaint === undefined
}
