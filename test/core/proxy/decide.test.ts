import assert from 'node:assert/strict'
import { test } from 'node:test'
import { resolveOptions } from '../../../packages/core/src/options/options.ts'
import { requestedUpgrade } from '../../../packages/core/src/proxy/decide.ts'
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

/** The token, `plain HTTP` with its reason, or the status of the error. */
function requested(lines: string[], options: object = {}, shape: RequestShape = {}): string | number {
  try {
    const { token, reason } = requestedUpgrade(requestOf(lines, shape), settingsOf(options))
    return token ?? (reason === undefined ? 'plain HTTP' : `plain HTTP: ${reason}`)
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
  'a token that the route does not allow': { lines: handshake('Upgrade: foo'), results: ['plain HTTP: token', 426] },
  'an allowed token among others': { lines: handshake('Upgrade: foo, websocket'), results: ['websocket', 'websocket'] },
  'an upgrade on a route that allows none': {
    lines: WEBSOCKET,
    options: { upgrade: false },
    results: ['plain HTTP: token', 426],
  },
  'any token on a route that allows any': {
    lines: handshake('Upgrade: foo'),
    options: { upgrade: 'ANY' },
    results: ['foo', 'foo'],
  },
  'an upgrade of HTTP/1.0': { lines: WEBSOCKET, shape: { httpVersion: '1.0' }, results: ['plain HTTP: request', 400] },
  'an upgrade with a body': { lines: handshake('Content-Length: 1'), results: ['plain HTTP: request', 400] },
  'a WebSocket handshake by POST': {
    lines: WEBSOCKET,
    shape: { method: 'POST' },
    results: ['plain HTTP: method', 400],
  },
  'another upgrade by POST': {
    lines: handshake('Upgrade: foo'),
    options: { upgrade: 'foo' },
    shape: { method: 'POST' },
    results: ['foo', 'foo'],
  },
  'an upgrade that Connection does not name': {
    lines: handshake('Connection: keep-alive'),
    results: ['plain HTTP: connection', 400],
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
