import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ignoringCase, literal, withoutGroups } from '../../../packages/httpd-conf/src/patterns/edit-pattern.ts'

const groups: [source: string, without: string | undefined][] = [
  ['^/(a|(b))$', '^/(?:a|(?:b))$'],
  ['[(](?:a)(?=b)\\(', '[(](?:a)(?=b)\\('],
  ['(?<name>a)', '(?:a)'],
  ['(a)\\1', undefined],
  ['\\\\1(a)', '\\\\1(?:a)'],
]

test('removes the captures of a pattern, unless it refers to one', () => {
  for (const [source, without] of groups) assert.equal(withoutGroups(source), without, source)
})

const cases: [source: string, ignoring: string][] = [
  ['^/aB1', '^/[aA][Bb]1'],
  ['[a_]', '[aA_]'],
  ['[^a]', '[^aA]'],
  ['[c-f]', '[c-fC-F]'],
  ['[Z-a]', '[Z-aA-Az-z]'],
  ['[0-9]', '[0-9]'],
  ['\\x41\\d\\n', '[\\x41a]\\d\\n'],
  ['é', '[éÉ]'],
  ['ſ', 'ſ'],
]

test('replaces each letter by both of its cases', () => {
  for (const [source, ignoring] of cases) {
    assert.equal(ignoringCase(source), ignoring, source)
    for (let code = 0; code < 0x250; code++) {
      const char = String.fromCharCode(code)
      assert.equal(new RegExp(ignoring, 's').test(char), new RegExp(source, 'is').test(char), `${source} ${code}`)
    }
  }
})

test('turns a text into a pattern that matches it', () => {
  const text = '\\^$.*+?()[]{}|/a-b'
  assert.ok(new RegExp(`^${literal(text)}$`).test(text))
})
