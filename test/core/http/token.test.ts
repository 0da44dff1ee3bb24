import assert from 'node:assert/strict'
import { METHODS } from 'node:http'
import { test } from 'node:test'
import { TOKEN, UPGRADE_TOKEN } from '../../../packages/core/src/http/token.ts'

const SEPARATORS = '"(),/:;<=>?@[\\]{} \t'

test('accepts the characters of a token (RFC 9110 5.6.2) and no others', () => {
  for (let code = 0; code < 256; code++) {
    const character = String.fromCharCode(code)
    const isTokenCharacter = code > 0x20 && code < 0x7f && !SEPARATORS.includes(character)
    assert.equal(TOKEN.test(`a${character}`), isTokenCharacter, `U+${code.toString(16)}`)
  }
  assert.ok(!TOKEN.test(''))
  for (const method of METHODS) assert.ok(TOKEN.test(method), method)
})

test('accepts a protocol with or without a version', () => {
  for (const token of ['websocket', 'foo/2', 'TLS/1.0']) assert.ok(UPGRADE_TOKEN.test(token), token)
  for (const text of ['', 'foo/', '/2', 'foo/2/3', 'a b', 'a,b', 'a;q=1']) assert.ok(!UPGRADE_TOKEN.test(text), text)
})
