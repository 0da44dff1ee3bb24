import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isAnchored, isNullable, parsePattern } from '../../../packages/httpd-conf/src/patterns/pattern-tree.ts'

const nullable: [source: string, canBeEmpty: boolean][] = [
  ['a', false],
  ['[a]', false],
  ['.', false],
  ['a?', true],
  ['a{0,3}', true],
  ['(?:a|b*)', true],
  ['(a?b)', false],
  ['(?:a?)+', true],
  ['^', true],
  ['\\b', true],
  ['(?=a)', true],
]

test('knows which parts of a pattern can match the empty text', () => {
  for (const [source, canBeEmpty] of nullable) {
    const [element] = parsePattern(source).alternatives[0]?.elements ?? []
    assert.ok(element)
    assert.equal(isNullable(element), canBeEmpty, source)
  }
})

test('considers a pattern anchored if each of its alternatives is', () => {
  for (const [source, anchored] of [
    ['^a', true],
    ['^a|^b', true],
    ['^a|b', false],
    ['a^', false],
    ['', false],
  ] as const)
    assert.equal(isAnchored(parsePattern(source).alternatives), anchored, source)
})
