import { MAX_DELAY, type RouteOptions } from '@ws-tunnel/core'
import type { Alias, Mapping, Scope, Server } from '../directives/model.ts'
import { balancerName, isSecure, isWebsocket } from '../syntax/backend-url.ts'
import { isFallback, type RouteContext } from './context.ts'
import { requestEditing, responseEditing } from './header-editing.ts'
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
  if (tls === undefined)
    report.error(
      alias,
      'a backend over TLS needs SSLProxyEngine On; without it httpd responds to every request with 500',
      { expected: 'SSLProxyEngine On in the same server', at: alias.real },
    )
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
    maxTunnels: 0,
    keepAlive: 0,
    async: scope.async ?? true,
    asyncDelay: Math.min(scope.asyncDelay ?? 0, MAX_DELAY),
    strictHandshake: false,
    preserveHost: scope.preserveHost ?? false,
    via: server.via ?? 'off',
    addHeaders: scope.addHeaders ?? true,
    errorOverride: scope.errorOverride ?? false,
    passReverse: firstOfEach(scope.reverses),
    passReverseCookiePath: firstOfEach(scope.cookiePaths),
    passReverseCookieDomain: firstOfEach(scope.cookieDomains),
    tls: tls ?? {},
    requestHeaders: requestEditing(scope, context),
    ...(scope.responseEdits.length > 0 && { responseHeaders: responseEditing(scope) }),
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

/** Of several mappings of one text, the first counts. */
const firstOfEach = (mappings: readonly Mapping[]): Record<string, string> =>
  Object.fromEntries(
    mappings
      .filter(({ from }, i) => mappings.findIndex(other => other.from === from) === i)
      .map(({ from, to }) => [from, to]),
  )
