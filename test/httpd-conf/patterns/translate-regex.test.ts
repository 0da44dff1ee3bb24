import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileRegex, translateRegex } from '../../../packages/httpd-conf/src/patterns/translate-regex.ts'

const translated: [pcre: string, source: string, flags?: string][] = [
  ['^/a$', '^/a$'],
  ['[]x]', '[\\]x]'],
  ['[^]x]', '[^\\]x]'],
  ['\\Aa\\z', '^a$'],
  ['a\\Z', 'a(?=\\n?$)'],
  ['(?i)^/CI', '^/CI', 'si'],
  ['(?ms)^a', '^a', 'sm'],
  ['[[:alpha:]_]+', '[A-Za-z_]+'],
  ['\\Qa.b\\E.', 'a\\.b.'],
  ['\\Qa.b', 'a\\.b'],
  ['(?#note)a', 'a'],
  ['(?<n>a)\\k<n>1', '(a)\\1(?:)1'],
  ["(?'n'a)\\k{n}", '(a)\\1(?:)'],
  ['(?P<n>a)(?P=n)', '(a)\\1(?:)'],
  ['\\x{4}\\x{ab}', '\\x04\\xab'],
  ['\\h\\H\\s\\N', '[\\t ][^\\t ][\\t-\\r ][^\\n]'],
  ['[\\h\\s\\e]', '[\\t \\t-\\r \\x1b]'],
  ['a]b}', 'a]b}'],
  ['(?:a)(?=b)(?!c)(?<=d)(?<!e)', '(?:a)(?=b)(?!c)(?<=d)(?<!e)'],
]

test('translates a PCRE to JavaScript', () => {
  for (const [pcre, source, flags = 's'] of translated) {
    const result = translateRegex(pcre)
    assert.ok('source' in result, `${pcre}: ${JSON.stringify(result)}`)
    assert.deepEqual([result.source, result.flags], [source, flags], pcre)
  }
})

const refused: [pcre: string, problem: string][] = [
  ['a++', 'possessive quantifiers have no counterpart in JavaScript'],
  ['(?>a)', 'this kind of group has no counterpart in JavaScript'],
  ['(?|a|b)', 'this kind of group has no counterpart in JavaScript'],
  ['(?x)a', '(?x) has no counterpart in JavaScript'],
  ['\\K', '\\K has no counterpart in JavaScript'],
  ['[\\R]', '\\R in a class has no counterpart in JavaScript'],
  ['[[:^alpha:]]', '[:^alpha:] has no counterpart in JavaScript'],
  ['(*FAIL)', '(*VERB) has no counterpart in JavaScript'],
  ['(', 'Regular expression could not be compiled.'],
  ['[a', 'Regular expression could not be compiled.'],
  ['\\', 'Regular expression could not be compiled.'],
  ['(a)\\2', 'Regular expression could not be compiled.'],
  ['\\k<n>', 'Regular expression could not be compiled.'],
  ['a'.repeat(2_001), 'the pattern is longer than 2000 characters'],
]

test('refuses a pattern without a counterpart in JavaScript, and one that is wrong', () => {
  for (const [pcre, problem] of refused) assert.deepEqual(translateRegex(pcre), { problem }, pcre)
})

test('matches a newline with a dot, and only the end of the text with $', () => {
  const regex = compileRegex('^a.b$') as RegExp
  assert.ok(regex.test('a\nb'))
  assert.ok(!regex.test('a\nb\n'))
})

test('ignores case on request', () => {
  assert.ok((compileRegex('^a$', true) as RegExp).test('A'))
  assert.equal(compileRegex('('), 'Regular expression could not be compiled.')
})
