import type { IncomingMessage } from 'node:http'
import { requestField } from '@ws-tunnel/core'
import type { Place, Report } from './diagnostics.ts'
import { compileRegex, literal } from './regex.ts'
import { Words } from './words.ts'

/** Environment variables of one request. */
export type Environment = Map<string, string>

/** One SetEnvIf line. */
export interface EnvRule {
  /** What is looked at. */
  readonly subject: (req: IncomingMessage, env: Environment) => string
  readonly pattern: RegExp
  /** `$1` in a value stands for a group. */
  readonly substitutes: boolean
  /** Variable -> value; `undefined` unsets it. */
  readonly sets: readonly (readonly [name: string, value: string | undefined])[]
}

/** All lines of a header field as httpd joins them; `undefined` without any. What the app has changed in `req.headers` counts. */
export const fieldOf = requestField

/** The path as the client wrote it: at the time of SetEnvIf nothing is decoded yet. */
const rawPath = (req: IncomingMessage): string =>
  (req.url ?? '/').replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '').replace(/\?.*$/s, '') || '/'

const address = (text: string | undefined): string => (text ?? '').replace(/^::ffff:(?=\d+\.)/i, '')

const SPECIAL: Record<string, (req: IncomingMessage) => string> = {
  remote_addr: req => address(req.socket.remoteAddress),
  server_addr: req => address(req.socket.localAddress),
  request_uri: rawPath,
  request_method: req => req.method ?? '',
  request_protocol: req => `HTTP/${req.httpVersion}`,
}

/** `$0`-`$9` and backslashes of a value. httpd: ap_pregsub. */
export function substitute(value: string, groups: readonly (string | undefined)[]): string {
  return value.replace(/\$(\d)|\\(.)/gs, (_, group: string | undefined, char: string | undefined) =>
    group === undefined ? (char as string) : (groups[Number(group)] ?? ''),
  )
}

/**
 * Reads SetEnvIf and SetEnvIfNoCase. httpd: add_setenvif_core.
 *
 * @param inSection in a section the path is decoded already, which a request listener cannot see.
 */
export function readEnvRule(
  name: string,
  args: string,
  place: Place,
  report: Report,
  inSection: boolean,
): EnvRule | undefined {
  const fail = (message: string, httpd = message): undefined => {
    report.error(place, name, message, { httpd })
    return undefined
  }
  const words = new Words(args)
  const ignoreCase = name.toLowerCase() === 'setenvifnocase'
  const attribute = words.next()
  if (attribute === '') return fail(`Missing header-field name for ${name}`)
  const pattern = words.next()
  if (pattern === '') return fail(`Missing regular expression for ${name}`)
  const sets: [string, string | undefined][] = []
  while (!words.done) {
    const word = words.next()
    const equals = word.indexOf('=')
    const value = equals === -1 ? '' : word.slice(equals + 1)
    const variable = equals === -1 ? word : word.slice(0, equals)
    if (value !== '') sets.push([variable, value === '!' ? undefined : value])
    else if (variable.startsWith('!')) sets.push([variable.slice(1), undefined])
    else sets.push([variable, '1'])
  }
  if (sets.length === 0) return fail(`Missing envariable expression for ${name}`)
  const plain = plainPattern(pattern)
  const compiled = compileRegex(plain === undefined ? pattern : literal(plain), ignoreCase)
  if (typeof compiled === 'string') {
    return fail(compiled, `${name} regex could not be compiled.`)
  }
  const subject = readSubject(attribute, ignoreCase)
  if (typeof subject === 'string') return fail(subject, 'Header name regex could not be compiled.')
  if (/^remote_host$/i.test(attribute)) {
    report.refuse(place, name, 'Remote_Host needs a name look-up for every request', { at: attribute })
    return undefined
  }
  if (inSection && /^request_uri$/i.test(attribute)) {
    report.refuse(place, name, 'Request_URI is honoured outside sections only', { at: attribute })
    return undefined
  }
  return { subject, pattern: compiled, substitutes: plain === undefined, sets }
}

/** A pattern without any operator, its escapes taken away: found anywhere in the value. httpd: non_regex_pattern. */
function plainPattern(pattern: string): string | undefined {
  return /^(?:[^.^$|()[\]*+?{}\\]|\\[.^$|()[\]*+?{}\\])*$/.test(pattern) ? pattern.replace(/\\(.)/gs, '$1') : undefined
}

function readSubject(attribute: string, ignoreCase: boolean): EnvRule['subject'] | string {
  const special = SPECIAL[attribute.toLowerCase()]
  if (special !== undefined) return special
  if (/^[\w-]+$/.test(attribute)) return (req, env) => fieldOf(req, attribute) ?? env.get(attribute) ?? ''
  const names = compileRegex(attribute, ignoreCase)
  if (typeof names === 'string') return names
  return req => {
    let value = ''
    for (let i = 0; i + 1 < req.rawHeaders.length; i += 2) {
      const field = req.rawHeaders[i] as string
      if (names.test(field)) value = fieldOf(req, field) ?? ''
    }
    return value
  }
}

/** What is known of a request's environment before later rules run, and which rules made it. */
const known = new WeakMap<IncomingMessage, { env: Environment; rules: ReadonlySet<EnvRule> }>()

/** Runs the rules in their order, behind those whose outcome was kept. */
export function environmentOf(req: IncomingMessage, rules: readonly EnvRule[]): Environment {
  const before = known.get(req)
  const env: Environment = new Map(before?.env)
  for (const rule of rules) {
    if (before?.rules.has(rule)) continue
    const { subject, pattern, substitutes, sets } = rule
    const groups = pattern.exec(subject(req, env).slice(0, 65_536))
    if (groups === null) continue
    for (const [name, value] of sets) {
      if (value === undefined) env.delete(name)
      else env.set(name, substitutes ? substitute(value, groups) : value)
    }
  }
  return env
}

/** Keeps what mod_rewrite made of the environment for all who ask later. */
export function keepEnvironment(req: IncomingMessage, rules: readonly EnvRule[], env: Environment): void {
  known.set(req, { env, rules: new Set(rules) })
}
