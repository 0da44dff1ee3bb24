import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SETTABLE, stateChanges, stateWords } from '../../../packages/manager/src/page/member-state.ts'

const words = (status: string): string =>
  stateWords(status)
    .map(({ word, kind }) => word + (kind && ` (${kind})`))
    .join()

test('a state is a word for each letter', () => {
  assert.equal(words(''), 'ready (good)')
  assert.equal(words('DN'), 'disabled,draining')
  assert.equal(words('SEC'), 'stopped (bad),in error (bad),fails its health checks (bad)')
  assert.equal(words('x'), 'x')
})

test('the letters that an operator may set have a word', () => {
  for (const { letter, word } of SETTABLE) assert.notEqual(word, letter)
  assert.ok(SETTABLE.every(({ letter }) => letter !== 'C'))
})

test('changes are the letters that were switched', () => {
  assert.equal(stateChanges('', []), '')
  assert.equal(stateChanges('', ['H', 'N']), '+N+H')
  assert.equal(stateChanges('DEC', ['E', 'R']), '-D+R')
})
