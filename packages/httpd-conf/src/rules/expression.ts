import { atoi } from '../directives/worker-parameters.ts'
import { compileRegex } from '../patterns/translate-regex.ts'
import { Expansion } from './expansion.ts'
import { type RewriteState, readerOf } from './rewrite-variables.ts'

type Groups = readonly (string | undefined)[]

/** Groups of the last pattern that matched, if the expression holds; `null` if it does not. */
export type Expression<State = RewriteState> = (state: State) => Groups | null

/** What an expression may speak of. */
export interface Vocabulary<State> {
  /** By name, lower-case. */
  readonly functions: Readonly<Record<string, (text: string, state: State) => string>>
  /** A text with variables and `$1` in it. */
  readonly read: (text: string) => ((state: State, groups: Groups) => string) | { readonly problem: string }
}

/** One evaluation: what `$1` stands for changes as patterns match. */
interface Evaluation<State> {
  readonly state: State
  groups: Groups
}

type Test<State> = (evaluation: Evaluation<State>) => boolean
type Word<State> = (evaluation: Evaluation<State>) => string

class Problem extends Error {}

const REQUESTS: Vocabulary<RewriteState> = {
  functions: {
    req: (name, state) => readerOf(`HTTP:${name}`)?.(state) ?? '',
    http: (name, state) => readerOf(`HTTP:${name}`)?.(state) ?? '',
    env: (name, { env }) => env.get(name) ?? '',
    reqenv: (name, { env }) => env.get(name) ?? '',
  },
  read: text => {
    const read = Expansion.read(text.replace(/%\{(?:req|http):/gi, '%{HTTP:').replace(/%\{reqenv:/gi, '%{ENV:'))
    if (!(read instanceof Expansion)) return { problem: `${read.unknown} is not honoured` }
    return (state, groups) => read.expand(state, { rule: groups, condition: [] }).text
  },
}

const FUNCTIONS: Record<string, (text: string) => string> = {
  tolower: text => text.toLowerCase(),
  toupper: text => text.toUpperCase(),
}

const COMPARISONS: Record<string, (a: string, b: string) => boolean> = {
  '==': (a, b) => a === b,
  '=': (a, b) => a === b,
  '!=': (a, b) => a !== b,
  '<': (a, b) => a < b,
  '<=': (a, b) => a <= b,
  '>': (a, b) => a > b,
  '>=': (a, b) => a >= b,
  eq: (a, b) => atoi(a) === atoi(b),
  ne: (a, b) => atoi(a) !== atoi(b),
  lt: (a, b) => atoi(a) < atoi(b),
  le: (a, b) => atoi(a) <= atoi(b),
  gt: (a, b) => atoi(a) > atoi(b),
  ge: (a, b) => atoi(a) >= atoi(b),
}

/**
 * Reads an expression of httpd: comparisons of texts and of whole numbers, patterns, lists, `-n`, `-z`, `-T`, `&&`, `||`, `!`,
 * parentheses, variables and a few functions. httpd: ap_expr_parse.
 *
 * @returns the problem, where it holds what is not honoured.
 */
export function readExpression(text: string): Expression | { readonly problem: string } {
  return readExpressionOf(text, REQUESTS)
}

/** As {@link readExpression}, of something else than a request. */
export function readExpressionOf<State>(
  text: string,
  vocabulary: Vocabulary<State>,
): Expression<State> | { readonly problem: string } {
  try {
    const test = new Parser(text, vocabulary).parse()
    return state => {
      const evaluation: Evaluation<State> = { state, groups: [] }
      return test(evaluation) ? evaluation.groups : null
    }
  } catch (error) {
    if (error instanceof Problem) return { problem: error.message }
    throw error
  }
}

/** Deepest nesting that is read. */
const MAX_DEPTH = 50

class Parser<State> {
  readonly #text: string
  readonly #vocabulary: Vocabulary<State>
  #at = 0
  #depth = 0

  constructor(text: string, vocabulary: Vocabulary<State>) {
    this.#text = text
    this.#vocabulary = vocabulary
  }

  parse(): Test<State> {
    const test = this.#or()
    if (this.#at < this.#text.length) throw this.#unexpected()
    return test
  }

  #take(sticky: RegExp): RegExpExecArray | null {
    sticky.lastIndex = this.#at
    const found = sticky.exec(this.#text)
    if (found !== null) this.#at += found[0].length
    return found
  }

  #unexpected(): Problem {
    const rest = this.#text.slice(this.#at, this.#at + 20)
    return new Problem(rest === '' ? 'the expression ends too soon' : `"${rest}" is not honoured in an expression`)
  }

  #or(): Test<State> {
    if (++this.#depth > MAX_DEPTH) throw new Problem(`the expression is nested more than ${MAX_DEPTH} deep`)
    const tests = [this.#and()]
    while (this.#take(/\s*\|\|\s*/y) !== null) tests.push(this.#and())
    this.#depth--
    return evaluation => tests.some(test => test(evaluation))
  }

  #and(): Test<State> {
    const tests = [this.#not()]
    while (this.#take(/\s*&&\s*/y) !== null) tests.push(this.#not())
    return evaluation => tests.every(test => test(evaluation))
  }

  #not(): Test<State> {
    const negations = (this.#take(/\s*((?:!\s*)*)/y) as RegExpExecArray)[1]?.replace(/\s/g, '').length ?? 0
    const test = this.#primary()
    return negations % 2 === 0 ? test : evaluation => !test(evaluation)
  }

  #primary(): Test<State> {
    if (this.#take(/\(\s*/y) !== null) {
      const test = this.#or()
      if (this.#take(/\s*\)\s*/y) === null) throw this.#unexpected()
      return test
    }
    const constant = this.#take(/(true|false)(?!\w)\s*/iy)?.[1]?.toLowerCase()
    if (constant !== undefined) return () => constant === 'true'
    const unary = this.#take(/-([nzT])\s+/y)?.[1]
    if (unary !== undefined) {
      const word = this.#word()
      if (unary === 'n') return evaluation => word(evaluation) !== ''
      if (unary === 'z') return evaluation => word(evaluation) === ''
      return evaluation => !/^(?:|0|off|false|no)$/i.test(word(evaluation))
    }
    return this.#comparison()
  }

  #comparison(): Test<State> {
    const left = this.#word()
    const pattern = this.#take(/\s*([=!])~\s*/y)?.[1]
    if (pattern !== undefined) {
      const regex = this.#regex()
      return evaluation => {
        const found = regex.exec(left(evaluation))
        if (found !== null) evaluation.groups = found
        return (found !== null) === (pattern === '=')
      }
    }
    if (this.#take(/\s*-?in\s*\{\s*/y) !== null) {
      const list = [this.#word()]
      while (this.#take(/\s*,\s*/y) !== null) list.push(this.#word())
      if (this.#take(/\s*\}\s*/y) === null) throw this.#unexpected()
      return evaluation => list.some(word => word(evaluation) === left(evaluation))
    }
    const sign = this.#take(/\s*(?:([=!]=|[<>]=?|=)|-?(eq|ne|lt|le|gt|ge)(?!\w))\s*/y)
    const compare = COMPARISONS[sign?.[1] ?? sign?.[2] ?? '']
    if (compare === undefined) throw this.#unexpected()
    const right = this.#word()
    return evaluation => compare(left(evaluation), right(evaluation))
  }

  #regex(): RegExp {
    const [, delimiter = '/'] = this.#take(/m([^\w\s])|\//y) ?? []
    const end = this.#text.indexOf(delimiter, this.#at)
    if (end === -1) throw this.#unexpected()
    const source = this.#text.slice(this.#at, end)
    this.#at = end + 1
    const flags = this.#take(/([a-z]*)\s*/iy)?.[1] ?? ''
    if (/[^is]/.test(flags)) throw new Problem(`the flags ${flags} of a pattern are not honoured`)
    const regex = compileRegex(source, flags.includes('i'))
    if (typeof regex === 'string') throw new Problem(regex)
    return regex
  }

  #word(): Word<State> {
    const parts = [this.#part()]
    while (this.#take(/\s*\.\s*/y) !== null) parts.push(this.#part())
    return evaluation => parts.map(part => part(evaluation)).join('')
  }

  #part(): Word<State> {
    const quoted = this.#take(/(?:'([^'\\]*)'|"([^"\\]*)"|(\d+)(?![\w.]))\s*/y)
    if (quoted !== null) return this.#expanded(quoted[1] ?? quoted[2] ?? (quoted[3] as string))
    const variable = this.#take(/%\{[^}]*\}\s*/y)
    if (variable !== null) return this.#expanded(variable[0].trim())
    const group = this.#take(/\$(\d)\s*/y)?.[1]
    if (group !== undefined) return ({ groups }) => groups[Number(group)] ?? ''
    const call = this.#take(/(\w+)\s*\(\s*/y)?.[1]
    const name = call?.toLowerCase() ?? ''
    const functions = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS : this.#vocabulary.functions
    const apply = Object.hasOwn(functions, name) ? functions[name] : undefined
    if (apply === undefined) throw call === undefined ? this.#unexpected() : new Problem(`${call}() is not honoured`)
    const argument = this.#word()
    if (this.#take(/\s*\)\s*/y) === null) throw this.#unexpected()
    return evaluation => apply(argument(evaluation), evaluation.state)
  }

  #expanded(text: string): Word<State> {
    const read = this.#vocabulary.read(text)
    if ('problem' in read) throw new Problem(read.problem)
    return ({ state, groups }) => read(state, groups)
  }
}
