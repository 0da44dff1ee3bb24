import type { Resolver } from 'node:dns/promises'
import { isIP } from 'node:net'
import { type Check, checked, duration, isRecord, oneOf, withDefaults, wrong } from './checks.ts'
import { DEFAULTS } from './defaults.ts'

/** The DNS records of the backends: addresses of both families or of one, or services with port, priority and weight (RFC 2782). */
export type ResolveType = 'A+AAAA' | 'A' | 'AAAA' | 'SRV'

/** A backend that a DNS lookup found. */
export interface ResolvedBackend {
  /** An IP address; for SRV the name of a host. */
  readonly address: string
  /** Only for SRV; otherwise the port of the URL applies. */
  readonly port?: number
  /** Only for SRV. A member of a higher number is selected only if no member of a lower number is usable. */
  readonly priority?: number
  /** Only for SRV. Its share among the members of its priority. */
  readonly weight?: number
}

/** What does the lookup: a Resolver of `node:dns/promises`, or a function. */
export type NameResolver =
  | Pick<Resolver, 'resolve4' | 'resolve6' | 'resolveSrv'>
  | ((hostname: string, type: ResolveType) => Promise<readonly ResolvedBackend[]>)

/** Discovers members by DNS: the host of the member's `url` is a name, and each of its records is one member. */
export interface ResolveOptions {
  /** The records to look up. @default 'A+AAAA' */
  type?: ResolveType
  /** Time from the end of one lookup to the next, ms, at least 100. It is randomly up to a tenth shorter. @default 30000 */
  interval?: number
  /** A lookup fails after this time, ms. @default 5000 */
  timeout?: number
  /** What does the lookup. @default a Resolver with the name servers of the system; it does not read the hosts file */
  resolver?: NameResolver
}

/** The options of a DNS lookup, each with a value. */
export interface ResolveSettings extends Readonly<Required<Omit<ResolveOptions, 'resolver'>>> {
  readonly resolver: NameResolver | undefined
  readonly hostname: string
  /** The URL of the member, with the backend instead of the name. */
  readonly urlOf: (backend: ResolvedBackend) => string
}

const MIN_INTERVAL = 100

const interval: Check = (where, value) => {
  duration(where, value)
  if ((value as number) < MIN_INTERVAL) throw wrong(where, `at least ${MIN_INTERVAL} ms`, value)
}
const timeout: Check = (where, value) => {
  duration(where, value)
  if (value === 0) throw wrong(where, 'more than 0 ms, because a lookup must end', value)
}
const resolver: Check = (where, value) => {
  if (typeof value === 'function') return
  const methods = ['resolve4', 'resolve6', 'resolveSrv'] as const
  const able = value as Partial<Record<(typeof methods)[number], unknown>> | null
  if (typeof value !== 'object' || !methods.every(method => typeof able?.[method] === 'function'))
    throw wrong(where, 'a Resolver of node:dns/promises, or a function', value)
}

const RESOLVE_CHECKS: Record<keyof ResolveOptions, Check> = {
  type: oneOf('A+AAAA', 'A', 'AAAA', 'SRV'),
  interval,
  timeout,
  resolver,
}

/** Checks the option `resolve` of a member. */
export const resolveOption: Check = (where, value) => {
  if (!isRecord(value)) throw wrong(where, '{ type, interval, timeout, resolver }', value)
  checked(where, value, RESOLVE_CHECKS)
}

/**
 * Reads the option `resolve` of a member.
 *
 * @throws {WsTunnelError} `WST_ERR_OPTION` for a URL without a host name, and for a URL with a port if the records are SRV.
 */
export function readResolve(where: string, url: string, options: ResolveOptions): ResolveSettings {
  const { type, interval, timeout, resolver } = withDefaults(DEFAULTS.resolve, options)
  const [, scheme = '', hostname = '', port, rest = ''] = /^(\w+:\/\/)([\w.-]+)(?::(\d+))?(\/.*)?$/s.exec(url) ?? []
  if (hostname === '' || isIP(hostname) !== 0)
    throw wrong(`${where}.url`, 'a URL with a host name, because `resolve` looks it up', url)
  if (type === 'SRV' && port !== undefined)
    throw wrong(`${where}.url`, 'a URL without port, because SRV records have one', url)
  const urlOf: ResolveSettings['urlOf'] = ({ address, port: found }) => {
    const known = type === 'SRV' ? found : port
    return `${scheme}${isIP(address) === 6 ? `[${address}]` : address}${known === undefined ? '' : `:${known}`}${rest}`
  }
  return { type, interval, timeout, resolver, hostname, urlOf }
}
