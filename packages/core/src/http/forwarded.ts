import type { IncomingMessage } from 'node:http'
import { endToEndFilter, HeaderList, headerLines } from './header-list.ts'

/** What the proxy knows of a request when it adds its own header fields. */
export interface Forwarding {
  /** Address of the peer that sent the request. */
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
 * `X-Forwarded-*`. The caller adds framing and `Connection`. httpd: ap_proxy_create_hdrbrgd.
 */
export function requestHeaders(req: IncomingMessage, forwarding: Forwarding): HeaderList {
  const isEndToEnd = endToEndFilter(headerLines(req, 'connection'))
  const list = new HeaderList().append('Host', forwarding.preserveHost ? forwarding.host : forwarding.targetHost)
  list.appendRaw(req.rawHeaders, name => {
    if (name === 'host' || name === 'expect' || name.startsWith(':') || !isEndToEnd(name)) return false
    // CGI-like backends read a name with underscores as the one with hyphens (CVE-2025-64484).
    return forwarding.trusted || !isForwarded(name.replaceAll('_', '-'))
  })
  if (forwarding.trusted && forwarding.addHeaders) {
    list.filter(name => !(name.includes('_') && isForwarded(name.replaceAll('_', '-'))))
  }
  addVia(list, forwarding)
  if (forwarding.addHeaders) {
    const add = (name: string, value: string): unknown =>
      list.set(name, list.has(name) ? `${list.get(name)}, ${value}` : value)
    add('X-Forwarded-For', forwarding.clientAddress)
    if (forwarding.host !== '') add('X-Forwarded-Host', forwarding.host)
    add('X-Forwarded-Server', forwarding.serverName)
    if (!forwarding.appends && !list.has('x-forwarded-proto'))
      list.set('X-Forwarded-Proto', forwarding.encrypted ? 'https' : 'http')
  }
  return list
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
