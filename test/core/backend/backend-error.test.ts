import assert from 'node:assert/strict'
import { test } from 'node:test'
import { backendError, roundTripError, timeoutError } from '../../../packages/core/src/backend/backend-error.ts'
import { WsTunnelError } from '../../../packages/core/src/errors.ts'

const nodeError = (code: string, syscall?: string): Error & { code: string } =>
  Object.assign(new Error(`${syscall} ${code}`), { code, syscall })

interface Row {
  error: [code: string, syscall?: string]
  /** Of an error at any time. */
  any: string
  /** Before the connection over TLS is established. */
  tls?: string
  /** After a connection is established. */
  connected?: string
}

const ROWS: Row[] = [
  { error: ['ENOTFOUND', 'getaddrinfo'], any: 'WST_ERR_DNS' },
  { error: ['EAI_AGAIN'], any: 'WST_ERR_DNS' },
  { error: ['ECONNREFUSED', 'getaddrinfo'], any: 'WST_ERR_DNS' },
  { error: ['ERR_INVALID_IP_ADDRESS'], any: 'WST_ERR_DNS' },
  { error: ['ECONNREFUSED', 'connect'], any: 'WST_ERR_CONNECT', connected: 'WST_ERR_NO_RESPONSE' },
  { error: ['ENOENT'], any: 'WST_ERR_CONNECT', connected: 'WST_ERR_NO_RESPONSE' },
  { error: ['EMFILE'], any: 'WST_ERR_CONNECT', connected: 'WST_ERR_NO_RESPONSE' },
  { error: ['ECONNRESET', 'connect'], any: 'WST_ERR_CONNECT', connected: 'WST_ERR_NO_RESPONSE' },
  { error: ['ETIMEDOUT', 'connect'], any: 'WST_ERR_CONNECT_TIMEOUT', connected: 'WST_ERR_NO_RESPONSE' },
  { error: ['ETIMEDOUT', 'read'], any: 'WST_ERR_CONNECT_TIMEOUT', connected: 'WST_ERR_NO_RESPONSE' },
  { error: ['EHOSTUNREACH', 'connect'], any: 'WST_ERR_CONNECT', connected: 'WST_ERR_NO_RESPONSE' },
  { error: ['EHOSTUNREACH', 'read'], any: 'WST_ERR_CONNECT', connected: 'WST_ERR_NO_RESPONSE' },
  { error: ['ECONNRESET'], any: 'WST_ERR_NO_RESPONSE', tls: 'WST_ERR_TLS' },
  { error: ['ECONNRESET', 'read'], any: 'WST_ERR_NO_RESPONSE', tls: 'WST_ERR_TLS' },
  { error: ['EPIPE', 'write'], any: 'WST_ERR_NO_RESPONSE', tls: 'WST_ERR_TLS' },
  { error: ['WHATEVER'], any: 'WST_ERR_NO_RESPONSE', tls: 'WST_ERR_TLS' },
  { error: ['HPE_INVALID_CONSTANT'], any: 'WST_ERR_BAD_RESPONSE' },
  { error: ['ERR_INVALID_CHAR'], any: 'WST_ERR_BAD_RESPONSE' },
  { error: ['CERT_HAS_EXPIRED'], any: 'WST_ERR_TLS' },
  { error: ['ERR_TLS_CERT_ALTNAME_INVALID'], any: 'WST_ERR_TLS' },
  { error: ['DEPTH_ZERO_SELF_SIGNED_CERT'], any: 'WST_ERR_TLS' },
]

for (const { error, any, tls = any, connected = any } of ROWS) {
  const before = tls === any ? '' : `, over TLS before it is connected ${tls}`
  const after = connected === any ? '' : `, after it is connected ${connected}`
  test(`${error.join(' of ')} is ${any}${before}${after}`, () => {
    const cause = nodeError(...error)
    const codes = [
      backendError(cause),
      roundTripError(cause, false, false),
      roundTripError(cause, false, true),
      roundTripError(cause, true, false),
      roundTripError(cause, true, true),
    ].map(({ code }) => code)
    assert.deepEqual(codes, [any, any, tls, connected, connected])
  })
}

test('keeps the error of Node as cause, and names its code', () => {
  const cause = nodeError('ECONNREFUSED', 'connect')
  const error = backendError(cause)
  assert.equal(error.cause, cause)
  assert.match(error.message, /ECONNREFUSED/)
})

test('returns a converted error unchanged', () => {
  const error = new WsTunnelError('WST_ERR_CLIENT_GONE')
  assert.equal(backendError(error), error)
  assert.equal(roundTripError(error, true, true), error)
})

test('the code of a time limit depends on whether the connection was established', () => {
  assert.deepEqual(
    [timeoutError(false, 50), timeoutError(true, 50)].map(({ code, statusCode }) => [code, statusCode]),
    [
      ['WST_ERR_CONNECT_TIMEOUT', 504],
      ['WST_ERR_HANDSHAKE_TIMEOUT', 504],
    ],
  )
  assert.match(timeoutError(true, 50).message, /50 ms/)
})
