import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isNear } from '../../../packages/httpd-conf/src/syntax/near-name.ts'

const rows: [a: string, b: string, near: boolean][] = [
  ['proxypass', 'proxypas', true],
  ['proxypass', 'proxyypass', true],
  ['proxypass', 'proxypaas', true],
  ['proxypass', 'porxypass', true],
  ['proxypass', 'proxypass', false],
  ['proxypass', 'proxypa', false],
  ['proxypass', 'rpoxypsas', false],
  ['proxypass', 'ssapyxorp', false],
]

test('finds a name that differs by one letter, or by two adjacent letters in the opposite order', () => {
  for (const [a, b, near] of rows) {
    assert.equal(isNear(a, b), near, `${a} ${b}`)
    assert.equal(isNear(b, a), near, `${b} ${a}`)
  }
})
