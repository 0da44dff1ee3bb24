import assert from 'node:assert/strict'
import { test } from 'node:test'
import { matchesVersion } from '../../../packages/httpd-conf/src/syntax/version.ts'

const rows: [text: string, result: boolean | RegExp][] = [
  ['2.4.71', true],
  ['2.4', false],
  ['= 2.4.71', true],
  ['>= 2.4.47', true],
  ['> 2.4.71', false],
  ['< 2.5', true],
  ['<= 2.4.71', true],
  ['!< 2.4', true],
  ['~ ^2\\.4\\.', true],
  ['/^2\\.5/', false],
  ['!~ ^2\\.4', false],
  ['', /requires additional arguments/],
  ['=> 2.4', /unrecognized operator '=>'/],
  ['>= two', /Version appears to be invalid/],
  ['> /2/', /unrecognized operator '>'/],
  ['~ (a+)+', /unable to compile/],
  ['~ (2', /unable to compile/],
]

test('compares the version of <IfVersion> as httpd does', () => {
  for (const [text, expected] of rows) {
    const result = matchesVersion(text, '2.4.71')
    if (expected instanceof RegExp) assert.match(String(result), expected, text)
    else assert.equal(result, expected, text)
  }
})
