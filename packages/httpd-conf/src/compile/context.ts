import type { ConnectionOptions } from 'node:tls'
import type { BalancerOptions } from '@ws-tunnel/core'
import type { Report } from '../diagnostics.ts'
import type { Server } from '../directives/model.ts'
import type { Compat } from '../syntax/version.ts'

/** The differences between versions of httpd. */
export interface Profile {
  /** The default of ProxyWebsocketFallbackToProxyHttp. */
  readonly fallback: boolean
  /** Whether the version has the directive; without it a request that is no upgrade never falls back to HTTP. */
  readonly canFallback: boolean
  /** Which of the timeouts of the client and of the backend ends an idle tunnel. */
  readonly idle: 'larger' | 'smaller'
}

export const PROFILES: Readonly<Record<Compat, Profile>> = {
  '2.4.71': { fallback: true, canFallback: true, idle: 'larger' },
  '2.4.47': { fallback: true, canFallback: true, idle: 'smaller' },
  '2.4.46': { fallback: false, canFallback: false, idle: 'larger' },
  '2.5': { fallback: true, canFallback: true, idle: 'larger' },
}

/** A server that is compiled. */
export interface ServerContext {
  readonly server: Server
  readonly profile: Profile
  readonly report: Report
}

/** A server whose balancers are compiled. */
export interface RouteContext extends ServerContext {
  readonly serverName: string
  readonly balancers: Readonly<Record<string, BalancerOptions>>
  /** SSLProxy* as options; `undefined` if SSLProxyEngine is off. */
  readonly tls: () => ConnectionOptions | undefined
}

/** Whether requests that are no upgrades are served as HTTP. `own` is the setting of a section. */
export const isFallback = (own: boolean | undefined, { server, profile }: ServerContext): boolean =>
  profile.canFallback && (own ?? server.scope.fallback ?? profile.fallback)
