import type { IncomingMessage } from 'node:http'
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
  text,
  upgrade,
  wrong,
} from './checks.ts'
import type { Member } from './member.ts'
import type { RouteDefaults, RouteSettings } from './options.ts'

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
  /** Letters with `+` and `-` (status=): `D` disabled, `S` stopped, `E` in error, `N` drains, `H` hot standby, `R` hot spare, `I` errors are ignored. @default '' */
  status?: string
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
}

/** How a balancer chooses (lbmethod=): a method of mod_proxy_balancer, or a function that gives one of the usable members. */
export type LbMethod =
  | 'byrequests'
  | 'bytraffic'
  | 'bybusyness'
  | ((members: readonly Member[], req: IncomingMessage) => Member | undefined)

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
  /** All members in error are tried again rather than none (forcerecovery=). @default true */
  forceRecovery?: boolean
}

/** Whom a balancer chose for a request, as header functions are told. */
export interface BalancerChoice {
  /** Name of the balancer. */
  readonly balancer: string
  readonly member: Member
  /** The `routeId` that the session named, if it did; `undefined` where sessions do not stick. */
  readonly session: { readonly route: string | undefined } | undefined
}

/** A worker's options; `over` goes over the settings of a route. */
export interface WorkerSettings {
  readonly url: string
  readonly over: Partial<RouteSettings>
  readonly maxTunnels: number
}

/** A member with every setting present. */
export interface MemberSettings extends WorkerSettings {
  readonly routeId: string | undefined
  readonly redirect: string | undefined
  readonly loadFactor: number
  readonly lbSet: number
  readonly retry: number
  readonly status: string
}

/** A balancer with every setting present. */
export interface BalancerSettings {
  readonly members: readonly MemberSettings[]
  readonly lbMethod: LbMethod
  readonly stickySession: Required<StickySessionOptions> | undefined
  readonly maxAttempts: number | undefined
  readonly timeout: number
  readonly failOnStatus: readonly number[]
  readonly failOnTimeout: boolean
  readonly forceRecovery: boolean
}

const loadFactor: Check = (where, value) => {
  if (typeof value !== 'number' || !(value >= 1 && value <= 100)) throw wrong(where, 'a number from 1 to 100', value)
}
const lbSet: Check = (where, value) => {
  if (!Number.isInteger(value) || (value as number) < 0 || (value as number) > 99)
    throw wrong(where, 'a whole number from 0 to 99', value)
}
const letters: Check = (where, value) => {
  if (typeof value !== 'string' || !/^[-+INDSEHR]*$/i.test(value))
    throw wrong(where, 'made of the letters I, N, D, S, E, H, R, with + and -', value)
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
const lbMethod: Check = (where, value) => {
  if (typeof value !== 'function') oneOf('byrequests', 'bytraffic', 'bybusyness')(where, value)
}
const stickySession: Check = (where, value) => {
  if (typeof value === 'string' ? /^[^|]+(?:\|[^|]+)?$/.test(value) : isRecord(value)) return
  throw wrong(where, "'COOKIE', 'COOKIE|path' or { cookie, path, separator, semicolonEnds, noFailover }", value)
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
}

const MEMBER_CHECKS: Record<keyof MemberOptions, Check> = {
  ...WORKER_CHECKS,
  routeId,
  redirect: routeId,
  loadFactor,
  lbSet,
  retry: duration,
  status: letters,
}

const STICKY_CHECKS: Record<keyof StickySessionOptions, Check> = {
  cookie: text,
  path: text,
  separator,
  semicolonEnds: boolean,
  noFailover: boolean,
}

const BALANCER_CHECKS: Record<keyof BalancerOptions, Check> = {
  members: list,
  lbMethod,
  stickySession,
  maxAttempts: count,
  timeout: duration,
  failOnStatus: statuses,
  failOnTimeout: boolean,
  forceRecovery: boolean,
}

/** @throws {WsTunnelError} `WST_ERR_OPTION` */
export function readWorker(
  where: string,
  options: unknown,
  checks: Record<string, Check> = WORKER_CHECKS,
): WorkerSettings {
  if (!isRecord(options)) throw wrong(where, 'an object with a url', options)
  const { url, maxTunnels = 0, upgrade, ...rest } = checked(where, options, checks) as unknown as WorkerOptions
  if (url === undefined) throw wrong(`${where}.url`, 'given', undefined)
  const { connectTimeout, handshakeTimeout, idleTimeout, halfOpenTimeout, keepAlive } = rest
  const over = { connectTimeout, handshakeTimeout, idleTimeout, halfOpenTimeout, keepAlive }
  const said = Object.fromEntries(Object.entries(over).filter(([, value]) => value !== undefined))
  return { url, maxTunnels, over: { ...said, ...(upgrade !== undefined && { upgrade: readUpgrade(upgrade) }) } }
}

/**
 * Reads the options of one member.
 *
 * @throws {WsTunnelError} `WST_ERR_OPTION`
 */
export function readMember(where: string, options: MemberOptions): MemberSettings {
  const worker = readWorker(where, options, MEMBER_CHECKS)
  const { routeId, redirect, loadFactor = 1, lbSet = 0, retry = 60_000, status = '' } = options
  return { ...worker, routeId, redirect, loadFactor, lbSet, retry, status }
}

/** What of a member may change while it serves. */
export type MemberChanges = Pick<MemberOptions, 'status' | 'loadFactor' | 'lbSet' | 'routeId' | 'redirect' | 'retry'>

/** @throws {WsTunnelError} `WST_ERR_OPTION` */
export function checkMemberChanges(where: string, changes: MemberChanges): void {
  const { status, loadFactor, lbSet, routeId, redirect, retry } = MEMBER_CHECKS
  checked(where, changes, { status, loadFactor, lbSet, routeId, redirect, retry })
}

/** @throws {WsTunnelError} `WST_ERR_OPTION` */
export function readBalancer(name: string, options: unknown): BalancerSettings {
  const where = `balancers.${name}`
  // It is the host of a target, which knows no case.
  if (name !== name.toLowerCase()) throw wrong(where, 'named in lower case', name)
  if (!isRecord(options)) throw wrong(where, 'an object with members', options)
  const own = checked(where, options, BALANCER_CHECKS) as unknown as BalancerOptions
  if (own.members === undefined) throw wrong(`${where}.members`, 'a list of { url }', undefined)
  const members = own.members.map((member, i) => readMember(`${where}.members[${i}]`, member))
  const { lbMethod = 'byrequests', maxAttempts, timeout = 0, failOnStatus = [] } = own
  const { failOnTimeout = false, forceRecovery = true } = own
  const stickySession =
    own.stickySession === undefined ? undefined : readSticky(`${where}.stickySession`, own.stickySession)
  return { members, lbMethod, stickySession, maxAttempts, timeout, failOnStatus, failOnTimeout, forceRecovery }
}

function readSticky(where: string, value: string | StickySessionOptions): Required<StickySessionOptions> {
  const [cookie = '', path = cookie] = typeof value === 'string' ? value.split('|') : []
  const given = typeof value === 'string' ? { cookie, path } : value
  const own = checked(where, given, STICKY_CHECKS) as unknown as StickySessionOptions
  if (own.cookie === undefined) throw wrong(`${where}.cookie`, 'given', undefined)
  return { path: own.cookie, separator: '.', semicolonEnds: false, noFailover: false, ...own }
}
