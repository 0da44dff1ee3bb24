import type { IncomingMessage } from 'node:http'
import {
  type BalancerChoice,
  type HeaderContext,
  type HeaderList,
  type RouteDefaults,
  requestHeaders,
} from '@ws-tunnel/core'
import type { Report } from '../diagnostics.ts'
import { type Scope, type Server, sectionsOf } from '../directives/model.ts'
import { type Environment, type EnvRule, environmentOf } from '../rules/environment.ts'
import { addForwardedFields, countForwards, removeForwardedFields } from '../rules/forwarding-fields.ts'
import { applyHeaderEdits, type HeaderEdit } from '../rules/header-edits.ts'
import { fieldOf } from '../rules/request.ts'
import { cookiesOf } from '../rules/rule-cookies.ts'
import { setTlsVariables } from '../rules/tls-variables.ts'
import { isWebsocket } from '../syntax/backend-url.ts'
import type { RouteContext } from './context.ts'

/** RequestHeader and ProxyMaxForwards as the option `requestHeaders`. */
export function requestEditing(
  scope: Scope,
  { server, serverName }: RouteContext,
): (headers: HeaderList, context: HeaderContext) => void {
  const serverRules = server.scope.envRules
  const rules = [...serverRules, ...scope.envRules.filter(rule => !serverRules.includes(rule))]
  const { addHeaders = true, preserveHost = false } = scope
  const requestEdits = scope.requestEdits.filter(({ early }) => !early)
  return (headers, { req }) => {
    countForwards(headers, server.maxForwards ?? -1, req)
    if (requestEdits.length === 0) return
    // The edits see the Host of the client, and X-Forwarded-* without the values of this proxy.
    const target = headers.get('host') ?? ''
    const own = addHeaders ? removeForwardedFields(headers, req, serverName) : []
    headers.set('Host', fieldOf(req, 'host') ?? target)
    applyHeaderEdits(requestEdits, headers, req, environmentIn(scope, rules, req))
    addForwardedFields(headers, own)
    headers.set('Host', (preserveHost ? headers.get('host') : undefined) ?? target)
  }
}

/**
 * Header as the option `responseHeaders`. The lines with `always` edit a separate list of fields, which is sent before
 * the other fields. httpd: ap_headers_output_filter.
 */
export function responseEditing(scope: Scope): (headers: HeaderList, context: HeaderContext) => void {
  const usual: HeaderEdit[] = scope.responseEdits.filter(({ always }) => !always)
  const always: HeaderEdit[] = scope.responseEdits.filter(edit => edit.always)
  return (headers, { req, choice }) => {
    const env = environmentIn(scope, scope.envRules, req)
    if (choice !== undefined) setChoice(choice, env)
    applyHeaderEdits(usual, headers, req, env)
    for (const cookie of cookiesOf(req)) headers.append('Set-Cookie', cookie)
    if (always.length === 0) return
    const others = Array.from(headers)
    headers.filter(() => false)
    applyHeaderEdits(always, headers, req, env)
    for (const [name, value] of others) headers.append(name, value)
  }
}

/** Whether a rule sets a cookie. */
export const setsCookies = (server: Server): boolean =>
  [...server.rules, ...sectionsOf(server).flatMap(({ scope }) => scope.rewriting?.rules ?? [])].some(
    ({ cookies }) => cookies.length > 0,
  )

/** `Header always` and the cookies of rules, for a response without a backend. httpd: ap_headers_error_filter. */
export function localEditing(scopeOf: (req: IncomingMessage) => Scope): NonNullable<RouteDefaults['localHeaders']> {
  return (headers, { req }) => {
    const scope = scopeOf(req)
    for (const cookie of cookiesOf(req)) headers.append('Set-Cookie', cookie)
    const always = scope.responseEdits.filter(edit => edit.always)
    if (always.length > 0) applyHeaderEdits(always, headers, req, environmentIn(scope, scope.envRules, req))
  }
}

/**
 * Applies the RequestHeader lines with `early` to the request itself: the rules, the sections and the backend see the
 * result.
 */
export function applyEarlyEdits(edits: readonly HeaderEdit[], req: IncomingMessage, env: Environment): void {
  const headers = requestHeaders(req)
  const before = new Set([...headers].map(([name]) => name.toLowerCase()))
  applyHeaderEdits(edits, headers, req, env)
  for (const [name] of headers) before.delete(name.toLowerCase())
  for (const name of before) delete req.headers[name]
  for (const [name] of headers) req.headers[name.toLowerCase()] = headers.get(name) as string
}

/** The environment of a request in a section: SetEnv sets the variables that no rule has set, and mod_ssl sets its own. */
export function environmentIn(scope: Scope, rules: readonly EnvRule[], req: IncomingMessage): Environment {
  const env = environmentOf(req, rules)
  for (const [name, value] of scope.setEnv) if (!env.has(name)) env.set(name, value)
  setTlsVariables(env, req, scope.tlsVariables ?? {})
  return env
}

/**
 * Sets the variables of the balancer. httpd sets them when it selects the member, so Header sees them and RequestHeader
 * does not. httpd: proxy_balancer_pre_request.
 */
export function setChoice({ balancer, member, session }: BalancerChoice, env: Environment): void {
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

/** Reports RequestHeader lines whose variable is never set, and those that would change the upgrade itself. */
export function checkRequestEdits(server: Server, report: Report): void {
  const scopes = [server, ...sectionsOf(server)].map(({ scope }) => scope)
  const isToWebsocket = server.aliases.some(({ real }) => isWebsocket(real))
  const known = new Set([
    ...[...server.rules, ...scopes.flatMap(({ rewriting }) => rewriting?.rules ?? [])].flatMap(({ environment }) =>
      environment.map(({ literalStart }) => literalStart.replace(/:.*/s, '')),
    ),
    ...scopes.flatMap(scope => [
      ...scope.setEnv.keys(),
      ...scope.envRules.flatMap(({ sets }) => sets.map(([name]) => name)),
    ]),
  ])
  for (const edit of scopes.flatMap(scope => scope.requestEdits)) {
    const { field, condition } = edit
    const lower = field.toLowerCase()
    const touchesUpgrade = lower === 'upgrade' || lower === 'connection'
    const isOfTls = condition !== undefined && server.hasTls === true && /^(?:HTTPS$|SSL_)/.test(condition.variable)
    if (condition !== undefined && !condition.negated && !isOfTls && !known.has(condition.variable)) {
      const { variable } = condition
      report.warn(edit, `has no effect, in httpd too: nothing sets the variable ${variable}`, {
        at: `env=${variable}`,
        expected: touchesUpgrade ? upgradeInstead(isToWebsocket) : setEnvIfInstead(variable),
      })
    } else if (lower === 'upgrade' && !asksForUpgrade(edit)) {
      report.refuse(edit, 'it would change which requests are upgraded', {
        at: field,
        expected: 'upgrade= of ProxyPass',
      })
    } else if (touchesUpgrade) {
      report.warn(edit, `has no effect: the proxy itself writes the field ${field}`, {
        at: field,
        ...(lower === 'upgrade' && { expected: upgradeInstead(isToWebsocket) }),
      })
    }
  }
}

/**
 * Whether a line writes into Upgrade what a client writes that requests an upgrade. The proxy forwards that anyway. A line
 * that removes the field or changes it would keep requests from being upgraded.
 */
const asksForUpgrade = ({ action, text }: HeaderEdit): boolean =>
  /^(?:add|append|merge|setifempty)$/.test(action) ||
  (action === 'set' && /^websocket$|^(?:expr=)?%\{(?:HTTP:Upgrade|HTTP_UPGRADE)\}[se]?$/i.test(text))

/** What to write instead of the well-known no-op `RequestHeader set Upgrade websocket env=HTTP_UPGRADE`. */
const upgradeInstead = (isToWebsocket: boolean): string =>
  isToWebsocket
    ? 'nothing: ProxyPass to ws:// forwards upgrades by itself'
    : 'upgrade=websocket in the ProxyPass line, or ws:// in place of http://'

function setEnvIfInstead(variable: string): string {
  const header = /^HTTP_(\w+)$/.exec(variable)?.[1]?.replaceAll('_', '-') ?? 'Header'
  return `SetEnvIf ${header} . ${variable}`
}
