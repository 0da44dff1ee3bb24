import { type Key, pathToRegexp } from 'path-to-regexp'
import type { TemplateScope } from '../backend/target.ts'
import { WsTunnelError } from '../errors.ts'
import { prefixLength, servletPrefixLength } from '../http/path.ts'
import type { Captures, RouteSettings } from '../options/route-options.ts'
import { boundedPattern } from '../util/bounded-pattern.ts'

/** Matches the path alone. Returns `null` if it does not match. */
export type PathTest = (path: string) => Omit<Captures, 'conditionGroups'> | null

const NO_PARAMS: Readonly<Record<string, string>> = Object.freeze({})

/**
 * Compiles a route's `path`: a RegExp (ProxyPassMatch), a pattern of path-to-regexp, or a prefix (ProxyPass).
 *
 * @returns the test, and what a target may refer to.
 * @throws {WsTunnelError} `WST_ERR_OPTION` for a pattern that path-to-regexp cannot read.
 */
export function compilePath({ path, join, mapping }: RouteSettings, where: string): [PathTest, TemplateScope] {
  const strict = join === 'slash'
  if (path instanceof RegExp) {
    const pattern = boundedPattern(path, 'WST_ERR_PATH_TOO_LONG')
    const test: PathTest = text => {
      const groups = pattern.exec(text)
      return groups && { groups, params: NO_PARAMS, rest: groups.groups?.['rest'] ?? text }
    }
    // An alternative that is empty matches anything, with all groups in the result.
    const groupCount = strict ? (new RegExp(`${path.source}|`, path.flags).exec('')?.length ?? 1) - 1 : undefined
    return [test, { groups: true, params: [], glued: join === 'concat', groupCount }]
  }
  const isPattern = /(?<!\\)(?:[:*][a-z_$"]|\{)/i.test(path)
  return isPattern ? compilePattern(path, where) : compilePrefix(path.replace(/\\(.)/gs, '$1'), join, mapping)
}

function compilePrefix(
  prefix: string,
  join: RouteSettings['join'],
  mapping: RouteSettings['mapping'],
): [PathTest, TemplateScope] {
  const lengthOf = mapping === 'servlet' ? servletPrefixLength : prefixLength
  const test: PathTest = text => {
    // With `join: 'concat'`, as in httpd, the prefix "/" covers the slash. Otherwise the slash belongs to the rest.
    const length = prefix === '/' && join === 'slash' ? 0 : lengthOf(text, prefix)
    return length === -1 ? null : { groups: [], params: NO_PARAMS, rest: text.slice(length) }
  }
  return [test, { groups: false, params: [], groupCount: join === 'slash' ? 0 : undefined }]
}

function compilePattern(path: string, where: string): [PathTest, TemplateScope] {
  let regexp: RegExp
  let keys: Key[]
  try {
    ;({ regexp, keys } = pathToRegexp(path, { end: false, sensitive: true, trailing: false }))
  } catch (cause) {
    throw new WsTunnelError('WST_ERR_OPTION', { detail: `\`${where}\`: ${(cause as Error).message}`, cause })
  }
  const pattern = boundedPattern(regexp, 'WST_ERR_PATH_TOO_LONG')
  const names = keys.map(key => key.name)
  const test: PathTest = text => {
    const found = pattern.exec(text)
    if (found === null) return null
    const params = Object.fromEntries(names.map((name, i) => [name, found[i + 1] ?? '']))
    return { groups: [], params, rest: text.slice(found[0].length) }
  }
  return [test, { groups: false, params: names, groupCount: 0 }]
}
