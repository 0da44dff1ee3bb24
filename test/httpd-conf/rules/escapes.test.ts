import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  bytesOf,
  canonicalPath,
  escapeBackref,
  escapePath,
  textOf,
} from '../../../packages/httpd-conf/src/rules/escapes.ts'

test('turns text into bytes and back, without losing bytes that are not UTF-8', () => {
  for (const [text, bytes] of [
    ['a', 'a'],
    ['é', '\xc3\xa9'],
    ['😀', '\xf0\x9f\x98\x80'],
    ['\udcff', '\xff'],
  ] as const) {
    assert.equal(bytesOf(text), bytes)
    assert.equal(textOf(bytes), text)
  }
})

const paths: [text: string, escaped: string, canonical: string][] = [
  ["/a-b_c~$.+!*'(),;:@&=", "/a-b_c~$.+!*'(),;:@&=", "/a-b_c~$.+!*'(),;:@&="],
  ['/a b?', '/a%20b%3f', '/a%20b%3F'],
  ['/é%', '/%c3%a9%25', '/%C3%A9%25'],
  ['/\udcff', '/%ff', '/%FF'],
]

test('escapes the path of a URL', () => {
  for (const [text, escaped, canonical] of paths) {
    assert.equal(escapePath(text), escaped)
    assert.equal(canonicalPath(text, false), canonical)
  }
})

test('keeps the escapes that AllowEncodedSlashes NoDecode leaves', () => {
  assert.equal(canonicalPath('/a%2fb%25c%20', true), '/a%2fb%25c%2520')
})

const plain = { only: undefined, except: '', noPlus: false, controls: false }

test('escapes a back reference as the flags of the rule say', () => {
  assert.equal(escapeBackref('a_1 /?é', plain), 'a_1+%2f%3f%c3%a9')
  assert.equal(escapeBackref('a b', { ...plain, noPlus: true }), 'a%20b')
  assert.equal(escapeBackref('a/b?', { ...plain, only: '?' }), 'a/b%3f')
  assert.equal(escapeBackref('a/b?', { ...plain, except: '/' }), 'a/b%3f')
  assert.equal(escapeBackref('a\tb/ ', { ...plain, controls: true }), 'a%09b/+')
})
