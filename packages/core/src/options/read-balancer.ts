import { TOKEN } from '../http/token.ts'
import { readWorker, WORKER_CHECKS } from './backend-options.ts'
import type {
  BalancerOptions,
  BalancerSettings,
  MemberChanges,
  MemberOptions,
  MemberSettings,
  NamedMembers,
  SessionCookieOptions,
  StickySessionOptions,
  StickySettings,
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
  text,
  withDefaults,
  wrong,
} from './checks.ts'
import { DEFAULTS } from './defaults.ts'
import { healthCheck, memberHealthCheck, readHealthCheck } from './health-options.ts'
import { readResolve, resolveOption } from './resolve-options.ts'

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
  if (typeof value !== 'string' || !TOKEN.test(value)) throw wrong(where, 'the name of a header field or cookie', value)
}
const lbMethod: Check = (where, value) => {
  if (typeof value === 'function') return
  if (!isRecord(value)) {
    oneOf('byrequests', 'bytraffic', 'bybusyness', 'leasttunnels', 'random', '{ hash }', 'a function')(where, value)
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
    throw wrong(where, 'made of visible characters except `;`', value)
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
    throw wrong(`${where}.secure`, "true, because sameSite 'none' needs it", secure)
}
const stickySession: Check = (where, value) => {
  if (typeof value === 'string' ? /^[^|]+(?:\|[^|]+)?$/.test(value) : isRecord(value)) return
  throw wrong(where, "'COOKIE', 'COOKIE|path' or { cookie, path, separator, semicolonEnds, noFailover, set }", value)
}

const MEMBER_CHECKS: Record<keyof MemberOptions, Check> = {
  ...WORKER_CHECKS,
  routeId,
  redirect: routeId,
  loadFactor,
  lbSet,
  retry: duration,
  status: letters,
  acceptAddress: callback,
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

const failoverUnanswered: Check = (where, value) => {
  if (typeof value !== 'boolean' && typeof value !== 'function') throw wrong(where, 'true, false or a function', value)
}
const BALANCER_CHECKS: Record<keyof BalancerOptions, Check> = {
  members: list,
  lbMethod,
  stickySession,
  maxAttempts: count,
  timeout: duration,
  maxWaiting: count,
  failOnStatus: statuses,
  failOnTimeout: boolean,
  unhealthyLatency: duration,
  failoverUnanswered,
  forceRecovery: boolean,
  slowStart: duration,
  healthCheck,
}

/**
 * Reads the options of one member.
 *
 * @throws {WsTunnelError} `WST_ERR_OPTION`
 */
export function readMember(
  where: string,
  options: MemberOptions,
  balancer: Pick<BalancerSettings, 'slowStart' | 'stickySession' | 'healthCheck'>,
): MemberSettings {
  const worker = readWorker(where, options, MEMBER_CHECKS)
  const { routeId, redirect, loadFactor, lbSet, retry, status, resolve } = withDefaults(DEFAULTS.member, options)
  const { slowStart, stickySession } = balancer
  if (stickySession?.set !== undefined && routeId === undefined && resolve === undefined)
    throw wrong(`${where}.routeId`, 'given, because stickySession.set needs it', undefined)
  const healthCheck = readHealthCheck(`${where}.healthCheck`, options.healthCheck, balancer.healthCheck)
  if (healthCheck?.port !== undefined && /^unix:/i.test(worker.url))
    throw wrong(`${where}.healthCheck.port`, 'absent, because a unix socket has no port', healthCheck.port)
  const own = { routeId, redirect, loadFactor, lbSet, retry, status, slowStart, healthCheck }
  return { ...worker, ...own, acceptAddress: options.acceptAddress, named: undefined }
}

function readNamed(where: string, options: MemberOptions, settings: MemberSettings): NamedMembers[] {
  if (options.resolve === undefined) return []
  if (options.routeId !== undefined)
    throw wrong(`${where}.routeId`, 'absent, because each discovered member gets its own', options.routeId)
  if (options.acceptAddress !== undefined)
    throw wrong(
      `${where}.acceptAddress`,
      'absent, because `resolve.resolver` gives the addresses',
      options.acceptAddress,
    )
  return [{ where, settings, resolve: readResolve(where, settings.url, options.resolve) }]
}

/**
 * Checks changes of a member without making them.
 *
 * @param where Name of what is checked, for the error.
 * @throws {WsTunnelError} `WST_ERR_OPTION`
 */
export function checkMemberChanges(where: string, changes: MemberChanges): void {
  const { status, loadFactor, lbSet, routeId, redirect, retry } = MEMBER_CHECKS
  const orEmpty =
    (check: Check): Check =>
    (where, value) => {
      if (value !== '') check(where, value)
    }
  checked(where, changes, {
    status,
    loadFactor,
    lbSet,
    routeId: orEmpty(routeId),
    redirect: orEmpty(redirect),
    retry,
  })
}

/**
 * Reads the options of one balancer.
 *
 * @throws {WsTunnelError} `WST_ERR_OPTION`
 */
export function readBalancer(name: string, options: unknown): BalancerSettings {
  const where = `balancers.${name}`
  // The name is the host of a target, and the host of a URL is read in lower case.
  if (name !== name.toLowerCase()) throw wrong(where, 'named in lower case', name)
  if (!isRecord(options)) throw wrong(where, 'an object with members', options)
  const own = checked(where, options, BALANCER_CHECKS) as unknown as BalancerOptions
  if (own.members === undefined) throw wrong(`${where}.members`, 'a list of { url }', undefined)
  const settings = withDefaults(DEFAULTS.balancer, own)
  const { slowStart, healthCheck } = settings
  if (healthCheck !== undefined) readHealthCheck(`${where}.healthCheck`, undefined, healthCheck)
  const stickySession =
    own.stickySession === undefined ? undefined : readSticky(`${where}.stickySession`, own.stickySession)
  const all = own.members.map((options, i) => {
    const whereMember = `${where}.members[${i}]`
    const settings = readMember(whereMember, options, { slowStart, stickySession, healthCheck })
    return { settings, named: readNamed(whereMember, options, settings) }
  })
  return {
    ...settings,
    members: all.filter(({ named }) => named.length === 0).map(({ settings }) => settings),
    named: all.flatMap(({ named }) => named),
    stickySession,
    maxAttempts: settings.maxAttempts,
    healthCheck,
  }
}

function readSticky(where: string, value: string | StickySessionOptions): StickySettings {
  const [cookie = '', path = cookie] = typeof value === 'string' ? value.split('|') : []
  const given = typeof value === 'string' ? { cookie, path } : value
  const own = checked(where, given, STICKY_CHECKS) as unknown as StickySessionOptions
  if (own.cookie === undefined) throw wrong(`${where}.cookie`, 'given', undefined)
  const { set = false } = own
  if (set !== false && !TOKEN.test(own.cookie))
    throw wrong(`${where}.cookie`, 'a token, because the proxy sets this cookie', own.cookie)
  // The value of a cookie cannot contain these characters (RFC 6265 4.1.1).
  if (set !== false && /[^\x21-\x7e]|[",;\\]/.test(own.separator || ''))
    throw wrong(`${where}.separator`, 'a character that a cookie may contain', own.separator)
  return {
    path: own.cookie,
    ...withDefaults(DEFAULTS.stickySession, own),
    set: set === false ? undefined : withDefaults(DEFAULTS.sessionCookie, set === true ? {} : set),
  }
}
