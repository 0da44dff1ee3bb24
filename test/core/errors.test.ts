import assert from 'node:assert/strict'
import { test } from 'node:test'
import { WsTunnelError, type WsTunnelErrorCode } from '../../packages/core/src/errors.ts'

/** The status of every code. Users match on both, so a change here is a breaking change. */
const STATUS: Record<WsTunnelErrorCode, number> = {
  WST_ERR_OPTION: 500,
  WST_ERR_BAD_REQUEST: 400,
  WST_ERR_PATH_SPELLING: 400,
  WST_ERR_BAD_HANDSHAKE: 400,
  WST_ERR_FORBIDDEN_TARGET: 403,
  WST_ERR_ORIGIN: 403,
  WST_ERR_ACCESS: 403,
  WST_ERR_ENCODED_SLASH: 404,
  WST_ERR_PATH_TOO_LONG: 414,
  WST_ERR_UPGRADE_REQUIRED: 426,
  WST_ERR_CLIENT_GONE: 499,
  WST_ERR_APP_HEADERS: 500,
  WST_ERR_CALLBACK: 500,
  WST_ERR_BODY_CONSUMED: 500,
  WST_ERR_NOT_IMPLEMENTED: 501,
  WST_ERR_DNS: 502,
  WST_ERR_TLS: 502,
  WST_ERR_BAD_RESPONSE: 502,
  WST_ERR_BAD_SWITCH: 502,
  WST_ERR_BACKEND_STATUS: 502,
  WST_ERR_NO_RESPONSE: 502,
  WST_ERR_CONNECT: 503,
  WST_ERR_NO_MEMBER: 503,
  WST_ERR_TUNNEL_LIMIT: 503,
  WST_ERR_CLOSING: 503,
  WST_ERR_CONNECT_TIMEOUT: 504,
  WST_ERR_HANDSHAKE_TIMEOUT: 504,
  WST_ERR_HTTP_VERSION: 505,
}
const codes = Object.entries(STATUS) as [WsTunnelErrorCode, number][]

test('has the status of its code under both names that frameworks read', () => {
  for (const [code, statusCode] of codes) {
    const error = new WsTunnelError(code)
    assert.ok(error instanceof Error)
    assert.deepEqual(
      [error.name, error.code, error.statusCode, error.status],
      ['WsTunnelError', code, statusCode, statusCode],
    )
    assert.match(error.message, new RegExp(`^${code}: [A-Z].*[^.]$`))
  }
})

test('exposes only the messages that are about the client, never those about the backend', () => {
  for (const [code, statusCode] of codes) {
    const wanted = statusCode < 500 && code !== 'WST_ERR_PATH_SPELLING'
    assert.equal(new WsTunnelError(code).expose, wanted, code)
  }
})

test('carries detail, cause and header fields', () => {
  const cause = new Error('refused')
  const error = new WsTunnelError('WST_ERR_CONNECT', { detail: 'ECONNREFUSED', cause, headers: { 'Retry-After': '1' } })
  assert.equal(error.message, 'WST_ERR_CONNECT: The backend could not be reached: ECONNREFUSED')
  assert.equal(error.cause, cause)
  assert.deepEqual(error.headers, { 'Retry-After': '1' })
  assert.deepEqual(new WsTunnelError('WST_ERR_CONNECT').headers, {})
})
