import { type Alias, type Location, mergeScopes, type Scope } from '../directives/model.ts'
import { ignoringCase, literal, withoutGroups } from '../patterns/edit-pattern.ts'
import type { ServerContext } from './context.ts'

/** The largest number of combinations of sections that apply to the paths of one ProxyPass. */
const MAX_VARIANTS = 64

/** One combination of sections that a path of a ProxyPass can be in. */
export interface Variant {
  /** The settings of these sections together. */
  readonly scope: Scope
  /** Look-aheads that match the paths of this combination and no other path. */
  readonly lookaheads: string
}

/**
 * The combinations of sections that the paths of a ProxyPass can be in. `own` is the section that the ProxyPass is in.
 */
export function variantsOf(alias: Alias, { server, report }: ServerContext, own?: Location): Variant[] {
  const found: Variant[] = []
  let isCut = false
  const walk = (i: number, scope: Scope, lookaheads: string): void => {
    if (found.length >= MAX_VARIANTS) {
      isCut = true
      return
    }
    const location = server.locations[i]
    if (location === undefined) {
      found.push({ scope, lookaheads })
      return
    }
    const enter = (test: string): void => walk(i + 1, mergeScopes(scope, location.scope), lookaheads + test)
    const pass = (test: string): void => walk(i + 1, scope, lookaheads + test)
    const overlap = location === own ? 'all' : overlapOf(alias, location)
    if (overlap !== 'some') {
      const go = overlap === 'all' ? enter : pass
      go('')
      return
    }
    const test = locationTest(location)
    enter(`(?=${test})`)
    pass(`(?!${test})`)
  }
  walk(0, server.scope, '')
  if (isCut) report.error(alias, `more than ${MAX_VARIANTS} combinations of sections apply to its paths`)
  return found
}

/** Which of the paths of a ProxyPass are in a section. */
function overlapOf(alias: Alias, location: Location): 'all' | 'none' | 'some' {
  if (!hasSettings(location) || neverMatches(location)) return 'none'
  if (location.regex !== undefined) return 'some'
  if (alias.regex !== undefined) return location.path === '/' ? 'all' : 'some'
  if (covers(location.path, alias.fake)) return 'all'
  return covers(alias.fake, location.path) ? 'some' : 'none'
}

/** Whether a section has a setting that applies to requests of another ProxyPass than its own. */
export function hasSettings({ scope }: Location): boolean {
  const { alias: _, ...rest } = scope
  return Object.values(rest).some(value =>
    value instanceof Map ? value.size > 0 : Array.isArray(value) ? value.length > 0 : value !== undefined,
  )
}

/** Whether no path is in the section. httpd compares sections with a path whose runs of slashes are merged. */
export const neverMatches = ({ path, regex }: Location): boolean => regex === undefined && path.includes('//')

/** Whether every path below `inner` is below `outer`. */
function covers(outer: string, inner: string): boolean {
  const [a, b] = [outer, inner].map(path => path.replace(/\/+/g, '/')) as [string, string]
  return b.startsWith(a) && (a.endsWith('/') || b.length === a.length || b[a.length] === '/')
}

/** The source of a pattern that matches at the start of a path that is in the section. httpd: ap_location_walk. */
export function locationTest({ path, regex }: Location): string {
  if (regex === undefined) return prefixTest(path)
  const source = withoutGroups(regex.source) ?? regex.source
  return `[^]*?(?:${regex.flags.includes('i') ? ignoringCase(source) : source})`
}

/** The source of a pattern for a literal prefix as httpd compares it: a run of slashes matches every run of slashes. */
export function prefixTest(prefix: string): string {
  const source = prefix
    .split(/(\/+)/)
    .map(part => (part.startsWith('/') ? '\\/+' : literal(part)))
    .join('')
  return prefix.endsWith('/') ? source : `${source}(?=\\/|$)`
}
