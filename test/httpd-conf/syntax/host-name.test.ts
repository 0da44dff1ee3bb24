import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hostNameTest } from '@ws-tunnel/httpd-conf'

const rows: [pattern: string, name: string, matches: boolean][] = [
  ['one.test', 'one.test', true],
  ['One.Test', 'oNE.tEST', true],
  ['one.test', 'one.test.org', false],
  ['one.test', 'oneXtest', false],
  ['*.one.test', 'www.one.test', true],
  ['*.one.test', 'one.test', false],
  ['*', '', true],
  ['**', 'any.test', true],
  ['w?w.test', 'wxw.test', true],
  ['w?w.test', 'ww.test', false],
  ['*a*b', 'xaxaxb', true],
  ['*a*b', 'xaxbx', false],
  ['[ab].test', 'a.test', false],
  ['', '', true],
  ['', 'a', false],
]

test('matches a name with the wildcards of ServerAlias', () => {
  for (const [pattern, name, matches] of rows) assert.equal(hostNameTest(pattern)(name), matches, `${pattern} ${name}`)
})

test('compares a name with many wildcards in time that grows with both lengths', () => {
  assert.equal(hostNameTest(`${'*a'.repeat(500)}b`)('a'.repeat(255)), false)
})
