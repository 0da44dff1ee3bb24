import type { ConnectionOptions } from 'node:tls'
import type { BalancerOptions } from '@ws-tunnel/core'
import type { Report } from '../diagnostics.ts'
import type { Server } from '../directives/model.ts'
import type { Compat } from '../syntax/version.ts'

/** The differences between versions of httpd. */
export interface Profile {
  /** The default of ProxyWebsocketFallbackToProxyHttp. */
  readonly fallback: boolean
  /** Whether the version has this directive. Without it a request that is not an upgrade is never served as HTTP. */
  readonly canFallback: boolean
  /** Which timeout ends an idle tunnel: the larger or the smaller one of the client's and the backend's. */
  readonly idle: 'larger' | 'smaller'
}

export const PROFILES: Readonly<Record<Compat, Profile>> = {
  '2.4.71': { fallback: true, canFallback: true, idle: 'larger' },
  '2.4.47': { fallback: true, canFallback: true, idle: 'smaller' },
  '2.4.46': { fallback: false, canFallback: false, idle: 'larger' },
  '2.5': { fallback: true, canFallback: true, idle: 'larger' },
}

/** A server to compile, and where to report its wrong lines. */
export interface ServerContext {
  readonly server: Server
  readonly profile: Profile
  readonly report: Report
}

/** A server whose balancers are compiled already, and whose routes come next. */
export interface RouteContext extends ServerContext {
  readonly serverName: string
  readonly balancers: Readonly<Record<string, BalancerOptions>>
  /** SSLProxy* as options; `undefined` if SSLProxyEngine is off. */
  readonly tls: () => ConnectionOptions | undefined
}

/** Whether requests that are not upgrades are served as HTTP. `own` is the setting of a section. */
export const isFallback = (own: boolean | undefined, { server, profile }: ServerContext): boolean =>
  profile.canFallback && (own ?? server.scope.fallback ?? profile.fallback)
