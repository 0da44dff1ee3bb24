import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readRequestExpression } from '../../../packages/httpd-conf/src/rules/request-expression.ts'
import { requestOf } from '../incoming-message.ts'

const state = {
  req: requestOf('/a?q', ['Host', 'h.test', 'X-A', '1']),
  uri: '/a',
  filename: '/a',
  args: 'q',
  env: new Map([['V', 'v']]),
}

const rows: [text: string, holds: boolean][] = [
  ["%{REQUEST_URI} == '/a'", true],
  ["%{HTTP_HOST} == 'h.test'", true],
  ["%{HTTP:X-A} == '1'", true],
  ["%{req:X-A} == '1'", true],
  ["req('X-A') == '1'", true],
  ["http('x-a') == '2'", false],
  ["%{ENV:V} == 'v'", true],
  ["%{reqenv:V} == 'v'", true],
  ["%{tolower:%{HTTP_HOST}X} == 'h.testx' && toupper('aé') == 'Aé'", true],
  ["md5('a b') == '0cc9cd4dd26c5137b675a0d819cb9ab0'", true],
  ["%{sha1:ab} == 'da23614e02469a0d7c7bd1bdab5c9c474b1904dc'", true],
  ["%{escape:a b/?} == 'a%20b/%3f'", true],
  ["%{unescape:a%20b%2Fc%41} == 'a b%2FcA' && unescape('a%zz') == ''", true],
  ["%{base64:a b} == 'YSBi' && unbase64('YS!Bi') == 'a'", true],
  ["%{resp:X-R} == ''", true],
  ["env('V') == 'v' && reqenv('V') == 'v'", true],
]

test('knows the variables and the functions of a request', () => {
  for (const [text, holds] of rows) {
    const expression = readRequestExpression(text)
    assert.ok(!('problem' in expression), text)
    assert.equal(expression(state) !== null, holds, text)
  }
})

test('refuses variables and functions that it does not support', () => {
  assert.deepEqual(readRequestExpression("%{REMOTE_IDENT} == 'b'"), { problem: '%{REMOTE_IDENT} is not supported' })
  assert.deepEqual(readRequestExpression("%{file:/a} == 'b'"), {
    problem: 'the function file is not supported: it reads a file for each request',
  })
})
