import { X509Certificate } from 'node:crypto'
import { validateHeaderName, validateHeaderValue } from 'node:http'
import { WsTunnelError } from '../errors.ts'
import { TOKEN } from '../http/token.ts'
import { readUpgrade } from '../http/upgrade.ts'
import { SHARED_CHECKS } from './backend-options.ts'
import {
  boolean,
  type Check,
  callback,
  checked,
  count,
  duration,
  isRecord,
  oneOf,
  record,
  text,
  textMap,
  unknownKey,
  withDefaults,
  wrong,
} from './checks.ts'
import { DEFAULTS } from './defaults.ts'
import type { RouteDefaults, RouteOptions, RouteSettings } from './route-options.ts'

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
    else if (!Array.isArray(edit) || !edit.every(name => typeof name === 'string' && TOKEN.test(name))) {
      throw wrong(`${where}.unset`, 'a list of header names', edit)
    }
  }
}
const origins: Check = (where, value) => {
  if (!Array.isArray(value)) throw wrong(where, 'a list of origins', value)
  for (const origin of value) {
    // What browsers send for pages without an origin: from a file, and from a sandbox or a `data:` URL.
    if (origin === 'file://' || origin === 'null') continue
    const { origin: exact = '' } = (typeof origin === 'string' && URL.parse(origin)) || {}
    // `URL` has the origin 'null' for a scheme that it does not know, such as that of a native app.
    const own = exact === 'null' && /^[a-z][a-z0-9+.-]*:\/\/[^/?#@\s]+$/i.test(origin)
    if (!own && exact !== String(origin).toLowerCase()) {
      throw wrong(where, 'made of origins such as "https://app.example" (scheme, host, port; no path)', origin)
    }
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
  // A glob of other packages would be literal text.
  if (/(?<!\\)\*(?![a-z_$"])/i.test(value)) {
    const prefix = value.replace(/\/\*+$/, '') || '/'
    const instead = prefix.includes('*')
      ? 'a named `*rest` for any text or `:name` for one segment'
      : `${JSON.stringify(prefix)}, because a path matches what is below it`
    throw wrong(where, `a path without a bare \`*\`: write ${instead}, or \`\\\\*\` for a literal \`*\``, value)
  }
}
const target: Check = (where, value) => {
  if (typeof value !== 'string' && value !== false && typeof value !== 'function' && !(value instanceof URL)) {
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
    else if (typeof value['header'] !== 'string' || !TOKEN.test(value['header'])) {
      throw wrong(`${where}.header`, 'a header name', value['header'])
    }
    if (!(value[pattern] instanceof RegExp)) throw wrong(`${where}.${pattern}`, 'a RegExp', value[pattern])
  } else throw wrong(where, `${shapes} with those keys only`, Object.keys(value))
}

/** Options of `tls.connect` and `tls.createSecureContext`, without those that are for servers. */
const TLS_OPTIONS: readonly string[] =
  `ALPNProtocols allowPartialTrustChain ca cert checkServerIdentity ciphers clientCertEngine crl dhparam ecdhCurve enableTrace
  highWaterMark honorCipherOrder key maxVersion minDHSize minVersion passphrase pfx privateKeyEngine privateKeyIdentifier
  pskCallback rejectUnauthorized requestOCSP secureContext secureOptions secureProtocol servername session sessionIdContext
  sessionTimeout sigalgs ticketKeys timeout`.split(/\s+/)

/** Options of `tls.connect` that are refused: they would have different effects on upgrades and on plain requests. */
const CONNECT_OPTIONS = ['host', 'port', 'path', 'socket', 'lookup']

const tls: Check = (where, value) => {
  record(where, value)
  const given = value as Record<string, unknown>
  const unknown = Object.keys(given).find(key => !TLS_OPTIONS.includes(key) && !CONNECT_OPTIONS.includes(key))
  if (unknown !== undefined) throw unknownKey(where, unknown, TLS_OPTIONS)
  const found = CONNECT_OPTIONS.find(name => given[name] !== undefined)
  if (found !== undefined)
    throw wrong(`${where}.${found}`, 'absent, because the target and `lookup` say where to connect', given[found])
  // Node drops what is no certificate, so that every certificate of a backend would be refused later.
  for (const authority of [given['ca'] ?? []].flat()) {
    try {
      new X509Certificate(authority as string)
    } catch {
      throw wrong(`${where}.ca`, 'a certificate in PEM or DER form, or a list of them', authority)
    }
  }
}

const lifetime: Check = (where, value) => {
  if (!isRecord(value)) {
    duration(where, value)
    return
  }
  const { ms, jitter } = checked(where, value, { ms: duration, jitter: duration })
  if (ms === undefined || jitter === undefined) throw wrong(where, 'a number of ms, or { ms, jitter }', value)
  if ((jitter as number) > (ms as number)) throw wrong(`${where}.jitter`, `at most ${ms}, which is \`ms\``, jitter)
}

const perKey: Check = (where, value) => {
  if (!isRecord(value)) throw wrong(where, '{ limit, key }', value)
  const { limit, key } = checked(where, value, { limit: count, key: callback })
  if (limit === undefined || key === undefined) throw wrong(where, '{ limit, key }', value)
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

const offload: Check = (where, value) => {
  if (typeof value === 'boolean') return
  if (!isRecord(value)) throw wrong(where, 'true, false or { delay, threads }', value)
  checked(where, value, { delay: duration, threads })
}

const fallback: Check = (where, value) => {
  const isEngine = isRecord(value) && typeof value['send'] === 'function'
  if (typeof value !== 'boolean' && typeof value !== 'function' && !isEngine)
    throw wrong(where, 'true, false, a function (req, res, next) or an engine such as hpm()', value)
}

export const ROUTE_DEFAULT_CHECKS: Record<keyof RouteDefaults, Check> = {
  ...SHARED_CHECKS,
  fallback,
  join: oneOf('slash', 'concat'),
  encodedSlashes: oneOf('reject', 'decode', 'keep'),
  mapping: oneOf('decoded', 'encoded', 'servlet'),
  mergeSlashes: boolean,
  query: oneOf('append', 'replace', 'drop'),
  nocanon: boolean,
  maxLifetime: lifetime,
  closeFrame: boolean,
  deadline: callback,
  stallTimeout: duration,
  maxTunnels: count,
  maxTunnelsPerKey: perKey,
  offload,
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
  localHeaders: headerEditing,
  guard: callback,
  errorOverride,
  passReverse,
  passReverseCookiePath: textMap,
  passReverseCookieDomain: textMap,
  tls,
  lookup: callback,
}

export const ROUTE_CHECKS: Record<keyof RouteOptions, Check> = {
  path,
  when: conditions,
  target,
  name: text,
  ...ROUTE_DEFAULT_CHECKS,
}

/**
 * Checks the options of a route, or those beside `routes`. Replaces `offload` by the options `async`, `asyncDelay` and `threads`.
 *
 * @throws {WsTunnelError} `WST_ERR_OPTION`
 */
export function checkedRoute(
  where: string,
  options: object,
  checks: Record<string, Check> = ROUTE_DEFAULT_CHECKS,
): Omit<RouteDefaults, 'offload'> {
  const { offload, ...present } = checked(where, options, checks) as RouteDefaults
  if (offload === undefined) return present
  const twice = (['async', 'asyncDelay', 'threads'] as const).find(name => present[name] !== undefined)
  if (twice !== undefined) {
    const prefix = where === '' ? '' : `${where}.`
    throw new WsTunnelError('WST_ERR_OPTION', {
      detail: `\`${prefix}offload\` and \`${prefix}${twice}\` are two names of one setting: write one of them`,
    })
  }
  if (typeof offload === 'boolean') return { ...present, async: offload }
  const { delay, threads } = offload
  return {
    ...present,
    async: true,
    ...(delay !== undefined && { asyncDelay: delay }),
    ...(threads !== undefined && { threads }),
  }
}

/**
 * Reads the options of one route.
 *
 * @param defaults Options that stand beside `routes`, as {@link checkedRoute} returns them.
 * @throws {WsTunnelError} `WST_ERR_OPTION`
 */
export function readRoute(where: string, options: object, defaults: object = {}): RouteSettings {
  const own = checkedRoute(where, options, ROUTE_CHECKS) as Partial<RouteOptions>
  if (own.target === undefined) throw wrong(where === '' ? 'target' : `${where}.target`, 'given', undefined)
  const target = own.target instanceof URL ? own.target.href : own.target
  const route = withDefaults(DEFAULTS.route, { ...defaults, ...own, target } as RouteOptions & {
    target: typeof target
  })
  return Object.freeze({
    ...route,
    upgrade: readUpgrade(route.upgrade),
    allowedOrigins: route.allowedOrigins && new Set(route.allowedOrigins.map(origin => origin.toLowerCase())),
    name: route.name,
    lookup: route.lookup,
    requestHeaders: route.requestHeaders,
    responseHeaders: route.responseHeaders,
    localHeaders: route.localHeaders,
    guard: route.guard,
    ...readLifetime(route.maxLifetime),
    deadline: route.deadline,
    maxTunnelsPerKey: route.maxTunnelsPerKey,
  })
}

function readLifetime(value: NonNullable<RouteDefaults['maxLifetime']>): {
  readonly maxLifetime: number
  readonly lifetimeJitter: number
} {
  return typeof value === 'number'
    ? { maxLifetime: value, lifetimeJitter: 0 }
    : { maxLifetime: value.ms, lifetimeJitter: value.jitter }
}
