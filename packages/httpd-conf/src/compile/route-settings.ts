import { MAX_DELAY, type RouteOptions, WsTunnelError } from '@ws-tunnel/core'
import type { Alias, Mapping, Scope, Server } from '../directives/model.ts'
import { balancerName, isSecure, isWebsocket } from '../syntax/backend-url.ts'
import { isFallback, type RouteContext } from './context.ts'
import { requestEditing, responseEditing, setsCookies } from './header-editing.ts'
import { times } from './times.ts'

/**
 * The options of a route except path, target and conditions. Every option gets a value, so that no default of the core
 * applies.
 */
export function routeSettings(
  alias: Alias,
  target: string,
  scope: Scope,
  context: RouteContext,
): Omit<RouteOptions, 'path' | 'target' | 'when'> {
  const { server, report } = context
  const urls = memberUrls(target, server)
  const secure = urls.some(isSecure)
  const fallback = !urls.some(isWebsocket) || isFallback(scope.fallback, context)
  const tls = secure ? context.tls() : {}
  if (secure && scope.preserveHost)
    report.warn(
      alias,
      "with ProxyPreserveHost httpd expects a certificate for the client's Host; here it is always for the host of the URL",
      { at: alias.real },
    )
  return {
    join: 'concat',
    nocanon: alias.nocanon && alias.mapping === 'decoded',
    upgrade: isWebsocket(target) ? 'websocket' : false,
    fallback,
    ...times(NO_PARAMETERS, context, { websocketIdle: scope.websocketIdle, fallback }),
    maxLifetime: 0,
    closeFrame: false,
    maxTunnels: 0,
    keepAlive: 0,
    async: scope.async ?? true,
    asyncDelay: Math.min(scope.asyncDelay ?? 0, MAX_DELAY),
    ...(server.sourceAddress !== undefined && { localAddress: server.sourceAddress }),
    strictHandshake: false,
    preserveHost: scope.preserveHost ?? false,
    via: server.via ?? 'off',
    addHeaders: scope.addHeaders ?? true,
    errorOverride: scope.errorOverride ?? false,
    passReverse: firstOfEach(scope.reverses.map(({ from, to }) => ({ from, to: canonicalUrl(to, context) }))),
    passReverseCookiePath: firstOfEach(scope.cookiePaths),
    passReverseCookieDomain: firstOfEach(scope.cookieDomains),
    tls: tls ?? {},
    requestHeaders: requestEditing(scope, context),
    ...((scope.responseEdits.length > 0 || setsCookies(server)) && { responseHeaders: responseEditing(scope) }),
  }
}

/**
 * A route has no parameters. Those of its worker are in the option `workers`, which the core applies to each request.
 */
const NO_PARAMETERS: ReadonlyMap<string, string> = new Map()

/** The URLs that a target leads to: its own, or those of the members of a balancer. */
function memberUrls(target: string, { balancers }: Server): string[] {
  const name = balancerName(target)
  return name === undefined ? [target] : (balancers.get(name)?.members.map(({ url }) => url) ?? [])
}

/**
 * The target of a line whose backend needs TLS, if SSLProxyEngine is off: httpd responds to each of its requests with 500,
 * and other lines work. `undefined` for other lines.
 */
export function withoutTlsEngine(alias: Alias, target: string, context: RouteContext): (() => never) | undefined {
  const { server, report, tls } = context
  if (!memberUrls(target, server).some(isSecure) || tls() !== undefined) return undefined
  report.warn(alias, 'a backend over TLS needs SSLProxyEngine On; without it every request gets 500, in httpd too', {
    expected: 'SSLProxyEngine On in the same server',
    at: alias.real,
  })
  return () => {
    throw new WsTunnelError('WST_ERR_TLS', { statusCode: 500, detail: `SSLProxyEngine is off for ${target}` })
  }
}

/** With UseCanonicalName On, a rewritten Location has the name of the server. httpd: ap_construct_url. */
function canonicalUrl(to: string, { server, serverName }: RouteContext): string {
  if (!server.canonicalName || !to.startsWith('/')) return to
  const [scheme, usual] = server.hasTls ? ['https', 443] : ['http', 80]
  const { serverPort = usual } = server
  return `${scheme}://${serverName}${serverPort === usual ? '' : `:${serverPort}`}${to}`
}

/** Of several mappings of one text, the first counts. */
const firstOfEach = (mappings: readonly Mapping[]): Record<string, string> =>
  Object.fromEntries(
    mappings
      .filter(({ from }, i) => mappings.findIndex(other => other.from === from) === i)
      .map(({ from, to }) => [from, to]),
  )
