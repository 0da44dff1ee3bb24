import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hostNameTest } from '@ws-tunnel/httpd-conf'
import { isStrictHost } from '../../../packages/httpd-conf/src/syntax/host-name.ts'

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

const hosts: [accepted: boolean, hosts: string][] = [
  [true, 'a a.b a.b. a_b a-b a:80 a:65535 1a 127.0.0.1 127.0.0.1:8080 [::1] [::1]:443 .a a.b1'],
  [false, ' a: a,b a:0 a:65536 a:x 1 127.0.0 127.0.0.01 a..b a.1 [x] [::1 a/b a@b é a%20'],
]

test('accepts the hosts that httpd accepts', () => {
  for (const [accepted, names] of hosts)
    for (const name of names.split(' ')) assert.equal(isStrictHost(name), accepted, JSON.stringify(name))
})
