import { compileRegex } from '../patterns/translate-regex.ts'
import { bytesOf } from '../rules/escapes.ts'
import { type HeaderEdit, type HeaderValue, isHeaderAction } from '../rules/header-edits.ts'
import { readRequestExpression, readRequestText } from '../rules/request-expression.ts'
import { stateOf } from '../rules/request-state.ts'
import { readerOf } from '../rules/rewrite-variables.ts'
import { tlsVariable } from '../rules/tls-variables.ts'
import type { Directive } from '../syntax/parser.ts'
import { Words } from '../syntax/words.ts'
import { type Context, type Handlers, isInServer } from './directive-kit.ts'

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
function readHeaderEdit(directive: Directive, context: Context): HeaderEdit | undefined {
  const { report } = context
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
  const when = readClause(edits ? fourth : bare ? value : third, directive, context)
  if (when === undefined) return undefined
  const format = bare ? () => '' : readValue(edits ? (third as string) : (value ?? ''), directive, context)
  if (format === undefined) return undefined
  const wanted = edits ? value : action === 'echo' ? field : undefined
  const pattern = wanted === undefined ? undefined : compileRegex(wanted)
  if (typeof pattern === 'string')
    return report.error(directive, pattern, { httpd: `Header ${edits ? 'edit' : 'echo'} regex could not be compiled` })
  const fieldName = field.replace(/:.*$/s, '')
  if (action !== 'echo' && !/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(fieldName))
    return report.error(directive, `${JSON.stringify(fieldName)} is not a field name`)
  return {
    name,
    action,
    field: fieldName,
    value: format,
    text: value ?? '',
    pattern,
    ...when,
    isRequest,
    always,
    place,
  }
}

/** The last argument: `early`, `env=` or `expr=`; `undefined` after an error. */
function readClause(
  clause: string | undefined,
  directive: Directive,
  context: Context,
): Pick<HeaderEdit, 'condition' | 'expression' | 'early'> | undefined {
  const { report, server } = context
  if (clause === undefined) return { condition: undefined, expression: undefined, early: false }
  if (/^early$/i.test(clause)) {
    if (!isInServer(context)) {
      report.warn(directive, 'early has no effect in a section, in httpd too: the section is not known by then', {
        at: clause,
      })
      return undefined
    }
    if (directive.key === 'header')
      return report.refuse(directive, 'early is supported for RequestHeader alone', { at: clause })
    server.needsPath = true
    return { condition: undefined, expression: undefined, early: true }
  }
  if (/^expr=/i.test(clause)) {
    const expression = readRequestExpression(clause.slice(5))
    if ('problem' in expression)
      return report.refuse(directive, expression.problem, { at: clause, expected: 'SetEnvIf and env=' })
    if (NEEDS_PATH.test(clause)) server.needsPath = true
    return { condition: undefined, expression, early: false }
  }
  if (!/^env=/i.test(clause)) return report.fail(directive, `Unknown parameter: ${clause}`)
  const negated = clause.startsWith('!', 4)
  const variable = clause.slice(negated ? 5 : 4)
  if (variable === '')
    return report.fail(
      directive,
      'error: missing environment variable name. envclause should be in the form env=envar ',
    )
  return { condition: { variable, negated }, expression: undefined, early: false }
}

/** Variables that the phases set. */
const NEEDS_PATH = /DOCUMENT_ROOT|REQUEST_URI|REQUEST_FILENAME|SCRIPT_FILENAME/i

/**
 * Reads a value with `expr=`, `%%`, `%t`, `%{VAR}e`, `%{VAR}s`; `undefined` after an error. `%D` is not supported. httpd: parse_format_string.
 */
function readValue(text: string, directive: Directive, { report, server }: Context): HeaderValue | undefined {
  if (NEEDS_PATH.test(text)) server.needsPath = true
  if (text.startsWith('expr=')) {
    const read = readRequestText(text.slice(5))
    if ('problem' in read) return report.refuse(directive, read.problem, { at: text })
    return (req, env, response) => oneLine(read(stateOf(req, env, response)))
  }
  const items: HeaderValue[] = []
  for (const [whole, argument, letter] of text.matchAll(/%%|%$|%(?:\{([^}]*)\}?)?(.)|[^%]+/gs)) {
    if (letter === undefined) items.push(() => (whole.startsWith('%') ? '%' : whole))
    else if (letter === 't') items.push(() => `t=${Date.now()}000`)
    else if (letter === 'e') {
      const name = argument ?? ''
      if (/^SSL_/.test(name) && tlsVariable(name) === undefined)
        report.warn(directive, `nothing sets the variable ${name}: its value is (null)`, { at: name })
      items.push((_, env) => env.get(name) ?? '(null)')
    } else if (/[Dlib]/.test(letter)) return report.refuse(directive, `%${letter} is not supported`)
    else if (letter === 's') {
      const reader = readerOf(argument ?? '')
      if (reader === undefined)
        return report.refuse(directive, `%{${argument}}s is not supported`, { at: `%{${argument}}s` })
      items.push((req, env) => reader(stateOf(req, env)) || '(null)')
    } else return report.fail(directive, `Unrecognized header format %${letter}`)
  }
  return (req, env) => oneLine(items.map(item => item(req, env)).join(''))
}

/** Without the characters that would end the field. */
const oneLine = (text: string): string => bytesOf(text).replace(/[\r\n\0]/g, ' ')
