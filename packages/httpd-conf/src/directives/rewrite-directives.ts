import { STATUS_CODES } from 'node:http'
import type { Place, Report } from '../diagnostics.ts'
import { compileRegex } from '../patterns/translate-regex.ts'
import type { RewriteCondition, RewriteRule } from '../rules/apply-rewrite.ts'
import { Expansion } from '../rules/expansion.ts'
import { readExpression } from '../rules/expression.ts'
import { rewriteArguments } from '../syntax/words.ts'
import { atoi } from './worker-parameters.ts'

type Flag = readonly [key: string, value: string | undefined]

/** Flags in brackets, keys in lower case; `undefined` where the brackets are wrong. httpd: cmd_parseflagfield. */
function readFlags(text: string | undefined): Flag[] | undefined {
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

/** A directive of mod_rewrite: how to say what is wrong with it. */
class Line {
  readonly #name: string
  readonly #place: Place
  readonly #report: Report

  constructor(name: string, place: Place, report: Report) {
    this.#name = name
    this.#place = place
    this.#report = report
  }

  /** httpd refuses it, too. */
  fail(message: string): undefined {
    this.#report.error(this.#place, this.#name, message, { httpd: message })
    return undefined
  }

  refuse(message: string, at?: string, expected?: string): undefined {
    this.#report.refuse(this.#place, this.#name, message, {
      ...(at !== undefined && { at }),
      ...(expected !== undefined && { expected }),
    })
    return undefined
  }

  warn(message: string, at: string): void {
    this.#report.warn(this.#place, this.#name, message, { at })
  }

  pattern(text: string, ignoreCase: boolean): RegExp | undefined {
    const compiled = compileRegex(text, ignoreCase)
    if (typeof compiled !== 'string') return compiled
    this.#report.error(this.#place, this.#name, compiled, {
      httpd: `${this.#name}: cannot compile regular expression '${text}'`,
      at: text,
    })
    return undefined
  }

  expansion(text: string): Expansion | undefined {
    const read = Expansion.read(text)
    if (read instanceof Expansion) return read
    const what = read.unknown.startsWith('$') ? 'maps are not honoured' : `the variable ${read.unknown} is not honoured`
    return this.refuse(what, read.unknown)
  }
}

/** httpd: cmd_rewritecond. */
export function readCondition(name: string, args: string, place: Place, report: Report): RewriteCondition | undefined {
  const line = new Line(name, place, report)
  const given = rewriteArguments(args)
  if (given === undefined) return line.fail(`RewriteCond: bad argument line '${args}'`)
  const [text, test, field] = given
  const flags = readFlags(field)
  if (flags === undefined) return line.fail('RewriteCond: bad flag delimiters')
  const has = (...names: string[]): boolean => flags.some(([key]) => names.includes(key))
  const unknown = flags.find(([key]) => !['nc', 'nocase', 'or', 'ornext', 'nv', 'novary'].includes(key))
  if (unknown !== undefined) return line.fail(`RewriteCond: unknown flag '${unknown[0].toUpperCase()}'`)
  if (text.toLowerCase() === 'expr') return readExpr(test, has('or', 'ornext'), line)

  const ignoreCase = has('nc', 'nocase')
  const subject = line.expansion(text)
  if (subject === undefined) return undefined
  const negated = test.startsWith('!')
  const body = negated ? test.slice(1) : test
  const or = has('or', 'ornext')
  const compared = comparison(body, ignoreCase)
  if (compared === 'file') return line.refuse('tests of files and of subrequests are not honoured', test)
  if (compared !== undefined) {
    return { subject, test: value => (compared(value) !== negated ? [] : null), captures: false, or }
  }
  const pattern = line.pattern(body, ignoreCase)
  if (pattern === undefined) return undefined
  if (negated) return { subject, test: value => (pattern.test(value) ? null : []), captures: false, or }
  return { subject, test: value => pattern.exec(value), captures: true, or }
}

function readExpr(text: string, or: boolean, line: Line): RewriteCondition | undefined {
  const negated = text.startsWith('!')
  const expression = readExpression(negated ? text.slice(1) : text)
  if ('problem' in expression) return line.refuse(expression.problem, text)
  const test: RewriteCondition['test'] = (_, state) => {
    const groups = expression(state)
    return negated ? (groups === null ? [] : null) : groups
  }
  return { subject: Expansion.none, test, captures: !negated, or }
}

/** A comparison instead of a pattern; `file` for what asks the file system. httpd: compare_lexicography and apply_rewrite_cond. */
function comparison(test: string, ignoreCase: boolean): ((value: string) => boolean) | 'file' | undefined {
  // httpd takes a sign without anything behind it for a pattern.
  const numeric = /^-(eq|ge|gt|le|lt|ne)(.+)$/s.exec(test)
  if (numeric !== null) {
    const wanted = atoi(numeric[2] as string)
    const by: Record<string, (a: number) => boolean> = {
      eq: a => a === wanted,
      ne: a => a !== wanted,
      ge: a => a >= wanted,
      gt: a => a > wanted,
      le: a => a <= wanted,
      lt: a => a < wanted,
    }
    const compare = by[numeric[1] as string] as (a: number) => boolean
    return value => compare(atoi(value))
  }
  if (/^-[dflLshxFU]$/.test(test)) return 'file'
  const lexical = /^(<=|>=|=|<|>)(.*)$/s.exec(test)
  if (lexical === null || test.length === 1) return undefined
  const [, sign, text = ''] = lexical
  const wanted = sign === '=' && text === '""' ? '' : text
  const fold = (value: string): string => (ignoreCase ? value.toLowerCase() : value)
  const order = (value: string): number => {
    const [a, b] = [fold(value), fold(wanted)]
    if (!ignoreCase && a.length !== b.length) return a.length - b.length
    return a < b ? -1 : a > b ? 1 : 0
  }
  if (sign === '=') return value => fold(value) === fold(wanted)
  if (sign === '<') return value => order(value) < 0
  if (sign === '>') return value => order(value) > 0
  if (sign === '<=') return value => order(value) <= 0
  return value => order(value) >= 0
}

/** The names of each flag, the one we know it by first. httpd: cmd_rewriterule_setflag. */
const NAMES = `b backrefescaping,bne,bnp backrefernoplus,bctls,c chain,co cookie,e env,l last end,f forbidden,g gone,h handler,
  n next,nc nocase,ne noescape,p proxy,pt passthrough,qsa qsappend,qsd qsdiscard,qsl qslast,r redirect,s skip,t type,
  unsafeallow3f,unc,none d dpi discardpath ns nosubreq unsafeprefixstat`

const FLAGS: ReadonlyMap<string, string> = new Map(
  NAMES.split(',').flatMap(names => {
    const [flag = '', ...others] = names.trim().split(' ')
    return [flag, ...others].map((name): [string, string] => [name, flag])
  }),
)

/** How often [N] may go back to the first rule; httpd's 32000 could keep the event loop for a second. */
const MAX_ROUNDS = 1_000

const ORIGIN = /^(?:unix:[^|]+\|)?(?:wss?|https?|balancer):\/\/[^/?]+/i

/** httpd: cmd_rewriterule. */
export function readRule(
  name: string,
  args: string,
  place: Place,
  conditions: readonly RewriteCondition[],
  report: Report,
): RewriteRule | undefined {
  const line = new Line(name, place, report)
  const words = rewriteArguments(args)
  if (words === undefined) return line.fail(`RewriteRule: bad argument line '${args}'`)
  const [pattern, written, field] = words
  const given = readFlags(field)
  if (given === undefined) return line.fail('RewriteRule: bad flag delimiters')
  const unknown = given.find(([key]) => !FLAGS.has(key))
  if (unknown !== undefined) return line.fail(`RewriteRule: unknown flag '${unknown[0].toUpperCase()}'`)
  const flags = new Map(given.map(([key, value]) => [FLAGS.get(key) as string, value]))
  for (const flag of ['co', 'h', 't']) {
    if (flags.has(flag)) return line.refuse(`the flag ${flag.toUpperCase()} is not honoured`, flag.toUpperCase())
  }
  const status = statusOf(flags, line)
  if (status === undefined) return undefined

  const negated = pattern.startsWith('!')
  const regex = line.pattern(negated ? pattern.slice(1) : pattern, flags.has('nc'))
  const none = written.endsWith('?') ? !flags.has('qsa') : flags.has('qsd') && !written.includes('?')
  const text = written.endsWith('?') && none ? written.slice(0, -1) : written
  const substitution = written === '-' || status.final !== undefined ? undefined : line.expansion(text)
  if (regex === undefined || (substitution === undefined && written !== '-' && status.final === undefined))
    return undefined
  const environment = given.flatMap(([key, value]) =>
    FLAGS.get(key) === 'e' ? (line.expansion(value ?? '') ?? []) : [],
  )
  const proxies = flags.has('p') && substitution !== undefined
  const origin = proxies ? ORIGIN.exec(substitution.literalStart)?.[0] : undefined
  if (proxies && (origin === undefined || /[$%]$/.test(origin)))
    return line.refuse('[P] needs a ws:, wss:, http:, https: or balancer: URL whose host and port are fixed', written)
  if (proxies && flags.has('pt')) return line.refuse('P together with PT is not honoured', 'PT')
  if (!proxies && substitution !== undefined && status.redirect === undefined && leadsHome(text)) {
    return line.refuse(
      'httpd takes its own name off such a URL; here it would be a redirect',
      written,
      'a path, or the flag R',
    )
  }
  const rounds = flags.has('n') ? atoi(flags.get('n') ?? String(MAX_ROUNDS)) : undefined
  if (rounds !== undefined && rounds > MAX_ROUNDS)
    line.warn(`not more than ${MAX_ROUNDS} rounds are made`, `N=${rounds}`)
  return {
    name,
    place,
    pattern: regex,
    negated,
    conditions,
    substitution,
    keepsSlashes: flags.has('unc') || text.startsWith('//'),
    origin,
    status: status.final,
    redirect: status.redirect,
    query: {
      append: flags.has('qsa'),
      discard: flags.has('qsd'),
      last: flags.has('qsl') || (written.endsWith('?') && flags.has('qsa')),
      none,
    },
    noEscape: flags.has('ne'),
    passThrough: flags.has('pt'),
    last: flags.has('l') || flags.has('p'),
    chain: flags.has('c'),
    skip: Math.max(0, atoi(flags.get('s') ?? '0')),
    rounds: rounds === undefined ? undefined : Math.min(rounds, MAX_ROUNDS),
    environment,
    escaping:
      flags.has('b') || flags.has('bctls')
        ? {
            only: flags.get('b') || undefined,
            except: flags.get('bne') ?? '',
            noPlus: flags.has('bnp'),
            controls: flags.has('bctls'),
          }
        : undefined,
    allowsMark: flags.has('unsafeallow3f'),
  }
}

/** httpd: reduce_uri. */
const leadsHome = (substitution: string): boolean =>
  /^(?:https?|%\{REQUEST_SCHEME\}):\/\/%\{(?:HTTP_HOST|SERVER_NAME|HTTP:Host)\}/i.test(substitution)

/** Statuses that Node has a word for. */
const UNKNOWN_TO_HTTPD = [418, 509]

/** What [F], [G] and [R] answer: for good, or where nothing later changes the target. */
function statusOf(
  flags: ReadonlyMap<string, string | undefined>,
  line: Line,
): { final: number | undefined; redirect: number | undefined } | undefined {
  if (flags.has('f')) return { final: 403, redirect: undefined }
  if (flags.has('g')) return { final: 410, redirect: undefined }
  if (!flags.has('r')) return { final: undefined, redirect: undefined }
  const value = flags.get('r') ?? ''
  const named: Record<string, number> = { '': 302, permanent: 301, temp: 302, seeother: 303 }
  const status = named[value.toLowerCase()] ?? (/^\d/.test(value) ? atoi(value) : 302)
  if (STATUS_CODES[status] === undefined || UNKNOWN_TO_HTTPD.includes(status))
    return line.fail(`RewriteRule: invalid HTTP response code '${value}' for flag 'R'`)
  if (status < 300) return line.refuse('this status is not honoured', value)
  return status < 400 ? { final: undefined, redirect: status } : { final: status, redirect: undefined }
}
