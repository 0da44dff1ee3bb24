import type { HeaderList } from './header-list.ts'

/** Which URLs and cookie attributes of a response are rewritten, and for which public address. */
export interface ReverseMapping {
  /** From a backend's URL prefix (or path) to a public path or URL (ProxyPassReverse). The first match applies. */
  readonly locations: readonly (readonly [from: string, to: string])[]
  /** From a prefix of `Path` to its replacement (ProxyPassReverseCookiePath). */
  readonly cookiePaths: readonly (readonly [from: string, to: string])[]
  /** From a prefix of `Domain` to its replacement (ProxyPassReverseCookieDomain). */
  readonly cookieDomains: readonly (readonly [from: string, to: string])[]
  /** `http://host` as the client used it, or `''` if the request has no host. It makes a public path absolute. */
  readonly publicOrigin: string
}

/** httpd: process_proxy_header. */
const LOCATION_FIELDS: ReadonlySet<string> = new Set(['location', 'content-location', 'uri', 'destination'])

/** Whether a response has any of the fields that {@link passReverse} rewrites. */
export function hasReversible(headers: HeaderList): boolean {
  const { raw } = headers
  for (let i = 0; i < raw.length; i += 2) {
    const lower = (raw[i] as string).toLowerCase()
    if (lower === 'set-cookie' || LOCATION_FIELDS.has(lower)) return true
  }
  return false
}

/** Rewrites the four URL fields and `Set-Cookie` of a response. */
export function passReverse(headers: HeaderList, mapping: ReverseMapping): HeaderList {
  const { locations, cookiePaths, cookieDomains } = mapping
  if (locations.length + cookiePaths.length + cookieDomains.length === 0) return headers
  return headers.map((name, value) => {
    if (LOCATION_FIELDS.has(name)) return reverseLocation(value, mapping)
    if (name === 'set-cookie') return reverseCookie(value, mapping)
    return value
  })
}

/**
 * Applies the first mapping that is a prefix of the value. The comparison ignores case and segment boundaries. A
 * mapping that starts with a slash is compared with what follows `scheme://host`. httpd: ap_proxy_location_reverse_map.
 */
function reverseLocation(value: string, { locations, publicOrigin }: ReverseMapping): string {
  for (const [from, to] of locations) {
    const subject = from.startsWith('/') ? value.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/]*/i, '') : value
    if (!subject.toLowerCase().startsWith(from.toLowerCase())) continue
    const mapped = to + subject.slice(from.length)
    return mapped === '' || mapped.startsWith('/') ? publicOrigin + mapped : mapped
  }
  return value
}

/** Replaces the whole value of `Path` and `Domain`. httpd: ap_proxy_cookie_reverse_map. */
function reverseCookie(value: string, { cookiePaths, cookieDomains }: ReverseMapping): string {
  const attributes = value.split(';')
  replaceLast(attributes, /^[ \t]*path=/i, text => cookiePaths.find(([from]) => text.startsWith(from))?.[1])
  replaceLast(
    attributes,
    /^[ \t]*domain=/i,
    text => cookieDomains.find(([from]) => text.toLowerCase().startsWith(from.toLowerCase()))?.[1],
  )
  return attributes.join(';')
}

/** Changes the last attribute of that name, because the last one applies (RFC 6265 5.3). */
function replaceLast(attributes: string[], name: RegExp, change: (value: string) => string | undefined): void {
  const at = attributes.findLastIndex((attribute, i) => i > 0 && name.test(attribute))
  if (at === -1) return
  const attribute = attributes[at] as string
  const label = (name.exec(attribute) as RegExpExecArray)[0]
  const changed = change(attribute.slice(label.length))
  if (changed !== undefined) attributes[at] = label + changed
}
