import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkLocalResponse } from '../../../packages/core/src/routing/local-response.ts'

for (const response of [
  { status: 300 },
  { status: 599 },
  { status: 302, location: '/a?b#c' },
  { status: 308, location: '/\xe9' },
]) {
  test(`accepts ${JSON.stringify(response)}`, () => assert.deepEqual(checkLocalResponse(response), response))
}

test('keeps nothing but status and location', () => {
  assert.deepEqual(checkLocalResponse({ status: 404, location: undefined, body: 'no' } as never), { status: 404 })
})

for (const response of [
  { status: 200 },
  { status: 299 },
  { status: 600 },
  { status: 404.5 },
  { status: '404' },
  {},
  { status: 302, location: '' },
  { status: 302, location: '/a b' },
  { status: 302, location: '/\r\nSet-Cookie: a=b' },
  { status: 302, location: '/\u0100' },
  { status: 302, location: 7 },
]) {
  test(`refuses ${JSON.stringify(response)}`, () => {
    assert.throws(() => checkLocalResponse(response as never), { code: 'WST_ERR_CALLBACK', statusCode: 500 })
  })
}
