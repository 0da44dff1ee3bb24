import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readExpression, type Vocabulary } from '../../../packages/httpd-conf/src/rules/expression.ts'

/** Variables by name, and a function that repeats its argument. */
const vocabulary: Vocabulary<Record<string, string>> = {
  functions: { twice: (text, state) => `${text}${text}${state['V'] ?? ''}` },
  read: text => {
    const name = /^%\{(\w+)\}$/.exec(text)?.[1]
    if (name === 'BAD') return { problem: `${text} is not supported` }
    return (state, groups) =>
      name === undefined ? text.replace(/\$(\d)/g, (_, i) => groups[Number(i)] ?? '') : (state[name] ?? '')
  },
}

const evaluate = (
  text: string,
  state: Record<string, string> = {},
): readonly (string | undefined)[] | null | string => {
  const expression = readExpression(text, vocabulary)
  return 'problem' in expression ? expression.problem : expression(state)
}

const rows: [text: string, holds: boolean][] = [
  ["'a' == 'a'", true],
  ["'a' = 'b'", false],
  ["'a' != 'b'", true],
  ["'b' > 'a'", true],
  ["'b' <= 'a'", false],
  ["'10' -gt '9'", true],
  ["'10' > '9'", false],
  ['10 eq 10', true],
  ["'5x' -ne 5", false],
  ["%{V} == 'v'", true],
  ["'v' . 'w' == 'vw'", true],
  ["'b' in { 'a', 'b' }", true],
  ["'c' -in {'a','b'}", false],
  ["'abc' =~ /^a.c$/", true],
  ["'abc' !~ m#B#i", false],
  ['-n %{V}', true],
  ['-z %{V}', false],
  ["-T 'off'", false],
  ["-T 'yes'", true],
  ['true', true],
  ['!true', false],
  ['!!true', true],
  ['true && false', false],
  ['false || true && true', true],
  ['(true || true) && false', false],
  ["tolower('AB') == 'ab'", true],
  ["toupper('ab') == 'AB'", true],
  ["TWICE('a') == 'aav'", true],
  ["'abc' =~ /b(.)/ && $1 == 'c'", true],
  ["'abc' =~ /b(.)/ && '<$1>' == '<c>'", true],
]

test('evaluates an expression as ap_expr does', () => {
  for (const [text, holds] of rows) assert.equal(evaluate(text, { V: 'v' }) !== null, holds, text)
})

test('returns the groups of the last pattern that matched', () => {
  assert.deepEqual([...(evaluate("'abc' =~ /a(b)/ && 'x' =~ /(x)/") as string[])], ['x', 'x'])
  assert.deepEqual(evaluate('true'), [])
})

const problems: [text: string, problem: string][] = [
  ['', 'the expression ends too soon'],
  ["'a' ==", 'the expression ends too soon'],
  ["'a' == 'b' &&", 'the expression ends too soon'],
  ["-R '10.0.0.0/8'", '"-R \'10.0.0.0/8\'" is not supported in an expression'],
  ['nope(1) == 1', 'nope() is not supported'],
  ['constructor(1) == 1', 'constructor() is not supported'],
  ["%{BAD} == 'a'", '%{BAD} is not supported'],
  ["'a' =~ /(/", 'Regular expression could not be compiled.'],
  ["'a' =~ /a/g", 'the flags g of a pattern are not supported'],
  [`${'('.repeat(60)}`, 'the expression is nested more than 50 deep'],
]

test('names the part of an expression that it does not support', () => {
  for (const [text, problem] of problems) assert.equal(evaluate(text), problem, text)
})
