import assert from 'node:assert/strict'
import { test } from 'node:test'
import { listMembers } from '../../../packages/core/src/http/header-list.ts'
import { trimBlanks } from '../../../packages/core/src/http/trim-blanks.ts'

/** What `String.trim` removes, except space and tab: the bytes A0 and 85 occur in fields, the others in none. */
const NO_BLANKS = ['\xa0', '\v', '\f', '\ufeff', '\u2028']

test('removes spaces and tabs, and nothing else', () => {
  assert.equal(trimBlanks(' \t a \t b\t '), 'a \t b')
  assert.equal(trimBlanks('a'), 'a')
  assert.equal(trimBlanks(' \t'), '')
  for (const other of NO_BLANKS) assert.equal(trimBlanks(` ${other}a${other}\t`), `${other}a${other}`)
})

test('leaves other characters in list members', () => {
  assert.deepEqual(listMembers([' a\t,\tb ', ',', '\xa0c, \xa0']), ['a', 'b', '\xa0c', '\xa0'])
})
