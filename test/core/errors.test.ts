import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { locate, WsTunnelError, type WsTunnelErrorCode } from '../../packages/core/src/errors.ts'

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
  WST_ERR_STALLED: 408,
  WST_ERR_PATH_TOO_LONG: 414,
  WST_ERR_UPGRADE_REQUIRED: 426,
  WST_ERR_CLIENT_GONE: 499,
  WST_ERR_APP_HEADERS: 500,
  WST_ERR_CALLBACK: 500,
  WST_ERR_FIELD_TOO_LONG: 431,
  WST_ERR_BODY_CONSUMED: 500,
  WST_ERR_HANDOVER: 500,
  WST_ERR_NOT_IMPLEMENTED: 501,
  WST_ERR_DNS: 502,
  WST_ERR_TLS: 502,
  WST_ERR_BAD_RESPONSE: 502,
  WST_ERR_BAD_SWITCH: 502,
  WST_ERR_BACKEND_STATUS: 502,
  WST_ERR_NO_RESPONSE: 502,
  WST_ERR_CONNECT: 503,
  WST_ERR_NO_MEMBER: 503,
  WST_ERR_WAITING_LIMIT: 503,
  WST_ERR_PENDING_LIMIT: 503,
  WST_ERR_EXHAUSTED: 503,
  WST_ERR_TUNNEL_LIMIT: 503,
  WST_ERR_CLOSING: 503,
  WST_ERR_CONNECT_TIMEOUT: 504,
  WST_ERR_HANDSHAKE_TIMEOUT: 504,
  WST_ERR_LOOP: 508,
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

test('says what it was about to the operator, once, and not in its stack', () => {
  const subject = { target: '10.0.0.1:9000', member: 'ws://10.0.0.1:9000/a', route: 2 }
  const given = new WsTunnelError('WST_ERR_CONNECT', { detail: 'ECONNREFUSED', ...subject })
  const located = new WsTunnelError('WST_ERR_CONNECT', { detail: 'ECONNREFUSED' })
  locate(located, subject)
  locate(located, { target: 'another', route: 3 })
  for (const { target, member, route, message, stack } of [given, located]) {
    assert.deepEqual({ target, member, route }, subject)
    assert.equal(
      message,
      'WST_ERR_CONNECT: The backend could not be reached: ECONNREFUSED (target 10.0.0.1:9000, member ws://10.0.0.1:9000/a, route 2)',
    )
    assert.equal(stack, 'WsTunnelError: WST_ERR_CONNECT: The backend could not be reached (route 2)')
  }
  const ofClient = new WsTunnelError('WST_ERR_ORIGIN', { route: 1 })
  assert.equal(ofClient.message, 'WST_ERR_ORIGIN: The Origin is not allowed to open a tunnel here')
  assert.equal(ofClient.route, 1)
})

test('has the frames of a function of the options, and of the code that gave a wrong option', () => {
  const cause = new Error('of the function')
  const { stack = '' } = new WsTunnelError('WST_ERR_CALLBACK', { detail: String(cause), cause })
  assert.match(stack, /^WsTunnelError: WST_ERR_CALLBACK: A function in the options failed\n {4}at .*errors\.test\.ts/)
  assert.match(new WsTunnelError('WST_ERR_OPTION').stack ?? '', /\n {4}at .*errors\.test\.ts/)
  assert.doesNotMatch(new WsTunnelError('WST_ERR_CALLBACK', { cause: 'text' }).stack ?? '', /\n/)
})

test('is printed in one or two lines, with what the operator needs', () => {
  const cause = new Error('certificate has expired')
  const error = new WsTunnelError('WST_ERR_TLS', { detail: 'CERT_HAS_EXPIRED', cause, target: 'a.test:443', route: 0 })
  assert.equal(
    inspect(error),
    'WsTunnelError: WST_ERR_TLS: The TLS connection to the backend failed: CERT_HAS_EXPIRED (target a.test:443, route 0)\n  cause: certificate has expired',
  )
  assert.match(
    inspect(new WsTunnelError('WST_ERR_OPTION', { detail: 'x' })),
    /^WsTunnelError: .*: x\n {4}at .*errors\.test/,
  )
})

test('carries detail, cause and header fields', () => {
  const cause = new Error('refused')
  const error = new WsTunnelError('WST_ERR_CONNECT', { detail: 'ECONNREFUSED', cause, headers: { 'Retry-After': '1' } })
  assert.equal(error.message, 'WST_ERR_CONNECT: The backend could not be reached: ECONNREFUSED')
  assert.equal(error.cause, cause)
  assert.deepEqual(error.headers, { 'Retry-After': '1' })
  assert.deepEqual(new WsTunnelError('WST_ERR_CONNECT').headers, {})
})
