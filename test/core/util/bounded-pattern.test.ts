import assert from 'node:assert/strict'
import { test } from 'node:test'
import { boundedPattern } from '../../../packages/core/src/util/bounded-pattern.ts'

const long = 'a'.repeat(2_049)

test('leaves a pattern of linear time as it is, without the flags g and y', () => {
  const pattern = boundedPattern(/^(a+)$/dgisy)
  assert.deepEqual([pattern.source, pattern.flags], ['^(a+)$', 'dis'])
  assert.ok(pattern.test(long.repeat(10)))
})

test('lets a slower pattern match short texts alone, whichever method is called', () => {
  const pattern = boundedPattern(/(\w+)\/ws$/g, 'WST_ERR_PATH_TOO_LONG')
  assert.equal(pattern.flags, '')
  assert.deepEqual([...(pattern.exec('/chat/ws') ?? [])], ['chat/ws', 'chat'])
  assert.equal('/chat/ws'.replace(pattern, '$1'), '/chat')
  assert.ok(pattern.test(`${'a'.repeat(2_045)}/ws`))
  const refused = { code: 'WST_ERR_PATH_TOO_LONG', statusCode: 414, message: /at most 2048 characters/ }
  for (const call of [
    () => pattern.exec(long),
    () => pattern.test(long),
    () => long.replace(pattern, ''),
    () => long.match(pattern),
  ])
    assert.throws(call, refused)
})
