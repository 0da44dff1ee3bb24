import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  bytesToText,
  decodeEscapes,
  decodeUnreserved,
  encodePath,
  encodeQueryPart,
  encodeUrlText,
} from '../../../packages/core/src/http/percent-encoding.ts'

const encoded: [text: string, sent: string][] = [
  ["/b/x:y@z&a=b$!*'(),;+~_-.", "/b/x:y@z&a=b$!*'(),;+~_-."],
  ['/b/x y', '/b/x%20y'],
  ['/b/[x]', '/b/%5Bx%5D'],
  ['/b/x|y', '/b/x%7Cy'],
  ['/b/"x"', '/b/%22x%22'],
  ['/b/x\\y', '/b/x%5Cy'],
  ['/b/x?y#z', '/b/x%3Fy%23z'],
  ['/b/%', '/b/%25'],
  ['/b/<>^`{}', '/b/%3C%3E%5E%60%7B%7D'],
  ['/b/\n\x00\x7f', '/b/%0A%00%7F'],
  ['/b/é', '/b/%C3%A9'],
  ['/b/😀', '/b/%F0%9F%98%80'],
  ['/b/\udcff\udc80', '/b/%FF%80'],
]

test("encodes a path in httpd's canonical form: all but unreserved and some reserved characters, in upper case", () => {
  for (const [text, sent] of encoded) assert.equal(encodePath(text, 'reject'), sent, text)
})

test('keeps the escapes of a slash and a percent sign in a path only with encodedSlashes: keep', () => {
  assert.equal(encodePath('/a%2fb%25%41', 'keep'), '/a%2fb%25%2541')
  assert.equal(encodePath('/a%2fb%25%41', 'reject'), '/a%252fb%2525%2541')
})

test('encodes what could end a name or a value of a query', () => {
  assert.equal(encodeQueryPart("a&b=c+d;e#f?g/h i~'(*)"), "a%26b%3Dc%2Bd%3Be%23f%3Fg%2Fh%20i~'(*)")
  assert.equal(encodeQueryPart('é\udcff'), '%C3%A9%FF')
})

test('keeps the escapes and the delimiters of configured text', () => {
  assert.equal(encodeUrlText('/c d%2fé?x=[1]&%zz'), '/c%20d%2f%C3%A9?x=[1]&%25zz')
})

test('decodes all escapes but those that are to be kept, and only the escapes of unreserved characters', () => {
  assert.equal(decodeEscapes('/a%2F%2f%25%41%zz', /^2f$/i), '/a%2F%2f%A%zz')
  assert.equal(decodeEscapes('%C3%A9', /^$/), '\xc3\xa9')
  assert.equal(decodeUnreserved('%41%7e%2D%2e%5f%30%2F%25%21%C3'), 'A~-._0%2F%25%21%C3')
})

test('reads bytes as UTF-8, and each byte that is not UTF-8 as a lone surrogate', () => {
  assert.equal(bytesToText('abc'), 'abc')
  assert.equal(bytesToText('\xc3\xa9\xff'), 'é\udcff')
  assert.equal(bytesToText('\xed\xa0\x80'), '\udced\udca0\udc80')
})
