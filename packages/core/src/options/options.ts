import { type IncomingMessage, validateHeaderName, validateHeaderValue } from 'node:http'
import type { LookupFunction } from 'node:net'
import { hostname } from 'node:os'
import type { ConnectionOptions } from 'node:tls'
import { compile as compileTrust } from 'proxy-addr'
import type { Captures } from '../backend/target.ts'
import { WsTunnelError } from '../errors.ts'
import type { HeaderList } from '../http/header-list.ts'
import type { Tunnel, TunnelEnd } from '../tunnel/tunnel.ts'
import {
  type BalancerChoice,
  type BalancerOptions,
  type BalancerSettings,
  readBalancer,
  readWorker,
  type WorkerOptions,
  type WorkerSettings,
} from './balancer-options.ts'
import {
  boolean,
  type Check,
  callback,
  checked,
  count,
  duration,
  isRecord,
  list,
  oneOf,
  readUpgrade,
  record,
  TCHAR,
  text,
  textMap,
  type UpgradeSetting,
  unknownKey,
  upgrade,
  wrong,
} from './checks.ts'

/**
 * Where a route sends its requests: a URL (`ws:`, `wss:`, `http:`, `https:`, or `unix:/path.sock|ws://name/`), `false` to
 * hand the request back to the app (ProxyPass "!"), or a function that answers one of the two. Scheme, host and port
 * are fixed text; the path may hold `$0`-`$9` of a RegExp path, `%1`-`%9` of the last condition that captured and the
 * `:name`s of a pattern. What a function returns is taken as it is: it is trusted code, nothing in it is expanded. It may
 * also answer the request itself.
 */
export type Target =
  | string
  | false
  | ((req: IncomingMessage, captures: Captures) => TargetResult | Promise<TargetResult>)

/** What a target function gives: a URL, `false` for the app, the very bytes of a request target, or an answer without a backend. */
export type TargetResult = string | false | ExactTarget | LocalAnswer

/** A backend, and the request target it gets as it stands: nothing is encoded, and no query is put behind it. */
export interface ExactTarget {
  /** Scheme, host and port. */
  url: string
  /** Path and query; one character is one byte. 403 for a dot segment, a space or a control character. */
  path: string
}

/** An answer without a backend and without body (RewriteRule [R], [G]): a status of 300-599, and where to go instead. */
export interface LocalAnswer {
  status: number
  /** The Location field, as it is sent. */
  location?: string
}

/** One test on the request (RewriteCond). A missing header field is the empty text. */
export type Condition =
  /** The field's value, several lines joined by `, `, matches; its groups become `%1`-`%9`. */
  | { header: string; matches: RegExp }
  /** The field's value does not match (a RewriteCond pattern that begins with `!`). */
  | { header: string; not: RegExp }
  /** The decoded path as routes match it, or the query as the client wrote it, without `?` (%{REQUEST_URI}, %{QUERY_STRING}). */
  | { url: 'path' | 'query'; matches: RegExp }
  | { url: 'path' | 'query'; not: RegExp }
  /** Any test of your own; a throw answers 500. */
  | { test: (req: IncomingMessage) => boolean }
  /** At least one holds (RewriteCond [OR]). */
  | { any: Condition[] }

/** Edits of a header list, applied in the order unset, set, append (RequestHeader, Header). */
export interface HeaderEdits {
  /** Replaces every line of the field by one. */
  set?: Record<string, string>
  /** Adds a line. */
  append?: Record<string, string>
  /** Removes every line of the field. */
  unset?: string[]
}

/** Edits, or a function that makes them; it may read the request, and a throw answers 500. */
export type HeaderEditing = HeaderEdits | ((headers: HeaderList, req: IncomingMessage, choice?: BalancerChoice) => void)

/** What every route may say, and what stands beside `routes` as the default of each of them. */
export interface RouteDefaults {
  /** Upgrade tokens let through, exact and case-insensitive; `'ANY'` and `'NONE'` as Apache documents them (`upgrade=`); `false` lets none through. @default 'websocket' */
  upgrade?: string | readonly string[] | false
  /** Serve requests that ask for no upgrade as HTTP (ProxyWebsocketFallbackToProxyHttp). @default true */
  fallback?: boolean
  /** How a prefix target and the rest of the path meet: exactly one slash, or plain concatenation as httpd does. @default 'slash' */
  join?: 'slash' | 'concat'
  /** `%2F` in a path: answer 404, decode it, or keep it as it is (AllowEncodedSlashes). @default 'reject' */
  encodedSlashes?: 'reject' | 'decode' | 'keep'
  /** Match the path before it is decoded, and send it so; such routes do not see what `rewrite` made. `'servlet'` takes a prefix for what a servlet container does, which resolves `/x/..;/` (`mapping=`). @default 'decoded' */
  mapping?: 'decoded' | 'encoded' | 'servlet'
  /** Take a run of slashes in a path for one (MergeSlashes). @default true */
  mergeSlashes?: boolean
  /** How a target's query and the request's meet: the request's behind the target's (QSA), the target's instead where it has one, or the target's alone (QSD). @default 'append' */
  query?: 'append' | 'replace' | 'drop'
  /** Send the path as the client wrote it (ProxyPass nocanon). @default false */
  nocanon?: boolean
  /** TCP and TLS connect to the backend, ms; 0 is never (connectiontimeout=). Ends in 504. @default 5000 */
  connectTimeout?: number
  /** From the request to the 101 or another answer, ms; 0 is never (ProxyTimeout). Ends in 504. @default 60000 */
  handshakeTimeout?: number
  /** No byte either way, ms; 0 is never (ProxyWebsocketIdleTimeout). A receiver that stops reading is idle. @default 0 */
  idleTimeout?: number
  /** No byte after one side sent its FIN, ms; 0 is never. @default 30000 */
  halfOpenTimeout?: number
  /** Longest life of a tunnel, ms; 0 is for ever. @default 0 */
  maxLifetime?: number
  /** Open tunnels of the route, those still in their handshake included; 503 past it; 0 is no limit (max=). @default 0 */
  maxTunnels?: number
  /** TCP keep-alive probes on both ends after this idle time, ms; 0 is none (keepalive=). @default 30000 */
  keepAlive?: number
  /** Open tunnels leave JavaScript for a thread of their own, where `@ws-tunnel/native` is installed and both connections are plain TCP or unix sockets (ProxyWebsocketAsync). @default true */
  async?: boolean
  /** How long a new tunnel stays in JavaScript before, ms (ProxyWebsocketAsyncDelay). @default 0 */
  asyncDelay?: number
  /** Threads over which such tunnels are spread, 1 to 64. @default 1 */
  threads?: number
  /** Refuse a WebSocket handshake without a 16-byte key or version 13 with 400, and a 101 with the wrong Sec-WebSocket-Accept with 502 (RFC 6455 4.2). @default false */
  strictHandshake?: boolean
  /** Origins that may upgrade, `scheme://host[:port]`, compared exactly; others get 403. `undefined` checks nothing; a request without Origin comes from no browser and passes. @default undefined */
  allowedOrigins?: readonly string[]
  /** Send the client's Host instead of the target's (ProxyPreserveHost). @default false */
  preserveHost?: boolean
  /** Via on requests and answers (ProxyVia): untouched, added, added with the product, or removed. @default 'off' */
  via?: 'off' | 'on' | 'full' | 'block'
  /** Add X-Forwarded-For, -Host, -Server and -Proto (ProxyAddHeaders). @default true */
  addHeaders?: boolean
  /** Edits of the request the backend sees (RequestHeader). */
  requestHeaders?: HeaderEditing
  /** Edits of the answer the client sees, the 101 included (Header). */
  responseHeaders?: HeaderEditing
  /** Answers of the backend with a status of 400 or more, or one of the list, become failures that the app's error handler answers; the status and WWW-Authenticate stay (ProxyErrorOverride). @default false */
  errorOverride?: boolean | readonly number[]
  /** Location, Content-Location, URI and Destination of an answer: backend URL prefix -> public path or URL (ProxyPassReverse). `true` is the route's own target -> the path it was reached by. @default false */
  passReverse?: boolean | Record<string, string>
  /** Set-Cookie `Path`: internal prefix -> public path (ProxyPassReverseCookiePath). @default {} */
  passReverseCookiePath?: Record<string, string>
  /** Set-Cookie `Domain`: internal prefix -> public domain (ProxyPassReverseCookieDomain). @default {} */
  passReverseCookieDomain?: Record<string, string>
  /**
   * Options of `tls.connect` for `wss:` and `https:` targets (SSLProxy*), all but those that say where to connect. `servername` is the
   * target's host unless given. @default {}
   */
  tls?: ConnectionOptions
  /** Name lookup of `net.connect`, for instance to refuse address ranges. @default dns.lookup */
  lookup?: LookupFunction
}

/** One ProxyPass, ProxyPassMatch or RewriteRule [P] line. Tried in order; the first match wins. */
export interface RouteOptions extends RouteDefaults {
  /** A string is a prefix on segment boundaries (ProxyPass), or with `:name`, `*name` or `{...}` a path-to-regexp pattern; a RegExp is ProxyPassMatch; its group named `rest` is what a target without captures is followed by, instead of the whole path. @default '/' */
  path?: string | RegExp
  /** Every condition must hold (RewriteCond). @default [] */
  when?: Condition[]
  /** Where the request goes. */
  target: Target
  /** What `explain` and `proxy.routes` call it, for people. @default undefined */
  name?: string
}

/**
 * Express's `trust proxy`: which peers may set X-Forwarded-* and Forwarded. `'append'` is what httpd does: everybody's are
 * kept and appended to, no X-Forwarded-Proto is added, and none is believed where a Location is rewritten.
 */
export type TrustProxy = boolean | number | string | string[] | ((address: string, hop: number) => boolean)

/** Which upgrades are ours on a server that has other `upgrade` listeners: path prefixes, or a test. */
export type Only = string | string[] | ((req: IncomingMessage) => boolean)

/** A request target as `rewrite` sees and gives it. */
export interface RewrittenUrl {
  /** Decoded and normalised, as routes match it. */
  path: string
  /** As the client wrote it, with its `?`, or `''`. */
  query: string
}

/**
 * Looks at every request before the routes do, and may give it another path and query (RewriteRule [PT]); the app and
 * the routes' mount point are not concerned. Trusted code: a throw is 500.
 */
export type Rewrite = (
  req: IncomingMessage,
  url: RewrittenUrl,
  /** Given by `explain` alone: hears, line by line, what is done and why. */
  note?: (line: string) => void,
) => RewrittenUrl | undefined

/** What is said once for all routes. */
export interface CommonOptions {
  /** Gives requests another path before the routes are tried (RewriteRule [PT]). It sees the path as `encodedSlashes` and `mergeSlashes` beside `routes` make it, and none that is longer than 8192 characters or malformed. @default undefined */
  rewrite?: Rewrite
  /** What backends say of themselves, for every route that leads to them: the longest `url` that the URL of a request begins with counts (`<Proxy url>`). @default [] */
  workers?: readonly WorkerOptions[]
  /** Sets of backends by name; a target names one as `balancer://name/path` (`<Proxy balancer://name>`). @default {} */
  balancers?: Readonly<Record<string, BalancerOptions>>
  /** Peers whose X-Forwarded-* are kept and appended to; those of anybody else are replaced. @default false */
  trustProxy?: TrustProxy
  /** This proxy's name in X-Forwarded-Server and Via (ServerName). @default os.hostname() */
  serverName?: string
  /** Which upgrades are ours where others listen on the same server. @default undefined */
  only?: Only
  /** How long `close()` lets open tunnels go on, ms; 0 ends them at once. @default 10000 */
  drainTimeout?: number
  /** Called with each tunnel when it opens. */
  onOpen?: (message: any) => void
  /** Called once per tunnel when it has ended. */
  onClose?: (message: any) => void
  /** Called with every failure before the 101, beside the app's error handler. */
  onError?: (message: any) => void
}

/** Either one `target` for the whole mount point, or a list of `routes`. */
export type WsTunnelOptions = CommonOptions &
  (
    | (Omit<RouteOptions, 'path'> & { routes?: never; path?: never })
    | (RouteDefaults & { routes: readonly RouteOptions[]; target?: never; when?: never; path?: never; name?: never })
  )

type Present = Required<
  Omit<RouteDefaults, 'upgrade' | 'lookup' | 'allowedOrigins' | 'requestHeaders' | 'responseHeaders'>
>

/** A route with every setting present. */
export interface RouteSettings extends Readonly<Present> {
  readonly name: string | undefined
  readonly path: string | RegExp
  readonly when: readonly Condition[]
  readonly target: Target
  readonly upgrade: UpgradeSetting
  readonly lookup: LookupFunction | undefined
  readonly allowedOrigins: ReadonlySet<string> | undefined
  readonly requestHeaders: HeaderEditing | undefined
  readonly responseHeaders: HeaderEditing | undefined
}

/** All settings of a proxy, present and frozen. */
export interface Settings {
  readonly routes: readonly RouteSettings[]
  readonly rewrite: Rewrite | undefined
  readonly workers: readonly WorkerSettings[]
  readonly balancers: Readonly<Record<string, BalancerSettings>>
  /** What holds for what no route says: the only route, or one that leads nowhere with what stands beside the others. */
  readonly defaults: RouteSettings
  /** How the path is decoded for `rewrite`. */
  readonly decoding: Pick<RouteSettings, 'encodedSlashes' | 'mergeSlashes'>
  readonly trusts: (address: string, hop: number) => boolean
  /** `trustProxy: 'append'`: whatever `trusts` says, the scheme of the client is that of its connection. */
  readonly appends: boolean
  readonly serverName: string
  readonly only: Only | undefined
  readonly drainTimeout: number
  readonly onOpen: (message: any) => void
  readonly onClose: (message: any) => void
  readonly onError: (message: any) => void
}

const ROUTE_DEFAULTS: Required<
  Omit<RouteDefaults, 'lookup' | 'allowedOrigins' | 'requestHeaders' | 'responseHeaders'>
> = {
  upgrade: 'websocket',
  fallback: true,
  join: 'slash',
  encodedSlashes: 'reject',
  mapping: 'decoded',
  mergeSlashes: true,
  query: 'append',
  nocanon: false,
  connectTimeout: 5_000,
  handshakeTimeout: 60_000,
  idleTimeout: 0,
  halfOpenTimeout: 30_000,
  maxLifetime: 0,
  maxTunnels: 0,
  keepAlive: 30_000,
  async: true,
  asyncDelay: 0,
  threads: 1,
  strictHandshake: false,
  preserveHost: false,
  via: 'off',
  addHeaders: true,
  errorOverride: false,
  passReverse: false,
  passReverseCookiePath: {},
  passReverseCookieDomain: {},
  tls: {},
}

const noop = (): void => {}

const COMMON_DEFAULTS: Required<Omit<CommonOptions, 'only' | 'serverName' | 'rewrite'>> = {
  workers: [],
  balancers: {},
  trustProxy: false,
  drainTimeout: 10_000,
  onOpen: noop,
  onClose: noop,
  onError: noop,
}

const headerFields: Check = (where, value) => {
  textMap(where, value)
  for (const [name, text] of Object.entries(value as Record<string, string>)) {
    try {
      validateHeaderName(name)
      validateHeaderValue(name, text)
    } catch (cause) {
      throw new WsTunnelError('WST_ERR_OPTION', { detail: `\`${where}\`: ${(cause as Error).message}`, cause })
    }
  }
}
const headerEditing: Check = (where, value) => {
  if (typeof value === 'function') return
  if (!isRecord(value)) throw wrong(where, '{ set, append, unset } or a function', value)
  for (const [key, edit] of Object.entries(value)) {
    if (key === 'set' || key === 'append') headerFields(`${where}.${key}`, edit)
    else if (key !== 'unset') throw unknownKey(where, key, ['set', 'append', 'unset'])
    else if (!Array.isArray(edit) || !edit.every(name => typeof name === 'string' && TCHAR.test(name))) {
      throw wrong(`${where}.unset`, 'a list of header names', edit)
    }
  }
}
const origins: Check = (where, value) => {
  if (!Array.isArray(value)) throw wrong(where, 'a list of origins', value)
  for (const origin of value) {
    const { origin: exact = '' } = (typeof origin === 'string' && URL.parse(origin)) || {}
    // Apps have schemes of their own, of which URL knows no origin.
    const own = exact === 'null' && /^[a-z][a-z0-9+.-]*:\/\/[^/?#@\s]+$/i.test(origin)
    if (!own && exact !== String(origin).toLowerCase()) {
      throw wrong(where, 'made of origins such as "https://app.example" (scheme, host, port; no path)', origin)
    }
  }
}
const only: Check = (where, value) => {
  if (typeof value === 'function') return
  const prefixes = typeof value === 'string' ? [value] : value
  if (!Array.isArray(prefixes) || !prefixes.every(p => typeof p === 'string' && p.startsWith('/'))) {
    throw wrong(where, 'a path prefix, a list of them, or a function', value)
  }
}
const serverName: Check = (where, value) => {
  if (typeof value !== 'string' || !/^[\w.:[\]-]+$/.test(value)) throw wrong(where, 'a host name', value)
}
const trustProxy: Check = (where, value) => {
  const kinds = ['boolean', 'number', 'string', 'function']
  if (!kinds.includes(typeof value) && !Array.isArray(value)) {
    throw wrong(
      where,
      "a boolean, a number of hops, addresses, 'append' or a function (Express's `trust proxy`)",
      value,
    )
  }
}
const passReverse: Check = (where, value) => {
  if (typeof value !== 'boolean') textMap(where, value)
}
const path: Check = (where, value) => {
  if (value instanceof RegExp) return
  if (typeof value !== 'string' || !value.startsWith('/')) {
    throw wrong(where, 'a path that begins with "/", or a RegExp', value)
  }
}
const target: Check = (where, value) => {
  if (typeof value !== 'string' && value !== false && typeof value !== 'function') {
    throw wrong(where, 'a URL, false or a function', value)
  }
}
const conditions: Check = (where, value) => {
  if (!Array.isArray(value)) throw wrong(where, 'a list of conditions', value)
  value.forEach((item, i) => {
    condition(`${where}[${i}]`, item)
  })
}
const condition: Check = (where, value) => {
  const shapes = '{ header, matches }, { header, not }, { url, matches }, { url, not }, { test } or { any }'
  if (!isRecord(value)) throw wrong(where, shapes, value)
  const keys = Object.keys(value).sort().join()
  if (keys === 'any') conditions(`${where}.any`, value['any'])
  else if (keys === 'test') callback(`${where}.test`, value['test'])
  else if (/^(?:header,matches|header,not|matches,url|not,url)$/.test(keys)) {
    const pattern = 'not' in value ? 'not' : 'matches'
    if ('url' in value) oneOf('path', 'query')(`${where}.url`, value['url'])
    else if (typeof value['header'] !== 'string' || !TCHAR.test(value['header'])) {
      throw wrong(`${where}.header`, 'a header name', value['header'])
    }
    if (!(value[pattern] instanceof RegExp)) throw wrong(`${where}.${pattern}`, 'a RegExp', value[pattern])
  } else throw wrong(where, `${shapes} with those keys only`, Object.keys(value))
}

/** Upgrades and plain requests would not go by these alike. */
const ELSEWHERE = ['host', 'port', 'path', 'socket', 'lookup']

const tls: Check = (where, value) => {
  record(where, value)
  const given = value as Record<string, unknown>
  const told = ELSEWHERE.find(name => given[name] !== undefined)
  if (told !== undefined)
    throw wrong(`${where}.${told}`, 'left out, for the target and `lookup` say where to connect', given[told])
}

const threads: Check = (where, value) => {
  if (!Number.isSafeInteger(value) || (value as number) < 1 || (value as number) > 64) {
    throw wrong(where, 'a whole number from 1 to 64', value)
  }
}

const errorOverride: Check = (where, value) => {
  if (typeof value === 'boolean') return
  if (!Array.isArray(value) || !value.every(status => Number.isInteger(status) && status >= 400 && status <= 599))
    throw wrong(where, 'true, false or a list of statuses from 400 to 599', value)
}

const ROUTE_DEFAULT_CHECKS: Record<keyof RouteDefaults, Check> = {
  upgrade,
  fallback: boolean,
  join: oneOf('slash', 'concat'),
  encodedSlashes: oneOf('reject', 'decode', 'keep'),
  mapping: oneOf('decoded', 'encoded', 'servlet'),
  mergeSlashes: boolean,
  query: oneOf('append', 'replace', 'drop'),
  nocanon: boolean,
  connectTimeout: duration,
  handshakeTimeout: duration,
  idleTimeout: duration,
  halfOpenTimeout: duration,
  maxLifetime: duration,
  maxTunnels: count,
  keepAlive: duration,
  async: boolean,
  asyncDelay: duration,
  threads,
  strictHandshake: boolean,
  allowedOrigins: origins,
  preserveHost: boolean,
  via: oneOf('off', 'on', 'full', 'block'),
  addHeaders: boolean,
  requestHeaders: headerEditing,
  responseHeaders: headerEditing,
  errorOverride,
  passReverse,
  passReverseCookiePath: textMap,
  passReverseCookieDomain: textMap,
  tls,
  lookup: callback,
}

const ROUTE_CHECKS: Record<string, Check> = { path, when: conditions, target, name: text, ...ROUTE_DEFAULT_CHECKS }

const COMMON_CHECKS: Record<keyof CommonOptions, Check> = {
  rewrite: callback,
  workers: list,
  balancers: record,
  trustProxy,
  serverName,
  only,
  drainTimeout: duration,
  onOpen: callback,
  onClose: callback,
  onError: callback,
}

function readTrust(value: TrustProxy): (address: string, hop: number) => boolean {
  if (typeof value === 'function') {
    return (address, hop) => {
      try {
        return value(address, hop)
      } catch (cause) {
        throw new WsTunnelError('WST_ERR_CALLBACK', { detail: `trustProxy threw ${String(cause)}`, cause })
      }
    }
  }
  if (typeof value === 'boolean') return () => value
  if (value === 'append') return () => true
  if (typeof value === 'number') return (_, hop) => hop < value
  try {
    return compileTrust(typeof value === 'string' ? value.split(/\s*,\s*/) : value)
  } catch (cause) {
    throw new WsTunnelError('WST_ERR_OPTION', { detail: `\`trustProxy\`: ${(cause as Error).message}`, cause })
  }
}

function readRoute(where: string, options: object, defaults: Record<string, unknown>): RouteSettings {
  const own = checked(where, options, ROUTE_CHECKS)
  if (own['target'] === undefined) throw wrong(where === '' ? 'target' : `${where}.target`, 'given', undefined)
  const route = { ...ROUTE_DEFAULTS, path: '/', when: [], ...defaults, ...own } as unknown as RouteOptions &
    Required<Pick<RouteOptions, 'path' | 'when' | keyof typeof ROUTE_DEFAULTS>>
  return Object.freeze({
    ...route,
    upgrade: readUpgrade(route.upgrade),
    allowedOrigins: route.allowedOrigins && new Set(route.allowedOrigins.map(origin => origin.toLowerCase())),
    name: route.name,
    lookup: route.lookup,
    requestHeaders: route.requestHeaders,
    responseHeaders: route.responseHeaders,
  })
}

/**
 * Reads what a user wrote into settings, all present and frozen; the caller's object is never touched.
 *
 * @throws {WsTunnelError} `WST_ERR_OPTION` that names the option, what was expected and what came.
 */
export function resolveOptions(options: WsTunnelOptions): Settings {
  if (!isRecord(options)) throw wrong('options', 'an object', options)
  const { routes, ...rest } = options as Record<string, unknown>
  const has = (checks: object): Record<string, unknown> =>
    Object.fromEntries(Object.entries(rest).filter(([key]) => Object.hasOwn(checks, key)))
  const unknown = Object.keys(rest).find(key => !Object.hasOwn(ROUTE_CHECKS, key) && !Object.hasOwn(COMMON_CHECKS, key))
  if (unknown !== undefined) {
    throw unknownKey('', unknown, ['routes', ...Object.keys(ROUTE_CHECKS), ...Object.keys(COMMON_CHECKS)])
  }
  const common = { ...COMMON_DEFAULTS, ...checked('', has(COMMON_CHECKS), COMMON_CHECKS) } as CommonOptions &
    typeof COMMON_DEFAULTS
  const read = readRoutes(routes, has(ROUTE_CHECKS))
  return Object.freeze({
    routes: Object.freeze(read),
    defaults: routes === undefined ? (read[0] as RouteSettings) : beside(has(ROUTE_DEFAULT_CHECKS)),
    rewrite: common.rewrite,
    workers: common.workers.map((worker, i) => readWorker(`workers[${i}]`, worker)),
    balancers: Object.fromEntries(
      Object.entries(common.balancers).map(([name, balancer]) => [name, readBalancer(name, balancer)]),
    ),
    decoding: {
      encodedSlashes: (rest as RouteDefaults).encodedSlashes ?? ROUTE_DEFAULTS.encodedSlashes,
      mergeSlashes: (rest as RouteDefaults).mergeSlashes ?? ROUTE_DEFAULTS.mergeSlashes,
    },
    trusts: readTrust(common.trustProxy),
    appends: common.trustProxy === 'append',
    serverName: common.serverName ?? hostname(),
    only: common.only,
    drainTimeout: common.drainTimeout,
    onOpen: common.onOpen,
    onClose: common.onClose,
    onError: common.onError,
  })
}

/** A route that leads nowhere, with what stands beside the routes. */
const beside = (options: object): RouteSettings =>
  readRoute('', { target: false }, checked('', options, ROUTE_DEFAULT_CHECKS))

function readRoutes(routes: unknown, beside: Record<string, unknown>): RouteSettings[] {
  if (routes === undefined) {
    if (beside['path'] !== undefined) {
      throw new WsTunnelError('WST_ERR_OPTION', {
        detail: '`path` belongs to a route: write `routes: [{ path, target }]`',
      })
    }
    return [readRoute('', beside, {})]
  }
  if (!Array.isArray(routes)) throw wrong('routes', 'a list of routes', routes)
  for (const key of ['path', 'when', 'target', 'name']) {
    if (beside[key] !== undefined) {
      throw new WsTunnelError('WST_ERR_OPTION', {
        detail: `\`${key}\` cannot stand beside \`routes\`: it belongs into one of them`,
      })
    }
  }
  const { path: _path, when: _when, target: _target, name: _name, ...rest } = beside
  const defaults = checked('', rest, ROUTE_DEFAULT_CHECKS)
  return routes.map((route, i) => {
    if (!isRecord(route)) throw wrong(`routes[${i}]`, 'a route: { path, when, target, ... }', route)
    return readRoute(`routes[${i}]`, route, defaults)
  })
}
