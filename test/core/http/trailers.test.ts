import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  acceptsTrailers,
  allowedTrailers,
  announcedTrailers,
  requestsTrailers,
} from '../../../packages/core/src/http/trailers.ts'
import { requestOf } from '../../support/request.ts'

const FORBIDDEN = [
  ...['Content-Length', 'Transfer-Encoding', 'Host', 'Trailer', 'TE', 'Connection', 'Upgrade', 'Set-Cookie', 'Cookie'],
  ...['Authorization', 'WWW-Authenticate', 'Content-Type', 'Content-Encoding', 'Cache-Control', 'If-Match', 'Vary'],
  ...['X-Forwarded-For', 'X_Forwarded_For', 'Forwarded', 'Via', 'Sec-WebSocket-Key', ':path'],
]

test('drops the fields that mean something else before the body', () => {
  const raw = FORBIDDEN.flatMap(name => [name, '1'])
  assert.deepEqual(allowedTrailers([...raw, 'X-Sum', 'a', 'x-sum', 'b'], []), ['X-Sum', 'a', 'x-sum', 'b'])
  assert.deepEqual(announcedTrailers([FORBIDDEN.join(', '), 'X-Sum,x-own']), ['X-Sum', 'x-own'])
})

test('drops the fields that Connection names', () => {
  assert.deepEqual(allowedTrailers(['X-Sum', 'a', 'X-Own', 'b'], ['close, x-sum']), ['X-Own', 'b'])
})

test('sends trailers to a client that accepts them, and asks for them if Connection names TE too', () => {
  for (const [te, connection, accepts, requests] of [
    ['trailers', 'TE', true, true],
    ['gzip, Trailers', 'close, te', true, true],
    ['trailers', 'close', true, false],
    ['gzip', 'TE', false, false],
    ['trailersx', 'TE', false, false],
  ] as const) {
    const req = requestOf([`TE: ${te}`, `Connection: ${connection}`])
    assert.deepEqual([acceptsTrailers(req), requestsTrailers(req)], [accepts, requests], `${te} ${connection}`)
  }
})
