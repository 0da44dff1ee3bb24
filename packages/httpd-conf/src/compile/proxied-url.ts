import type { Alias, Location } from '../directives/model.ts'
import { substitute } from '../rules/environment.ts'
import { prefixLength } from '../rules/redirects.ts'
import { fieldOf } from '../rules/request.ts'
import { pathOf } from '../rules/request-path.ts'
import type { RewriteState } from '../rules/rewrite-variables.ts'
import { isWebsocket } from '../syntax/backend-url.ts'
import { isFallback, type ServerContext } from './context.ts'
import { neverMatches, sectionPattern } from './variants.ts'

/** The URL of a backend, and whether the ProxyPass line has nocanon. */
export interface Proxied {
  readonly url: string
  readonly nocanon: boolean
}

/** The backend to which the ProxyPass lines lead a request; `undefined` if none does. */
export type ProxiedUrl = (state: RewriteState) => Proxied | undefined

interface Line {
  readonly alias: Alias
  readonly pattern: RegExp | undefined
  readonly needsUpgrade: boolean
}

/**
 * Compiles the ProxyPass lines as rules in sections see them: that of the last section that the request is in, then the lines
 * outside of sections. httpd: proxy_trans.
 */
export function compileProxiedUrl(context: ServerContext): ProxiedUrl {
  const { server } = context
  const lineOf = (alias: Alias, location?: Location): Line => ({
    alias,
    pattern: alias.regex && new RegExp(alias.regex.source, alias.regex.flags),
    needsUpgrade: isWebsocket(alias.real) && !isFallback((location?.scope ?? server.scope).fallback, context),
  })
  const sections = server.locations.filter(each => each.scope.alias !== undefined && !neverMatches(each)).reverse()
  const own = sections.map(location => ({
    pattern: sectionPattern(location),
    line: lineOf(location.scope.alias as Alias, location),
  }))
  const lines = server.aliases.map(alias => lineOf(alias))
  return state => {
    if (state.env.has('no-proxy')) return undefined
    const { before } = pathOf(state.req)
    const last = own.find(({ pattern }) => pattern.test(before))
    for (const { alias, pattern, needsUpgrade } of last === undefined ? lines : [last.line, ...lines]) {
      if (needsUpgrade && !fieldOf(state.req, 'upgrade')) continue
      const url = urlOf(alias, pattern, state)
      if (url === undefined) continue
      return url === '!' ? undefined : { url, nocanon: alias.nocanon }
    }
    return undefined
  }
}

/** With nocanon, the URL has path and query as the client wrote them. httpd: ap_proxy_trans_match. */
function urlOf(
  { real, fake, nocanon }: Alias,
  pattern: RegExp | undefined,
  { uri: path, req }: RewriteState,
): string | undefined {
  const raw = nocanon ? (req.url ?? '') : path
  if (pattern === undefined) {
    const length = prefixLength(path, fake)
    if (length === undefined) return undefined
    if (real === '!') return real
    return real + (prefixLength(raw, fake) === length ? raw : path).slice(length)
  }
  const groups = pattern.exec(path)
  if (groups === null) return undefined
  if (real === '!') return real
  const made = substitute(real, groups)
  return made === real ? real + raw : made
}
