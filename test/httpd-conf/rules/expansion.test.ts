import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Expansion } from '../../../packages/httpd-conf/src/rules/expansion.ts'
import { requestOf } from '../incoming-message.ts'

const state = { req: requestOf('/'), uri: '/a', filename: '/b', args: 'q?', env: new Map([['V', 'v']]) }
const backrefs = { rule: ['x', 'one'], condition: ['y', 'two?'] }

const read = (text: string): Expansion => {
  const expansion = Expansion.read(text)
  assert.ok(expansion instanceof Expansion, text)
  return expansion
}

const rows: [text: string, expanded: string, literalStart: string][] = [
  ['/a', '/a', '/a'],
  ['/$1/%0', '/one/y', '/'],
  ['$9', '', ''],
  ['%{REQUEST_URI}%{ENV:V}', '/av', ''],
  ['a\\$1\\\\', 'a$1\\', 'a$1\\'],
  ['100% $x', '100% $x', '100% $x'],
]

test('expands back references and variables', () => {
  for (const [text, expanded, literalStart] of rows) {
    assert.equal(read(text).expand(state, backrefs).text, expanded, text)
    assert.equal(read(text).literalStart, literalStart, text)
  }
})

test('names a variable that is not supported, also in a map', () => {
  assert.deepEqual(Expansion.read('%{LA-U:X}'), { unknown: '%{LA-U:X}' })
  assert.deepEqual(Expansion.read(`\${map:%{LA-U:X}}`), { unknown: '%{LA-U:X}' })
  assert.deepEqual(read(`\${a:\${b:$1}|\${c:x}}`).mapNames, ['a', 'b', 'c'])
})

const marks: [text: string, last: boolean, isWritten: boolean][] = [
  ['/a?%1', false, true],
  ['/%1?', false, false],
  ['/%1?', true, true],
  ['/a?%1', true, false],
  ['/a', false, true],
]

test('distinguishes a ? of the substitution from one of a value', () => {
  for (const [text, last, isWritten] of marks)
    assert.equal(read(text).expand(state, backrefs, undefined, last).markIsWritten, isWritten, `${text} ${last}`)
})

test('escapes back references, and no other part', () => {
  const escaping = { only: undefined, except: '', noPlus: false, controls: false }
  assert.equal(read('/?%1').expand(state, backrefs, escaping).text, '/?two%3f')
})
