import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileTarget } from '../../../packages/httpd-conf/src/compile/target.ts'
import { Report } from '../../../packages/httpd-conf/src/diagnostics.ts'
import type { Alias } from '../../../packages/httpd-conf/src/directives/model.ts'

const compile = (real: string, more: Partial<Alias> = {}): string => {
  const report = new Report([])
  const alias: Alias = {
    name: 'ProxyPass',
    place: { file: 'x.conf', line: 1, column: 1, text: real },
    fake: '/a',
    regex: undefined,
    real,
    nocanon: false,
    mapping: 'decoded',
    parameters: new Map(),
    ...more,
  }
  return compileTarget(alias, report) ?? `error: ${report.diagnostics[0]?.message}`
}

const byPath: [real: string, target: string][] = [
  ['ws://b.test/', 'ws://b.test/'],
  ['WS://B.test/a', 'ws://B.test/a'],
  ['balancer://Name/x', 'balancer://name/x'],
  ['unix:/run/s|http:', 'unix:/run/s|http://localhost/'],
  ['unix:/run/s|http://h/p', 'unix:/run/s|http://h/p'],
  ['http://b.test/a b%20?é', 'http://b.test/a%20b%2520%3F%C3%A9'],
  ['http://b.test/$x', 'http://b.test/$x'],
  ['http://b.test/$1', 'error: "$" and a digit stand for a capture, but a path has no captures'],
  ['h2://b.test/a', 'h2://b.test/a'],
  ['H2C://b.test:81/', 'h2c://b.test:81/'],
  ['http:', 'error: ProxyPass URL must be absolute!: http:'],
  ['ajp://b.test/', 'error: the scheme ajp: is not supported'],
]

test('compiles the URL of a line with a path to the canonical form of httpd', () => {
  for (const [real, target] of byPath) assert.equal(compile(real), target, real)
})

const byPattern: [real: string, target: string][] = [
  ['http://b.test/$1/x y', 'http://b.test/$1/x%20y'],
  ['http://b.test/$12', 'http://b.test/$12'],
  ['http://b.test/\\x%', 'http://b.test/x%25'],
  ['http://b.test/\\$1', 'error: an escaped "$" before a digit is not supported'],
  ['http://b.test/\\\\$1', 'http://b.test/%5C$1'],
]

test('keeps the captures in the URL of a line with a pattern, and resolves its backslashes', () => {
  const regex = { source: '^(.*)$', flags: 's' }
  for (const [real, target] of byPattern) assert.equal(compile(real, { regex }), target, real)
})

test('leaves the URL as it is with mapping=', () => {
  assert.equal(compile('http://b.test/a b%20', { mapping: 'encoded' }), 'http://b.test/a b%20')
})
