import type { IncomingMessage } from 'node:http'
import type { ConnectionOptions } from 'node:tls'
import {
  type BalancerChoice,
  type BalancerOptions,
  type Condition,
  createTunnelProxy,
  type HeaderList,
  type RouteOptions,
  WsTunnelError,
} from '@ws-tunnel/core'
import type { Report } from '../diagnostics.ts'
import { type Alias, type Location, mergeScopes, type Scope, type Server } from '../directives/reader.ts'
import { literal, withoutGroups } from '../patterns/translate-regex.ts'
import { type Environment, type EnvRule, environmentOf, fieldOf } from '../rules/environment.ts'
import { applyHeaderEdits, type HeaderEdit } from '../rules/header-edits.ts'
import { balancerName } from './balancers.ts'
import { isSecure, isWebsocket, MAX_DELAY, times } from './workers.ts'

/** What the routes of a server need beside it. */
export interface RouteContext {
  readonly server: Server
  readonly serverName: string
  readonly profile: Profile
  readonly report: Report
  readonly tls: () => ConnectionOptions | undefined
  readonly balancers: Readonly<Record<string, BalancerOptions>>
}

/** What differs between versions of httpd. */
export interface Profile {
  /** ProxyWebsocketFallbackToProxyHttp where nothing is said. */
  readonly fallback: boolean
  /** Whether the directive exists, or the fallback never happens. */
  readonly canFallback: boolean
  /** How the client's and the backend's timeout make the idle limit of a tunnel. */
  readonly idle: 'larger' | 'smaller'
}

/** Ways in which sections may overlap on one ProxyPass. */
const MAX_VARIANTS = 64

/** One combination of sections that a path can be in. */
interface Variant {
  readonly scope: Scope
  /** Look-aheads that hold for exactly its paths. */
  readonly lookaheads: string
}

/** The routes of a server: those of its sections, the last one first, then the list in its order. httpd: proxy_trans. */
export function compileRoutes(context: RouteContext): RouteOptions[] {
  const { server, report } = context
  const sections = server.locations.filter(each => each.scope.alias !== undefined && !isNowhere(each)).reverse()
  const routes: RouteOptions[] = []
  sections.forEach((section, i) => {
    const alias = section.scope.alias as Alias
    const behind = sections.slice(0, i).filter(later => !isFallback(later.scope, context))
    const hidden = behind.map(later => `(?!${locationTest(later)})`).join('')
    for (const variant of variants(alias, context, section))
      routes.push(...route(alias, { ...variant, lookaheads: hidden + variant.lookaheads }, context))
  })
  for (const alias of server.aliases) {
    for (const variant of variants(alias, context)) routes.push(...route(alias, variant, context))
  }
  const first = server.aliases.findIndex(({ fake, regex, real }) => regex === undefined && fake === '/' && real !== '!')
  const unreachable = first === -1 ? undefined : server.aliases[first + 1]
  if (unreachable !== undefined && isFallback(server.scope, context)) {
    report.warn(
      unreachable.place,
      unreachable.name,
      `never reached: line ${server.aliases[first]?.place.line} takes every path, in httpd too`,
    )
  }
  return routes
}

const isFallback = (scope: Scope, { server, profile }: RouteContext): boolean =>
  profile.canFallback && (scope.fallback ?? server.scope.fallback ?? profile.fallback)

/** Whether a section says anything that concerns a request it does not proxy itself. */
export function speaks({ scope }: Location): boolean {
  const { alias: _, ...rest } = scope
  return Object.values(rest).some(value =>
    value instanceof Map ? value.size > 0 : Array.isArray(value) ? value.length > 0 : value !== undefined,
  )
}

/** Sections are looked for in a path without runs of slashes. */
const isNowhere = ({ path, regex }: Location): boolean => regex === undefined && path.includes('//')

/** A literal prefix as httpd compares it, runs of slashes for runs of slashes. */
const prefixSource = (prefix: string): string =>
  prefix
    .split(/(\/+)/)
    .map(part => (part.startsWith('/') ? '\\/+' : literal(part)))
    .join('')

const boundary = (prefix: string): string => (prefix.endsWith('/') ? '' : '(?=\\/|$)')

/** A source that holds at the start of a path that is in the section. httpd: ap_location_walk. */
function locationTest({ path, regex }: Location): string {
  if (regex === undefined) return `${prefixSource(path)}${boundary(path)}`
  const source = withoutGroups(regex.source) ?? regex.source
  const body = regex.flags.includes('i') ? ignoringCase(source) : source
  return `[^]*?(?:${body})`
}

/** JavaScript before 2025 has no flags inside a pattern. */
function ignoringCase(source: string): string {
  return source.replace(/\\.|\[(?:\\.|[^\]\\])*\]|[a-zA-Z]/gs, unit => {
    if (unit.startsWith('\\')) return unit
    if (unit.startsWith('[')) {
      return unit.replace(
        /\\.|([a-zA-Z])-([a-zA-Z])|([a-zA-Z])/gs,
        (part, from?: string, to?: string, letter?: string) => {
          if (from !== undefined && to !== undefined)
            return `${from.toLowerCase()}-${to.toLowerCase()}${from.toUpperCase()}-${to.toUpperCase()}`
          return letter === undefined ? part : letter.toLowerCase() + letter.toUpperCase()
        },
      )
    }
    return `[${unit.toLowerCase()}${unit.toUpperCase()}]`
  })
}

/** Whether every path below `inner` is below `outer`. */
const covers = (outer: string, inner: string): boolean => {
  const [a, b] = [outer, inner].map(path => path.replace(/\/+/g, '/')) as [string, string]
  return b.startsWith(a) && (a.endsWith('/') || b.length === a.length || b[a.length] === '/')
}

/** The combinations of sections that paths of a ProxyPass can be in, each with what they say together. */
function variants(alias: Alias, context: RouteContext, own?: Location): Variant[] {
  const { server, report } = context
  const found: Variant[] = []
  let cut = false
  const walk = (i: number, scope: Scope, lookaheads: string): void => {
    if (found.length >= MAX_VARIANTS) {
      cut = true
      return
    }
    const location = server.locations[i]
    if (location === undefined) {
      found.push({ scope, lookaheads })
      return
    }
    const enter = (tests: string): void => walk(i + 1, mergeScopes(scope, location.scope), lookaheads + tests)
    const pass = (tests: string): void => walk(i + 1, scope, lookaheads + tests)
    if (location === own) enter('')
    else if (!speaks(location) || isNowhere(location)) pass('')
    else if (location.regex === undefined && alias.regex === undefined) {
      if (covers(location.path, alias.fake)) enter('')
      else if (!covers(alias.fake, location.path)) pass('')
      else {
        enter(`(?=${locationTest(location)})`)
        pass(`(?!${locationTest(location)})`)
      }
    } else if (location.regex === undefined && location.path === '/') enter('')
    else {
      enter(`(?=${locationTest(location)})`)
      pass(`(?!${locationTest(location)})`)
    }
  }
  walk(0, server.scope, '')
  if (cut) report.error(alias.place, alias.name, `its paths are in more than ${MAX_VARIANTS} combinations of sections`)
  return found
}

/** The path of a route. A literal prefix stays one where no section interferes. */
function pathOf(alias: Alias, lookaheads: string): string | RegExp {
  const { fake, regex } = alias
  if (regex !== undefined) {
    if (lookaheads === '') return new RegExp(regex.source, regex.flags)
    // The sections' own paths keep their case.
    const source = regex.flags.includes('i') ? ignoringCase(regex.source) : regex.source
    const flags = regex.flags.replace('i', '')
    const anchored = source.startsWith('^') && !source.includes('|')
    // Elsewhere than at the start a look-behind brings the test to where the path begins.
    return new RegExp(anchored ? `^${lookaheads}(?:${source})` : `(?<=^${lookaheads}[^]*)(?:${source})`, flags)
  }
  if (lookaheads === '' && /^\/[\w/.~$&+,;=@%!'() -]*$/.test(fake)) return fake
  return new RegExp(`^${lookaheads}${prefixSource(fake)}${boundary(fake)}(?<rest>.*)$`, 's')
}

function route(alias: Alias, { scope, lookaheads }: Variant, context: RouteContext): RouteOptions[] {
  const { server, report } = context
  if (alias.regex === undefined && !alias.fake.startsWith('/')) return []
  const target = alias.real === '!' ? false : compileTarget(alias, report)
  if (target === undefined) return []
  if (alias.mapping === 'servlet' && typeof pathOf(alias, lookaheads) !== 'string') {
    report.refuse(alias.place, alias.name, 'mapping=servlet is honoured with a plain path, in no section', {
      at: 'mapping',
    })
    return []
  }
  const encodedSlashes = server.encodedSlashes ?? 'reject'
  const noProxy = mayBe('no-proxy', server.scope.envRules) || server.rules.some(rule => rule.environment.length > 0)
  const when: Condition[] = noProxy ? [{ test: req => !environmentOf(req, server.scope.envRules).has('no-proxy') }] : []
  const common = {
    name: nameOf(alias),
    path: pathOf(alias, lookaheads),
    when,
    encodedSlashes,
    mergeSlashes: server.mergeSlashes ?? true,
    mapping: alias.mapping,
  }
  const compiled: RouteOptions =
    target === false ? { ...common, target } : { ...common, target, ...settings(alias, target, scope, context) }
  if (!validated(compiled, alias, context)) return []
  return typeof target === 'string' && balancerName(target) !== undefined ? orUpgradeRequired(compiled) : [compiled]
}

/**
 * A route without fallback is passed over by a request that asks for no upgrade; in httpd only a plain ProxyPass is, everything
 * else comes as far as the handler. httpd: proxy_wstunnel_handler.
 */
export function orUpgradeRequired(route: RouteOptions): RouteOptions[] {
  if (route.fallback !== false) return [route]
  const refuse = (): never => {
    throw new WsTunnelError('WST_ERR_UPGRADE_REQUIRED', {
      detail: 'ask for websocket',
      headers: { Upgrade: 'websocket', Connection: 'Upgrade, close' },
    })
  }
  const { name, path, when, encodedSlashes, mergeSlashes, mapping } = route
  const same = Object.entries({ name, path, when, encodedSlashes, mergeSlashes, mapping }).filter(
    ([, value]) => value !== undefined,
  )
  return [route, { ...Object.fromEntries(same), target: refuse, upgrade: false, fallback: true }]
}

/** A line as explanations name it. */
export const nameOf = ({ name, place: { file, line } }: Pick<Alias, 'name' | 'place'>): string =>
  `${name} ${file}:${line}`

const mayBe = (variable: string, rules: readonly EnvRule[]): boolean =>
  rules.some(({ sets }) => sets.some(([name]) => name === variable))

/** The core is the judge of what it takes; what it says is put to the line it comes from. */
export function validated(compiled: RouteOptions, { place, name, real }: Alias, context: RouteContext): boolean {
  const { report } = context
  try {
    // A proxy that is open checks its members.
    void createTunnelProxy({ routes: [compiled], balancers: context.balancers }).close()
    return true
  } catch (error) {
    report.error(place, name, error instanceof WsTunnelError ? error.message : String(error), { at: real })
    return false
  }
}

/**
 * The URL as the core takes it: its path in httpd's canonical form, where `%` is a character like any other, and captures
 * left in. httpd: ap_proxy_canonenc_ex, ap_pregsub.
 */
function compileTarget({ real, regex, place, name, mapping }: Alias, report: Report): string | undefined {
  const parts = /^(unix:[^|]+\|)?([a-z][a-z0-9+.-]*):(?:\/\/([^/$]*(?:\$(?!\d)[^/$]*)*)(.*))?$/is.exec(real)
  const [, socket = '', scheme = '', authority, rest = ''] = parts ?? []
  if (!/^(?:wss?|https?|balancer)$/i.test(scheme)) {
    report.refuse(place, name, `the scheme ${scheme}: is not proxied here`, {
      at: real,
      expected: 'ws:, wss:, http:, https: or balancer:',
    })
    return undefined
  }
  if (authority === undefined) {
    if (socket !== '') return `${socket}${scheme.toLowerCase()}://localhost/`
    report.error(place, name, `ProxyPass URL must be absolute!: ${real}`, {
      httpd: `ProxyPass URL must be absolute!: ${real}`,
      at: real,
    })
    return undefined
  }
  if (regex === undefined && /\$\d/.test(rest)) {
    report.refuse(place, name, '"$" and a digit stand for a capture, and a path captures nothing', {
      at: real,
      expected: 'ProxyPassMatch',
    })
    return undefined
  }
  if (regex !== undefined && /\\\$\d/.test(rest.replaceAll('\\\\', ''))) {
    report.refuse(place, name, 'a "$" that is no capture cannot stand before a digit', { at: real })
    return undefined
  }
  let path = ''
  for (const [unit] of rest.matchAll(/\$\d|\\.|./gsu)) {
    if (regex !== undefined && /^\$\d$/.test(unit)) path += unit
    else if (mapping !== 'decoded') path += unit
    else path += canonical(regex !== undefined && unit.length > 1 && unit.startsWith('\\') ? unit.slice(1) : unit)
  }
  const host = /^balancer$/i.test(scheme) ? authority.toLowerCase() : authority
  return `${socket}${scheme.toLowerCase()}://${host}${path}`
}

const canonical = (text: string): string =>
  text.replace(/[^\w~$\-.+!*'(),;:@&=/]/gu, char =>
    Array.from(Buffer.from(char), byte => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
  )

/** Everything a route says beside path and target: each setting written out, none left to a default. */
export function settings(
  alias: Alias,
  target: string,
  scope: Scope,
  context: RouteContext,
): Omit<RouteOptions, 'path' | 'target' | 'when'> {
  const { server, report } = context
  const urls = memberUrls(target, server)
  const secure = urls.some(isSecure)
  const websocket = urls.some(isWebsocket)
  const fallback = !websocket || isFallback(scope, context)
  const tls = secure ? context.tls() : {}
  if (tls === undefined) {
    report.error(
      alias.place,
      alias.name,
      'a backend over TLS needs SSLProxyEngine On; httpd answers every request with 500 without',
      {
        expected: 'SSLProxyEngine On in the same server',
        at: alias.real,
      },
    )
  }
  if (secure && scope.preserveHost) {
    report.warn(
      alias.place,
      alias.name,
      "with ProxyPreserveHost httpd asks for the certificate of the client's Host; here it is always that of the URL",
      { at: alias.real },
    )
  }
  return {
    join: 'concat',
    nocanon: alias.nocanon && alias.mapping === 'decoded',
    upgrade: isWebsocket(target) ? 'websocket' : false,
    fallback,
    ...times(NO_PARAMETERS, context, { websocketIdle: scope.websocketIdle, fallback }),
    maxLifetime: 0,
    maxTunnels: 0,
    keepAlive: 0,
    async: scope.async ?? true,
    asyncDelay: Math.min(scope.asyncDelay ?? 0, MAX_DELAY),
    strictHandshake: false,
    preserveHost: scope.preserveHost ?? false,
    via: server.via ?? 'off',
    addHeaders: scope.addHeaders ?? true,
    errorOverride: scope.errorOverride ?? false,
    passReverse: firstOf(scope.reverses),
    passReverseCookiePath: firstOf(scope.cookiePaths),
    passReverseCookieDomain: firstOf(scope.cookieDomains),
    tls: tls ?? {},
    requestHeaders: requestEditing(scope, context),
    ...(scope.answerEdits.length > 0 && { responseHeaders: answerEditing(scope) }),
  }
}

/** Of two mappings of one text the first counts. */
function firstOf(mappings: readonly { from: string; to: string }[]): Record<string, string> {
  return Object.fromEntries(
    mappings
      .map(({ from, to }) => [from, to] as const)
      .reverse()
      .map(entry => entry)
      .reverse()
      .filter(([from], i, all) => all.findIndex(([other]) => other === from) === i),
  )
}

const NO_PARAMETERS: ReadonlyMap<string, string> = new Map()

/** Where a target leads: to itself, or to the members of a balancer. */
const memberUrls = (target: string, server: Server): string[] => {
  const name = balancerName(target)
  return name === undefined ? [target] : (server.balancers.get(name)?.members.map(({ url }) => url) ?? [])
}

const OWN_FIELDS = ['X-Forwarded-For', 'X-Forwarded-Host', 'X-Forwarded-Server'] as const

/** RequestHeader and Max-Forwards. */
function requestEditing(
  scope: Scope,
  { server, serverName }: RouteContext,
): (headers: HeaderList, req: IncomingMessage) => void {
  const rules = [...server.scope.envRules, ...scope.envRules.filter(rule => !server.scope.envRules.includes(rule))]
  const adds = scope.addHeaders ?? true
  const keepsHost = scope.preserveHost ?? false
  const edits = scope.requestEdits
  return (headers, req) => {
    countForwards(headers, server.maxForwards ?? -1, req)
    if (edits.length === 0) return
    const target = headers.get('host') ?? ''
    const own = adds ? takeOwn(headers, req, serverName) : []
    headers.set('Host', fieldOf(req, 'host') ?? target)
    applyHeaderEdits(edits, headers, req, environment(req, rules, scope))
    const host = headers.get('host')
    for (const [name, value] of own) {
      const added = name === 'X-Forwarded-Host' ? host : value
      if (added !== undefined) headers.set(name, headers.has(name) ? `${headers.get(name)}, ${added}` : added)
    }
    headers.set('Host', (keepsHost ? host : undefined) ?? target)
  }
}

/** Edits happen before the proxy adds its own; takes those off to be put back. */
function takeOwn(headers: HeaderList, req: IncomingMessage, serverName: string): [string, string][] {
  const values = [
    (req.socket.remoteAddress ?? '').replace(/^::ffff:(?=\d+\.)/i, ''),
    fieldOf(req, 'host') ?? '',
    serverName,
  ]
  return OWN_FIELDS.map((name, i): [string, string] => {
    const value = values[i] as string
    const whole = headers.get(name) ?? value
    if (whole === value) headers.unset(name)
    else headers.set(name, whole.slice(0, -(value.length + 2)))
    return [name, value]
  })
}

/** httpd: proxy_handler. */
function countForwards(headers: HeaderList, most: number, req: IncomingMessage): void {
  const text = headers.get('max-forwards')
  if (text === undefined) {
    if (most >= 0) headers.append('Max-Forwards', String(most))
    return
  }
  const value = /^\s*[+-]?\d+$/.test(text) ? Number(text) : Number.NaN
  if (!(value >= 0))
    throw new WsTunnelError('WST_ERR_BAD_REQUEST', { detail: `Max-Forwards value '${text}' could not be parsed` })
  if (value === 0)
    throw new WsTunnelError('WST_ERR_BAD_REQUEST', { detail: `Max-Forwards has reached zero for ${req.method}` })
  headers.set('Max-Forwards', String(value - 1))
}

function environment(req: IncomingMessage, rules: readonly EnvRule[], scope: Scope): Environment {
  const env = environmentOf(req, rules)
  for (const [name, value] of scope.setEnv) if (!env.has(name)) env.set(name, value)
  return env
}

/** Set when the member is chosen, so that Header sees them and RequestHeader does not. httpd: proxy_balancer_pre_request. */
function tellChoice({ balancer, member, session }: BalancerChoice, env: Environment): void {
  env.set('BALANCER_NAME', `balancer://${balancer}`)
  env.set('BALANCER_WORKER_NAME', member.url)
  env.set('BALANCER_WORKER_ROUTE', member.routeId ?? '')
  if (session === undefined) return
  if (session.name !== undefined && session.route !== undefined) {
    env.set('BALANCER_SESSION_STICKY', session.name)
    env.set('BALANCER_SESSION_ROUTE', session.route)
  }
  if (session.route !== member.routeId || session.route === undefined) env.set('BALANCER_ROUTE_CHANGED', '1')
}

/** Header: `always` edits a list of its own, which is sent before the rest. httpd: ap_headers_output_filter. */
function answerEditing(scope: Scope): (headers: HeaderList, req: IncomingMessage, choice?: BalancerChoice) => void {
  const usual: HeaderEdit[] = scope.answerEdits.filter(({ always }) => !always)
  const always: HeaderEdit[] = scope.answerEdits.filter(edit => edit.always)
  return (headers, req, choice) => {
    const env = environment(req, scope.envRules, scope)
    if (choice !== undefined) tellChoice(choice, env)
    applyHeaderEdits(usual, headers, req, env)
    if (always.length === 0) return
    const kept = Array.from(headers)
    headers.filter(() => false)
    applyHeaderEdits(always, headers, req, env)
    for (const [name, value] of kept) headers.append(name, value)
  }
}

/** RequestHeader lines whose variable nothing sets, and those that would touch the upgrade itself. */
export function checkRequestEdits(server: Server, report: Report): void {
  const scopes = [server.scope, ...server.locations.map(({ scope }) => scope)]
  const toWebsocket = server.aliases.some(({ real }) => isWebsocket(real))
  const known = new Set([
    ...server.rules.flatMap(({ environment }) =>
      environment.map(({ literalStart }) => literalStart.replace(/:.*/s, '')),
    ),
    ...scopes.flatMap(scope => [
      ...scope.setEnv.keys(),
      ...scope.envRules.flatMap(({ sets }) => sets.map(([name]) => name)),
    ]),
  ])
  for (const { name, field, condition, place, action } of scopes.flatMap(scope => scope.requestEdits)) {
    const lower = field.toLowerCase()
    if (condition !== undefined && !condition.negated && !known.has(condition.variable)) {
      const header = /^HTTP_(\w+)$/.exec(condition.variable)?.[1]
      report.warn(place, name, `never happens, in httpd too: nothing sets the variable ${condition.variable}`, {
        at: `env=${condition.variable}`,
        expected:
          lower === 'upgrade' || lower === 'connection'
            ? toWebsocket
              ? 'nothing: ProxyPass to ws:// passes upgrades on by itself'
              : 'upgrade=websocket in the ProxyPass line, or ws:// in place of http://'
            : `SetEnvIf ${header?.replaceAll('_', '-') ?? 'Header'} . ${condition.variable}`,
      })
    } else if (lower === 'upgrade') {
      report.refuse(place, name, 'it would change which requests are upgraded', {
        at: field,
        expected: 'upgrade= of ProxyPass',
      })
    } else if (lower === 'connection') {
      report.warn(place, name, `${action} of ${field} changes nothing here: the proxy makes that field itself`, {
        at: field,
      })
    }
  }
}
