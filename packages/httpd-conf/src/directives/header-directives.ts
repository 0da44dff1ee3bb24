import { compileRegex } from '../patterns/translate-regex.ts'
import { type HeaderEdit, type HeaderValue, isHeaderAction } from '../rules/header-edits.ts'
import { type RequestExpression, readRequestExpression } from '../rules/request-expression.ts'
import type { Directive } from '../syntax/parser.ts'
import { Words } from '../syntax/words.ts'
import type { Context, Handlers } from './directive-kit.ts'

/** Directives of mod_headers. */
export const HEADER_DIRECTIVES: Handlers = {
  requestheader: (directive, context) => {
    const edit = readHeaderEdit(directive, context)
    if (edit !== undefined) context.scope.requestEdits.push(edit)
  },
  header: (directive, context) => {
    const edit = readHeaderEdit(directive, context)
    if (edit !== undefined) context.scope.responseEdits.push(edit)
  },
}

/** Reads one line. httpd: header_cmd, header_inout_cmd. */
function readHeaderEdit(directive: Directive, { report }: Context): HeaderEdit | undefined {
  const { name, place } = directive
  const isRequest = directive.key === 'requestheader'
  const fail = (httpd: string): undefined => report.fail(directive, httpd)
  const words = new Words(directive.args)
  let action = words.next().toLowerCase()
  const always = !isRequest && action === 'always'
  if (!isRequest && (always || action === 'onsuccess')) action = words.next().toLowerCase()
  const field = words.next()
  const [value, third, fourth] = [0, 1, 2].map(() => (words.done ? undefined : words.next()))
  if (!words.done) return fail(`${name} has too many arguments`)
  if (!isHeaderAction(action))
    return fail(
      "first argument must be 'add', 'set', 'setifempty', 'append', 'merge', 'unset', 'echo', 'note', 'edit', or 'edit*'.",
    )
  const edits = action === 'edit' || action === 'edit*'
  const bare = action === 'unset' || action === 'echo'
  if (edits && third === undefined) return fail('Header edit requires a match and a substitution')
  if (!edits && fourth !== undefined) return fail('Too many arguments to directive')
  if (bare && value !== undefined && third !== undefined) return fail(`header ${action} takes two arguments`)
  if (!bare && value === undefined) return fail('Header requires three arguments')
  if (action === 'echo' && isRequest) return fail('Header echo only valid on Header directives')
  const when = readClause(edits ? fourth : bare ? value : third, directive, report)
  if (when === undefined) return undefined
  const format = bare ? () => '' : readValue(edits ? (third as string) : (value ?? ''), directive, report)
  if (format === undefined) return undefined
  const wanted = edits ? value : action === 'echo' ? field : undefined
  const pattern = wanted === undefined ? undefined : compileRegex(wanted)
  if (typeof pattern === 'string')
    return report.error(directive, pattern, { httpd: `Header ${edits ? 'edit' : 'echo'} regex could not be compiled` })
  const fieldName = field.replace(/:.*$/s, '')
  if (action !== 'echo' && !/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(fieldName))
    return report.error(directive, `${JSON.stringify(fieldName)} is not a field name`)
  return { name, action, field: fieldName, value: format, pattern, ...when, always, place }
}

/** The last argument: `early`, `env=` or `expr=`; `undefined` after an error. */
function readClause(
  clause: string | undefined,
  directive: Directive,
  report: Context['report'],
): Pick<HeaderEdit, 'condition' | 'expression'> | undefined {
  if (clause === undefined) return { condition: undefined, expression: undefined }
  if (/^early$/i.test(clause))
    return report.refuse(directive, 'early edits happen before routes are matched, which a middleware cannot do', {
      at: clause,
    })
  if (/^expr=/i.test(clause)) {
    const expression = readWhen(clause.slice(5))
    if ('problem' in expression)
      return report.refuse(directive, expression.problem, { at: clause, expected: 'SetEnvIf and env=' })
    return { condition: undefined, expression }
  }
  if (!/^env=/i.test(clause)) return report.fail(directive, `Unknown parameter: ${clause}`)
  const negated = clause.startsWith('!', 4)
  const variable = clause.slice(negated ? 5 : 4)
  if (variable === '')
    return report.fail(
      directive,
      'error: missing environment variable name. envclause should be in the form env=envar ',
    )
  return { condition: { variable, negated }, expression: undefined }
}

/** Reads an expression. Variables of the decoded path are refused, because a header edit does not see that path. */
function readWhen(text: string): RequestExpression | { readonly problem: string } {
  const path = /%\{(?:REQUEST_URI|REQUEST_FILENAME|SCRIPT_FILENAME)\}/i.exec(text)?.[0]
  return path === undefined ? readRequestExpression(text) : { problem: `${path} is not supported in a header edit` }
}

/**
 * Reads a value with `%%`, `%t`, `%{VAR}e`; `undefined` after an error. `%D` and the variables of mod_ssl are not
 * supported. httpd: parse_format_string.
 */
function readValue(text: string, directive: Directive, report: Context['report']): HeaderValue | undefined {
  if (text.startsWith('expr=')) return report.refuse(directive, 'a value from expr= is not supported', { at: text })
  const items: HeaderValue[] = []
  for (const [whole, argument, letter] of text.matchAll(/%%|%$|%(?:\{([^}]*)\}?)?(.)|[^%]+/gs)) {
    if (letter === undefined) items.push(() => (whole.startsWith('%') ? '%' : whole))
    else if (letter === 't') items.push(() => `t=${Date.now()}000`)
    else if (letter === 'e') items.push((_, env) => env.get(argument ?? '') ?? '(null)')
    else if (/[Dlib]/.test(letter)) return report.refuse(directive, `%${letter} is not supported`)
    else if (letter === 's') return report.refuse(directive, 'SSL variables of %{...}s are not supported')
    else return report.fail(directive, `Unrecognized header format %${letter}`)
  }
  // These characters would end the field. They can come from a variable.
  return (req, env) =>
    items
      .map(item => item(req, env))
      .join('')
      .replace(/[\r\n\0]/g, ' ')
}
