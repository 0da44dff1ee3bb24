import type { HealthResponse } from '@ws-tunnel/core'
import type { Place } from '../diagnostics.ts'
import type { AccessRules } from '../rules/access.ts'
import type { RewriteCondition, RewriteRule } from '../rules/apply-rewrite.ts'
import type { EnvRule } from '../rules/environment.ts'
import type { Expression } from '../rules/expression.ts'
import type { HeaderEdit } from '../rules/header-edits.ts'
import type { Redirect } from '../rules/redirects.ts'
import type { RewriteMap } from '../rules/rewrite-maps.ts'
import type { RewriteState } from '../rules/rewrite-variables.ts'
import type { SectionRules } from '../rules/section-rewriting.ts'
import type { TlsVariableSets } from '../rules/tls-variables.ts'
import type { Directive } from '../syntax/parser.ts'

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
  /** Access control. Its keys are merged one by one. */
  access?: AccessRules
  /** Whether Options allows symbolic links, without which httpd refuses requests with rules of a section. */
  followsLinks?: boolean
  /** SSLOptions */
  tlsVariables?: TlsVariableSets
  /** The RewriteRule lines of a section. */
  rewriting?: SectionRules
  /** Redirect and RedirectMatch, the more specific ones first. */
  readonly redirects: Redirect[]
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

/** An `<If>`, `<ElseIf>` or `<Else>`. It is tested after all other sections. */
export interface IfSection {
  readonly place: Place
  /** The section around it; `undefined` in a server. */
  readonly location: Pick<Location, 'path' | 'regex'> | undefined
  /** Whether a request is in the section, given its path after mod_rewrite. */
  readonly holds: (state: RewriteState) => boolean
  /** The number of `<If>` sections around it. httpd tests all sections of a depth before the deeper ones. */
  readonly depth: number
  readonly scope: Scope
}

/** A `<Proxy>` or `<ProxyMatch>` with settings for requests. */
export interface ProxySection {
  readonly place: Place
  readonly name: string
  /** The URL, its beginning or its pattern. */
  readonly url: string
  /** Whether a request for this URL of a backend is in the section. */
  readonly covers: (url: string) => boolean
  readonly scope: Scope
}

/** A `<Files>` or `<FilesMatch>` with access control. */
export interface FileSection {
  /** Whether the last part of a file name is in the section. */
  readonly matches: (name: string) => boolean
  /** The `<Directory>` around it. */
  readonly within: Pick<Location, 'path' | 'regex'> | undefined
  readonly scope: Scope
}

/** The main server, or a virtual host. */
export interface Server {
  /** The ports of the virtual host; 0 is every port. Empty for the main server. */
  readonly ports: number[]
  /** SSLEngine. */
  hasTls?: boolean
  /** ServerAlias. */
  readonly names: string[]
  serverName?: string
  /** ms. */
  timeout?: number
  /** ms. */
  proxyTimeout?: number
  via?: 'off' | 'on' | 'full' | 'block'
  maxForwards?: number
  /** ProxySourceAddress */
  sourceAddress?: string
  mergeSlashes?: boolean
  encodedSlashes?: 'reject' | 'decode' | 'keep'
  interpolate?: boolean
  /** RewriteEngine; `undefined` without such a line. */
  rewrites?: boolean
  /** Whether a directive of mod_rewrite occurs. Without one, a virtual host has no rules at all. */
  hasRewriting?: boolean
  /** RewriteOptions. */
  readonly rewriteOptions: Set<string>
  /** The maps that rules name. */
  readonly usedMaps: { readonly map: string; readonly directive: Directive }[]
  /** RewriteMap by name. */
  readonly maps: Map<string, RewriteMap>
  /** StrictHostCheck. */
  strictHost?: boolean
  /** SSLStrictSNIVHostCheck. */
  strictSni?: boolean
  /** SSLVHostSNIPolicy strict. */
  sameSni?: boolean
  /** TraceEnable. */
  trace?: boolean
  /** UseCanonicalName. */
  canonicalName?: boolean
  /** The port of ServerName. */
  serverPort?: number
  /** HttpProtocolOptions RegisteredMethods. */
  registeredMethods?: boolean
  /** LimitRequestLine, LimitRequestFields and LimitRequestFieldSize. */
  readonly limits: Map<RequestLimit, number>
  /** HttpProtocolOptions Unsafe. */
  unsafeHeads?: boolean
  /** HostnameLookups. */
  looksUpNames?: boolean
  /** DocumentRoot. */
  documentRoot?: string
  /** Whether rules need the decoded path of a request outside of mod_rewrite. */
  needsPath?: boolean
  readonly ifs: IfSection[]
  /** `<Directory>` and `<DirectoryMatch>`, if rules of sections see file names. */
  readonly directories: Pick<Location, 'path' | 'regex' | 'scope'>[]
  /** `<Files>` and `<FilesMatch>`, if rules of sections see file names. */
  readonly fileSections: FileSection[]
  readonly proxySections: ProxySection[]
  /** Settings for a server that is not an app. */
  readonly standalone: StandaloneLines
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

/** A directive that limits the head of a request, lower-case. */
export type RequestLimit = 'limitrequestline' | 'limitrequestfields' | 'limitrequestfieldsize'

/** Lines that a server uses which is not an app, the last line of each directive, by name in lower case. */
export type StandaloneLines = Map<string, Directive>

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

/** All sections of a server. */
export const sectionsOf = (server: Server): { readonly scope: Scope }[] => [
  ...server.locations,
  ...server.ifs,
  ...server.proxySections,
  ...server.directories,
  ...server.fileSections,
]

export const emptyScope = (): Scope => ({
  reverses: [],
  cookiePaths: [],
  cookieDomains: [],
  requestEdits: [],
  responseEdits: [],
  redirects: [],
  envRules: [],
  setEnv: new Map(),
})

export const emptyServer = (): Server => ({
  names: [],
  ports: [],
  rewriteOptions: new Set(),
  maps: new Map(),
  usedMaps: [],
  limits: new Map(),
  ifs: [],
  directories: [],
  fileSections: [],
  proxySections: [],
  standalone: new Map(),
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
    redirects: [...over.redirects, ...base.redirects],
    ...mergedAccess(base.access, over.access),
    ...mergedRewriting(base.rewriting, over.rewriting),
    ...(over.tlsVariables !== undefined && { tlsVariables: { ...base.tlsVariables, ...over.tlsVariables } }),
    envRules: [...base.envRules, ...over.envRules],
    setEnv: new Map([...base.setEnv, ...over.setEnv]),
  }
}

/** Order, Allow, Deny and Satisfy of the more specific section replace all of the others: mod_access_compat merges nothing. */
function mergedAccess(base: AccessRules | undefined, over: AccessRules | undefined): Pick<Scope, 'access'> {
  if (base === undefined || over === undefined) return {}
  const { hosts: _, satisfy: __, ...others } = base
  return { access: { ...(over.hosts === undefined && over.satisfy === undefined ? base : others), ...over } }
}

/** The rules of the more specific section replace the others. The engine is inherited. httpd: config_perdir_merge. */
const mergedRewriting = (base: SectionRules | undefined, over: SectionRules | undefined): Pick<Scope, 'rewriting'> =>
  base === undefined || over === undefined ? {} : { rewriting: { ...over, engine: over.engine ?? base.engine } }

/** The rules of a virtual host. httpd: config_server_merge. */
function mergedRules(base: Server, over: Server): Pick<Server, 'rules' | 'maps'> {
  const { rewriteOptions: own } = over.rewriteOptions.size > 0 ? over : base
  const isDown = (name: string): boolean => base.rewriteOptions.has(name) && !own.has('ignoreinherit')
  const maps = new Map([...base.maps, ...over.maps])
  if (own.has('inherit') || isDown('inheritdown')) return { rules: [...over.rules, ...base.rules], maps }
  if (own.has('inheritbefore') || isDown('inheritdownbefore')) return { rules: [...base.rules, ...over.rules], maps }
  return { rules: over.rules, maps: over.maps }
}

/** Merges a virtual host over the main server; AllowEncodedSlashes is not inherited. httpd: merge_proxy_config. */
export function mergeServers(base: Server, over: Server): Server {
  const { encodedSlashes: _, documentRoot: __, ...inherited } = given(base)
  const { hasRewriting = false } = over
  return {
    ...inherited,
    ...given(over),
    names: over.names,
    ports: over.ports,
    ...(hasRewriting ? mergedRules(base, over) : { rules: [], rewrites: false, hasRewriting: false }),
    rewriteOptions: over.rewriteOptions,
    documentRoot: over.documentRoot ?? base.documentRoot,
    serverPort: over.serverName === undefined ? base.serverPort : over.serverPort,
    limits: new Map([...base.limits, ...over.limits]),
    ifs: [...base.ifs, ...over.ifs],
    directories: [...base.directories, ...over.directories],
    fileSections: [...base.fileSections, ...over.fileSections],
    usedMaps: over.usedMaps,
    proxySections: [...base.proxySections, ...over.proxySections],
    standalone: new Map([...base.standalone, ...over.standalone]),
    aliases: [...base.aliases, ...over.aliases],
    scope: mergeScopes(base.scope, over.scope),
    locations: [...base.locations, ...over.locations],
    tls: new Map([...base.tls, ...over.tls]),
    workers: new Map([...base.workers, ...over.workers]),
    balancers: new Map([...base.balancers, ...over.balancers]),
    health: over.health,
  }
}
