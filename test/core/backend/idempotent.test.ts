import assert from 'node:assert/strict'
import { METHODS } from 'node:http'
import { test } from 'node:test'
import { isIdempotent } from '../../../packages/core/src/backend/idempotent.ts'

test('repeats no method that RFC 9110 or the registry calls not idempotent, and none that they do not know', () => {
  const others = METHODS.filter(method => !isIdempotent(method))
  for (const method of ['CONNECT', 'LOCK', 'PATCH', 'POST', 'PURGE', 'NOTIFY', 'SUBSCRIBE', 'M-SEARCH'])
    assert.ok(others.includes(method), method)
  for (const method of ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']) assert.ok(isIdempotent(method), method)
})
