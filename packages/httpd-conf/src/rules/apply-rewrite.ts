import type { IncomingMessage } from 'node:http'
import { WsTunnelError } from '@ws-tunnel/core'
import type { Place } from '../diagnostics.ts'
import type { Environment } from './environment.ts'
import { type BackrefEscaping, bytesOf, canonicalPath, escapePath, textOf } from './escapes.ts'
import type { Backrefs, Expansion } from './expansion.ts'
import { afterAuthentication } from './remote-user.ts'
import { isTls, ownOrigin } from './request.ts'
import type { RewriteState } from './rewrite-variables.ts'
import { addCookie } from './rule-cookies.ts'

/** One RewriteCond. */
export interface RewriteCondition {
  /** The text that is tested. */
  readonly subject: Expansion
  /** The groups if the condition holds, else `null`. `!` is applied already. */
  readonly test: (text: string, state: RewriteState) => readonly (string | undefined)[] | null
  /** Whether the groups become `%1` to `%9`: a pattern without `!`. */
  readonly captures: boolean
  /** `[OR]` */
  readonly or: boolean
}

/** One RewriteRule. */
export interface RewriteRule {
  readonly name: string
  readonly place: Place
  readonly pattern: RegExp
  readonly negated: boolean
  readonly conditions: readonly RewriteCondition[]
  /** Whether a host and a port are those of the server that the rule belongs to. */
  readonly isOwn: (host: string, port: number, req: IncomingMessage) => boolean
  /** `undefined` for `-`. */
  readonly substitution: Expansion | undefined
  /** Whether leading slashes stay: the substitution begins with two slashes, or `[UNC]` is set. */
  readonly keepsSlashes: boolean
  /** Scheme, host and port of the backend of a rule with `[P]`. */
  readonly origin: string | undefined
  /** The status of `[F]`, `[G]`, `[R=503]`, which end the rewriting. */
  readonly status: number | undefined
  /** The status of `[R]`. */
  readonly redirect: number | undefined
  readonly query: {
    /** `[QSA]` */
    readonly append: boolean
    /** `[QSD]` */
    readonly discard: boolean
    /** `[QSL]` */
    readonly last: boolean
    /** The substitution ends in `?`. */
    readonly none: boolean
  }
  /** `[NE]` */
  readonly noEscape: boolean
  /** `[PT]` */
  readonly passThrough: boolean
  /** `[L]`, `[END]` or `[P]` */
  readonly last: boolean
  /** `[CO]`: the cookies that the response sets. */
  readonly cookies: readonly Expansion[]
  /** `[END]`: no rules run after it, in sections either. */
  readonly end: boolean
  /** `[C]` */
  readonly chain: boolean
  /** `[S]` */
  readonly skip: number
  /** `[N]`: how often the rules may start again. */
  readonly rounds: number | undefined
  /** `[E]` */
  readonly environment: readonly Expansion[]
  /** Those of `[E]` that name the user. They are set again when the user is known. */
  readonly ofUser: readonly Expansion[]
  /** `[B]` */
  readonly escaping: BackrefEscaping | undefined
  /** `[UnsafeAllow3F]` */
  readonly allowsMark: boolean
}

/** The result of the rules for a request. */
export type RewriteOutcome = { readonly env: Environment } & (
  | { readonly kind: 'unchanged' }
  /** `[PT]`: the ProxyPass lines see the rewritten path. */
  | { readonly kind: 'passed'; readonly path: string; readonly query: string }
  /** `[P]` */
  | {
      readonly kind: 'proxied'
      readonly rule: RewriteRule
      readonly path: string
      readonly query: string
      /** The URL of the backend as the rules of sections see it: with the query if the rule has `[NE]`. */
      readonly url: string
    }
  /** `[R]`, `[F]`, `[G]` */
  | { readonly kind: 'responded'; readonly rule: RewriteRule; readonly status: number; readonly location?: string }
  /** A file, which httpd would serve. The app handles the request. */
  | { readonly kind: 'file'; readonly path: string; readonly query: string }
) & {
    /** Whether `[END]` ended the rules. */
    readonly end?: boolean
  }

/** The section that rules belong to. */
export interface RuleSection {
  /** The path of the section with a final slash. It is removed before a pattern is matched, and put before a relative result. */
  readonly directory: string
  /** Whether the file name is the URL of a backend, because a ProxyPass line matched. Nothing is removed from it then. */
  readonly proxied: boolean
  /** Whether that line has nocanon. The URL of a rule with `[P]` is not canonical then, either. httpd: proxy_http_canon. */
  readonly nocanon: boolean | undefined
  /** The file name that the rules begin with. */
  readonly filename: string
}

/** The longest path that rules may make: twice the default of LimitRequestLine. */
const MAX_LENGTH = 16_380
/** The longest query or variable that rules may make. One that doubles in each round would soon fill the memory. */
const MAX_TEXT = 65_536

/** Absolute URLs. In those of the second kind a `?` does not begin a query. httpd: is_absolute_uri. */
const ABSOLUTE = /^(?:(?:ajp|balancer|fcgi|https?|h2c?|scgi|wss?):\/\/|mailto:|unix:)/i
const ABSOLUTE_WITHOUT_QUERY = /^(?:(?:ftp|gopher|ldap|nntp):\/\/|news:)/i

const isAbsolute = (text: string): boolean =>
  text.length > 5 && (ABSOLUTE.test(text) || ABSOLUTE_WITHOUT_QUERY.test(text))

const forbidden = (detail: string): WsTunnelError => new WsTunnelError('WST_ERR_FORBIDDEN_TARGET', { detail })

/** A request before the rules. */
export interface RewriteInput {
  readonly req: IncomingMessage
  /** The decoded path. */
  readonly path: string
  /** The query with its `?`, or `''`. */
  readonly query: string
  readonly env: Environment
}

/** Gets a text about each rule, for explanations. */
export type Note = (rule: RewriteRule, text: string) => void

/**
 * Applies the rules of a server to one request. httpd: apply_rewrite_list, hook_uri2file.
 *
 * @throws {WsTunnelError} 403 for a result that httpd refuses, 500 for rules that loop.
 */
export function applyRules(
  rules: readonly RewriteRule[],
  { req, path, query, env }: RewriteInput,
  keepsEncodedSlashes: boolean,
  note: Note = () => {},
  section?: RuleSection,
): RewriteOutcome {
  const args = query === '' ? undefined : query.slice(1)
  const state: RewriteState = { req, uri: path, filename: section?.filename ?? path, args, env }
  let changed: 'escape' | 'verbatim' | undefined
  let passed = false
  let status: { code: number; rule: RewriteRule } | undefined
  let proxied: RewriteRule | undefined
  let rounds = 1
  let end = false
  for (let i = 0; i < rules.length; i++) {
    const rule = rules[i] as RewriteRule
    const backrefs = matches(rule, keepsEncodedSlashes ? withPercentSigns(rule, state) : state, note, section)
    if (backrefs === undefined) {
      while (rules[i]?.chain) i++
      continue
    }
    const redirected = apply(rule, state, backrefs, section)
    note(rule, rule.status === undefined ? effectOf(rule, state) : `responds with ${rule.status}`)
    if (redirected !== undefined) status = { code: redirected, rule }
    if (state.filename.length > MAX_LENGTH) throw endless(rule, `makes a path of more than ${MAX_LENGTH} characters`)
    if (isHuge(state)) throw endless(rule, `makes a query or variable of more than ${MAX_TEXT} characters`)
    if (rule.status !== undefined) {
      checkQuery(state)
      return { kind: 'responded', env, rule, status: rule.status }
    }
    if (rule.substitution !== undefined) {
      changed = rule.noEscape ? 'verbatim' : 'escape'
      if (rule.origin !== undefined) proxied = rule
    }
    if (rule.passThrough) {
      changed = 'escape'
      passed = true
    }
    if (rule.passThrough || rule.last) {
      end = rule.end
      break
    }
    if (rule.rounds !== undefined) {
      if (++rounds >= rule.rounds) throw endless(rule, `starts more than ${rule.rounds} rounds`)
      i = -1
    } else i += rule.skip
  }
  if (changed === undefined) return { kind: 'unchanged', env, end }
  const verbatim = changed === 'verbatim'
  const away = !passed && proxied === undefined && isAbsolute(state.filename)
  if (!away || verbatim) checkQuery(state)
  if (passed) return { kind: 'passed', env, end, path: state.filename, query: queryOf(state) }
  if (proxied !== undefined) {
    const target = targetOf(proxied, state, verbatim || section?.nocanon === true, keepsEncodedSlashes)
    const url = verbatim ? state.filename + textOf(queryOf(state)) : state.filename
    return { kind: 'proxied', env, end, rule: proxied, path: target, query: queryOf(state), url }
  }
  if (away) {
    const code = status !== undefined && status.code >= 300 && status.code < 400 ? status.code : 302
    const rule = status?.rule ?? (rules[0] as RewriteRule)
    return { kind: 'responded', env, rule, status: code, location: locationOf(state, args, verbatim) }
  }
  return { kind: 'file', env, end, path: state.filename, query: queryOf(state) }
}

/**
 * `%25` stays in the path beside kept slashes, so that `%252F` does not become `%2F`. A rule that makes no path sees the
 * character, as in httpd: a rule with `[F]` must not miss it.
 */
const withPercentSigns = (rule: RewriteRule, state: RewriteState): RewriteState =>
  rule.substitution === undefined && state.filename.includes('%25')
    ? { ...state, uri: state.uri.replaceAll('%25', '%'), filename: state.filename.replaceAll('%25', '%') }
    : state

const queryOf = ({ args }: RewriteState): string => (args === undefined ? '' : `?${args}`)

const effectOf = (rule: RewriteRule, { filename, args }: RewriteState): string =>
  rule.substitution === undefined ? 'matches' : `rewrites to ${filename}${args === undefined ? '' : `?${args}`}`

const isHuge = ({ args, env }: RewriteState): boolean =>
  (args?.length ?? 0) > MAX_TEXT || [...env.values()].some(value => value.length > MAX_TEXT)

const endless = (rule: RewriteRule, what: string): WsTunnelError =>
  new WsTunnelError('WST_ERR_CALLBACK', { detail: `RewriteRule in line ${rule.place.line} ${what}` })

/**
 * Tests the pattern first, then the conditions. A condition that holds skips the rest of its `[OR]` chain. httpd:
 * apply_rewrite_rule.
 *
 * @returns the groups; `undefined` if the rule does not match.
 */
function matches(rule: RewriteRule, state: RewriteState, note: Note, section?: RuleSection): Backrefs | undefined {
  const isInside = section?.proxied === false && state.filename.startsWith(section.directory)
  const groups = rule.pattern.exec(isInside ? state.filename.slice(section.directory.length) : state.filename)
  if ((groups === null) !== rule.negated) {
    note(rule, `the pattern ${rule.negated ? 'matches' : 'does not match'} ${state.filename}`)
    return undefined
  }
  const backrefs: Backrefs = { rule: groups ?? [], condition: [] }
  const { conditions } = rule
  for (let i = 0; i < conditions.length; i++) {
    const { subject, test, captures, or } = conditions[i] as RewriteCondition
    const found = test(subject.expand(state, backrefs).text, state)
    if (found !== null && captures) backrefs.condition = found
    if (found === null && !or) {
      note(rule, `condition ${i + 1} does not hold`)
      return undefined
    }
    if (found !== null) while (conditions[i]?.or) i++
  }
  return backrefs
}

/** Applies a rule that matches. @returns the status, if the rule redirects. */
function apply(
  rule: RewriteRule,
  state: RewriteState,
  backrefs: Backrefs,
  section: RuleSection | undefined,
): number | undefined {
  const { substitution, escaping, query } = rule
  const made = substitution?.expand(state, backrefs, escaping, query.last)
  if (made !== undefined && !made.markIsWritten && !rule.allowsMark)
    throw forbidden(`a "?" in a back reference of the RewriteRule in line ${rule.place.line}`)
  const set = (setting: Expansion): void => setVariable(state.env, setting.expand(state, backrefs).text)
  rule.environment.forEach(set)
  if (rule.ofUser.length > 0) afterAuthentication(state.req, () => rule.ofUser.forEach(set))
  for (const cookie of rule.cookies) addCookie(state.req, cookie.expand(state, backrefs).text)
  if (made === undefined) return undefined
  const rooted = made.text.startsWith('/') || isAbsolute(made.text)
  const prefixed = !rooted && rule.origin === undefined && (section !== undefined || rule.redirect === undefined)
  const base = section === undefined ? '/' : section.proxied ? '' : section.directory
  state.filename = prefixed ? `${base}${made.text}` : made.text
  splitQuery(state, rule)
  if (rule.origin !== undefined) return undefined
  if (rule.redirect !== undefined) {
    if (!isAbsolute(state.filename)) {
      state.filename = `${ownOrigin(state.req)}${state.filename.startsWith('/') ? '' : '/'}${state.filename}`
    }
    return rule.redirect
  }
  if (isAbsolute(state.filename)) {
    const own = reduced(state, rule)
    if (own === undefined) return 302
    state.filename = own
  }
  if (!rule.keepsSlashes && !prefixed) state.filename = state.filename.replace(/^\/+(?=\/)/, '')
  return undefined
}

/** A URL of the server itself without scheme, host and port; `undefined` for another URL. httpd: reduce_uri. */
function reduced({ filename, req }: RewriteState, { isOwn }: RewriteRule): string | undefined {
  const [origin = '', scheme = '', host = '', port] = /^(https?):\/\/([^/:]*)(?::(\d*))?/i.exec(filename) ?? []
  const isSecure = scheme.toLowerCase() === 'https'
  if (origin === '' || isSecure !== isTls(req)) return undefined
  if (!isOwn(host.toLowerCase(), Number(port || (isSecure ? 443 : 80)), req)) return undefined
  return filename.slice(origin.length) || '/'
}

/** `[E=name:value]` and `[E=!name]`. httpd: do_expand_env. */
function setVariable(env: Environment, text: string): void {
  const [, name = '', value = ''] = /^([^:]*):?(.*)$/s.exec(text) ?? []
  if (text.startsWith('!')) env.delete(text.slice(1))
  else env.set(name, value)
}

/** Moves the query of a substitution from the path into the arguments. httpd: splitout_queryargs. */
function splitQuery(state: RewriteState, { query: { append, discard, last, none } }: RewriteRule): void {
  if (none || ABSOLUTE_WITHOUT_QUERY.test(state.filename)) {
    state.args = undefined
    return
  }
  if (discard) state.args = undefined
  const mark = last ? state.filename.lastIndexOf('?') : state.filename.indexOf('?')
  if (mark === -1) return
  const added = bytesOf(state.filename.slice(mark + 1))
  state.filename = state.filename.slice(0, mark)
  if (!append) state.args = added
  else if (added !== '') state.args = `${added}&${state.args ?? ''}`
  state.args = state.args?.replace(/&$/, '') || undefined
}

function checkQuery({ args }: RewriteState): void {
  if (args !== undefined && /[\0-\x20\x7f]/.test(args))
    throw forbidden('a rewritten query contains a space or a control character')
}

/** The request target of a rule with [P]. httpd: proxy_http_canon. */
function targetOf(rule: RewriteRule, { filename, args }: RewriteState, verbatim: boolean, keeps: boolean): string {
  const rest = filename.slice((rule.origin as string).length)
  if (rest !== '' && !rest.startsWith('/')) throw forbidden('the rewritten path does not begin with a slash')
  const path = verbatim ? bytesOf(rest) : canonicalPath(rest, keeps)
  return `${path === '' ? '/' : path}${args === undefined ? '' : `?${args}`}`
}

/** The Location field of a redirect. */
function locationOf({ filename, args }: RewriteState, given: string | undefined, verbatim: boolean): string {
  const origin = /^[a-z][a-z0-9]*:(?:\/\/[^/]*)?/i.exec(filename)?.[0] ?? ''
  const path = filename.slice(origin.length)
  const place = verbatim ? bytesOf(filename) : bytesOf(origin) + escapePath(path)
  const query = args === undefined ? '' : `?${verbatim || args === given ? args : escapePath(textOf(args))}`
  if (/[\0-\x20\x7f]/.test(place + query))
    throw forbidden('a rewritten Location contains a space or a control character')
  return place + query
}
