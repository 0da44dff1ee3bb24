import type { IncomingMessage } from 'node:http'
import type { StickySessionOptions } from './balancer-options.ts'
import { headerValue } from './headers.ts'

type Sticky = Readonly<Required<StickySessionOptions>>

/**
 * The `routeId` a request names: the parameter in path or query first, then the cookie. httpd: find_session_route.
 *
 * @param url path and query for the balancer
 */
export function sessionRoute(sticky: Sticky, url: string, req: IncomingMessage): string | undefined {
  const value = pathParameter(url, sticky) ?? cookieValue(headerValue(req, 'cookie'), sticky.cookie)
  if (value === undefined) return undefined
  const { separator } = sticky
  if (separator === false) return value || undefined
  const at = value.indexOf(separator)
  return at === -1 ? undefined : value.slice(at + 1) || undefined
}

/** The first `name=` anywhere, whatever stands before it. httpd: get_path_param. */
function pathParameter(url: string, { path, semicolonEnds }: Sticky): string | undefined {
  const ends = semicolonEnds ? /[;?&]/ : /[?&]/
  for (let at = url.indexOf(path); at !== -1; at = url.indexOf(path, at + 1)) {
    const rest = url.slice(at + path.length)
    // httpd's tokenizer passes over delimiters that stand first.
    if (rest.length > 1 && rest.startsWith('='))
      return rest
        .slice(1)
        .split(ends)
        .find(part => part !== '')
  }
  return undefined
}

/** httpd: get_cookie_param. */
function cookieValue(cookies: string, name: string): string | undefined {
  for (let at = cookies.indexOf(name); at !== -1; at = cookies.indexOf(name, at + 1)) {
    if (at > 0 && !/[;,\s]/.test(cookies[at - 1] as string)) continue
    const value = /^\s*=([^;,]+)/.exec(cookies.slice(at + name.length))?.[1]
    if (value !== undefined) return value
  }
  return undefined
}
