import assert from 'node:assert/strict'
import { networkInterfaces } from 'node:os'
import { test } from 'node:test'
import { backendError, roundTripError, timeoutError } from '../../../packages/core/src/backend/backend-error.ts'
import { WsTunnelError } from '../../../packages/core/src/errors.ts'
import { eventually } from '../../support/gate.ts'

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
  { error: ['EADDRNOTAVAIL', 'connect'], any: 'WST_ERR_EXHAUSTED' },
  { error: ['ENOBUFS', 'connect'], any: 'WST_ERR_EXHAUSTED' },
  { error: ['ENOMEM', 'read'], any: 'WST_ERR_EXHAUSTED' },
  { error: ['EMFILE', 'connect'], any: 'WST_ERR_EXHAUSTED' },
  { error: ['ENFILE', 'connect'], any: 'WST_ERR_EXHAUSTED' },
  // A moment after descriptors have run out, a lookup fails because of that.
  { error: ['ENOTFOUND', 'getaddrinfo'], any: 'WST_ERR_EXHAUSTED' },
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

test('names the host that could not be resolved', async () => {
  const error = Object.assign(nodeError('ENOTFOUND', 'getaddrinfo'), { hostname: 'chat.invalid' })
  await eventually(() => assert.match(backendError(error).message, /WST_ERR_DNS: .*: ENOTFOUND chat\.invalid$/))
})

test('looks into an error about several addresses of a name', () => {
  const [refused, exhausted] = [nodeError('ECONNREFUSED', 'connect'), nodeError('ENOBUFS', 'connect')]
  const several = (...errors: Error[]): Error =>
    Object.assign(new AggregateError(errors), { code: 'ECONNREFUSED', syscall: 'connect' })
  assert.equal(backendError(several(refused, refused)).code, 'WST_ERR_CONNECT')
  assert.equal(backendError(several(refused, exhausted)).code, 'WST_ERR_EXHAUSTED')
})

test('takes EADDRNOTAVAIL of an IPv6 address for unreachable where the machine has no IPv6', () => {
  const all = Object.values(networkInterfaces()).flatMap(each => each ?? [])
  const has = (internal: boolean): boolean => all.some(each => each.family === 'IPv6' && each.internal === internal)
  for (const [address, internal] of [
    ['::1', true],
    ['2001:db8::1', false],
  ] as const) {
    const error = Object.assign(nodeError('EADDRNOTAVAIL', 'connect'), { address })
    assert.equal(backendError(error).code, has(internal) ? 'WST_ERR_EXHAUSTED' : 'WST_ERR_CONNECT', address)
  }
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
