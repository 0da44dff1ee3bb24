import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { test } from 'node:test'
import {
  checkOrigin,
  checkRequest,
  checkSpelling,
  checkVersion,
  checkWebSocketFields,
} from '../../../packages/core/src/client/request-checks.ts'
import { KEY } from '../../support/client.ts'
import { requestOf } from '../../support/request.ts'

const FIELDS: [what: string, lines: string[], results: [wrong: string | undefined, strict: string | undefined]][] = [
  ['key and version', [`Sec-WebSocket-Key: ${KEY}`, 'Sec-WebSocket-Version: 13'], [undefined, undefined]],
  ['two keys', Array(2).fill(`Sec-WebSocket-Key: ${KEY}`), ['more than one', 'more than one']],
  ['two versions', Array(2).fill('Sec-WebSocket-Version: 13'), ['more than one', 'more than one']],
  ['no key', ['Sec-WebSocket-Version: 13'], [undefined, '16 bytes']],
  ['a short key', ['Sec-WebSocket-Key: c2hvcnQ=', 'Sec-WebSocket-Version: 13'], [undefined, '16 bytes']],
  ['no version', [`Sec-WebSocket-Key: ${KEY}`], [undefined, 'not 13']],
  ['another version', [`Sec-WebSocket-Key: ${KEY}`, 'Sec-WebSocket-Version: 8'], [undefined, 'not 13']],
]

for (const [what, lines, results] of FIELDS) {
  for (const [i, wrong] of results.entries()) {
    test(`${wrong === undefined ? 'accepts' : 'refuses'} ${what}${i === 1 ? ' in a strict check' : ''}`, () => {
      const check = (): void => checkWebSocketFields(requestOf(lines), i === 1)
      if (wrong === undefined) assert.doesNotThrow(check)
      else assert.throws(check, { code: 'WST_ERR_BAD_HANDSHAKE', statusCode: 400, message: new RegExp(wrong) })
    })
  }
}

const ORIGINS: [origins: string[], allowed: string[] | undefined, passes: boolean][] = [
  [['Origin: https://evil.example'], undefined, true],
  [['Origin: https://app.example'], ['https://app.example'], true],
  [['Origin: HTTPS://App.Example'], ['https://app.example'], true],
  [[], ['https://app.example'], true],
  [['Origin: https://app.example:8443'], ['https://app.example'], false],
  [['Origin: http://app.example'], ['https://app.example'], false],
  [['Origin: null'], ['https://app.example'], false],
  [['Origin: null'], ['file://'], false],
  [['Origin: null'], ['null'], true],
  [['Origin: file://'], ['file://'], true],
  [['Origin: file://'], ['null', 'https://app.example'], false],
  [['Origin: https://app.example', 'Origin: https://app.example'], ['https://app.example'], false],
]

for (const [origins, allowed, passes] of ORIGINS) {
  test(`${passes ? 'accepts' : 'refuses'} ${origins.join(' and ') || 'no Origin'} where ${allowed ?? 'any'} is allowed`, () => {
    const check = (): void => checkOrigin(requestOf(origins), allowed && new Set(allowed))
    if (passes) assert.doesNotThrow(check)
    else assert.throws(check, { code: 'WST_ERR_ORIGIN', statusCode: 403 })
  })
}

const HEADS: [what: string, lines: string[], wrong: string | undefined, authority?: string, httpVersion?: string][] = [
  ['a name', ['Host: h.test'], undefined],
  ['a name and a port', ['Host: h.test:8080'], undefined],
  ['an IPv6 address', ['Host: [::1]:80'], undefined],
  ['an empty Host', ['Host:'], undefined],
  ['no Host', [], 'no Host'],
  ['no Host of HTTP/1.0', [], undefined, undefined, '1.0'],
  ['two Host lines', ['Host: h.test', 'Host: h.test'], 'more than one Host'],
  ['user and host', ['Host: user@h.test'], 'Host is malformed'],
  ['a path in Host', ['Host: h.test/x'], 'Host is malformed'],
  ['a port of six digits', ['Host: h.test:123456'], 'Host is malformed'],
  ['the host of the request target', ['Host: H.test'], undefined, 'h.TEST'],
  ['another host than the request target', ['Host: h.test'], 'request target', 'other.test'],
  ['chunked', ['Host: h', 'Transfer-Encoding: Chunked'], undefined],
  ['U+00A0 before chunked', ['Host: h', 'Transfer-Encoding: \xa0chunked'], 'Transfer-Encoding is not chunked'],
  ['another coding', ['Host: h', 'Transfer-Encoding: gzip, chunked'], 'Transfer-Encoding is not chunked'],
  ['two codings', ['Host: h', 'Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'], 'is not chunked'],
  ['a length and chunked', ['Host: h', 'Transfer-Encoding: chunked', 'Content-Length: 1'], 'both Content-Length'],
  [
    'two Host lines under a version that only the request line claims',
    ['Host: h', 'Host: h'],
    'more than one',
    undefined,
    '2.0',
  ],
]

for (const [what, lines, wrong, authority, httpVersion = '1.1'] of HEADS) {
  test(`${wrong === undefined ? 'accepts' : 'refuses'} ${what}`, () => {
    const check = (): void => checkRequest(requestOf(lines, { httpVersion }), authority)
    if (wrong === undefined) assert.doesNotThrow(check)
    else assert.throws(check, { code: 'WST_ERR_BAD_REQUEST', statusCode: 400, message: new RegExp(wrong) })
  })
}

/** A request as Node gives it for a stream of an HTTP/2 session. */
const ofSession = (lines: string[]): IncomingMessage =>
  Object.assign(requestOf(lines, { httpVersion: '2.0' }), { stream: {} }) as never

test('checks nothing of HTTP/2, whose parser checks by itself', () => {
  assert.doesNotThrow(() => checkRequest(ofSession([]), undefined))
})

for (const httpVersion of ['1.0', '1.1'])
  test(`accepts HTTP/${httpVersion}`, () => assert.doesNotThrow(() => checkVersion(requestOf([], { httpVersion }))))

test('accepts HTTP/2 over a session', () => assert.doesNotThrow(() => checkVersion(ofSession([]))))

for (const httpVersion of ['0.9', '1.2', '2.0', '3.0']) {
  test(`refuses HTTP/${httpVersion} on the request line`, () => {
    const wanted = { code: 'WST_ERR_HTTP_VERSION', statusCode: 505, headers: { Connection: 'close' } }
    assert.throws(() => checkVersion(requestOf([], { httpVersion })), wanted)
  })
}

test('refuses a path in another spelling, with its normal form in the message', () => {
  assert.doesNotThrow(() => checkSpelling('/x;y/a%20b', true))
  const code = 'WST_ERR_PATH_SPELLING'
  assert.throws(() => checkSpelling('/x//\u2028y', true), { code, statusCode: 400, message: /"\/x\/%E2%80%A8y"$/ })
  assert.throws(() => checkSpelling('/x%2F..', true), { code, message: /encoded slash$/ })
})
