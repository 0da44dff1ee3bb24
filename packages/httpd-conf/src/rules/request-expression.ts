import { Expansion } from './expansion.ts'
import { type Expression, readExpression, type Vocabulary } from './expression.ts'
import { type RewriteState, readerOf } from './rewrite-variables.ts'

/** An expression about a request. */
export type RequestExpression = Expression<RewriteState>

/**
 * Reads an expression about a request: the variables of mod_rewrite and the functions `req`, `http`, `env` and
 * `reqenv`.
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

const REQUESTS: Vocabulary<RewriteState> = {
  functions: { req: field, http: field, env: variable, reqenv: variable },
  read: text => {
    const expansion = Expansion.read(text.replace(/%\{(?:req|http):/gi, '%{HTTP:').replace(/%\{reqenv:/gi, '%{ENV:'))
    if (!(expansion instanceof Expansion)) return { problem: `${expansion.unknown} is not supported` }
    return (state, groups) => expansion.expand(state, { rule: groups, condition: [] }).text
  },
}
