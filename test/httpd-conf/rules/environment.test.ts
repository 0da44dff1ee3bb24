import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type EnvRule,
  type EnvSubject,
  environmentOf,
  keepEnvironment,
  patternMatch,
  subjectOf,
  substitute,
} from '../../../packages/httpd-conf/src/rules/environment.ts'
import { requestOf } from '../incoming-message.ts'

const HEADERS = ['Host', 'h.test', 'X-A', '1', 'X-A', '2', 'X-B', '3']

const subjects: [attribute: string, url: string, value: string][] = [
  ['Host', '/', 'h.test'],
  ['x-a', '/', '1, 2'],
  ['X-None', '/', ''],
  ['V', '/', 'variable'],
  ['Request_URI', '/a%20b?q', '/a%20b'],
  ['REQUEST_URI', 'http://h/a?q', '/a'],
  ['Request_URI', '?q', '/'],
  ['Request_Method', '/', 'PUT'],
  ['Request_Protocol', '/', 'HTTP/1.1'],
  ['Remote_Addr', '/', ''],
  ['^X-', '/', '3'],
  ['^x-a$', '/', ''],
]

test('reads what the first argument of SetEnvIf stands for', () => {
  for (const [attribute, url, value] of subjects) {
    const subject = subjectOf(attribute, false, false)
    assert.ok(typeof subject === 'function', attribute)
    assert.equal(subject(requestOf(url, HEADERS, 'PUT'), new Map([['V', 'variable']])), value, `${attribute} of ${url}`)
  }
  assert.equal(subjectOf('(', false, false), 'Regular expression could not be compiled.')
})

const rule = (attribute: string, pattern: RegExp, ...sets: [string, string | undefined][]): EnvRule => ({
  match: patternMatch(subjectOf(attribute, false, false) as EnvSubject, pattern),
  substitutes: true,
  sets,
})

test('runs the rules in their order, each with the variables of those before', () => {
  const rules = [
    rule('Host', /^(.)/, ['A', '$1'], ['B', '1']),
    rule('A', /h/, ['B', undefined], ['C', 'x$0']),
    rule('Host', /other/, ['D', '1']),
  ]
  assert.deepEqual(Object.fromEntries(environmentOf(requestOf('/', HEADERS), rules)), { A: 'h', C: 'xh' })
})

test('does not run the rules again that ran before mod_rewrite', () => {
  const req = requestOf('/', HEADERS)
  const early = rule('Host', /./, ['A', '1'])
  const late = rule('A', /.+/, ['B', '$0'])
  keepEnvironment(req, [early], new Map([['A', 'rewritten']]))
  assert.deepEqual(Object.fromEntries(environmentOf(req, [early, late])), { A: 'rewritten', B: 'rewritten' })
})

test('replaces groups and escapes in a value', () => {
  for (const [value, result] of [
    ['$1-$0', 'a-ab'],
    ['$2', ''],
    ['$9', ''],
    ['\\$1', '$1'],
    ['\\\\', '\\'],
    ['$x', '$x'],
  ] as const)
    assert.equal(substitute(value, ['ab', 'a', undefined]), result, value)
})
