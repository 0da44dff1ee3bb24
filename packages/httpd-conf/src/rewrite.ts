import { type IncomingMessage, STATUS_CODES } from 'node:http'
import type { Captures, Condition, LocalAnswer } from '@ws-tunnel/core'
import type { Place, Report } from './diagnostics.ts'
import { fieldOf } from './environment.ts'
import { atoi } from './parameters.ts'
import { redirect, variablesIn } from './redirect.ts'
import { compileRegex, translateRegex } from './regex.ts'
import { Words } from './words.ts'

/** A RewriteCond that was read and waits for its RewriteRule. */
export interface RewriteCondition {
  readonly condition: Condition
  /** `[OR]`: it is joined with the next one. */
  readonly or: boolean
  /** `%1` of it can be told: of a pattern on a header, the path or the query. */
  readonly captures: boolean
  readonly negated: boolean
}

/** A RewriteRule that ends the rewriting: with `[P]`, `[F]`, `[G]` or `[R]`. */
export interface RewriteRule {
  readonly name: string
  readonly place: Place
  readonly path: RegExp
  readonly when: readonly Condition[]
  /** The substitution, `forbidden`, or an answer. */
  readonly target: string | { forbidden: true } | ((req: IncomingMessage, captures: Captures) => LocalAnswer)
  /** How its query and the request's meet. */
  readonly query: 'append' | 'replace' | 'drop'
  /** `$1` stand for groups. */
  readonly captures: boolean
}

/** httpd's names of header fields. */
const FIELDS: Record<string, string> = {
  HTTP_HOST: 'host',
  HTTP_COOKIE: 'cookie',
  HTTP_REFERER: 'referer',
  HTTP_USER_AGENT: 'user-agent',
  HTTP_ACCEPT: 'accept',
  HTTP_FORWARDED: 'forwarded',
  HTTP_PROXY_CONNECTION: 'proxy-connection',
}

/** Parts of the URL, which conditions of the core look at. */
const PARTS: Record<string, 'path' | 'query'> = { REQUEST_URI: 'path', QUERY_STRING: 'query' }

const isTls = (req: IncomingMessage): boolean => 'encrypted' in req.socket

const VARIABLES: Record<string, (req: IncomingMessage) => string> = {
  REQUEST_METHOD: req => req.method ?? '',
  QUERY_STRING: req => /\?(.*)$/s.exec(req.url ?? '')?.[1] ?? '',
  THE_REQUEST: req => `${req.method} ${req.url} HTTP/${req.httpVersion}`,
  SERVER_PROTOCOL: req => `HTTP/${req.httpVersion}`,
  REQUEST_SCHEME: req => (isTls(req) ? 'https' : 'http'),
  HTTPS: req => (isTls(req) ? 'on' : 'off'),
  SERVER_PORT: req => /:(\d+)$/.exec(fieldOf(req, 'host') ?? '')?.[1] ?? (isTls(req) ? '443' : '80'),
  REMOTE_ADDR: req => (req.socket.remoteAddress ?? '').replace(/^::ffff:(?=\d+\.)/i, ''),
  REMOTE_PORT: req => String(req.socket.remotePort ?? ''),
  SERVER_ADDR: req => (req.socket.localAddress ?? '').replace(/^::ffff:(?=\d+\.)/i, ''),
}

/** Flags in brackets, lower-case; `undefined` where the brackets are wrong. */
function readFlags(text: string): string[] | undefined {
  if (text === '') return []
  const inner = /^\[(.*)\]$/s.exec(text)?.[1]
  return inner?.split(',').map(flag => flag.trim().toLowerCase())
}

/** httpd: cmd_rewritecond. */
export function readCondition(name: string, args: string, place: Place, report: Report): RewriteCondition | undefined {
  const fail = (message: string): undefined => {
    report.error(place, name, message, { httpd: message })
    return undefined
  }
  const refuse = (message: string, at: string): undefined => {
    report.refuse(place, name, message, { at })
    return undefined
  }
  const words = new Words(args)
  const subject = words.next()
  const test = words.next()
  if (subject === '' || test === '') return fail(`RewriteCond: bad argument line '${args}'`)
  const flagText = words.done ? '' : words.next()
  const flags = readFlags(flagText)
  if (flags === undefined) return fail('RewriteCond: bad flag delimiters')
  const unknown = flags.find(flag => !['nc', 'nocase', 'or', 'ornext', 'nv', 'novary', ''].includes(flag))
  if (unknown !== undefined) return fail(`RewriteCond: unknown flag '${unknown.toUpperCase()}'`)
  const ignoreCase = flags.includes('nc') || flags.includes('nocase')
  const or = flags.includes('or') || flags.includes('ornext')

  const variable = /^%\{([^}]*)\}$/.exec(subject)?.[1]
  if (variable === undefined) return refuse('a test of anything but one variable is not honoured', subject)
  const field = /^HTTP:(.+)$/i.exec(variable)?.[1] ?? FIELDS[variable.toUpperCase()]
  const part = PARTS[variable.toUpperCase()]
  const value =
    field === undefined ? VARIABLES[variable.toUpperCase()] : (req: IncomingMessage) => fieldOf(req, field) ?? ''
  if (value === undefined && part !== 'path') return refuse(`the variable %{${variable}} is not honoured`, variable)

  const negated = test.startsWith('!')
  const body = negated ? test.slice(1) : test
  const compared = comparison(body, ignoreCase)
  if (compared === 'file') return refuse('tests of files and of subrequests are not honoured', test)
  if (compared !== undefined) {
    if (value === undefined) return refuse('REQUEST_URI is honoured with a pattern', test)
    return { condition: { test: req => compared(value(req)) !== negated }, or, captures: false, negated }
  }
  const pattern = compileRegex(body, ignoreCase)
  if (typeof pattern === 'string') {
    report.error(place, name, pattern, { httpd: `RewriteCond: cannot compile regular expression '${body}'`, at: test })
    return undefined
  }
  if (part !== undefined) {
    const condition = negated ? { url: part, not: pattern } : { url: part, matches: pattern }
    return { condition, or, captures: true, negated }
  }
  if (field === undefined && value !== undefined)
    return { condition: { test: req => pattern.test(value(req)) !== negated }, or, captures: false, negated }
  const header = field as string
  return {
    condition: negated ? { header, not: pattern } : { header, matches: pattern },
    or,
    captures: true,
    negated,
  }
}

/** A comparison instead of a pattern; `file` for what asks the file system. httpd: compare_lexicography and apply_rewrite_cond. */
function comparison(test: string, ignoreCase: boolean): ((value: string) => boolean) | 'file' | undefined {
  const numeric = /^-(eq|ge|gt|le|lt|ne) *(.*)$/is.exec(test)
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
    const compare = by[(numeric[1] as string).toLowerCase()] as (a: number) => boolean
    return value => compare(atoi(value))
  }
  if (/^-[dflLshxFU]$/.test(test)) return 'file'
  const lexical = /^(<=|>=|=|<|>)(.*)$/s.exec(test)
  if (lexical === null) return undefined
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

/** Flags that change nothing here, and those that end the rewriting, which every rule we take does anyway. */
const HARMLESS = new Set([
  'p',
  'proxy',
  'l',
  'last',
  'end',
  'nc',
  'nocase',
  'f',
  'forbidden',
  'ns',
  'nosubreq',
  'dpi',
  'discardpath',
  'qsa',
  'qsappend',
  'qsd',
  'qsdiscard',
  'g',
  'gone',
  'unsafeprefixstat',
  'unc',
  '',
])

const KNOWN =
  /^(?:b|bnp|backrefnoplus|bne|bctls|c|chain|co|cookie|dpi|discardpath|e|env|end|f|forbidden|g|gone|h|handler|l|last|n|next|nc|nocase|ne|noescape|ns|nosubreq|p|proxy|pt|passthrough|qsa|qsappend|qsd|qsdiscard|qsl|qslast|r|redirect|s|skip|t|type|unsafeallow3f|unsafeprefixstat|unc)(?:=|$)/

/**
 * Reads a RewriteRule. Taken are those after which nothing is left to rewrite: `[P]` with a URL, `[F]`, `[G]`, and `[R]` with
 * `[L]` or another status than a redirect; any other changes what later rules and lines see, and is refused.
 */
export function readRule(
  name: string,
  args: string,
  place: Place,
  conditions: readonly RewriteCondition[],
  report: Report,
): RewriteRule | undefined {
  const fail = (message: string): undefined => {
    report.error(place, name, message, { httpd: message })
    return undefined
  }
  const refuse = (message: string, at?: string): undefined => {
    report.refuse(place, name, message, at === undefined ? {} : { at })
    return undefined
  }
  const words = new Words(args)
  const pattern = words.next()
  const substitution = words.next()
  if (pattern === '' || substitution === '') return fail(`RewriteRule: bad argument line '${args}'`)
  const flags = readFlags(words.done ? '' : words.next())
  if (flags === undefined) return fail('RewriteRule: bad flag delimiters')
  const unknown = flags.find(flag => flag !== '' && !KNOWN.test(flag))
  if (unknown !== undefined) return fail(`RewriteRule: unknown flag '${unknown.toUpperCase()}'`)
  const redirecting = flags.find(flag => /^(?:r|redirect)(?:=|$)/.test(flag))
  const escapes = new Set(redirecting === undefined ? [] : [redirecting, 'ne', 'noescape'])
  const odd = flags.find(flag => !HARMLESS.has(flag) && !escapes.has(flag))
  if (odd !== undefined) return refuse(`the flag ${odd.toUpperCase()} is not honoured`, odd.toUpperCase())
  const has = (...names: string[]): boolean => names.some(flag => flags.includes(flag))

  const negated = pattern.startsWith('!')
  const translated = translateRegex(negated ? pattern.slice(1) : pattern, has('nc', 'nocase'))
  if ('problem' in translated) {
    report.error(place, name, translated.problem, {
      httpd: `RewriteRule: cannot compile regular expression '${pattern}'`,
      at: pattern,
    })
    return undefined
  }
  // The empty group keeps the path from being put behind a substitution without captures, as ProxyPassMatch does.
  const source = negated ? `^(?!.*?(?:${translated.source}))(?<rest>)` : `(?:${translated.source})(?<rest>)`
  const path = new RegExp(source, translated.flags)
  const when = group(conditions)
  const end = { name, place, path, when, captures: false, query: 'append' } as const
  if (has('f', 'forbidden')) return { ...end, target: { forbidden: true } }
  if (has('g', 'gone')) return { ...end, target: () => ({ status: 410 }) }
  const untold = (): boolean => {
    const last = conditions.findLast(condition => !condition.negated)
    return /%\d/.test(substitution) && (last === undefined || !last.captures || conditions.some(({ or }) => or))
  }
  if (redirecting !== undefined) {
    const status = statusOf(redirecting)
    if (status === undefined) return refuse('this status is not honoured', redirecting.toUpperCase())
    if (status >= 400) return { ...end, target: () => ({ status }) }
    if (!has('l', 'last', 'end'))
      return refuse('R without L lets later rules change where it leads, which is not honoured', substitution)
    if (has('p', 'proxy')) return refuse('R together with P is not honoured', substitution)
    if (!/^(?:\/|https?:\/\/)/i.test(substitution))
      return refuse('R needs an http: or https: URL, or a path that begins with a slash', substitution)
    const unknownVariable = variablesIn(substitution).find(variable => readerOf(variable) === undefined)
    if (unknownVariable !== undefined || substitution.includes('${'))
      return refuse('maps and this variable in a substitution are not honoured', substitution)
    if (untold()) return refuse(UNTOLD, substitution)
    const target = redirect({
      status,
      substitution: negated ? substitution.replace(/\$\d/g, '') : substitution,
      noEscape: has('ne', 'noescape'),
      query: { append: has('qsa', 'qsappend'), drop: has('qsd', 'qsdiscard') },
      variable: (variable, req, uri) => readerOf(variable)?.(req, uri) ?? '',
    })
    // Without the empty group the rest is the whole path, for %{REQUEST_URI}.
    const whole = new RegExp(negated ? `^(?!.*?(?:${translated.source}))` : translated.source, translated.flags)
    return { ...end, path: whole, target }
  }
  if (!has('p', 'proxy'))
    return refuse(
      'a rule without [P], [F], [G] or [R] changes what later lines see, which is not honoured',
      substitution,
    )
  if (/%\{|\$\{/.test(substitution))
    return refuse('variables and maps in a substitution are not honoured', substitution)
  if (!/^(?:unix:[^|]+\|)?(?:wss?|https?):\/\//i.test(substitution)) {
    return refuse('[P] needs a ws:, wss:, http: or https: URL', substitution)
  }
  const query = has('qsd', 'qsdiscard') ? 'drop' : has('qsa', 'qsappend') ? 'append' : 'replace'
  if (/%[2-9][0-9a-f]/i.test(substitution)) {
    return refuse('"%" and two digits are a capture and a digit in httpd, and would be an escape here', substitution)
  }
  if (untold()) return refuse(UNTOLD, substitution)
  const target = negated ? substitution.replace(/\$\d/g, '') : substitution
  return { name, place, path, when, target, captures: true, query }
}

const UNTOLD = '%1 is honoured where the last condition is the pattern of a header, the path or the query, without [OR]'

/** A variable of a substitution; `undefined` for one that is not known. */
function readerOf(name: string): ((req: IncomingMessage, path: string) => string) | undefined {
  const upper = name.toUpperCase()
  if (upper === 'REQUEST_URI') return (_, path) => path
  const field = /^HTTP:(.+)$/i.exec(name)?.[1] ?? FIELDS[upper]
  return field === undefined ? VARIABLES[upper] : req => fieldOf(req, field) ?? ''
}

/** The status of `R`, `R=301`, `R=permanent` ... httpd: cmd_rewriterule_setflag. */
function statusOf(flag: string): number | undefined {
  const named: Record<string, number> = { permanent: 301, temp: 302, seeother: 303 }
  const value = /=(.*)$/s.exec(flag)?.[1] ?? 'temp'
  const status = named[value] ?? (/^\d{3}$/.test(value) ? Number(value) : 0)
  return status >= 300 && STATUS_CODES[status] !== undefined ? status : undefined
}

/** Conditions joined by [OR] as one. */
function group(conditions: readonly RewriteCondition[]): Condition[] {
  const list: Condition[] = []
  let any: Condition[] = []
  for (const { condition, or } of conditions) {
    any.push(condition)
    if (or && condition !== conditions.at(-1)?.condition) continue
    list.push(any.length === 1 ? (any[0] as Condition) : { any })
    any = []
  }
  return list
}
