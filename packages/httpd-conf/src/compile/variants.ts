import type { IncomingMessage } from 'node:http'
import type { Condition } from '@ws-tunnel/core'
import type { Report } from '../diagnostics.ts'
import {
  type Alias,
  type IfSection,
  type Location,
  mergeScopes,
  type ProxySection,
  type Scope,
} from '../directives/model.ts'
import { ignoringCase, literal, withoutGroups } from '../patterns/edit-pattern.ts'
import { environmentOf } from '../rules/environment.ts'
import { stateOf } from '../rules/request-state.ts'
import type { ServerContext } from './context.ts'

/** The largest number of combinations of sections that apply to the paths of one ProxyPass. */
const MAX_VARIANTS = 64

/** One combination of sections that a path of a ProxyPass can be in. */
export interface Variant {
  /** The settings of these sections together. */
  readonly scope: Scope
  /** Look-aheads that match the paths of this combination and no other path. */
  readonly lookaheads: string
  /** Conditions that hold for the requests in the `<If>` sections of this combination, and for no other. */
  readonly when: readonly Condition[]
}

/**
 * The combinations of sections that the paths of a ProxyPass can be in. `own` is the section that the ProxyPass is in.
 */
export function variantsOf(alias: Alias, { server, report }: ServerContext, own?: Location): Variant[] {
  const found: Variant[] = []
  let isCut = false
  const { locations } = server
  const proxied = server.proxySections.filter(section => hasSettings(section) && isCovered(section, alias, report))
  const around = proxied.reduce((all, section) => mergeScopes(all, section.scope), server.scope)
  const ifs = inOrder(server.ifs.filter(hasSettings))
  const walk = (i: number, made: Made): void => {
    if (found.length >= MAX_VARIANTS) {
      isCut = true
      return
    }
    const location = locations[i]
    if (location === undefined) {
      walkIfs(0, made)
      return
    }
    const { scope, lookaheads, paths, when } = made
    const merged = mergeScopes(scope, location.scope)
    // Its ProxyPass may match paths outside of the section only if the patterns differ.
    const isOwn = location === own && location.regex?.source === alias.regex?.source
    const overlap = isOwn ? 'all' : overlapOf(alias, location, paths)
    const test = overlap === 'some' ? locationTest(location) : ''
    if (overlap !== 'none')
      walk(i + 1, {
        scope: merged,
        lookaheads: test === '' ? lookaheads : `${lookaheads}(?=${test})`,
        paths: location.regex === undefined ? [...paths, { path: location.path, isIn: true }] : paths,
        when,
      })
    if (overlap !== 'all')
      walk(i + 1, {
        scope,
        lookaheads: test === '' ? lookaheads : `${lookaheads}(?!${test})`,
        paths:
          overlap === 'some' && location.regex === undefined ? [...paths, { path: location.path, isIn: false }] : paths,
        when,
      })
  }
  const walkIfs = (i: number, made: Made): void => {
    const section = ifs[i]
    if (section === undefined || found.length >= MAX_VARIANTS) {
      if (section !== undefined) isCut = true
      else found.push(made)
      return
    }
    const test = ifTest(section)
    walkIfs(i + 1, { ...made, scope: mergeScopes(made.scope, section.scope), when: [...made.when, { test }] })
    walkIfs(i + 1, { ...made, when: [...made.when, { test: req => !test(req) }] })
  }
  walk(0, { scope: around, lookaheads: '', paths: [], when: [] })
  if (isCut) report.error(alias, `more than ${MAX_VARIANTS} combinations of sections apply to its paths`)
  return found
}

/**
 * The sections in the order in which httpd tests them: the outer ones first, those of the server before those of its
 * sections. Without those in a section that no path is in.
 */
export const inOrder = (ifs: readonly IfSection[]): IfSection[] =>
  ifs
    .filter(({ location }) => location === undefined || !neverMatches(location))
    .toSorted((a, b) => a.depth - b.depth || Number(a.location !== undefined) - Number(b.location !== undefined))

/** A combination that is not complete yet. */
interface Made extends Variant {
  /** The literal sections that were decided so far. */
  readonly paths: readonly { readonly path: string; readonly isIn: boolean }[]
}

/**
 * Whether a `<Proxy>` covers the requests of a ProxyPass line. A part of them is refused: the URL of a backend is made when
 * the settings are known already.
 */
function isCovered(section: ProxySection, { real }: Alias, report: Report): boolean {
  if (real === '!') return false
  const url = real.replace(/\$.*$/s, '')
  const start = section.url.replace(/[*?[\\^].*$/s, '')
  const isPrefix = /^[^*?[]*\*?$/.test(section.url)
  if (isPrefix && !section.name.toLowerCase().startsWith('<proxymatch')) {
    if (url.startsWith(start)) return true
    if (!start.startsWith(url)) return false
  } else if (!section.covers(url) && !start.startsWith(url) && !url.startsWith(start)) return false
  report.refuse(section, 'settings for a part of the requests of a ProxyPass line are not supported', {
    expected: 'the same lines in a Location',
  })
  return false
}

/** The condition of an `<If>`. */
function ifTest({ location, holds }: IfSection): (req: IncomingMessage) => boolean {
  const pattern = location && sectionPattern(location)
  return req => {
    const state = stateOf(req, environmentOf(req, []))
    return (pattern === undefined || pattern.test(state.uri)) && holds(state)
  }
}

/** A test of paths. */
export const sectionPattern = (location: Pick<Location, 'path' | 'regex'>): RegExp =>
  new RegExp(`^${locationTest(location)}`, 's')

/** Which of the paths of a ProxyPass are in a section, given which other sections they are in. */
function overlapOf(alias: Alias, location: Location, paths: Made['paths']): 'all' | 'none' | 'some' {
  if (!hasSettings(location) || neverMatches(location)) return 'none'
  if (location.regex !== undefined) return 'some'
  for (const { path, isIn } of paths) {
    if (isIn && covers(location.path, path)) return 'all'
    if (isIn && !covers(path, location.path)) return 'none'
    if (!isIn && covers(path, location.path)) return 'none'
  }
  if (alias.regex !== undefined) return location.path === '/' ? 'all' : 'some'
  if (covers(location.path, alias.fake)) return 'all'
  return covers(alias.fake, location.path) ? 'some' : 'none'
}

/** Whether a section has a setting that applies to requests of another ProxyPass than its own. */
export function hasSettings({ scope }: Pick<Location, 'scope'>): boolean {
  // These are not settings of a route: they are applied before routes are matched.
  const { alias: _, access: __, redirects: ___, rewriting: ____, followsLinks: _____, ...rest } = scope
  return Object.values(rest).some(value =>
    value instanceof Map ? value.size > 0 : Array.isArray(value) ? value.length > 0 : value !== undefined,
  )
}

/** Whether no path is in the section. httpd compares sections with a path whose runs of slashes are merged. */
export const neverMatches = ({ path, regex }: Pick<Location, 'path' | 'regex'>): boolean =>
  regex === undefined && path.includes('//')

/** Whether every path below `inner` is below `outer`. */
function covers(outer: string, inner: string): boolean {
  const [a, b] = [outer, inner].map(path => path.replace(/\/+/g, '/')) as [string, string]
  return b.startsWith(a) && (a.endsWith('/') || b.length === a.length || b[a.length] === '/')
}

/** The source of a pattern that matches at the start of a path that is in the section. httpd: ap_location_walk. */
export function locationTest({ path, regex }: Pick<Location, 'path' | 'regex'>): string {
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
