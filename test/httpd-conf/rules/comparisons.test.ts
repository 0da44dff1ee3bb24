import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NUMERIC, TEXTUAL } from '../../../packages/httpd-conf/src/rules/comparisons.ts'

const rows: [name: string, below: boolean, same: boolean, above: boolean][] = [
  ['eq', false, true, false],
  ['ne', true, false, true],
  ['lt', true, false, false],
  ['le', true, true, false],
  ['gt', false, false, true],
  ['ge', false, true, true],
]
const signs: Record<string, string[]> = { eq: ['==', '='], ne: ['!='], lt: ['<'], le: ['<='], gt: ['>'], ge: ['>='] }

test('compares whole numbers and texts', () => {
  for (const [name, below, same, above] of rows) {
    assert.deepEqual(
      ['9', '10x', '11'].map(value => NUMERIC[name]?.(value, '10')),
      [below, same, above],
      name,
    )
    for (const sign of signs[name] ?? [])
      assert.deepEqual(
        ['a', 'b', 'c'].map(value => TEXTUAL[sign]?.(value, 'b')),
        [below, same, above],
        sign,
      )
  }
})
