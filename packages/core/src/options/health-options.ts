import type { IncomingHttpHeaders } from 'node:http'
import { type Check, callback, checked, duration, isRecord, oneOf, wrong } from './checks.ts'

/** What a check does (hcmethod=). `OPTIONS`, `HEAD` and `GET` ask in HTTP/1.0, those with `11` in HTTP/1.1. */
export type HealthMethod = 'TCP' | 'OPTIONS' | 'HEAD' | 'GET' | 'OPTIONS11' | 'HEAD11' | 'GET11' | 'WEBSOCKET'

/** What a member answered to a check. */
export interface HealthAnswer {
  readonly statusCode: number
  /** Names in lower case. */
  readonly headers: IncomingHttpHeaders
  /** As UTF-8; the first 64 KiB. */
  readonly body: string
}

/** How the members of a balancer are asked, time and again, whether they are well (mod_proxy_hcheck). */
export interface HealthCheckOptions {
  /** `TCP` connects; `WEBSOCKET` opens a WebSocket and closes it; the others send a request (hcmethod=). */
  method: HealthMethod
  /** From the end of one check to the next, ms, at least 100; up to a tenth less, so that checks do not meet (hcinterval=). @default 30000 */
  interval?: number
  /** A check that takes longer has failed, ms. @default 5000, and not more than `interval` */
  timeout?: number
  /** Checks that must pass before a member that is out comes back (hcpasses=). @default 1 */
  passes?: number
  /** Failed checks that take a member out; one that passes between them does not count against them (hcfails=). @default 1 */
  fails?: number
  /** Path and query, put behind the path of the member's `url` as a route's `join` says (hcuri=). @default that path alone */
  uri?: string
  /** Whether an answer is a good one (hcexpr=); a throw is a no. @default a status from 200 to 399 is */
  expect?: (answer: HealthAnswer) => boolean
}

/** How a member is checked, every setting present. */
export interface HealthCheckSettings extends Readonly<Required<Omit<HealthCheckOptions, 'expect'>>> {
  readonly expect: ((answer: HealthAnswer) => boolean) | undefined
}

/** Fewer ms between two checks are none. httpd: AP_WD_TM_SLICE. */
const MIN_INTERVAL = 100
const DEFAULT_INTERVAL = 30_000
const DEFAULT_TIMEOUT = 5_000

const interval: Check = (where, value) => {
  duration(where, value)
  if ((value as number) < MIN_INTERVAL) throw wrong(where, `at least ${MIN_INTERVAL} ms`, value)
}
const times: Check = (where, value) => {
  if (!Number.isSafeInteger(value) || (value as number) < 1) throw wrong(where, 'a whole number >= 1', value)
}
const timeout: Check = (where, value) => {
  duration(where, value)
  if (value === 0) throw wrong(where, 'more than 0 ms: a check must end', value)
}
const uri: Check = (where, value) => {
  if (typeof value !== 'string' || !/^\/[\x21-\x7e]*$/.test(value) || value.includes('#'))
    throw wrong(where, 'a path and query that begins with "/", without space or fragment', value)
}

const HEALTH_CHECKS: Record<keyof HealthCheckOptions, Check> = {
  method: oneOf('TCP', 'OPTIONS', 'HEAD', 'GET', 'OPTIONS11', 'HEAD11', 'GET11', 'WEBSOCKET'),
  interval,
  timeout,
  passes: times,
  fails: times,
  uri,
  expect: callback,
}

/** Checks what a balancer says for its members. */
export const healthCheck: Check = (where, value) => {
  if (!isRecord(value)) throw wrong(where, 'an object with a method', value)
  const { method, uri, expect } = checked(where, value, HEALTH_CHECKS) as Partial<HealthCheckOptions>
  if (uri !== undefined && method !== undefined && /^(?:TCP|OPTIONS)/.test(method))
    throw wrong(`${where}.uri`, `absent where the method is ${method}, which asks for none`, uri)
  if (expect !== undefined && (method === 'TCP' || method === 'WEBSOCKET'))
    throw wrong(`${where}.expect`, `absent where the method is ${method}, which has its own answer`, expect)
}

/** Checks what a member says for itself. */
export const memberHealthCheck: Check = (where, value) => {
  if (value !== false) healthCheck(where, value)
}

/**
 * What a member says goes over what its balancer says, setting by setting.
 *
 * @throws {WsTunnelError} `WST_ERR_OPTION` where neither names a method.
 */
export function readHealthCheck(
  where: string,
  own: Partial<HealthCheckOptions> | false | undefined,
  shared: HealthCheckOptions | undefined,
): HealthCheckSettings | undefined {
  if (own === false || (own === undefined && shared === undefined)) return undefined
  const {
    method,
    interval = DEFAULT_INTERVAL,
    passes = 1,
    fails = 1,
    uri = '',
    expect,
    timeout,
  } = { ...shared, ...own }
  if (method === undefined) throw wrong(`${where}.method`, 'given', undefined)
  return { method, interval, timeout: timeout ?? Math.min(interval, DEFAULT_TIMEOUT), passes, fails, uri, expect }
}
