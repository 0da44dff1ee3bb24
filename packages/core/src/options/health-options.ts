import { type IncomingHttpHeaders, validateHeaderName, validateHeaderValue } from 'node:http'
import { type Check, callback, checked, duration, isRecord, oneOf, textMap, withDefaults, wrong } from './checks.ts'
import { DEFAULTS } from './defaults.ts'

/** What a check does (hcmethod=). `OPTIONS`, `HEAD` and `GET` send an HTTP/1.0 request, those with `11` an HTTP/1.1 request. */
export type HealthMethod = 'TCP' | 'OPTIONS' | 'HEAD' | 'GET' | 'OPTIONS11' | 'HEAD11' | 'GET11' | 'WEBSOCKET'

/** The response of a member to a check. */
export interface HealthResponse {
  readonly statusCode: number
  /** With names in lower case. */
  readonly headers: IncomingHttpHeaders
  /** The first 64 KiB, decoded as UTF-8. Empty unless the method is `GET` or `GET11`. */
  readonly body: string
}

/** How the members of a balancer are checked in the background (mod_proxy_hcheck). */
export interface HealthCheckOptions {
  /** `TCP` connects, `WEBSOCKET` opens a WebSocket and closes it, the others send a request (hcmethod=). */
  method: HealthMethod
  /** Time from the end of one check to the next, ms, at least 100. It is randomly up to a tenth shorter, so that checks do not coincide (hcinterval=). @default 30000 */
  interval?: number
  /** A check fails after this time, ms. @default 5000, or `interval` if that is less */
  timeout?: number
  /** Number of passed checks after which a member in error or failing is usable again (hcpasses=). @default 1 */
  passes?: number
  /** Number of failed checks after which a member is failing; a passed check in between does not reset the count (hcfails=). @default 1 */
  fails?: number
  /** Path and query, appended to the path of the member's `url` according to the route's `join` (hcuri=). @default that path alone */
  uri?: string
  /** Port to check in place of that of the member's `url`; `Host` has it too. @default the port of the `url` */
  port?: number
  /** Further fields of the request. `Host` replaces the member's. Fields of the connection and of the handshake are refused. @default {} */
  headers?: Readonly<Record<string, string>>
  /** Whether the check passes with this response (hcexpr=). If it throws, the check fails. @default passes with a status from 200 to 399 */
  expect?: (response: HealthResponse) => boolean
}

/** The options of a health check, each with a value. */
export interface HealthCheckSettings extends Readonly<Required<Omit<HealthCheckOptions, 'expect' | 'port'>>> {
  readonly port: number | undefined
  readonly expect: ((response: HealthResponse) => boolean) | undefined
}

/** The shortest interval, ms. httpd: AP_WD_TM_SLICE. */
const MIN_INTERVAL = 100

const interval: Check = (where, value) => {
  duration(where, value)
  if ((value as number) < MIN_INTERVAL) throw wrong(where, `at least ${MIN_INTERVAL} ms`, value)
}
const times: Check = (where, value) => {
  if (!Number.isSafeInteger(value) || (value as number) < 1) throw wrong(where, 'a whole number >= 1', value)
}
const timeout: Check = (where, value) => {
  duration(where, value)
  if (value === 0) throw wrong(where, 'more than 0 ms, because a check must end', value)
}
const uri: Check = (where, value) => {
  if (typeof value !== 'string' || !/^\/[\x21-\x7e]*$/.test(value) || value.includes('#'))
    throw wrong(where, 'a path and query that begins with "/", without space or fragment', value)
}

const port: Check = (where, value) => {
  if (!Number.isInteger(value) || (value as number) < 1 || (value as number) > 65_535)
    throw wrong(where, 'a port from 1 to 65535', value)
}

/** Fields that frame the request or belong to its connection or its WebSocket handshake. The check writes them itself. */
const OWN_FIELD =
  /^(?:connection|keep-alive|te|trailer|transfer-encoding|content-length|expect|upgrade|sec-websocket-.*)$/i
const headers: Check = (where, value) => {
  textMap(where, value)
  for (const [name, text] of Object.entries(value as Record<string, string>)) {
    const field = `${where}[${JSON.stringify(name)}]`
    if (OWN_FIELD.test(name)) throw wrong(field, 'absent, because the check writes this field itself', text)
    try {
      validateHeaderName(name)
      validateHeaderValue(name, text)
    } catch {
      throw wrong(field, 'a header field as RFC 9110 5 allows it', text)
    }
  }
}

const HEALTH_CHECKS: Record<keyof HealthCheckOptions, Check> = {
  method: oneOf('TCP', 'OPTIONS', 'HEAD', 'GET', 'OPTIONS11', 'HEAD11', 'GET11', 'WEBSOCKET'),
  interval,
  timeout,
  passes: times,
  fails: times,
  uri,
  port,
  headers,
  expect: callback,
}

/** Checks the option of a balancer. */
export const healthCheck: Check = (where, value) => {
  if (!isRecord(value)) throw wrong(where, 'an object with a method', value)
  const { method, uri, headers, expect } = checked(where, value, HEALTH_CHECKS) as Partial<HealthCheckOptions>
  if (uri !== undefined && method !== undefined && /^(?:TCP|OPTIONS)/.test(method))
    throw wrong(`${where}.uri`, `absent, because the method ${method} sends no path`, uri)
  if (headers !== undefined && method === 'TCP')
    throw wrong(`${where}.headers`, 'absent, because the method TCP sends no request', headers)
  if (expect !== undefined && (method === 'TCP' || method === 'WEBSOCKET'))
    throw wrong(`${where}.expect`, `absent, because the method ${method} has a fixed expectation`, expect)
}

/** Checks the option of a member. */
export const memberHealthCheck: Check = (where, value) => {
  if (value !== false) healthCheck(where, value)
}

/**
 * Reads the health check of a member: its own options override those of the balancer, option by option.
 *
 * @throws {WsTunnelError} `WST_ERR_OPTION` if neither has a method.
 */
export function readHealthCheck(
  where: string,
  own: Partial<HealthCheckOptions> | false | undefined,
  shared: HealthCheckOptions | undefined,
): HealthCheckSettings | undefined {
  if (own === false || (own === undefined && shared === undefined)) return undefined
  const { method, uri, port, headers, expect, ...times } = withDefaults(DEFAULTS.healthCheck, { ...shared, ...own })
  if (method === undefined) throw wrong(`${where}.method`, 'given', undefined)
  const timeout = own?.timeout ?? shared?.timeout ?? Math.min(times.interval, DEFAULTS.healthCheck.timeout)
  return { ...times, method, uri, port, headers, expect, timeout }
}
