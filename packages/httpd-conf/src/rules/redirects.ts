import type { Place } from '../diagnostics.ts'
import { substitute } from './environment.ts'
import { escapePath } from './escapes.ts'
import { ownOrigin } from './request.ts'
import type { RewriteState } from './rewrite-variables.ts'

/** One Redirect or RedirectMatch line. */
export interface Redirect {
  readonly name: string
  readonly place: Place
  readonly status: number
  /** A path prefix, a pattern, or `undefined` for every path of a section. */
  readonly from: string | RegExp | undefined
  /** The URL or the path; `undefined` for a status without Location. */
  readonly to: string | ((state: RewriteState) => string) | undefined
}

/** A response without a backend. */
export interface RedirectResponse {
  readonly status: number
  readonly location?: string
}

/** The response of the first line that matches the path; `undefined` if none does. httpd: try_redirect. */
export function redirectOf(redirects: readonly Redirect[], state: RewriteState): RedirectResponse | undefined {
  for (const redirect of redirects) {
    const target = targetOf(redirect, state)
    if (target === undefined) continue
    const { status } = redirect
    if (status < 300 || status > 399) return { status }
    const absolute = target.startsWith('/') ? ownOrigin(state.req) + target : target
    // httpd cannot redirect to something else than a URL.
    if (!/^[a-z][a-z0-9+.-]*:/i.test(absolute)) return { status: 500 }
    const query = state.args === undefined || absolute.includes('?') ? '' : `?${state.args}`
    return { status, location: absolute + query }
  }
  return undefined
}

function targetOf({ from, to }: Redirect, state: RewriteState): string | undefined {
  if (from === undefined) return typeof to === 'function' ? escaped(to(state)) : (to ?? '')
  if (typeof from !== 'string') {
    const groups = from.exec(state.uri)
    if (groups === null) return undefined
    return to === undefined ? '' : escaped(substitute(to as string, groups))
  }
  const length = prefixLength(state.uri, from)
  if (length === undefined) return undefined
  return to === undefined ? '' : `${to}${escapePath(state.uri.slice(length))}`
}

/** Escapes a URL up to its query or fragment. */
function escaped(url: string): string {
  const [, path = '', rest = ''] = /^([^?#]*)(.*)$/s.exec(url) ?? []
  return escapePath(path) + rest
}

/** How much of a path a prefix covers; `undefined` if it does not match. A run of slashes matches a run. httpd: alias_matches. */
export function prefixLength(path: string, prefix: string): number | undefined {
  let at = 0
  for (let i = 0; i < prefix.length; ) {
    if (prefix[i] === '/') {
      if (path[at] !== '/') return undefined
      while (prefix[i] === '/') i++
      while (path[at] === '/') at++
    } else if (prefix[i++] !== path[at++]) return undefined
  }
  const isWhole = prefix.endsWith('/') || at === path.length || path[at] === '/'
  return isWhole ? at : undefined
}
