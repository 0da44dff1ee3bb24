import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rewriteArguments, splitWords, Words } from '../../../packages/httpd-conf/src/syntax/words.ts'
import { routesOf } from '../support.ts'

const lines: [text: string, words: string[]][] = [
  ['', []],
  ['  a\tb ', ['a', 'b']],
  ['"a b" c', ['a b', 'c']],
  ["'a\"b'", ['a"b']],
  ['"a\\"b\\\\c\\d"', ['a"b\\c\\d']],
  ['a\\\\b\\c', ['a\\b\\c']],
  ['"open', ['open']],
  ['"" a', ['', 'a']],
]

test('splits a line into words as ap_getword_conf does', () => {
  for (const [text, words] of lines) assert.deepEqual(splitWords(text), words, text)
})

const braced: [text: string, word: string, rest: string][] = [
  ['{a {b} c} d', 'a {b} c', 'd'],
  ['{a\\\\} b', 'a\\', 'b'],
  ['"a b" c', 'a b', 'c'],
  ['{open', 'open', ''],
]

test('reads a word in braces as ap_getword_conf2 does', () => {
  for (const [text, word, rest] of braced) {
    const words = new Words(text)
    assert.deepEqual([words.nextBraced(), words.rest], [word, rest], text)
  }
})

const rewriting: [text: string, words: ReturnType<typeof rewriteArguments>][] = [
  ['a', undefined],
  ['a b', ['a', 'b', undefined]],
  ['a b [F] more', ['a', 'b', '[F]']],
  ['a\\ b "c d"', ['a\\ b', 'c d', undefined]],
  ["\\. 'x y' [L]", ['\\.', 'x y', '[L]']],
]

test('splits a line of mod_rewrite as parseargline does', () => {
  for (const [text, words] of rewriting) assert.deepEqual(rewriteArguments(text), words, text)
})

const matched = (text: string): unknown[] => routesOf(text).map(({ path, target }) => [path, target])

test('keeps the backslashes of a pattern as httpd does', () => {
  assert.deepEqual(matched(`ProxyPass "/a b" 'ws://b.test/'`), [['/a b', 'ws://b.test/']])
  assert.deepEqual(matched(`ProxyPass '/a"b' ws://b.test/`).length, 1)
  assert.equal(
    String((matched(String.raw`ProxyPassMatch "^/\d\"(.)$" "ws://b.test/$1"`)[0] as [RegExp])[0].source),
    String.raw`^\/\d"(.)$`,
  )
  assert.equal(
    String((matched(String.raw`ProxyPassMatch ^/\\d(.)$ ws://b.test/$1`)[0] as [RegExp])[0].source),
    String.raw`^\/\d(.)$`,
  )
})
