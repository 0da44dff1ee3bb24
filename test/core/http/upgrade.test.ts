import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  allowedToken,
  canSwitch,
  checkSwitch,
  connectionUpgrade,
  hasBody,
  looksLikeUpgrade,
  methodFits,
  type UpgradeSetting,
  upgradeTokens,
} from '../../../packages/core/src/http/upgrade.ts'
import { resolveOptions } from '../../../packages/core/src/options/options.ts'
import { type RequestShape, requestOf } from '../../support/request.ts'

const requested: [lines: string[], tokens: string[]][] = [
  [[], []],
  [['Upgrade: websocket'], ['websocket']],
  [['upgrade: WebSocket'], ['WebSocket']],
  [['Upgrade: foo, websocket'], ['foo', 'websocket']],
  [['Upgrade: foo,websocket ,\tbar'], ['foo', 'websocket', 'bar']],
  [
    ['Upgrade: foo', 'Upgrade: websocket'],
    ['foo', 'websocket'],
  ],
  [['Upgrade: ,, websocket,'], ['websocket']],
  [['Upgrade: '], []],
  [['Upgrade: TLS/1.0, HTTP/2.0'], ['TLS/1.0', 'HTTP/2.0']],
  [['Upgrade: web socket'], []],
  [['Upgrade: websocket;q=1'], []],
  [['Upgrade: "websocket"'], []],
  [['Upgrade: websocket/13/14, a'], ['a']],
]

test('reads the tokens that a client requests, in its order and spelling', () => {
  for (const [lines, tokens] of requested) assert.deepEqual(upgradeTokens(requestOf(lines)), tokens, lines.join())
})

const setting = (upgrade: string | string[] | false | undefined): UpgradeSetting =>
  resolveOptions({ target: 'ws://h/', upgrade }).routes[0]?.upgrade as UpgradeSetting

const allowed: [upgrade: string | string[] | false | undefined, tokens: string[], token: string | undefined][] = [
  [undefined, [], undefined],
  [undefined, ['websocket'], 'websocket'],
  [undefined, ['WebSocket'], 'WebSocket'],
  [undefined, ['websocketX'], undefined],
  [undefined, ['Xwebsocket'], undefined],
  [undefined, ['web'], undefined],
  [undefined, ['websocket/13'], undefined],
  [undefined, ['foo'], undefined],
  [undefined, ['foo', 'websocket'], 'websocket'],
  [undefined, ['websocket', 'foo'], 'websocket'],
  [undefined, ['h2c', 'websocket'], 'websocket'],
  [undefined, ['NONE'], undefined],
  [undefined, ['ANY'], undefined],
  ['foo', ['FOO'], 'FOO'],
  ['foo', ['websocket'], undefined],
  ['FOO/2', ['foo/2'], 'foo/2'],
  ['FOO/2', ['foo'], undefined],
  [['foo', 'websocket'], ['websocket', 'foo'], 'websocket'],
  [['foo', 'websocket'], ['bar'], undefined],
  ['ANY', [], undefined],
  ['ANY', ['websocket'], 'websocket'],
  ['any', ['Dialtone', 'websocket'], 'Dialtone'],
  ['ANY', ['h2c'], undefined],
  ['ANY', ['H2C', 'foo'], 'foo'],
  ['ANY', ['h2'], undefined],
  ['ANY', ['TLS/1.0'], undefined],
  ['ANY', ['HTTP/2.0'], undefined],
  ['ANY', ['HTTP/1.1', 'foo'], 'foo'],
  ['h2c', ['h2c'], 'h2c'],
  ['TLS/1.0', ['tls/1.0'], 'tls/1.0'],
  [false, [], undefined],
  [false, ['websocket', 'foo'], undefined],
  ['NONE', [], 'websocket'],
  ['none', ['WebSocket'], 'WebSocket'],
  ['NONE', ['foo'], 'foo'],
  ['NONE', ['h2c'], 'websocket'],
]

test('selects the first token that is allowed, by its exact name and in the spelling of the client', () => {
  for (const [upgrade, tokens, token] of allowed) {
    assert.equal(allowedToken(setting(upgrade), tokens), token, `${upgrade} allows ${tokens}`)
  }
})

const WS = ['Connection: Upgrade', 'Upgrade: websocket']

const looks: [lines: string[], shape: RequestShape, yes: boolean][] = [
  [WS, {}, true],
  [['Connection: keep-alive, upgrade', 'Upgrade: websocket'], {}, true],
  [['Connection: keep-alive', 'Connection: UPGRADE', 'Upgrade: websocket'], {}, true],
  [['Connection: Upgrade', 'Upgrade: foo'], {}, true],
  [['Connection: Upgrade', 'Upgrade: foo'], { method: 'POST' }, true],
  [['Connection: Upgrade', 'Upgrade: h2c, websocket'], {}, true],
  [[...WS, 'Content-Length: 0'], {}, true],
  [['Upgrade: websocket'], {}, false],
  [['Connection: keep-alive', 'Upgrade: websocket'], {}, false],
  [['Connection: upgraded', 'Upgrade: websocket'], {}, false],
  [['Connection: Upgrade'], {}, false],
  [['Connection: Upgrade', 'Upgrade: '], {}, false],
  [['Connection: Upgrade', 'Upgrade: h2c'], {}, false],
  [['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: x'], {}, false],
  [['Connection: Upgrade', 'Upgrade: TLS/1.0'], {}, false],
  [WS, { httpVersion: '1.0' }, false],
  [WS, { httpVersion: '2.0' }, false],
  [WS, { method: 'POST' }, false],
  [WS, { method: 'HEAD' }, false],
  [WS, { method: 'CONNECT' }, false],
  [[...WS, 'Content-Length: 1'], {}, false],
  [[...WS, 'Transfer-Encoding: chunked'], {}, false],
  [[...WS, 'Content-Length: 0', 'Transfer-Encoding: chunked'], {}, false],
]

test('separates requests that some route may upgrade from those that stay plain HTTP', () => {
  for (const [lines, shape, yes] of looks) {
    assert.equal(looksLikeUpgrade(requestOf(lines, shape)), yes, `${JSON.stringify(shape)} ${lines.join(' | ')}`)
  }
})

test('recognises a body by its length or its coding', () => {
  const bodies: [line: string, yes: boolean][] = [
    ['Host: h', false],
    ['Content-Length: 0', false],
    ['Content-Length: 00', false],
    ['Content-Length: 1', true],
    ['Transfer-Encoding: chunked', true],
    ['Transfer-Encoding: identity', true],
  ]
  for (const [line, yes] of bodies) assert.equal(hasBody(requestOf([line])), yes, line)
})

test('switches only HTTP/1.1 without a body', () => {
  assert.equal(canSwitch(requestOf([])), true)
  assert.equal(canSwitch(requestOf([], { method: 'POST' })), true)
  assert.equal(canSwitch(requestOf([], { httpVersion: '1.0' })), false)
  assert.equal(canSwitch(requestOf([], { httpVersion: '2.0' })), false)
  assert.equal(canSwitch(requestOf([], { method: 'CONNECT' })), false)
  assert.equal(canSwitch(requestOf(['Content-Length: 5'])), false)
})

test('requires upgrade in Connection, and GET for a WebSocket', () => {
  assert.equal(connectionUpgrade(requestOf(['Connection: close, Upgrade'])), true)
  assert.equal(connectionUpgrade(requestOf(['Connection: close'])), false)
  assert.equal(connectionUpgrade(requestOf([])), false)
  assert.equal(methodFits(requestOf([]), 'WebSocket'), true)
  assert.equal(methodFits(requestOf([], { method: 'PUT' }), 'WebSocket'), false)
  assert.equal(methodFits(requestOf([], { method: 'PUT' }), 'foo'), true)
})

const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='
const ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='

const switches: [
  what: string,
  lines: string[],
  fault: RegExp | undefined,
  shape?: { key?: string; version?: string },
][] = [
  ['the requested token', WS, undefined],
  ['the token in another case', ['Connection: upgrade', 'Upgrade: WebSocket'], undefined],
  ['Connection with other options', ['Connection: keep-alive, Upgrade', 'Upgrade: websocket'], undefined],
  ['no Upgrade', ['Connection: Upgrade'], /expected Upgrade: websocket, got none/],
  ['another token', ['Connection: Upgrade', 'Upgrade: foo'], /got "foo"/],
  ['several tokens', ['Connection: Upgrade', 'Upgrade: websocket, foo'], /got "websocket, foo"/],
  ['several lines', [...WS, 'Upgrade: foo'], /got "websocket, foo"/],
  ['no Connection', ['Upgrade: websocket'], /no Connection: upgrade/],
  ['HTTP/1.0', WS, /HTTP\/1\.0/, { version: '1.0' }],
  ['the right accept', [...WS, `Sec-WebSocket-Accept: ${ACCEPT}`], undefined, { key: KEY }],
  ['a wrong accept', [...WS, `Sec-WebSocket-Accept: ${KEY}`], /Sec-WebSocket-Accept/, { key: KEY }],
  ['no accept', WS, /Sec-WebSocket-Accept/, { key: KEY }],
]

test('accepts a 101 only if it switches to the requested protocol', () => {
  for (const [what, lines, fault, { key, version: httpVersion = '1.1' } = {}] of switches) {
    const response = { httpVersion, rawHeaders: requestOf(lines).rawHeaders }
    const check = (): void => checkSwitch(response, 'websocket', key)
    if (fault === undefined) assert.doesNotThrow(check, what)
    else assert.throws(check, { code: 'WST_ERR_BAD_SWITCH', message: fault }, what)
  }
})

test('checks Sec-WebSocket-Accept for WebSocket alone', () => {
  const { rawHeaders } = requestOf(['Connection: Upgrade', 'Upgrade: foo'])
  assert.doesNotThrow(() => checkSwitch({ httpVersion: '1.1', rawHeaders }, 'foo', KEY))
})
