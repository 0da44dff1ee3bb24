import type { IncomingMessage } from 'node:http'
import { plainAddress, protocolOf } from '@ws-tunnel/core'
import { compileRegex } from '../patterns/translate-regex.ts'
import { fieldLinesOf, fieldOf } from './request.ts'
import { pathOf, rawPath } from './request-path.ts'

/** Environment variables of one request. */
export type Environment = Map<string, string>

/** One SetEnvIf line. */
export interface EnvRule {
  /** The groups if the rule applies, else `null`. */
  readonly match: (req: IncomingMessage, env: Environment) => readonly (string | undefined)[] | null
  /** Whether `$1` in a value stands for a group of the pattern. */
  readonly substitutes: boolean
  /** Variables and their values; `undefined` unsets the variable. */
  readonly sets: readonly (readonly [name: string, value: string | undefined])[]
}

/** The text that the pattern of a rule is matched against. */
export type EnvSubject = (req: IncomingMessage, env: Environment) => string

/** In a section, the path is decoded. */
const decodedPath = (req: IncomingMessage): string => pathOf(req).path

/** A rule with a pattern. */
export const patternMatch =
  (subject: EnvSubject, pattern: RegExp): EnvRule['match'] =>
  (req, env) =>
    pattern.exec(subject(req, env).slice(0, MAX_SUBJECT))

const SPECIAL: Record<string, (req: IncomingMessage) => string> = {
  // Names of clients are not looked up, so that httpd sees the address.
  remote_host: req => plainAddress(req.socket.remoteAddress),
  remote_addr: req => plainAddress(req.socket.remoteAddress),
  server_addr: req => plainAddress(req.socket.localAddress),
  request_uri: rawPath,
  request_method: req => req.method ?? '',
  request_protocol: protocolOf,
}

/**
 * The longest text that a pattern is matched against. Header fields are shorter, because Node limits a head to 16 KiB
 * by default.
 */
const MAX_SUBJECT = 65_536

/**
 * What the first argument of SetEnvIf stands for: a special name, a header field, else a variable that an earlier rule
 * set. An argument that is not a field name is a pattern for field names. The last field that matches counts.
 *
 * @returns why the pattern is wrong, if it is.
 */
export function subjectOf(attribute: string, ignoreCase: boolean, inSection: boolean): EnvSubject | string {
  const special = inSection && /^request_uri$/i.test(attribute) ? decodedPath : SPECIAL[attribute.toLowerCase()]
  if (special !== undefined) return special
  if (/^[\w-]+$/.test(attribute)) return (req, env) => fieldOf(req, attribute) ?? env.get(attribute) ?? ''
  const names = compileRegex(attribute, ignoreCase)
  if (typeof names === 'string') return names
  return req => {
    let value = ''
    for (const [field] of fieldLinesOf(req)) if (names.test(field)) value = fieldOf(req, field) ?? ''
    return value
  }
}

/** Replaces `$0`-`$9` and backslash escapes in a value. httpd: ap_pregsub. */
export function substitute(value: string, groups: readonly (string | undefined)[]): string {
  return value.replace(/\$(\d)|\\(.)/gs, (_, group: string | undefined, char: string | undefined) =>
    group === undefined ? (char as string) : (groups[Number(group)] ?? ''),
  )
}

/** The environment of each request after mod_rewrite, with the SetEnvIf rules that ran before mod_rewrite. */
const known = new WeakMap<IncomingMessage, { env: Environment; rules: ReadonlySet<EnvRule> }>()

/** Runs the rules in their order, except those that ran before {@link keepEnvironment} was called. */
export function environmentOf(req: IncomingMessage, rules: readonly EnvRule[]): Environment {
  const before = known.get(req)
  const env: Environment = new Map(before?.env)
  for (const rule of rules) {
    if (before?.rules.has(rule)) continue
    const { match, substitutes, sets } = rule
    const groups = match(req, env)
    if (groups === null) continue
    for (const [name, value] of sets) {
      if (value === undefined) env.delete(name)
      else env.set(name, substitutes ? substitute(value, groups) : value)
    }
  }
  return env
}

/** Keeps the environment of a request after mod_rewrite, for later calls of {@link environmentOf}. */
export function keepEnvironment(req: IncomingMessage, rules: readonly EnvRule[], env: Environment): void {
  known.set(req, { env, rules: new Set(rules) })
}
