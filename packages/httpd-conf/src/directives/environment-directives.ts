import { literal } from '../patterns/edit-pattern.ts'
import { compileRegex } from '../patterns/translate-regex.ts'
import { type EnvRule, patternMatch, subjectOf } from '../rules/environment.ts'
import { readRequestExpression } from '../rules/request-expression.ts'
import { stateOf } from '../rules/request-state.ts'
import type { Directive } from '../syntax/parser.ts'
import { keyAndValue } from '../syntax/values.ts'
import { splitWords, Words } from '../syntax/words.ts'
import { type Context, type Handlers, isInServer } from './directive-kit.ts'

/** Directives of mod_setenvif and mod_env. */
export const ENVIRONMENT_DIRECTIVES: Handlers = {
  setenvif: setEnvIf,
  setenvifnocase: setEnvIf,
  browsermatch: setEnvIf,
  browsermatchnocase: setEnvIf,
  setenvifexpr: setEnvIf,
  passenv: (directive, context) => {
    for (const variable of splitWords(directive.args)) {
      checkVariable(variable, directive, context)
      const value = process.env[variable]
      if (value === undefined)
        context.report.warn(directive, `PassEnv variable ${variable} was undefined`, { at: variable })
      else context.scope.setEnv.set(variable, value)
    }
  },
  hostnamelookups: (directive, { report, server }) => {
    server.looksUpNames = !/^off$/i.test(directive.args.trim())
    report.ignore(directive, 'names of clients are looked up for Require host and Allow from alone')
  },
  setenv: (directive, context) => {
    const [variable = '', value = ''] = splitWords(directive.args)
    if (variable === '') {
      const message = 'SetEnv takes 1-2 arguments, an environment variable name and optional value to pass to CGI'
      context.report.fail(directive, message)
      return
    }
    checkVariable(variable, directive, context)
    context.scope.setEnv.set(variable, value)
  },
  unsetenv: (directive, { scope }) => {
    for (const variable of splitWords(directive.args)) scope.setEnv.delete(variable)
  },
}

const CHANGES_PROTOCOL =
  /^(?:force-proxy-request-1\.0|proxy-nohalfclose|proxy-interim-response|proxy-chain-auth|no-gzip-override)$/
/** Debian's httpd sets them for browsers of the nineties. They change the version of responses alone. */
const CHANGES_VERSION = /^(?:downgrade-1\.0|force-response-1\.0)$/
const TUNES_CONNECTIONS =
  /^proxy-(?:nokeepalive|initial-not-pooled|sendcl|sendchunked|sendchunks|sendunchangedcl|flushall)$/

/** Reports a variable that changes how httpd itself works. */
function checkVariable(variable: string, directive: Directive, { report }: Context): void {
  if (CHANGES_PROTOCOL.test(variable))
    report.refuse(directive, `the variable ${variable} is not supported`, { at: variable })
  else if (CHANGES_VERSION.test(variable))
    report.ignore(directive, `${variable} changes the version of responses, which is always 1.1`)
  else if (TUNES_CONNECTIONS.test(variable)) report.ignore(directive, `${variable} tunes connections that Node manages`)
}

function setEnvIf(directive: Directive, context: Context): void {
  const { report, scope, server } = context
  const rule = readEnvRule(directive, context)
  if (rule === undefined) return
  for (const [variable] of rule.sets) {
    checkVariable(variable, directive, context)
    if (variable === 'no-proxy' && !isInServer(context))
      report.warn(directive, 'no-proxy has no effect in a section, in httpd too: ProxyPass has matched by then', {
        at: variable,
      })
  }
  ;(isInServer(context) ? server.scope : scope).envRules.push(rule)
}

/** Reads SetEnvIf and SetEnvIfNoCase. httpd: add_setenvif_core. */
function readEnvRule(directive: Directive, context: Context): EnvRule | undefined {
  const { report, server } = context
  const { name, key } = directive
  const words = new Words(directive.args)
  if (key === 'setenvifexpr') return readExpressionRule(words, directive, context)
  const ignoreCase = key === 'setenvifnocase' || key === 'browsermatchnocase'
  const attribute = key.startsWith('browser') ? 'User-Agent' : words.next()
  if (attribute === '') return report.fail(directive, `Missing header-field name for ${name}`)
  const pattern = words.next()
  if (pattern === '') return report.fail(directive, `Missing regular expression for ${name}`)
  const sets = readSettings(words)
  if (sets.length === 0) return report.fail(directive, `Missing envariable expression for ${name}`)
  const plain = plainPattern(pattern)
  const compiled = compileRegex(plain === undefined ? pattern : literal(plain), ignoreCase)
  if (typeof compiled === 'string')
    return report.error(directive, compiled, { httpd: `${name} regex could not be compiled.` })
  const subject = subjectOf(attribute, ignoreCase, !isInServer(context))
  if (typeof subject === 'string')
    return report.error(directive, subject, { httpd: 'Header name regex could not be compiled.' })
  if (/^remote_host$/i.test(attribute) && server.looksUpNames)
    return report.refuse(directive, 'Remote_Host needs a DNS lookup for every request', {
      at: attribute,
      expected: 'HostnameLookups Off, with which Remote_Host is the address',
    })
  if (/^request_uri$/i.test(attribute)) server.needsPath = true
  return { match: patternMatch(subject, compiled), substitutes: plain === undefined, sets }
}

/** Reads SetEnvIfExpr. httpd: add_setenvifexpr. */
function readExpressionRule(words: Words, directive: Directive, { report, server }: Context): EnvRule | undefined {
  const text = words.next()
  const sets = readSettings(words)
  if (text === '' || sets.length === 0) return report.fail(directive, 'Missing envariable expression for SetEnvIfExpr')
  const expression = readRequestExpression(text)
  if ('problem' in expression) return report.refuse(directive, expression.problem)
  server.needsPath = true
  return { match: (req, env) => expression(stateOf(req, env)), substitutes: true, sets }
}

/** `[!]variable[=value]`: `!` and the value `!` unset the variable; a variable without a value is 1. */
function readSettings(words: Words): EnvRule['sets'] {
  const sets: [string, string | undefined][] = []
  while (!words.done) {
    const word = words.next()
    const [variable, value] = keyAndValue(word) ?? [word, '']
    if (value !== '') sets.push([variable, value === '!' ? undefined : value])
    else if (variable.startsWith('!')) sets.push([variable.slice(1), undefined])
    else sets.push([variable, '1'])
  }
  return sets
}

/**
 * The text that a pattern without operators stands for. httpd searches for this text instead of matching a pattern.
 * httpd: non_regex_pattern.
 */
function plainPattern(pattern: string): string | undefined {
  return /^(?:[^.^$|()[\]*+?{}\\]|\\[.^$|()[\]*+?{}\\])*$/.test(pattern) ? pattern.replace(/\\(.)/gs, '$1') : undefined
}
