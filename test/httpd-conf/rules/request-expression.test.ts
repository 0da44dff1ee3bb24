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
  assert.deepEqual(readRequestExpression("resp('a') == 'b'"), { problem: 'resp() is not supported' })
})
