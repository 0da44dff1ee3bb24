import type { IncomingMessage } from 'node:http'
import { type AppField, appFields } from './app-fields.ts'
import { endToEndFilter, HeaderList, headerLines, isHopByHop } from './header-list.ts'
import { isHttp2 } from './http2.ts'

/** What the proxy knows of a request when it adds its own header fields. */
export interface Forwarding {
  /** Address of the peer that sent the request; `''` if it has none, as on a unix socket. */
  readonly clientAddress: string
  /** Whether the request came over TLS. */
  readonly encrypted: boolean
  /** The client's `Host`, verbatim. */
  readonly host: string
  /** `Host` for the backend. */
  readonly targetHost: string
  /** Whether the peer may set `X-Forwarded-*` and `Forwarded`. */
  readonly trusted: boolean
  /** `trustProxy: 'append'`: the proxy never adds `X-Forwarded-Proto`, as httpd. */
  readonly appends: boolean
  /** Name of this server, for `Via` and `X-Forwarded-Server`. */
  readonly serverName: string
  readonly httpVersion: string
  /** Whether to add `X-Forwarded-*` (ProxyAddHeaders). */
  readonly addHeaders: boolean
  /** Whether the backend gets the client's `Host` (ProxyPreserveHost). */
  readonly preserveHost: boolean
  /** ProxyVia. */
  readonly via: 'off' | 'on' | 'full' | 'block'
}

const isForwarded = (name: string): boolean => name === 'forwarded' || name.startsWith('x-forwarded-')

/**
 * The end-to-end header fields for the backend: `Host` first, then the client's fields in their order, then `Via` and
 * `X-Forwarded-*`. What the app has changed in `req.headers` counts. The caller adds framing and `Connection`. httpd:
 * ap_proxy_create_hdrbrgd.
 *
 * @throws {WsTunnelError} `WST_ERR_APP_HEADERS` if the app has set a malformed field.
 */
export function requestHeaders(req: IncomingMessage, forwarding: Forwarding): HeaderList {
  const changed = appFields(req)
  const isEndToEnd = endToEndFilter(headerLines(req, 'connection'))
  const isForClient = (name: string): boolean => {
    if (isOurs(name) || !isEndToEnd(name)) return false
    // CGI-like backends read a name with underscores as the one with hyphens (CVE-2025-64484).
    return forwarding.trusted || !isForwarded(withHyphens(name))
  }
  const list = new HeaderList().append('Host', hostFor(forwarding, changed))
  if (changed === undefined) list.appendRaw(req.rawHeaders, isForClient)
  else appendChanged(list, req.rawHeaders, changed, isForClient)
  if ((forwarding.trusted || changed !== undefined) && forwarding.addHeaders) {
    list.filter(name => !(name.includes('_') && isForwarded(withHyphens(name))))
  }
  if (isHttp2(req)) joinCookies(list)
  addVia(list, forwarding)
  if (forwarding.addHeaders) addForwarded(list, forwarding, changed)
  return list
}

/** HTTP/2 allows a field for each cookie, HTTP/1.1 one field for all of them (RFC 9113 8.2.3). */
function joinCookies(list: HeaderList): void {
  const cookies = list.getAll('cookie')
  if (cookies.length > 1) list.set('Cookie', cookies.join('; '))
}

/** Fields that the proxy writes itself, or that are no part of an HTTP/1 request. */
const isOurs = (name: string): boolean => name === 'host' || name === 'expect' || name.startsWith(':')

const withHyphens = (name: string): string => (name.includes('_') ? name.replaceAll('_', '-') : name)

type AppFields = ReadonlyMap<string, AppField>

function hostFor({ preserveHost, host, targetHost }: Forwarding, changed: AppFields | undefined): string {
  if (!preserveHost) return targetHost
  const field = changed?.get('host')
  return field === undefined ? host : (field.lines[0] ?? targetHost)
}

/**
 * Appends the client's fields with what the app has changed: a changed field keeps its place and its spelling, an added one
 * comes last. The client cannot take such a field away by naming it in `Connection`, nor send it a second time with
 * underscores, which CGI-like backends read as the same name.
 */
function appendChanged(
  list: HeaderList,
  raw: readonly string[],
  changed: AppFields,
  isForClient: (lowerName: string) => boolean,
): void {
  const names = new Set(Array.from(changed.keys(), withHyphens))
  const rest = new Map(changed)
  const append = (name: string, lower: string): void => {
    const lines = isOurs(lower) || isHopByHop(lower) ? [] : (rest.get(lower)?.lines ?? [])
    for (const line of lines) list.append(name, line)
    rest.delete(lower)
  }
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as string
    const lower = name.toLowerCase()
    if (changed.has(lower)) append(name, lower)
    else if (isForClient(lower) && !names.has(withHyphens(lower))) list.append(name, raw[i + 1] as string)
  }
  for (const [lower, { name }] of rest) append(name, lower)
}

/** Adds `X-Forwarded-*`. A field that the app has set is its last word: nothing is appended to it. */
function addForwarded(list: HeaderList, forwarding: Forwarding, changed: AppFields | undefined): void {
  const add = (name: string, value: string): void => {
    const isSet = (changed?.get(name.toLowerCase())?.lines.length ?? 0) > 0
    if (value === '' || isSet) return
    const before = list.get(name) ?? ''
    list.set(name, before === '' ? value : `${before}, ${value}`)
  }
  add('X-Forwarded-For', forwarding.clientAddress)
  add('X-Forwarded-Host', forwarding.host)
  add('X-Forwarded-Server', forwarding.serverName)
  if (!forwarding.appends && !list.has('x-forwarded-proto'))
    list.set('X-Forwarded-Proto', forwarding.encrypted ? 'https' : 'http')
}

/** Adds, keeps or removes `Via` in a request or response, as ProxyVia does. */
export function addVia(
  headers: HeaderList,
  { via, httpVersion, serverName }: Pick<Forwarding, 'via' | 'httpVersion' | 'serverName'>,
): HeaderList {
  if (via === 'block') return headers.unset('via')
  if (via === 'off') return headers
  const own = `${httpVersion} ${serverName}${via === 'full' ? ' (ws-tunnel)' : ''}`
  const before = headers.get('via')
  return headers.set('Via', before === undefined ? own : `${before}, ${own}`)
}
