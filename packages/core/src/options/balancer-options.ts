import type { IncomingMessage } from 'node:http'
import type { Member } from '../balancer/balancer-member.ts'
import {
  boolean,
  type Check,
  checked,
  count,
  duration,
  isRecord,
  list,
  oneOf,
  readUpgrade,
  TCHAR,
  text,
  upgrade,
  wrong,
} from './checks.ts'
import {
  type HealthCheckOptions,
  type HealthCheckSettings,
  healthCheck,
  memberHealthCheck,
  readHealthCheck,
} from './health-options.ts'
import type { RouteDefaults, RouteSettings } from './options.ts'
import { type ResolveOptions, type ResolveSettings, readResolve, resolveOption } from './resolve-options.ts'

/**
 * What a backend says of itself, from whichever route it is reached: worker parameters of ProxyPass and BalancerMember,
 * `<Proxy url>` with ProxySet. What is absent is as the route says.
 */
export interface WorkerOptions
  extends Pick<
    RouteDefaults,
    'upgrade' | 'connectTimeout' | 'handshakeTimeout' | 'idleTimeout' | 'halfOpenTimeout' | 'keepAlive' | 'maxTunnels'
  > {
  /** `scheme://host[:port][/path]`. In `workers` a `$0`-`$9` in it stands for any text. */
  url: string
  /** How long an upgrade waits for one of `maxTunnels` places, in the order of coming, ms; past it 503, or a balancer's next member (acquire=). @default 0 */
  acquireTimeout?: number
}

/** One backend of a balancer (BalancerMember). */
export interface MemberOptions extends WorkerOptions {
  /** What a session names it by, after the separator (route=). @default undefined */
  routeId?: string
  /** The `routeId` that takes its sessions while it is not usable (redirect=). @default undefined */
  redirect?: string
  /** Its share, 1-100, two decimals count (loadfactor=). @default 1 */
  loadFactor?: number
  /** Members of a higher set are asked when none of a lower one is usable, 0-99 (lbset=). @default 0 */
  lbSet?: number
  /** How long it stays out after an error, ms (retry=). @default 60000 */
  retry?: number
  /** Letters with `+` and `-` (status=): `D` disabled, `S` stopped, `E` in error, `N` drains, `H` hot standby, `R` hot spare, `C` fails its health checks, `I` errors are ignored. @default '' */
  status?: string
  /** What it has otherwise than the balancer says; `false` is no check. @default the balancer's */
  healthCheck?: Partial<HealthCheckOptions> | false
  /** The host is a name that stands for one member per address, or per SRV record; each gets a `routeId` of its own. @default undefined */
  resolve?: ResolveOptions
}

/** Requests of one session go to one member (stickysession=). */
export interface StickySessionOptions {
  /** Name of the cookie. */
  cookie: string
  /** Name of the parameter in path or query. @default the cookie's */
  path?: string
  /** What stands before the `routeId` in the value; `false`: the value is the `routeId` (stickysessionsep=). @default '.' */
  separator?: string | false
  /** A `;` ends a value in the path, too (scolonpathdelim=). @default false */
  semicolonEnds?: boolean
  /** 503 where the session's member is not usable (nofailover=). @default false */
  noFailover?: boolean
  /** Set the cookie on every answer by another member than the one the request names, the 101 included (`Header add Set-Cookie ... env=BALANCER_ROUTE_CHANGED`). Every member needs a `routeId`. @default false */
  set?: boolean | SessionCookieOptions
}

/** Attributes of a session's cookie (RFC 6265 4.1.2). */
export interface SessionCookieOptions {
  /** @default '/' */
  path?: string
  /** @default undefined: the very host */
  domain?: string
  /** Seconds. @default undefined: until the browser is closed */
  maxAge?: number
  /** `'auto'`: where the client came by https, itself or as a trusted proxy says. @default 'auto' */
  secure?: boolean | 'auto'
  /** @default true */
  httpOnly?: boolean
  /** `'none'`, for pages of other sites, needs `secure`. @default 'lax' */
  sameSite?: 'strict' | 'lax' | 'none'
}

/**
 * What one member is chosen by, always the same while it is usable: the client's address as `trustProxy` makes it out, the path
 * below the balancer, or the value of a header field or cookie; a request without it goes by requests.
 */
export type HashOptions = { hash: 'client' | 'path' } | { hash: 'header' | 'cookie'; name: string }

/** How a balancer chooses (lbmethod=): a method of mod_proxy_balancer, the member with the fewest tunnels, a hash, or a function. */
export type LbMethod = 'byrequests' | 'bytraffic' | 'bybusyness' | 'leasttunnels' | HashOptions | LbFunction

/** Gives one of those that come into question (usable, of the lowest set that has any, standbys alone where nobody else is), or `undefined` where none will do; a throw answers 500. */
export type LbFunction = (members: readonly Member[], req: IncomingMessage) => Member | undefined

/** A named set of backends (`<Proxy balancer://name>`). */
export interface BalancerOptions {
  /** In the order in which equals are asked. */
  members: readonly MemberOptions[]
  /** @default 'byrequests' */
  lbMethod?: LbMethod
  /** `'COOKIE'`, `'COOKIE|path'`, or in full. @default undefined */
  stickySession?: string | StickySessionOptions
  /** How many other members are tried after a failure to connect (maxattempts=). @default one less than there are members */
  maxAttempts?: number
  /** How long a request waits for a usable member, ms (timeout=). @default 0 */
  timeout?: number
  /** Statuses of an answer that take its member out for `retry` (failonstatus=). @default [] */
  failOnStatus?: readonly number[]
  /** A member that does not answer in time is taken out for `retry` (failontimeout=). @default false */
  failOnTimeout?: boolean
  /**
   * An upgrade to which a member gives no answer at all, within `handshakeTimeout` or because the connection breaks, goes to the
   * next one. httpd asks nobody else once a member has the request; nginx does (proxy_next_upstream). @default false
   */
  failoverUnanswered?: boolean
  /** All members in error are tried again rather than none (forcerecovery=). @default true */
  forceRecovery?: boolean
  /** Over this time the factor of a member that was added or came back grows to the whole, ms; hashes do without. @default 0 */
  slowStart?: number
  /** How members are checked while nobody asks for them (hcmethod= and its kin). @default undefined */
  healthCheck?: HealthCheckOptions
}

/** What a request says of its session. */
export interface RequestSession {
  /** The `routeId` that it names, if it does. */
  readonly route: string | undefined
  /** Name of the parameter or cookie that does. */
  readonly name: string | undefined
}

/** Whom a balancer chose for a request, as header functions are told. */
export interface BalancerChoice {
  /** Name of the balancer. */
  readonly balancer: string
  readonly member: Member
  /** `undefined` where sessions do not stick. */
  readonly session: RequestSession | undefined
}

/** A worker's options; `over` goes over the settings of a route. */
export interface WorkerSettings {
  readonly url: string
  readonly over: Partial<RouteSettings>
  readonly maxTunnels: number
  readonly acquireTimeout: number
}

/** A member with every setting present. */
export interface MemberSettings extends WorkerSettings {
  readonly routeId: string | undefined
  readonly redirect: string | undefined
  readonly loadFactor: number
  readonly lbSet: number
  readonly retry: number
  readonly status: string
  readonly slowStart: number
  readonly healthCheck: HealthCheckSettings | undefined
  /** The URL with a name of which `url` has an address: TLS and Host go by the name. */
  readonly named: string | undefined
}

/** Members that stand behind a name. */
export interface NamedMembers {
  readonly resolve: ResolveSettings
  /** Of the option, for errors. */
  readonly where: string
  /** Of each, but for `url` and `routeId`. */
  readonly settings: MemberSettings
}

/** Sessions with every setting present. */
export interface StickySettings extends Readonly<Required<Omit<StickySessionOptions, 'set'>>> {
  readonly set: (Required<Omit<SessionCookieOptions, 'domain' | 'maxAge'>> & SessionCookieOptions) | undefined
}

/** A balancer with every setting present. */
export interface BalancerSettings {
  readonly members: readonly MemberSettings[]
  readonly named: readonly NamedMembers[]
  readonly lbMethod: LbMethod
  readonly stickySession: StickySettings | undefined
  readonly maxAttempts: number | undefined
  readonly timeout: number
  readonly failOnStatus: readonly number[]
  readonly failOnTimeout: boolean
  readonly failoverUnanswered: boolean
  readonly forceRecovery: boolean
  readonly slowStart: number
  readonly healthCheck: HealthCheckOptions | undefined
}

const loadFactor: Check = (where, value) => {
  if (typeof value !== 'number' || !(value >= 1 && value <= 100)) throw wrong(where, 'a number from 1 to 100', value)
}
const lbSet: Check = (where, value) => {
  if (!Number.isInteger(value) || (value as number) < 0 || (value as number) > 99)
    throw wrong(where, 'a whole number from 0 to 99', value)
}
const letters: Check = (where, value) => {
  if (typeof value !== 'string' || !/^[-+INDSEHRC]*$/i.test(value))
    throw wrong(where, 'made of the letters I, N, D, S, E, H, R, C, with + and -', value)
}
const routeId: Check = (where, value) => {
  if (typeof value !== 'string' || !/^[\x21-\x7e]{1,63}$/.test(value) || /[,;]/.test(value))
    throw wrong(where, '1 to 63 characters without space, comma or semicolon', value)
}
const separator: Check = (where, value) => {
  if (value !== false && (typeof value !== 'string' || value.length !== 1))
    throw wrong(where, 'one character, or false', value)
}
const statuses: Check = (where, value) => {
  if (!Array.isArray(value) || !value.every(status => Number.isInteger(status) && status >= 100 && status <= 599))
    throw wrong(where, 'a list of statuses from 100 to 599', value)
}
const token: Check = (where, value) => {
  if (typeof value !== 'string' || !TCHAR.test(value)) throw wrong(where, 'the name of a header field or cookie', value)
}
const lbMethod: Check = (where, value) => {
  if (typeof value === 'function') return
  if (!isRecord(value)) {
    oneOf('byrequests', 'bytraffic', 'bybusyness', 'leasttunnels', '{ hash }', 'a function')(where, value)
    return
  }
  const named = value['hash'] === 'header' || value['hash'] === 'cookie'
  checked(
    where,
    { ...(named && { name: '' }), ...value },
    {
      hash: oneOf('client', 'path', 'header', 'cookie'),
      ...(named && { name: token }),
    },
  )
  if (value['hash'] === undefined) throw wrong(`${where}.hash`, 'given', undefined)
}
const attribute: Check = (where, value) => {
  if (typeof value !== 'string' || !/^[\x21-\x3a\x3c-\x7e]+$/.test(value))
    throw wrong(where, 'made of visible characters but `;`', value)
}
const SET_CHECKS: Record<keyof SessionCookieOptions, Check> = {
  path: attribute,
  domain: attribute,
  maxAge: count,
  secure: (where, value) => {
    if (value !== 'auto' && typeof value !== 'boolean') throw wrong(where, "true, false or 'auto'", value)
  },
  httpOnly: boolean,
  sameSite: oneOf('strict', 'lax', 'none'),
}
const set: Check = (where, value) => {
  if (typeof value === 'boolean') return
  if (!isRecord(value)) throw wrong(where, 'true, false or { path, domain, maxAge, secure, httpOnly, sameSite }', value)
  const { sameSite, secure } = checked(where, value, SET_CHECKS)
  if (sameSite === 'none' && secure !== true)
    throw wrong(`${where}.secure`, "true, as sameSite 'none' needs it", secure)
}
const stickySession: Check = (where, value) => {
  if (typeof value === 'string' ? /^[^|]+(?:\|[^|]+)?$/.test(value) : isRecord(value)) return
  throw wrong(where, "'COOKIE', 'COOKIE|path' or { cookie, path, separator, semicolonEnds, noFailover, set }", value)
}

const WORKER_CHECKS: Record<keyof WorkerOptions, Check> = {
  url: text,
  upgrade,
  connectTimeout: duration,
  handshakeTimeout: duration,
  idleTimeout: duration,
  halfOpenTimeout: duration,
  keepAlive: duration,
  maxTunnels: count,
  acquireTimeout: duration,
}

const MEMBER_CHECKS: Record<keyof MemberOptions, Check> = {
  ...WORKER_CHECKS,
  routeId,
  redirect: routeId,
  loadFactor,
  lbSet,
  retry: duration,
  status: letters,
  healthCheck: memberHealthCheck,
  resolve: resolveOption,
}

const STICKY_CHECKS: Record<keyof StickySessionOptions, Check> = {
  cookie: text,
  path: text,
  separator,
  semicolonEnds: boolean,
  noFailover: boolean,
  set,
}

const BALANCER_CHECKS: Record<keyof BalancerOptions, Check> = {
  members: list,
  lbMethod,
  stickySession,
  maxAttempts: count,
  timeout: duration,
  failOnStatus: statuses,
  failOnTimeout: boolean,
  failoverUnanswered: boolean,
  forceRecovery: boolean,
  slowStart: duration,
  healthCheck,
}

/** @throws {WsTunnelError} `WST_ERR_OPTION` */
export function readWorker(
  where: string,
  options: unknown,
  checks: Record<string, Check> = WORKER_CHECKS,
): WorkerSettings {
  if (!isRecord(options)) throw wrong(where, 'an object with a url', options)
  const {
    url,
    maxTunnels = 0,
    acquireTimeout = 0,
    upgrade,
    ...rest
  } = checked(where, options, checks) as unknown as WorkerOptions
  if (url === undefined) throw wrong(`${where}.url`, 'given', undefined)
  const { connectTimeout, handshakeTimeout, idleTimeout, halfOpenTimeout, keepAlive } = rest
  const over = { connectTimeout, handshakeTimeout, idleTimeout, halfOpenTimeout, keepAlive }
  const said = Object.fromEntries(Object.entries(over).filter(([, value]) => value !== undefined))
  return {
    url,
    maxTunnels,
    acquireTimeout,
    over: { ...said, ...(upgrade !== undefined && { upgrade: readUpgrade(upgrade) }) },
  }
}

/**
 * Reads the options of one member.
 *
 * @throws {WsTunnelError} `WST_ERR_OPTION`
 */
export function readMember(
  where: string,
  options: MemberOptions,
  {
    slowStart,
    stickySession,
    healthCheck: shared,
  }: Pick<BalancerSettings, 'slowStart' | 'stickySession' | 'healthCheck'>,
): MemberSettings {
  const worker = readWorker(where, options, MEMBER_CHECKS)
  const { routeId, redirect, loadFactor = 1, lbSet = 0, retry = 60_000, status = '' } = options
  if (stickySession?.set !== undefined && routeId === undefined && options.resolve === undefined)
    throw wrong(`${where}.routeId`, 'given, as stickySession.set needs it', undefined)
  const healthCheck = readHealthCheck(`${where}.healthCheck`, options.healthCheck, shared)
  return { ...worker, routeId, redirect, loadFactor, lbSet, retry, status, slowStart, healthCheck, named: undefined }
}

function readNamed(where: string, options: MemberOptions, settings: MemberSettings): NamedMembers[] {
  if (options.resolve === undefined) return []
  if (options.routeId !== undefined)
    throw wrong(`${where}.routeId`, 'absent, as each member behind a name gets its own', options.routeId)
  return [{ where, settings, resolve: readResolve(where, settings.url, options.resolve) }]
}

/** What of a member may change while it serves; an empty `routeId` or `redirect` is none. */
export type MemberChanges = Pick<MemberOptions, 'status' | 'loadFactor' | 'lbSet' | 'routeId' | 'redirect' | 'retry'>

/**
 * Checks changes before there is a member to make them.
 *
 * @param where name of what is checked, for the error.
 * @throws {WsTunnelError} `WST_ERR_OPTION`
 */
export function checkMemberChanges(where: string, changes: MemberChanges): void {
  const { status, loadFactor, lbSet, routeId, redirect, retry } = MEMBER_CHECKS
  const orNone =
    (check: Check): Check =>
    (where, value) => {
      if (value !== '') check(where, value)
    }
  checked(where, changes, {
    status,
    loadFactor,
    lbSet,
    routeId: orNone(routeId),
    redirect: orNone(redirect),
    retry,
  })
}

/** @throws {WsTunnelError} `WST_ERR_OPTION` */
export function readBalancer(name: string, options: unknown): BalancerSettings {
  const where = `balancers.${name}`
  // It is the host of a target, which knows no case.
  if (name !== name.toLowerCase()) throw wrong(where, 'named in lower case', name)
  if (!isRecord(options)) throw wrong(where, 'an object with members', options)
  const own = checked(where, options, BALANCER_CHECKS) as unknown as BalancerOptions
  if (own.members === undefined) throw wrong(`${where}.members`, 'a list of { url }', undefined)
  const { lbMethod = 'byrequests', maxAttempts, timeout = 0, failOnStatus = [] } = own
  const { failOnTimeout = false, failoverUnanswered = false, forceRecovery = true, slowStart = 0, healthCheck } = own
  if (healthCheck !== undefined) readHealthCheck(`${where}.healthCheck`, undefined, healthCheck)
  const stickySession =
    own.stickySession === undefined ? undefined : readSticky(`${where}.stickySession`, own.stickySession)
  const all = own.members.map((options, i) => {
    const place = `${where}.members[${i}]`
    const settings = readMember(place, options, { slowStart, stickySession, healthCheck })
    return { settings, named: readNamed(place, options, settings) }
  })
  return {
    members: all.filter(({ named }) => named.length === 0).map(({ settings }) => settings),
    named: all.flatMap(({ named }) => named),
    lbMethod,
    stickySession,
    maxAttempts,
    timeout,
    failOnStatus,
    failOnTimeout,
    failoverUnanswered,
    forceRecovery,
    slowStart,
    healthCheck,
  }
}

function readSticky(where: string, value: string | StickySessionOptions): StickySettings {
  const [cookie = '', path = cookie] = typeof value === 'string' ? value.split('|') : []
  const given = typeof value === 'string' ? { cookie, path } : value
  const own = checked(where, given, STICKY_CHECKS) as unknown as StickySessionOptions
  if (own.cookie === undefined) throw wrong(`${where}.cookie`, 'given', undefined)
  const { set = false } = own
  if (set !== false && !TCHAR.test(own.cookie))
    throw wrong(`${where}.cookie`, 'a token, as it is to be set', own.cookie)
  // The value of a cookie has none of these (RFC 6265 4.1.1).
  if (set !== false && /[^\x21-\x7e]|[",;\\]/.test(own.separator || ''))
    throw wrong(`${where}.separator`, 'a character that a cookie may hold, as it is to be set', own.separator)
  const attributes = { path: '/', secure: 'auto', httpOnly: true, sameSite: 'lax', ...(set !== true && set) } as const
  return {
    path: own.cookie,
    separator: '.',
    semicolonEnds: false,
    noFailover: false,
    ...own,
    set: set === false ? undefined : attributes,
  }
}
