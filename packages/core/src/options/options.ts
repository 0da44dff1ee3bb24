import type { IncomingMessage } from 'node:http'
import { hostname } from 'node:os'
import { compile as compileTrust } from 'proxy-addr'
import { WsTunnelError } from '../errors.ts'
import type { PathSpelling } from '../http/percent-encoding.ts'
import { readWorker, type WorkerOptions, type WorkerSettings } from './backend-options.ts'
import type { BalancerOptions, BalancerSettings } from './balancer-options.ts'
import {
  type Check,
  callback,
  checked,
  count,
  duration,
  isRecord,
  list,
  oneOf,
  record,
  text,
  unknownKey,
  withDefaults,
  wrong,
} from './checks.ts'
import { DEFAULTS } from './defaults.ts'
import type { CloseMessage, ErrorMessage, Logger, OpenMessage } from './events.ts'
import { readBalancer } from './read-balancer.ts'
import { checkedRoute, ROUTE_CHECKS, ROUTE_DEFAULT_CHECKS, readRoute } from './read-route.ts'
import type { RouteDefaults, RouteOptions, RouteSettings } from './route-options.ts'

/**
 * Which peers may set X-Forwarded-* and Forwarded, as Express's `trust proxy`. `'append'` is what httpd does: the fields of all peers are
 * kept and appended to, no X-Forwarded-Proto is added, and none of them is trusted when a Location is rewritten. A peer on a unix socket
 * has no address and counts as `127.0.0.1`.
 */
export type TrustProxy = boolean | number | string | string[] | ((address: string, hop: number) => boolean)

/** Which upgrades are for the proxy on a server that has other `upgrade` listeners: path prefixes, or a test. */
export type Only = string | string[] | ((req: IncomingMessage) => boolean)

/** A request target as `rewrite` gets and returns it. */
export interface RewrittenUrl {
  /** Decoded and normalised, as routes match it. */
  path: string
  /** As the client wrote it, with its `?`, or `''`. */
  query: string
}

/**
 * Runs for every request before the routes are tried, and may return another path and query (RewriteRule [PT]). It does not change what the
 * app sees, nor the mount point. It is trusted code. If it throws: 500.
 */
export type Rewrite<Req = IncomingMessage> = (
  req: Req,
  url: RewrittenUrl,
  /** Passed by `explain` alone. To be called for each step, with what it does and why. */
  note?: (line: string) => void,
) => RewrittenUrl | undefined

/** Options of the proxy as a whole. */
export interface CommonOptions<Req = IncomingMessage> {
  /**
   * Gives requests another path before the routes are tried (RewriteRule [PT]). It gets the path decoded according to the options
   * `encodedSlashes` and `mergeSlashes` beside `routes`. It is not called for a malformed path. A path longer than 8192 characters: 414.
   * @default undefined
   */
  rewrite?: Rewrite<Req>
  /**
   * Settings of backends, for every route that leads to them. The entry applies whose `url` is the longest prefix of the request's URL
   * (`<Proxy url>`). @default []
   */
  workers?: readonly WorkerOptions[]
  /** Sets of backends by name, which is in lower case. A target names one as `balancer://name/path` (`<Proxy balancer://name>`). @default {} */
  balancers?: Readonly<Record<string, BalancerOptions<Req>>>
  /**
   * How the path of a request may be spelled. `'exact'`: a request target that is not spelled in its normal form is refused with 400 before
   * a route is tried, and the backend gets the path as the client spelled it. So the app's guards and the backend see one path. A run of
   * slashes is allowed if `mergeSlashes` beside `routes` is false. `'normalise'`: any spelling is accepted, and the backend gets its
   * canonical form, as with httpd. A guard of the app then sees another path than the backend. It is the default for `handle` on a bare
   * server: the adapters, `mount`, `url` and an `originalUrl` are the signs of an app. @default 'exact'
   */
  paths?: 'exact' | 'normalise'
  /** Peers whose X-Forwarded-* fields are kept and appended to; those of other peers are replaced. @default false */
  trustProxy?: TrustProxy
  /** The name of this proxy in X-Forwarded-Server and Via (ServerName). @default os.hostname() */
  serverName?: string
  /** Which upgrades are for the proxy if the server has other listeners. @default undefined: those whose path leads to it */
  only?: Only
  /**
   * How many upgrades of this process may wait for their responses; 0 is no limit. Each holds about 34 KiB, and up to 64 KiB that its client
   * sent early. Past it: 503. In httpd, MaxRequestWorkers limits them. @default 5000
   */
  maxPendingUpgrades?: number
  /**
   * Finds this proxy again in the process that takes its tunnels over. @default its number among the proxies of the process, in the order
   * of their creation
   */
  handoverName?: string
  /** How long `close()` lets open tunnels continue, ms; 0 ends them at once. @default 10000 */
  drainTimeout?: number
  /**
   * The last part of `drainTimeout`, ms, in which the tunnels that are still open end one after another, so that their clients do not
   * reconnect all at once; 0 ends them together. @default 0
   */
  drainSpread?: number
  /**
   * How long `close()` still takes requests after `ready` has become false, ms, so that load balancers see it before they get a 503.
   * @default 0
   */
  noticeTime?: number
  /** What a 503 says while the proxy is closing, ms: Retry-After, in whole seconds; 0 is no such field (RFC 9110 10.2.3). @default 0 */
  retryAfter?: number
  /**
   * Gets a line for each failure with a status of 500 or more (`error`), and for each failover and each tunnel that its backend broke off
   * (`warn`). `console` and pino fit. The lines are for the operator: they have backends, and no queries. @default undefined
   */
  logger?: Logger
  /** Called when a tunnel has opened. Gets the message of the channel `ws-tunnel:open`. */
  onOpen?: (message: OpenMessage<Req>) => void
  /** Called once for each tunnel, when it has ended. Gets the message of the channel `ws-tunnel:close`. */
  onClose?: (message: CloseMessage) => void
  /** Called for each failure before the 101, in addition to the app's error handler. Gets the message of the channel `ws-tunnel:error`. */
  onError?: (message: ErrorMessage<Req>) => void
}

/**
 * Either one `target` for the whole mount point, or a list of `routes`. `Req` is the request that the functions of the options get: that
 * of the framework.
 */
export type WsTunnelOptions<Req = IncomingMessage> = CommonOptions<Req> &
  (
    | (Omit<RouteOptions<Req>, 'path'> & { routes?: never; path?: never })
    | (RouteDefaults<Req> & {
        routes: readonly RouteOptions<Req>[]
        target?: never
        when?: never
        path?: never
        name?: never
      })
  )

/** The options of a proxy, each with a value, frozen. */
export interface Settings {
  readonly routes: readonly RouteSettings[]
  readonly rewrite: Rewrite | undefined
  /** `undefined`: the default depends on the context of `handle`. */
  readonly paths: PathSpelling | undefined
  readonly workers: readonly WorkerSettings[]
  readonly balancers: Readonly<Record<string, BalancerSettings>>
  /** The settings for what belongs to no route: those of the only route, or those beside `routes`. */
  readonly defaults: RouteSettings
  /** How the path is decoded for `rewrite`. */
  readonly decoding: Pick<RouteSettings, 'encodedSlashes' | 'mergeSlashes'>
  readonly trusts: (address: string, hop: number) => boolean
  /** `trustProxy: 'append'`: the scheme of the client is that of its connection, whatever `trusts` returns. */
  readonly appends: boolean
  readonly serverName: string
  readonly only: Only | undefined
  readonly maxPendingUpgrades: number
  readonly handoverName: string | undefined
  readonly drainTimeout: number
  readonly logger: Logger | undefined
  readonly drainSpread: number
  readonly noticeTime: number
  readonly retryAfter: number
  readonly onOpen: (message: OpenMessage) => void
  readonly onClose: (message: CloseMessage) => void
  readonly onError: (message: ErrorMessage) => void
}

const only: Check = (where, value) => {
  if (typeof value === 'function') return
  const prefixes = typeof value === 'string' ? [value] : value
  if (!Array.isArray(prefixes) || !prefixes.every(p => typeof p === 'string' && p.startsWith('/'))) {
    throw wrong(where, 'a path prefix, a list of them, or a function', value)
  }
}
const logger: Check = (where, value) => {
  // A logger may be a function with methods.
  const { warn, error } = Object(value) as Partial<Logger>
  if (typeof warn !== 'function' || typeof error !== 'function')
    throw wrong(where, 'an object with `warn` and `error`, such as console or a logger of pino', value)
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
const COMMON_CHECKS: Record<keyof CommonOptions, Check> = {
  rewrite: callback,
  paths: oneOf('exact', 'normalise'),
  workers: list,
  balancers: record,
  trustProxy,
  serverName,
  only,
  maxPendingUpgrades: count,
  handoverName: text,
  drainTimeout: duration,
  logger,
  drainSpread: duration,
  noticeTime: duration,
  retryAfter: duration,
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

/**
 * Reads the options into settings. The object of the caller is not changed.
 *
 * @throws {WsTunnelError} `WST_ERR_OPTION`, which names the option, what was expected and what was found.
 */
export function resolveOptions(options: WsTunnelOptions): Settings {
  if (!isRecord(options)) throw wrong('options', 'an object', options)
  const { routes, ...rest } = options as Record<string, unknown>
  const pick = (checks: object): Record<string, unknown> =>
    Object.fromEntries(Object.entries(rest).filter(([key]) => Object.hasOwn(checks, key)))
  const unknown = Object.keys(rest).find(key => !Object.hasOwn(ROUTE_CHECKS, key) && !Object.hasOwn(COMMON_CHECKS, key))
  if (unknown !== undefined) {
    throw unknownKey('', unknown, ['routes', ...Object.keys(ROUTE_CHECKS), ...Object.keys(COMMON_CHECKS)])
  }
  const common = withDefaults(DEFAULTS.proxy, checked('', pick(COMMON_CHECKS), COMMON_CHECKS) as CommonOptions)
  const read = readRoutes(routes, pick(ROUTE_CHECKS))
  const { encodedSlashes, mergeSlashes } = withDefaults(DEFAULTS.route, rest as RouteDefaults)
  return Object.freeze({
    routes: Object.freeze(read),
    defaults:
      routes === undefined
        ? (read[0] as RouteSettings)
        : readRoute('', { target: false, ...pick(ROUTE_DEFAULT_CHECKS) }),
    rewrite: common.rewrite,
    paths: common.paths,
    workers: common.workers.map((worker, i) => readWorker(`workers[${i}]`, worker)),
    balancers: Object.fromEntries(
      Object.entries(common.balancers).map(([name, balancer]) => [name, readBalancer(name, balancer)]),
    ),
    decoding: { encodedSlashes, mergeSlashes },
    trusts: readTrust(common.trustProxy),
    appends: common.trustProxy === 'append',
    serverName: common.serverName ?? hostname(),
    only: common.only,
    maxPendingUpgrades: common.maxPendingUpgrades,
    handoverName: common.handoverName,
    drainTimeout: common.drainTimeout,
    logger: common.logger,
    drainSpread: common.drainSpread,
    noticeTime: common.noticeTime,
    retryAfter: common.retryAfter,
    onOpen: common.onOpen,
    onClose: common.onClose,
    onError: common.onError,
  })
}

function readRoutes(routes: unknown, beside: Record<string, unknown>): RouteSettings[] {
  const refuse = (detail: string): WsTunnelError => new WsTunnelError('WST_ERR_OPTION', { detail })
  if (routes === undefined) {
    if (beside['path'] !== undefined) throw refuse('`path` belongs to a route: write `routes: [{ path, target }]`')
    return [readRoute('', beside)]
  }
  if (!Array.isArray(routes)) throw wrong('routes', 'a list of routes', routes)
  for (const key of ['path', 'when', 'target', 'name'])
    if (beside[key] !== undefined) throw refuse(`\`${key}\` belongs to a route: move it into one of \`routes\``)
  if (routes.length === 0) throw wrong('routes', 'a list of at least one route', routes)
  const { path: _path, when: _when, target: _target, name: _name, ...rest } = beside
  const defaults = checkedRoute('', rest)
  return routes.map((route, i) => {
    if (!isRecord(route)) throw wrong(`routes[${i}]`, 'a route: { path, when, target, ... }', route)
    return readRoute(`routes[${i}]`, route, defaults)
  })
}
