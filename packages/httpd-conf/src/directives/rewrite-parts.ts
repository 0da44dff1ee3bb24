import { compileRegex } from '../patterns/translate-regex.ts'
import { Expansion } from '../rules/expansion.ts'
import type { Directive } from '../syntax/parser.ts'
import { type Context, isInServer } from './directive-kit.ts'

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

/** A variable of the authenticated user, also as a look-ahead: in a section the user is known already. */
const USER = /%\{(?:LA-U:)?(REMOTE_USER|AUTH_TYPE)\}/i

/** Whether a text of a rule names the user, who is authenticated after the rules have run. */
export const namesUser = (text: string): boolean => USER.test(text)

/** Reports a text of a section that decides by the user. In the rules of a server, the user is empty in httpd too. */
export function refusesUser(text: string, directive: Directive, context: Context): boolean {
  const [at] = USER.exec(text) ?? []
  if (isInServer(context) || at === undefined) return false
  context.report.refuse(directive, 'rules run before the user is authenticated; the flag E alone sees the user', {
    at,
    expected: 'Require user, or a variable of the flag E in RequestHeader',
  })
  return true
}

/** Reads a text with `$1`, `%1`, `%{VARIABLE}` and `${map:key}`; `undefined` after an error. */
export function readExpansion(text: string, directive: Directive, context: Context): Expansion | undefined {
  const { report, server } = context
  const own = isInServer(context) ? text : text.replaceAll(new RegExp(USER, 'gi'), '%{$1}')
  const expansion = Expansion.read(own, server.maps)
  if (expansion instanceof Expansion) {
    for (const map of expansion.mapNames) server.usedMaps.push({ map, directive })
    return expansion
  }
  const { unknown } = expansion
  return report.refuse(directive, `the variable ${unknown} is not supported`, { at: unknown })
}
