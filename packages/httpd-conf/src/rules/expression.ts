import { compileRegex } from '../patterns/translate-regex.ts'
import { Scanner } from '../syntax/scanner.ts'
import { NUMERIC, TEXTUAL } from './comparisons.ts'
import { refusalOf, TEXT_FUNCTIONS } from './functions.ts'

type Groups = readonly (string | undefined)[]

/** Evaluates an expression to the groups of the last pattern that matched, or to `null` if the expression is false. */
export type Expression<State> = (state: State) => Groups | null

/** The variables and functions that an expression may use. Requests and health checks have different ones. */
export interface Vocabulary<State> {
  /** By name, lower-case. */
  readonly functions: Readonly<Record<string, (text: string, state: State) => string>>
  /** Reads a text that may contain variables and `$1`. */
  readonly read: (text: string) => ((state: State, groups: Groups) => string) | { readonly problem: string }
}

/** One evaluation. Each pattern that matches replaces the groups, which `$1` refers to. */
interface Evaluation<State> {
  readonly state: State
  groups: Groups
}

type Test<State> = (evaluation: Evaluation<State>) => boolean
type Word<State> = (evaluation: Evaluation<State>) => string

class Problem extends Error {}

/** The function of a name in lower case. */
export function functionOf<State>(
  name: string,
  { functions }: Pick<Vocabulary<State>, 'functions'>,
): ((text: string, state: State) => string) | undefined {
  if (Object.hasOwn(TEXT_FUNCTIONS, name)) return TEXT_FUNCTIONS[name]
  return Object.hasOwn(functions, name) ? functions[name] : undefined
}

/**
 * Reads an expression of httpd: comparisons of texts and of whole numbers, patterns, lists, `-n`, `-z`, `-T`, `&&`,
 * `||`, `!`, parentheses, variables and a few functions. httpd: ap_expr_parse.
 *
 * @returns the problem, if the expression has a part that is not supported.
 */
export function readExpression<State>(
  text: string,
  vocabulary: Vocabulary<State>,
): Expression<State> | { readonly problem: string } {
  try {
    const test = new ExpressionParser(text, vocabulary).parse()
    return state => {
      const evaluation: Evaluation<State> = { state, groups: [] }
      return test(evaluation) ? evaluation.groups : null
    }
  } catch (error) {
    if (error instanceof Problem) return { problem: error.message }
    throw error
  }
}

/** The deepest nesting of parentheses. */
const MAX_DEPTH = 50

class ExpressionParser<State> {
  readonly #scanner: Scanner
  readonly #vocabulary: Vocabulary<State>
  #depth = 0

  constructor(text: string, vocabulary: Vocabulary<State>) {
    this.#scanner = new Scanner(text)
    this.#vocabulary = vocabulary
  }

  parse(): Test<State> {
    const test = this.#or()
    if (!this.#scanner.done) throw this.#unexpected()
    return test
  }

  #take(sticky: RegExp): RegExpExecArray | null {
    return this.#scanner.take(sticky)
  }

  #unexpected(): Problem {
    const { text, at } = this.#scanner
    const rest = text.slice(at, at + 20)
    return new Problem(rest === '' ? 'the expression ends too soon' : `"${rest}" is not supported in an expression`)
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
    if (unary === undefined) return this.#comparison()
    const word = this.#word()
    if (unary === 'n') return evaluation => word(evaluation) !== ''
    if (unary === 'z') return evaluation => word(evaluation) === ''
    return evaluation => !/^(?:|0|off|false|no)$/i.test(word(evaluation))
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
    const [, sign, name] = this.#take(/\s*(?:([=!]=|[<>]=?|=)|-?(eq|ne|lt|le|gt|ge)(?!\w))\s*/y) ?? []
    const compare = sign !== undefined ? TEXTUAL[sign] : name !== undefined ? NUMERIC[name] : undefined
    if (compare === undefined) throw this.#unexpected()
    const right = this.#word()
    return evaluation => compare(left(evaluation), right(evaluation))
  }

  #regex(): RegExp {
    const [, delimiter = '/'] = this.#take(/m([^\w\s])|\//y) ?? []
    const { text, at } = this.#scanner
    const end = text.indexOf(delimiter, at)
    if (end === -1) throw this.#unexpected()
    this.#scanner.at = end + 1
    const flags = this.#take(/([a-z]*)\s*/iy)?.[1] ?? ''
    if (/[^is]/.test(flags)) throw new Problem(`the flags ${flags} of a pattern are not supported`)
    const regex = compileRegex(text.slice(at, end), flags.includes('i'))
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
    const variable = this.#take(/%\{(?:[^{}]|%\{[^{}]*\})*\}\s*/y)
    if (variable !== null) return this.#expanded(variable[0].trim())
    const group = this.#take(/\$(\d)\s*/y)?.[1]
    if (group !== undefined) return ({ groups }) => groups[Number(group)] ?? ''
    const call = this.#take(/(\w+)\s*\(\s*/y)?.[1]
    if (call === undefined) throw this.#unexpected()
    const name = call.toLowerCase()
    const apply = functionOf(name, this.#vocabulary)
    if (apply === undefined) throw new Problem(refusalOf(call))
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
