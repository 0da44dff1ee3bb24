import type { Resolver } from 'node:dns/promises'
import { isIP } from 'node:net'
import { type Check, checked, duration, isRecord, oneOf, wrong } from './checks.ts'

/** Records that name backends: addresses of both families, of one, or services with port, priority and weight (RFC 2782). */
export type ResolveType = 'A+AAAA' | 'A' | 'AAAA' | 'SRV'

/** A backend that a name stands for. */
export interface ResolvedBackend {
  /** An address, or of SRV the name of a host. */
  readonly address: string
  /** Of SRV; elsewhere the URL's counts. */
  readonly port?: number
  /** Of SRV: those of a higher number are asked when nobody of a lower one is usable. */
  readonly priority?: number
  /** Of SRV: its share among those of its priority. */
  readonly weight?: number
}

/** Who answers: a Resolver of `node:dns/promises`, or a function that does it otherwise. */
export type NameResolver =
  | Pick<Resolver, 'resolve4' | 'resolve6' | 'resolveSrv'>
  | ((hostname: string, type: ResolveType) => Promise<readonly ResolvedBackend[]>)

/** The host of a member's `url` is a name that stands for several members, which come and go. */
export interface ResolveOptions {
  /** What is asked for. @default 'A+AAAA' */
  type?: ResolveType
  /** From one answer to the next question, ms, at least 100; up to a tenth less. @default 30000 */
  interval?: number
  /** A question without answer has failed, ms. @default 5000 */
  timeout?: number
  /** Who is asked. @default a Resolver for the name servers of the system, which knows no hosts file */
  resolver?: NameResolver
}

/** How a name is resolved, every setting present. */
export interface ResolveSettings extends Readonly<Required<Omit<ResolveOptions, 'resolver'>>> {
  readonly resolver: NameResolver | undefined
  readonly hostname: string
  /** The member's URL with a backend in the place of the name. */
  readonly urlOf: (backend: ResolvedBackend) => string
}

const MIN_INTERVAL = 100

const interval: Check = (where, value) => {
  duration(where, value)
  if ((value as number) < MIN_INTERVAL) throw wrong(where, `at least ${MIN_INTERVAL} ms`, value)
}
const timeout: Check = (where, value) => {
  duration(where, value)
  if (value === 0) throw wrong(where, 'more than 0 ms: a question must end', value)
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

/** Checks what a member says of its name. */
export const resolveOption: Check = (where, value) => {
  if (!isRecord(value)) throw wrong(where, '{ type, interval, timeout, resolver }', value)
  checked(where, value, RESOLVE_CHECKS)
}

/**
 * Reads `resolve` of a member.
 *
 * @throws {WsTunnelError} `WST_ERR_OPTION` for a URL without a name, and for one with a port where SRV tells it.
 */
export function readResolve(where: string, url: string, options: ResolveOptions): ResolveSettings {
  const { type = 'A+AAAA', interval = 30_000, timeout = 5_000, resolver } = options
  const [, scheme = '', hostname = '', port, rest = ''] = /^(\w+:\/\/)([\w.-]+)(?::(\d+))?(\/.*)?$/s.exec(url) ?? []
  if (hostname === '' || isIP(hostname) !== 0)
    throw wrong(`${where}.url`, 'a URL with the name of a host, as it is to be resolved', url)
  if (type === 'SRV' && port !== undefined)
    throw wrong(`${where}.url`, 'a URL without port, as SRV records have one', url)
  const urlOf: ResolveSettings['urlOf'] = ({ address, port: found }) => {
    const known = type === 'SRV' ? found : port
    return `${scheme}${isIP(address) === 6 ? `[${address}]` : address}${known === undefined ? '' : `:${known}`}${rest}`
  }
  return { type, interval, timeout, resolver, hostname, urlOf }
}
