import { compileRegex } from '../patterns/translate-regex.ts'
import { Expansion } from '../rules/expansion.ts'
import type { Directive } from '../syntax/parser.ts'
import type { Context } from './directive-kit.ts'

type Report = Context['report']

/** A flag of RewriteCond or RewriteRule: its key in lower case, and its value. */
export type Flag = readonly [key: string, value: string | undefined]

/** Reads flags in brackets; `undefined` if the brackets are wrong. httpd: cmd_parseflagfield. */
export function readFlags(text: string | undefined): Flag[] | undefined {
  if (text === undefined) return []
  const inner = /^\[(.*)\]$/s.exec(text)?.[1]
  return inner
    ?.split(',')
    .map(flag => flag.trim())
    .filter(flag => flag !== '')
    .map(flag => {
      const equals = flag.indexOf('=')
      return equals === -1
        ? [flag.toLowerCase(), undefined]
        : [flag.slice(0, equals).toLowerCase(), flag.slice(equals + 1)]
    })
}

/** Reads a pattern; `undefined` after an error. */
export function readPattern(
  text: string,
  ignoreCase: boolean,
  directive: Directive,
  report: Report,
): RegExp | undefined {
  const regex = compileRegex(text, ignoreCase)
  if (typeof regex !== 'string') return regex
  return report.error(directive, regex, {
    httpd: `${directive.name}: cannot compile regular expression '${text}'`,
    at: text,
  })
}

/** Reads a text with `$1`, `%1`, `%{VARIABLE}` and `${map:key}`; `undefined` after an error. */
export function readExpansion(text: string, directive: Directive, { report, server }: Context): Expansion | undefined {
  const expansion = Expansion.read(text, server.maps)
  if (expansion instanceof Expansion) {
    for (const map of expansion.mapNames) server.usedMaps.push({ map, directive })
    return expansion
  }
  const { unknown } = expansion
  return report.refuse(directive, `the variable ${unknown} is not supported`, { at: unknown })
}
