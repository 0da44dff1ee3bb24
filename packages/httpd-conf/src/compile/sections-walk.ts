import { mergeScopes, type Scope, type Server } from '../directives/model.ts'
import type { RewriteState } from '../rules/rewrite-variables.ts'
import { inOrder, neverMatches, sectionPattern } from './variants.ts'

/**
 * The settings of the sections that a request is in. `proxied` is the URL of its backend, if a ProxyPass line matched; else
 * `file` is its file name.
 */
export type SectionsWalk = (state: RewriteState, proxied: string | undefined, file: string) => Scope

interface Step {
  readonly applies: (state: RewriteState, proxied: string | undefined, file: string) => boolean
  readonly scope: Scope
}

/** The largest number of combinations of sections whose merged settings are kept. */
const MAX_KEPT = 1_000

/**
 * Compiles the sections of a server for a walk at each request: `<Proxy>`, or `<Directory>` and `<Files>`, first, then
 * `<Location>`, then `<If>`. httpd: proxy_walk, ap_directory_walk, ap_file_walk, ap_location_walk, ap_if_walk.
 */
export function compileWalk({ scope, proxySections, directories, fileSections, locations, ifs }: Server): SectionsWalk {
  const depth = ({ path, regex }: Server['directories'][number]): number =>
    regex === undefined ? path.split('/').length : Number.POSITIVE_INFINITY
  // Those of a server are not per section: they come after the ProxyPass lines.
  const base: Scope = { ...scope, redirects: [] }
  const steps: Step[] = [
    ...proxySections.map(section => ({
      scope: section.scope,
      applies: (_: RewriteState, proxied: string | undefined) => proxied !== undefined && section.covers(proxied),
    })),
    ...directories
      .toSorted((a, b) => (depth(a) === depth(b) ? 0 : depth(a) - depth(b)))
      .map(directory => {
        const pattern = sectionPattern(directory)
        return {
          scope: directory.scope,
          applies: (_: RewriteState, proxied: string | undefined, file: string) =>
            proxied === undefined && pattern.test(file),
        }
      }),
    ...fileSections.map(section => {
      const pattern = section.within && sectionPattern(section.within)
      return {
        scope: section.scope,
        applies: (_: RewriteState, proxied: string | undefined, file: string) =>
          proxied === undefined &&
          section.matches(file.slice(file.lastIndexOf('/') + 1)) &&
          (pattern === undefined || pattern.test(file)),
      }
    }),
    ...locations
      .filter(location => !neverMatches(location))
      .map(location => {
        const pattern = sectionPattern(location)
        return { scope: location.scope, applies: ({ uri }: RewriteState) => pattern.test(uri) }
      }),
    ...inOrder(ifs).map(({ location, holds, scope: own }) => {
      const pattern = location && sectionPattern(location)
      return {
        scope: own,
        applies: (state: RewriteState) => (pattern === undefined || pattern.test(state.uri)) && holds(state),
      }
    }),
  ]
  const kept = new Map<string, Scope>()
  return (state, proxied, file) => {
    const found = steps.filter(step => step.applies(state, proxied, file))
    const key = found.map(step => steps.indexOf(step)).join()
    let merged = kept.get(key)
    if (merged === undefined) {
      merged = found.reduce<Scope>((all, step) => mergeScopes(all, step.scope), base)
      if (kept.size < MAX_KEPT) kept.set(key, merged)
    }
    return merged
  }
}
