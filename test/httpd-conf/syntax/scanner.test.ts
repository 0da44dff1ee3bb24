import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Scanner } from '../../../packages/httpd-conf/src/syntax/scanner.ts'

test('consumes what a sticky pattern matches at its position, and nothing else', () => {
  const scanner = new Scanner('ab12')
  assert.equal(scanner.take(/\d+/y), null)
  assert.equal(scanner.char(), 'a')
  assert.equal(scanner.take(/[a-z]/y)?.[0], 'b')
  assert.equal(scanner.done, false)
  assert.equal(scanner.take(/\d+/y)?.[0], '12')
  assert.equal(scanner.done, true)
  assert.equal(scanner.char(), '')
})
