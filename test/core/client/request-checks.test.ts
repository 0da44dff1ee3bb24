import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkOrigin, checkRequest, requestedUpgrade } from '../../../packages/core/src/client/request-checks.ts'
import { resolveOptions } from '../../../packages/core/src/options/options.ts'
import { KEY } from '../../support/client.ts'
import { type RequestShape, requestOf } from '../../support/request.ts'

const WEBSOCKET = [
  'Host: h.test',
  'Connection: Upgrade',
  'Upgrade: websocket',
  `Sec-WebSocket-Key: ${KEY}`,
  'Sec-WebSocket-Version: 13',
]

/** The handshake without the fields of these names, and with these lines. */
const handshake = (...lines: string[]): string[] => {
  const nameOf = (line: string): string => line.slice(0, line.indexOf(':')).toLowerCase()
  const changed = lines.map(nameOf)
  return [...WEBSOCKET.filter(line => !changed.includes(nameOf(line))), ...lines.filter(line => !line.endsWith(': -'))]
}

const settingsOf = (options: object): Parameters<typeof requestedUpgrade>[1] =>
  resolveOptions({ target: 'ws://b.test/', ...options }).routes[0] as Parameters<typeof requestedUpgrade>[1]

/** The token, `plain HTTP`, or the status of the error. */
function requested(lines: string[], options: object = {}, shape: RequestShape = {}): string | number {
  try {
    return requestedUpgrade(requestOf(lines, shape), settingsOf(options)) ?? 'plain HTTP'
  } catch (error) {
    return (error as { statusCode: number }).statusCode
  }
}

interface Row {
  lines: string[]
  options?: object
  shape?: RequestShape
  /** With fallback, and without. */
  results: [string | number, string | number]
}

const ROWS: Record<string, Row> = {
  'a WebSocket handshake': { lines: WEBSOCKET, results: ['websocket', 'websocket'] },
  'a token in the spelling of the client': {
    lines: handshake('Upgrade: WebSocket'),
    results: ['WebSocket', 'WebSocket'],
  },
  'a plain request': { lines: ['Host: h.test'], results: ['plain HTTP', 'plain HTTP'] },
  'an Upgrade without a token': { lines: handshake('Upgrade: ,'), results: ['plain HTTP', 426] },
  'a token that the route does not allow': { lines: handshake('Upgrade: foo'), results: ['plain HTTP', 426] },
  'an allowed token among others': { lines: handshake('Upgrade: foo, websocket'), results: ['websocket', 'websocket'] },
  'an upgrade on a route that allows none': {
    lines: WEBSOCKET,
    options: { upgrade: false },
    results: ['plain HTTP', 426],
  },
  'any token on a route that allows any': {
    lines: handshake('Upgrade: foo'),
    options: { upgrade: 'ANY' },
    results: ['foo', 'foo'],
  },
  'an upgrade of HTTP/1.0': { lines: WEBSOCKET, shape: { httpVersion: '1.0' }, results: ['plain HTTP', 400] },
  'an upgrade with a body': { lines: handshake('Content-Length: 1'), results: ['plain HTTP', 400] },
  'a WebSocket handshake by POST': { lines: WEBSOCKET, shape: { method: 'POST' }, results: ['plain HTTP', 400] },
  'another upgrade by POST': {
    lines: handshake('Upgrade: foo'),
    options: { upgrade: 'foo' },
    shape: { method: 'POST' },
    results: ['foo', 'foo'],
  },
  'an upgrade that Connection does not name': {
    lines: handshake('Connection: keep-alive'),
    results: ['plain HTTP', 400],
  },
  'two keys': { lines: [...WEBSOCKET, `Sec-WebSocket-Key: ${KEY}`], results: [400, 400] },
  'two versions': { lines: [...WEBSOCKET, 'Sec-WebSocket-Version: 13'], results: [400, 400] },
  'no key': { lines: handshake('Sec-WebSocket-Key: -'), results: ['websocket', 'websocket'] },
  'no key, under strictHandshake': {
    lines: handshake('Sec-WebSocket-Key: -'),
    options: { strictHandshake: true },
    results: [400, 400],
  },
  'a short key, under strictHandshake': {
    lines: handshake('Sec-WebSocket-Key: c2hvcnQ='),
    options: { strictHandshake: true },
    results: [400, 400],
  },
  'another version, under strictHandshake': {
    lines: handshake('Sec-WebSocket-Version: 8'),
    options: { strictHandshake: true },
    results: [400, 400],
  },
  'a handshake without fault, under strictHandshake': {
    lines: WEBSOCKET,
    options: { strictHandshake: true },
    results: ['websocket', 'websocket'],
  },
  'any request on a route with NONE': {
    lines: ['Host: h.test'],
    options: { upgrade: 'NONE' },
    results: ['websocket', 'websocket'],
  },
}

for (const [what, { lines, options, shape, results }] of Object.entries(ROWS)) {
  test(`${what}: ${results[0]}, and ${results[1]} without fallback`, () => {
    assert.deepEqual(
      [true, false].map(fallback => requested(lines, { ...options, fallback }, shape)),
      results,
    )
  })
}

test('names the allowed tokens in the Upgrade field of a 426', () => {
  const settings = settingsOf({ upgrade: ['foo', 'websocket'], fallback: false })
  assert.throws(() => requestedUpgrade(requestOf(handshake('Upgrade: bar')), settings), {
    statusCode: 426,
    headers: { Upgrade: 'foo, websocket', Connection: 'Upgrade, close' },
  })
})

const ORIGINS: [origins: string[], allowed: string[] | undefined, passes: boolean][] = [
  [['Origin: https://evil.example'], undefined, true],
  [['Origin: https://app.example'], ['https://app.example'], true],
  [['Origin: HTTPS://App.Example'], ['https://app.example'], true],
  [[], ['https://app.example'], true],
  [['Origin: https://app.example:8443'], ['https://app.example'], false],
  [['Origin: http://app.example'], ['https://app.example'], false],
  [['Origin: null'], ['https://app.example'], false],
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
  ['another coding', ['Host: h', 'Transfer-Encoding: gzip, chunked'], 'Transfer-Encoding is not chunked'],
  ['two codings', ['Host: h', 'Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'], 'is not chunked'],
  ['a length beside chunked', ['Host: h', 'Transfer-Encoding: chunked', 'Content-Length: 1'], 'Content-Length beside'],
  ['nothing of HTTP/2, whose parser checks by itself', [], undefined, undefined, '2.0'],
]

for (const [what, lines, wrong, authority, httpVersion = '1.1'] of HEADS) {
  test(`${wrong === undefined ? 'accepts' : 'refuses'} ${what}`, () => {
    const check = (): void => checkRequest(requestOf(lines, { httpVersion }), authority)
    if (wrong === undefined) assert.doesNotThrow(check)
    else assert.throws(check, { code: 'WST_ERR_BAD_REQUEST', statusCode: 400, message: new RegExp(wrong) })
  })
}
