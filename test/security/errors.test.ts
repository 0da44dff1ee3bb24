import assert from 'node:assert/strict'
import { test } from 'node:test'
import { raw } from '../support/backend.ts'
import { startFastify } from '../support/frameworks.ts'
import { setUpOn } from '../support/harness.ts'

const setUp = setUpOn(startFastify)

test("Fastify's own error handler does not show what is for the operator", async t => {
  const before = { errorHandler: 'framework' } as const
  const target = () => {
    throw new Error('secret')
  }
  const cases: [options: object, code: string, hidden: RegExp][] = [
    [{ target }, 'WST_ERR_CALLBACK', /secret/],
    [{ target: 'http://backend.invalid/' }, 'WST_ERR_DNS', /ENOTFOUND/],
    [{ target: 'http://127.0.0.1:1/' }, 'WST_ERR_CONNECT', /ECONNREFUSED/],
  ]
  for (const [options, code, hidden] of cases) {
    const { get, gateway } = await setUp(t, raw(''), options, before)
    const { body, statusCode } = await get('/')
    assert.ok(statusCode >= 500)
    assert.match(body, new RegExp(code))
    assert.doesNotMatch(body, hidden)
    const [error] = gateway.errors
    assert.equal(error?.code, code)
    assert.match(String(error?.cause), hidden)
  }
})
