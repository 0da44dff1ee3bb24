import type { IncomingMessage } from 'node:http'
import type { HeaderList } from '@ws-tunnel/core'
import type { Place, Report } from '../diagnostics.ts'
import { compileRegex } from '../patterns/translate-regex.ts'
import { Words } from '../syntax/words.ts'
import { type Environment, substitute } from './environment.ts'
import { type Expression, readExpression } from './expression.ts'
import type { RewriteState } from './rewrite-variables.ts'

/** One Header or RequestHeader line. */
export interface HeaderEdit {
  readonly name: string
  readonly action: string
  /** Field name as the line has it. */
  readonly field: string
  readonly value: Format
  readonly pattern: RegExp | undefined
  /** Variable of `env=`; `negated` for `env=!`. */
  readonly condition: { readonly variable: string; readonly negated: boolean } | undefined
  /** `expr=` */
  readonly expression: Expression | undefined
  /** `Header always`: the edits of a table of its own. */
  readonly always: boolean
  readonly place: Place
}

/** A value with its `%` items read. */
type Format = (req: IncomingMessage, env: Environment) => string

const ACTIONS = ['set', 'setifempty', 'add', 'append', 'merge', 'unset', 'echo', 'edit', 'edit*', 'note']

/** Reads one line. httpd: header_cmd, header_inout_cmd. */
export function readHeaderEdit(name: string, args: string, place: Place, report: Report): HeaderEdit | undefined {
  const request = name.toLowerCase() === 'requestheader'
  const fail = (message: string, httpd: string | undefined = message): undefined => {
    report.error(place, name, message, httpd === undefined ? {} : { httpd })
    return undefined
  }
  const words = new Words(args)
  let action = words.next().toLowerCase()
  const always = !request && action === 'always'
  if (!request && (always || action === 'onsuccess')) action = words.next().toLowerCase()
  const field = words.next()
  const value = words.done ? undefined : words.next()
  const third = words.done ? undefined : words.next()
  const fourth = words.done ? undefined : words.next()
  if (!words.done) return fail(`${name} has too many arguments`)
  if (!ACTIONS.includes(action)) {
    return fail(
      "first argument must be 'add', 'set', 'setifempty', 'append', 'merge', 'unset', 'echo', 'note', 'edit', or 'edit*'.",
    )
  }
  const edits = action === 'edit' || action === 'edit*'
  const bare = action === 'unset' || action === 'echo'
  if (edits && third === undefined) return fail('Header edit requires a match and a substitution')
  if (!edits && fourth !== undefined) return fail('Too many arguments to directive')
  if (bare && value !== undefined && third !== undefined) return fail(`header ${action} takes two arguments`)
  if (!bare && value === undefined) return fail('Header requires three arguments')
  if (action === 'echo' && request) return fail('Header echo only valid on Header directives')
  const clause = edits ? fourth : bare ? value : third
  if (clause !== undefined && /^early$/i.test(clause)) {
    report.refuse(place, name, 'early edits happen before anything is matched, which a middleware cannot do', {
      at: clause,
    })
    return undefined
  }
  let expression: Expression | undefined
  if (clause !== undefined && /^expr=/i.test(clause)) {
    const read = expressionOf(clause.slice(5))
    if ('problem' in read) {
      report.refuse(place, name, read.problem, { at: clause, expected: 'SetEnvIf and env=' })
      return undefined
    }
    expression = read
  }
  if (clause !== undefined && expression === undefined && !/^env=/i.test(clause))
    return fail(`Unknown parameter: ${clause}`)
  const variable = expression === undefined ? clause?.slice(4) : undefined
  if (variable === '' || variable === '!') {
    return fail('error: missing environment variable name. envclause should be in the form env=envar ')
  }
  const source = edits ? (third as string) : (value ?? '')
  if (source.startsWith('expr=')) {
    report.refuse(place, name, 'a value from expr= is not honoured', { at: source })
    return undefined
  }
  const format = bare ? () => '' : readFormat(source)
  if (typeof format === 'string') {
    if (format.startsWith('Unrecognized')) return fail(format)
    report.refuse(place, name, format)
    return undefined
  }
  const wantsPattern = edits ? value : action === 'echo' ? field : undefined
  const pattern = wantsPattern === undefined ? undefined : compileRegex(wantsPattern)
  if (typeof pattern === 'string') return fail(pattern, `Header ${edits ? 'edit' : 'echo'} regex could not be compiled`)
  const fieldName = field.replace(/:.*$/s, '')
  if (action !== 'echo' && !/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(fieldName)) {
    return fail(`${JSON.stringify(fieldName)} is no field name`, undefined)
  }
  const condition =
    variable === undefined ? undefined : { variable: variable.replace(/^!/, ''), negated: variable.startsWith('!') }
  return { name, action, field: fieldName, value: format, pattern, condition, expression, always, place }
}

/** A header edit does not know the path as httpd decoded it. */
function expressionOf(text: string): Expression | { readonly problem: string } {
  const path = /%\{(?:REQUEST_URI|REQUEST_FILENAME|SCRIPT_FILENAME)\}/i.exec(text)?.[0]
  return path === undefined ? readExpression(text) : { problem: `${path} is not honoured here` }
}

const stateOf = (req: IncomingMessage, env: Environment): RewriteState => ({
  req,
  uri: '',
  filename: '',
  args: /\?(.*)$/s.exec(req.url ?? '')?.[1],
  env,
})

/** `%%`, `%t`, `%D`, `%{VAR}e`, `%{VAR}s`. httpd: parse_format_string. */
function readFormat(text: string): Format | string {
  const items: Format[] = []
  for (const [whole, argument, letter] of text.matchAll(/%%|%$|%(?:\{([^}]*)\}?)?(.)|[^%]+/gs)) {
    if (letter === undefined) items.push(() => (whole.startsWith('%') ? '%' : whole))
    else if (letter === 't') items.push(() => `t=${Date.now()}000`)
    else if (letter === 'e') items.push((_, env) => env.get(argument ?? '') ?? '(null)')
    else if (letter === 'D' || letter === 'l' || letter === 'i' || letter === 'b') return `%${letter} is not honoured`
    else if (letter === 's') return 'SSL variables of %{...}s are not honoured'
    else return `Unrecognized header format %${letter}`
  }
  // A value must not end the field: httpd escapes what the configuration itself cannot contain either.
  return (req, env) =>
    items
      .map(item => item(req, env))
      .join('')
      .replace(/[\r\n\0]/g, ' ')
}

/** Applies the lines in their order. httpd: do_headers_fixup. */
export function applyHeaderEdits(
  edits: readonly HeaderEdit[],
  headers: HeaderList,
  req: IncomingMessage,
  env: Environment,
): void {
  for (const edit of edits) {
    const { action, field, condition, pattern } = edit
    if (condition !== undefined && env.has(condition.variable) === condition.negated) continue
    if (edit.expression !== undefined && edit.expression(stateOf(req, env)) === null) continue
    const value = (): string => edit.value(req, env)
    if (action === 'set') headers.set(field, value())
    else if (action === 'setifempty') headers.has(field) || headers.append(field, value())
    else if (action === 'add') headers.append(field, value())
    else if (action === 'append') merge(headers, field, value())
    else if (action === 'merge') hasMember(headers.get(field), value()) || merge(headers, field, value())
    else if (action === 'unset') headers.unset(field)
    else if (action === 'echo') echo(headers, req, pattern as RegExp)
    else if (action === 'edit' || action === 'edit*') {
      const lower = field.toLowerCase()
      const template = value()
      headers.map((name, text) =>
        name === lower ? editValue(text, pattern as RegExp, template, action === 'edit*') : text,
      )
    }
  }
}

function merge(headers: HeaderList, field: string, value: string): void {
  const before = headers.get(field)
  headers.set(field, before === undefined ? value : `${before}, ${value}`)
}

function hasMember(list: string | undefined, value: string): boolean {
  const members = list?.match(/(?:[^,"]|"[^"]*"?)+/g) ?? []
  return members.some(member => member.trimStart() === value)
}

function echo(headers: HeaderList, req: IncomingMessage, pattern: RegExp): void {
  for (let i = 0; i + 1 < req.rawHeaders.length; i += 2) {
    const name = req.rawHeaders[i] as string
    if (pattern.test(name)) headers.append(name, req.rawHeaders[i + 1] as string)
  }
}

/** httpd: process_regexp. */
function editValue(text: string, pattern: RegExp, template: string, all: boolean): string {
  let done = ''
  let rest = text
  for (;;) {
    const found = pattern.exec(rest)
    if (found === null) return done + rest
    done += rest.slice(0, found.index) + substitute(template, found)
    rest = rest.slice(found.index + found[0].length)
    // An empty match would be found again at the same place, for ever.
    if (!all || found[0] === '' || rest === '') return done + rest
  }
}
