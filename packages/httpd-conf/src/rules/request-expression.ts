import { textOf } from './escapes.ts'
import { Expansion } from './expansion.ts'
import { type Expression, functionOf, readExpression, type Vocabulary } from './expression.ts'
import { refusalOf } from './functions.ts'
import { type Reader, type RewriteState, readerOf } from './rewrite-variables.ts'

/** An expression about a request. */
export type RequestExpression = Expression<RewriteState>

/**
 * Reads an expression about a request: the variables of mod_rewrite, the functions of texts, and the functions `req`,
 * `http`, `resp`, `env` and `reqenv`.
 *
 * @returns the problem, if the expression has a part that is not supported.
 */
export function readRequestExpression(text: string): RequestExpression | { readonly problem: string } {
  return readExpression(text, REQUESTS)
}

/**
 * Reads a text with variables, as `expr=` of a header and a Redirect with one argument have it.
 *
 * @returns the problem, if the text has a variable that is not supported.
 */
export function readRequestText(text: string): ((state: RewriteState) => string) | { readonly problem: string } {
  const read = REQUESTS.read(text)
  return 'problem' in read ? read : state => read(state, [])
}

const field = (name: string, state: RewriteState): string => readerOf(`HTTP:${name}`)?.(state) ?? ''
const variable = (name: string, { env }: RewriteState): string => env.get(name) ?? ''

/** A field of the response. It is empty where there is no response yet. */
const responseField = (name: string, { response }: RewriteState): string => textOf(response?.get(name) ?? '')

const FUNCTIONS: Vocabulary<RewriteState>['functions'] = {
  req: field,
  http: field,
  resp: responseField,
  env: variable,
  reqenv: variable,
}

/** The name and the argument of `%{name:argument}`. The argument may have variables. */
const CALL = /^([a-z]\w*):(.*)$/is

/**
 * Returns the reader of `%{...}` in an expression: a function with its argument, or a variable; `undefined` for a variable of mod_rewrite.
 */
function callOf(inner: string): Reader | { readonly problem: string } | undefined {
  const [, name = '', argument = ''] = CALL.exec(inner) ?? []
  const lower = name.toLowerCase()
  if (name === '' || /^(?:env|http|ssl)$/.test(lower)) return undefined
  const apply = functionOf(lower, { functions: FUNCTIONS })
  if (apply === undefined) return { problem: refusalOf(name) }
  const read = readText(argument)
  return 'problem' in read ? read : state => apply(read(state, []), state)
}

const readText: Vocabulary<RewriteState>['read'] = text => {
  const calls = (inner: string): Reader | { readonly problem: string } | undefined => callOf(inner)
  // A percent sign before a digit is no back reference here, as it is in mod_rewrite.
  const plain = text.replace(/\\.|%(?=\d)/gs, part => (part === '%' ? '\\%' : part))
  const expansion = Expansion.read(plain, undefined, calls)
  if ('unknown' in expansion)
    return { problem: / /.test(expansion.unknown) ? expansion.unknown : `${expansion.unknown} is not supported` }
  return (state, groups) => expansion.expand(state, { rule: groups, condition: [] }).text
}

const REQUESTS: Vocabulary<RewriteState> = { functions: FUNCTIONS, read: readText }
