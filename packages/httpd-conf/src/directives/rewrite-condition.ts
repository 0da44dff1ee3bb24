import type { RewriteCondition } from '../rules/apply-rewrite.ts'
import { NUMERIC } from '../rules/comparisons.ts'
import { Expansion } from '../rules/expansion.ts'
import { FILE_TESTS } from '../rules/file-tests.ts'
import { readRequestExpression } from '../rules/request-expression.ts'
import type { Directive } from '../syntax/parser.ts'
import { rewriteArguments } from '../syntax/words.ts'
import type { Context } from './directive-kit.ts'
import { readExpansion, readFlags, readPattern, refusesUser } from './rewrite-parts.ts'

/** The flags of RewriteCond. `NV` has no effect here, because it concerns caches. */
const FLAGS = ['nc', 'nocase', 'or', 'ornext', 'nv', 'novary']

/** Reads RewriteCond; `undefined` after an error. httpd: cmd_rewritecond. */
export function readCondition(directive: Directive, context: Context): RewriteCondition | undefined {
  const { report } = context
  const words = rewriteArguments(directive.args)
  if (words === undefined) return report.fail(directive, `RewriteCond: bad argument line '${directive.args}'`)
  const [text, test, field] = words
  const flags = readFlags(field)
  if (flags === undefined) return report.fail(directive, 'RewriteCond: bad flag delimiters')
  const has = (...names: string[]): boolean => flags.some(([key]) => names.includes(key))
  const unknown = flags.find(([key]) => !FLAGS.includes(key))
  if (unknown !== undefined) return report.fail(directive, `RewriteCond: unknown flag '${unknown[0].toUpperCase()}'`)
  const negated = test.startsWith('!')
  const body = negated ? test.slice(1) : test
  const or = has('or', 'ornext')
  if (text.toLowerCase() === 'expr') {
    const expression = readRequestExpression(body)
    if ('problem' in expression) return report.refuse(directive, expression.problem, { at: test })
    return {
      subject: Expansion.none,
      test: (_, state) => (negated ? whether(expression(state) === null) : expression(state)),
      captures: !negated,
      or,
    }
  }

  const ignoreCase = has('nc', 'nocase')
  if (refusesUser(text, directive, context)) return undefined
  const subject = readExpansion(text, directive, context)
  if (subject === undefined) return undefined
  const compare = comparison(body, ignoreCase)
  if (compare === 'subrequest')
    return report.refuse(directive, 'tests by a subrequest are not supported', { at: test, expected: '-f or -d' })
  if (compare !== undefined) return { subject, test: value => whether(compare(value) !== negated), captures: false, or }
  const pattern = readPattern(body, ignoreCase, directive, report)
  if (pattern === undefined) return undefined
  if (negated) return { subject, test: value => whether(!pattern.test(value)), captures: false, or }
  return { subject, test: value => pattern.exec(value), captures: true, or }
}

/** The result of a test without groups. */
const whether = (holds: boolean): [] | null => (holds ? [] : null)

/**
 * A comparison instead of a pattern; `subrequest` for a test that needs one. httpd: compare_lexicography,
 * apply_rewrite_cond.
 */
function comparison(test: string, ignoreCase: boolean): ((value: string) => boolean) | 'subrequest' | undefined {
  // httpd reads an operator without an operand as a pattern.
  const [, name = '', wanted = ''] = /^-(eq|ge|gt|le|lt|ne)(.+)$/s.exec(test) ?? []
  const compare = NUMERIC[name]
  if (compare !== undefined) return value => compare(value, wanted)
  if (/^-[FU]$/.test(test)) return 'subrequest'
  const [, letter = ''] = /^-(\w)$/.exec(test) ?? []
  if (Object.hasOwn(FILE_TESTS, letter)) return FILE_TESTS[letter]
  const lexical = /^(<=|>=|=|<|>)(.*)$/s.exec(test)
  if (lexical === null || test.length === 1) return undefined
  const [, sign, text = ''] = lexical
  const order = lexicalOrder(sign === '=' && text === '""' ? '' : text, ignoreCase)
  if (sign === '=') return value => order(value) === 0
  if (sign === '<') return value => order(value) < 0
  if (sign === '>') return value => order(value) > 0
  if (sign === '<=') return value => order(value) <= 0
  return value => order(value) >= 0
}

/** Compares with a text. As in httpd, the shorter of two texts is the smaller one, unless case is ignored. */
function lexicalOrder(wanted: string, ignoreCase: boolean): (value: string) => number {
  const fold = (text: string): string => (ignoreCase ? text.toLowerCase() : text)
  const other = fold(wanted)
  return value => {
    const own = fold(value)
    if (!ignoreCase && own.length !== other.length) return own.length - other.length
    return own < other ? -1 : own > other ? 1 : 0
  }
}
