import type { HealthResponse } from '@ws-tunnel/core'
import type { Place } from '../diagnostics.ts'
import type { RewriteCondition, RewriteRule } from '../rules/apply-rewrite.ts'
import type { EnvRule } from '../rules/environment.ts'
import type { Expression } from '../rules/expression.ts'
import type { HeaderEdit } from '../rules/header-edits.ts'

/** A pattern in JavaScript. */
export interface Pattern {
  readonly source: string
  readonly flags: string
}

/** One ProxyPass or ProxyPassMatch line. */
export interface Alias {
  readonly name: string
  readonly place: Place
  /** The path, or the pattern as the line has it. httpd: `fake` of struct proxy_alias. */
  readonly fake: string
  /** `undefined` for a path. */
  readonly regex: Pattern | undefined
  /** The URL, or `!`. httpd: `real` of struct proxy_alias. */
  readonly real: string
  readonly nocanon: boolean
  /** `mapping=` */
  readonly mapping: 'decoded' | 'encoded' | 'servlet'
  readonly parameters: ReadonlyMap<string, string>
}

/** One ProxyPassReverse line, or one of its variants for cookies. */
export interface Mapping {
  /** What the backend sends. */
  readonly from: string
  /** What the client gets. */
  readonly to: string
}

/**
 * Settings that both a section and a server can have. {@link mergeScopes} merges those of a section over those of a
 * server.
 */
export interface Scope {
  errorOverride?: boolean | readonly number[]
  /** The last ProxyPass of a section. */
  alias?: Alias
  preserveHost?: boolean
  addHeaders?: boolean
  fallback?: boolean
  /** ms. */
  websocketIdle?: number
  async?: boolean
  /** ms. */
  asyncDelay?: number
  readonly reverses: Mapping[]
  readonly cookiePaths: Mapping[]
  readonly cookieDomains: Mapping[]
  readonly requestEdits: HeaderEdit[]
  readonly responseEdits: HeaderEdit[]
  readonly envRules: EnvRule[]
  readonly setEnv: Map<string, string>
}

/** A `<Location>` or `<LocationMatch>`. */
export interface Location {
  readonly place: Place
  readonly name: string
  /** The path, or the pattern as the line has it. */
  readonly path: string
  /** `undefined` for a literal path. */
  readonly regex: Pattern | undefined
  readonly scope: Scope
}

/** The main server, or a virtual host. */
export interface Server {
  /** ServerAlias. */
  readonly names: string[]
  serverName?: string
  /** ms. */
  timeout?: number
  /** ms. */
  proxyTimeout?: number
  via?: 'off' | 'on' | 'full' | 'block'
  maxForwards?: number
  mergeSlashes?: boolean
  encodedSlashes?: 'reject' | 'decode' | 'keep'
  interpolate?: boolean
  /** RewriteEngine. A virtual host does not inherit the rules of the main server. */
  rewrites: boolean
  readonly rules: RewriteRule[]
  /** The RewriteCond lines before the next RewriteRule. */
  readonly conditions: RewriteCondition[]
  readonly aliases: Alias[]
  readonly scope: Scope
  readonly locations: Location[]
  /** SSLProxy* by directive, lower-case. */
  readonly tls: Map<string, TlsLine>
  /** Parameters of workers from `<Proxy url>` and ProxySet, by URL. */
  readonly workers: Map<string, { readonly place: Place; readonly parameters: Map<string, string> }>
  /** By name, lower-case. */
  readonly balancers: Map<string, Balancer>
  readonly health: HealthNames
}

/** The last line of an SSLProxy* directive. */
export interface TlsLine {
  readonly words: readonly string[]
  readonly place: Place
  readonly name: string
}

export interface VirtualHost {
  readonly place: Place
  readonly server: Server
}

/** `<Proxy balancer://name>`, with the parameters from every line that names the balancer. */
export interface Balancer {
  readonly name: string
  readonly place: Place
  readonly parameters: Map<string, string>
  readonly members: BalancerMember[]
}

/** One BalancerMember line. */
export interface BalancerMember {
  readonly name: string
  readonly place: Place
  readonly url: string
  readonly parameters: ReadonlyMap<string, string>
  readonly health: HealthCheck
}

/** The `hc...=` parameters of a member or of a template. */
export interface HealthCheck {
  /** Upper-case. `NONE` means that the member is not checked. */
  readonly method: string
  /** ms. */
  readonly interval: number
  readonly passes: number
  readonly fails: number
  readonly uri: string
  readonly condition: Expression<HealthResponse> | undefined
}

/**
 * ProxyHCTemplate and ProxyHCExpr of one server, by name in lower case. A virtual host does not see those of the main
 * server.
 */
export interface HealthNames {
  readonly templates: Map<string, HealthCheck>
  /** The value is `undefined` for a condition that is not supported and that `allow` leaves out. */
  readonly conditions: Map<string, Expression<HealthResponse> | undefined>
}

export const emptyScope = (): Scope => ({
  reverses: [],
  cookiePaths: [],
  cookieDomains: [],
  requestEdits: [],
  responseEdits: [],
  envRules: [],
  setEnv: new Map(),
})

export const emptyServer = (): Server => ({
  names: [],
  rewrites: false,
  rules: [],
  conditions: [],
  aliases: [],
  scope: emptyScope(),
  locations: [],
  tls: new Map(),
  workers: new Map(),
  balancers: new Map(),
  health: { templates: new Map(), conditions: new Map() },
})

/** A copy without the keys whose value is `undefined`. */
const given = <T extends object>(values: T): T =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as T

/** Merges the settings of a more specific section over those of a less specific one. httpd: merge_proxy_dir_config. */
export function mergeScopes(base: Scope, over: Scope): Scope {
  return {
    ...given(base),
    ...given(over),
    reverses: [...base.reverses, ...over.reverses],
    cookiePaths: [...base.cookiePaths, ...over.cookiePaths],
    cookieDomains: [...base.cookieDomains, ...over.cookieDomains],
    requestEdits: [...base.requestEdits, ...over.requestEdits],
    responseEdits: [...base.responseEdits, ...over.responseEdits],
    envRules: [...base.envRules, ...over.envRules],
    setEnv: new Map([...base.setEnv, ...over.setEnv]),
  }
}

/** Merges a virtual host over the main server; AllowEncodedSlashes is not inherited. httpd: merge_proxy_config. */
export function mergeServers(base: Server, over: Server): Server {
  const { encodedSlashes: _, rewrites: __, ...inherited } = given(base)
  return {
    ...inherited,
    ...given(over),
    names: over.names,
    rules: over.rules,
    aliases: [...base.aliases, ...over.aliases],
    scope: mergeScopes(base.scope, over.scope),
    locations: [...base.locations, ...over.locations],
    tls: new Map([...base.tls, ...over.tls]),
    workers: new Map([...base.workers, ...over.workers]),
    balancers: new Map([...base.balancers, ...over.balancers]),
    health: over.health,
  }
}
