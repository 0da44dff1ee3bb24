import type { IncomingMessage } from 'node:http'
import type { HeaderList } from '@ws-tunnel/core'
import type { Place } from '../diagnostics.ts'
import { type Environment, substitute } from './environment.ts'
import { fieldLinesOf } from './request.ts'
import type { RequestExpression } from './request-expression.ts'
import { stateOf } from './request-state.ts'

/** What a Header or a RequestHeader line does. */
export type HeaderAction =
  | 'set'
  | 'setifempty'
  | 'add'
  | 'append'
  | 'merge'
  | 'unset'
  | 'echo'
  | 'edit'
  | 'edit*'
  | 'note'

/** One Header or RequestHeader line. */
export interface HeaderEdit {
  readonly name: string
  readonly place: Place
  readonly action: HeaderAction
  /** The field name as the line has it; a pattern for `echo`. */
  readonly field: string
  readonly value: HeaderValue
  /** The value as the line has it. */
  readonly text: string
  /** Of `edit`, `edit*` and `echo`. */
  readonly pattern: RegExp | undefined
  /** The variable of `env=`; `negated` for `env=!`. */
  readonly condition: { readonly variable: string; readonly negated: boolean } | undefined
  /** `expr=` */
  readonly expression: RequestExpression | undefined
  /** RequestHeader */
  readonly isRequest: boolean
  /** `early`: before the request is mapped. */
  readonly early: boolean
  /** `Header always`: httpd keeps these fields in a list that it sends before the others. */
  readonly always: boolean
}

/** Expands the `%` items of a value for one request. */
export type HeaderValue = (req: IncomingMessage, env: Environment, response?: HeaderList) => string

/** Applies the lines in their order. httpd: do_headers_fixup. */
export function applyHeaderEdits(
  edits: readonly HeaderEdit[],
  headers: HeaderList,
  req: IncomingMessage,
  env: Environment,
): void {
  for (const edit of edits) {
    const { condition, expression, isRequest } = edit
    const response = isRequest ? undefined : headers
    if (condition !== undefined && env.has(condition.variable) === condition.negated) continue
    if (expression !== undefined && expression(stateOf(req, env, response)) === null) continue
    ACTIONS[edit.action](headers, edit, edit.value(req, env, response), req)
  }
}

type Apply = (headers: HeaderList, edit: HeaderEdit, value: string, req: IncomingMessage) => void

const edit: Apply = (headers, { field, pattern, action }, value) => {
  const lower = field.toLowerCase()
  const all = action === 'edit*'
  headers.map((name, text) => (name === lower ? editValue(text, pattern as RegExp, value, all) : text))
}

const ACTIONS: Readonly<Record<HeaderAction, Apply>> = {
  set: (headers, { field }, value) => headers.set(field, value),
  setifempty: (headers, { field }, value) => headers.has(field) || headers.append(field, value),
  add: (headers, { field }, value) => headers.append(field, value),
  append: appendElement,
  merge: (headers, edit, value) => hasElement(listIn(headers, edit), value) || appendElement(headers, edit, value),
  unset: (headers, { field }) => headers.unset(field),
  echo: (headers, { pattern }, _, req) => {
    for (const [name, text] of fieldLinesOf(req)) if ((pattern as RegExp).test(name)) headers.append(name, text)
  },
  edit,
  'edit*': edit,
  // `note` copies a field into the notes of a request, which nothing reads here.
  note: () => {},
}

export const isHeaderAction = (text: string): text is HeaderAction => Object.hasOwn(ACTIONS, text)

/** The list in a field. httpd joins the lines of a request when it reads them; of a response it sees the first line. */
const listIn = (headers: HeaderList, { field, isRequest }: HeaderEdit): string | undefined =>
  isRequest ? headers.get(field) : headers.getAll(field)[0]

/** Adds an element to the list in a field (RFC 9110 5.6.1). apr: apr_table_mergen. */
function appendElement(headers: HeaderList, edit: HeaderEdit, value: string): void {
  const { field, isRequest } = edit
  const before = listIn(headers, edit)
  if (before === undefined) headers.append(field, value)
  else if (isRequest) headers.set(field, `${before}, ${value}`)
  else {
    const lower = field.toLowerCase()
    let isDone = false
    headers.map((name, text) => {
      if (name !== lower || isDone) return text
      isDone = true
      return `${text}, ${value}`
    })
  }
}

function hasElement(list: string | undefined, value: string): boolean {
  const elements = list?.match(/(?:[^,"]|"[^"]*"?)+/g) ?? []
  return elements.some(element => element.trimStart() === value)
}

/** Replaces the first match, or all of them. httpd: process_regexp. */
function editValue(text: string, pattern: RegExp, template: string, all: boolean): string {
  let done = ''
  let rest = text
  for (;;) {
    const found = pattern.exec(rest)
    if (found === null) return done + rest
    done += rest.slice(0, found.index) + substitute(template, found)
    rest = rest.slice(found.index + found[0].length)
    // An empty match would be found again and again at the same position.
    if (!all || found[0] === '' || rest === '') return done + rest
  }
}
