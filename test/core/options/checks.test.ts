import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as checks from '../../../packages/core/src/options/checks.ts'
import { MAX_DELAY } from '../../../packages/core/src/util/countdown.ts'

const SHOWN: [value: unknown, text: string][] = [
  ['a"b', '"a\\"b" (string)'],
  ['', '"" (string)'],
  [7, '7 (number)'],
  [7n, '7 (bigint)'],
  [true, 'true (boolean)'],
  [Symbol('x'), 'Symbol(x) (symbol)'],
  [null, 'null'],
  [undefined, 'undefined'],
  [[1, 2], 'an array of 2'],
  [() => {}, 'a function'],
  [{ a: 1 }, 'an object'],
  [/x/, 'an object'],
]

for (const [value, text] of SHOWN) test(`shows a value as ${text}`, () => assert.equal(checks.show(value), text))

test('names option, expectation and value in the error', () => {
  const { code, message } = checks.wrong('routes[0].path', 'a path', 7)
  assert.deepEqual(
    [code, message],
    ['WST_ERR_OPTION', 'WST_ERR_OPTION: An option is wrong: Expected `routes[0].path` to be a path, got 7 (number)'],
  )
})

const noop = (): void => {}

const CHECKS: [name: string, check: checks.Check, right: unknown[], wrong: unknown[]][] = [
  ['boolean', checks.boolean, [true, false], [0, 'true', null]],
  ['callback', checks.callback, [noop, async () => {}], [{}, 'f', null]],
  ['duration', checks.duration, [0, 0.5, MAX_DELAY], [-1, Number.NaN, MAX_DELAY + 1, '5', 5n, null]],
  ['count', checks.count, [0, 7], [-1, 1.5, 2 ** 53, '7', null]],
  ['oneOf', checks.oneOf('a', 'b'), ['a', 'b'], ['c', 'A', null, ['a']]],
  ['record', checks.record, [{}, Object.create(null)], [[], /x/, null, 'x', noop]],
  ['text', checks.text, ['a'], ['', 7, null]],
  ['list', checks.list, [[], [1]], [{}, 'ab', null, new Set()]],
  ['textMap', checks.textMap, [{}, { a: '' }], [{ a: 1 }, { a: null }, [], null]],
  [
    'upgrade',
    checks.upgrade,
    [false, 'websocket', 'foo/1', ['a', 'b'], 'ANY', ['none']],
    [true, null, [], '', 'a b', 'a,b', ['a', 7], ['a', 'ANY'], ['None', 'a']],
  ],
]

for (const [name, check, right, wrong] of CHECKS) {
  test(`${name} accepts only what it is for`, () => {
    for (const value of right) assert.doesNotThrow(() => check('x', value), checks.show(value))
    for (const value of wrong)
      assert.throws(() => check('x', value), { code: 'WST_ERR_OPTION', message: /`x/ }, checks.show(value))
  })
}

test('textMap names the key', () => {
  assert.throws(() => checks.textMap('x', { 'a"': 1 }), { message: /`x\["a\\""\]` to be a string, got 1/ })
})

const NEAREST: [name: string, nearest: string | undefined][] = [
  ['target', 'target'],
  ['tagret', 'target'],
  ['TARGET', 'target'],
  ['targets', 'target'],
  ['timeout', undefined],
  ['x', undefined],
  ['', undefined],
]

test('finds the nearest name, and none that is not near', () => {
  const known = ['target', 'path', 'idleTimeout']
  for (const [name, nearest] of NEAREST) assert.equal(checks.nearestName(name, known), nearest, name)
  assert.equal(checks.nearestName('target', []), undefined)
})

const KNOWN = { a: checks.count, long: checks.text }

test('checked copies what is given and not undefined', () => {
  const options = { a: 1, long: undefined }
  const present = checks.checked('x', options, KNOWN)
  assert.deepEqual(present, { a: 1 })
  assert.notEqual(present, options)
})

const REFUSED: [where: string, options: object, message: RegExp][] = [
  ['x', { a: -1 }, /Expected `x\.a` to be a whole number >= 0, got -1/],
  ['', { a: -1 }, /Expected `a` to be/],
  ['x', { lonk: 'y' }, /Unknown option `x\.lonk`; did you mean `long`\?/],
  ['', { other: 1 }, /Unknown option `other`$/],
  ['x', { toString: 1 }, /Unknown option `x\.toString`$/],
  ['x', { unknown: undefined }, /Unknown option `x\.unknown`/],
]

for (const [where, options, message] of REFUSED) {
  test(`checked refuses ${JSON.stringify(options)} at ${where || 'the top'}`, () => {
    assert.throws(() => checks.checked(where, options, KNOWN), { code: 'WST_ERR_OPTION', message })
  })
}

test('withDefaults fills in what is absent or undefined, and nothing else', () => {
  const defaults = { a: 1, b: 2, c: 3 }
  const options: { a?: number | undefined; b?: number | null; d?: number } = { a: undefined, b: null, d: 4 }
  assert.deepEqual(checks.withDefaults(defaults, options), { a: 1, b: null, c: 3, d: 4 })
})
