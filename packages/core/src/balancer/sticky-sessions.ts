import type { IncomingMessage } from 'node:http'
import { fieldValue } from '../http/app-fields.ts'
import type { RequestSession, StickySettings } from '../options/balancer-options.ts'

/**
 * The session that a request names: by the parameter in path or query, or else by the cookie. httpd: find_session_route.
 *
 * @param url Path and query for the balancer.
 */
export function sessionOf(sticky: StickySettings, url: string, req: IncomingMessage): RequestSession {
  const parameter = pathParameter(url, sticky)
  const value = parameter ?? cookieValue(fieldValue(req, 'cookie'), sticky.cookie)
  const route = value === undefined ? undefined : routeIn(value, sticky.separator)
  const name = parameter === undefined ? sticky.cookie : sticky.path
  return { route, name: route === undefined ? undefined : name }
}

function routeIn(value: string, separator: string | false): string | undefined {
  if (separator === false) return value || undefined
  const at = value.indexOf(separator)
  return at === -1 ? undefined : value.slice(at + 1) || undefined
}

/** The Set-Cookie that makes a session stick to a member (RFC 6265 4.1); `undefined` if the option `set` is off. */
export function sessionCookie(sticky: StickySettings, routeId: string, encrypted: boolean): string | undefined {
  const { cookie, separator, set } = sticky
  if (set === undefined) return undefined
  const { path, domain, maxAge, secure, httpOnly, sameSite } = set
  const attributes = [
    `${cookie}=${separator === false ? '' : separator}${routeId}`,
    `Path=${path}`,
    domain !== undefined && `Domain=${domain}`,
    maxAge !== undefined && `Max-Age=${maxAge}`,
    (secure === 'auto' ? encrypted : secure) && 'Secure',
    httpOnly && 'HttpOnly',
    `SameSite=${SAME_SITE[sameSite]}`,
  ]
  return attributes.filter(attribute => attribute !== false).join('; ')
}

const SAME_SITE = { strict: 'Strict', lax: 'Lax', none: 'None' } as const

/** The value after the first `name=` in the URL, whatever character precedes the name. httpd: get_path_param. */
function pathParameter(url: string, { path, semicolonEnds }: StickySettings): string | undefined {
  const ends = semicolonEnds ? /[;?&]/ : /[?&]/
  for (let at = url.indexOf(path); at !== -1; at = url.indexOf(path, at + 1)) {
    const rest = url.slice(at + path.length)
    // httpd's tokenizer skips leading delimiters.
    if (rest.length > 1 && rest.startsWith('='))
      return rest
        .slice(1)
        .split(ends)
        .find(part => part !== '')
  }
  return undefined
}

/** The value of a cookie. httpd: get_cookie_param. */
export function cookieValue(cookies: string, name: string): string | undefined {
  for (let at = cookies.indexOf(name); at !== -1; at = cookies.indexOf(name, at + 1)) {
    if (at > 0 && !/[;, \t]/.test(cookies[at - 1] as string)) continue
    const value = /^[ \t]*=(?=.)([^;,]*)/.exec(cookies.slice(at + name.length))?.[1]
    if (value !== undefined) return value
  }
  return undefined
}
