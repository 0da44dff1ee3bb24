import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Flag, readFlags } from '../../../packages/httpd-conf/src/directives/rewrite-parts.ts'

const rows: [text: string | undefined, flags: Flag[] | undefined][] = [
  [undefined, []],
  ['[]', []],
  ['[L]', [['l', undefined]]],
  [
    '[NC, R=301,E=A:b=c]',
    [
      ['nc', undefined],
      ['r', '301'],
      ['e', 'A:b=c'],
    ],
  ],
  ['[L', undefined],
  ['L', undefined],
]

test('reads the flags of a rule as cmd_parseflagfield does', () => {
  for (const [text, flags] of rows) assert.deepEqual(readFlags(text), flags, text)
})
