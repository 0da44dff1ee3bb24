import assert from 'node:assert/strict'
import { test } from 'node:test'
import { atoi, duration, keyAndValue } from '../../../packages/httpd-conf/src/syntax/values.ts'

const numbers: [text: string, value: number][] = [
  ['12', 12],
  [' -3x', -3],
  ['+4', 4],
  ['x1', 0],
  ['', 0],
  ['1.9', 1],
]

test('reads a whole number as atoi does', () => {
  for (const [text, value] of numbers) assert.equal(atoi(text), value, text)
})

const durations: [text: string, unit: 's' | 'ms', ms: number | undefined][] = [
  ['2', 's', 2_000],
  ['2', 'ms', 2],
  ['2s', 'ms', 2_000],
  ['2seconds', 'ms', 2_000],
  ['2ms', 's', 2],
  ['2mi', 's', 120_000],
  ['2min', 's', 120_000],
  ['2h', 's', 7_200_000],
  ['2m', 's', undefined],
  ['2x', 's', undefined],
  ['-1', 's', undefined],
  ['', 's', 0],
  ['99999999999999999999', 's', undefined],
]

test('reads a duration as ap_timeout_parameter_parse does', () => {
  for (const [text, unit, ms] of durations) assert.equal(duration(text, unit), ms, `${text} ${unit}`)
})

test('splits a word at its first equals sign', () => {
  assert.deepEqual(keyAndValue('a=b=c'), ['a', 'b=c'])
  assert.deepEqual(keyAndValue('a='), ['a', ''])
  assert.equal(keyAndValue('a'), undefined)
})
