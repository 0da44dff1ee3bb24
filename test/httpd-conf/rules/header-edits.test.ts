import assert from 'node:assert/strict'
import { test } from 'node:test'
import { explain } from '@ws-tunnel/core'
import { optionsOf, sentField } from '../support.ts'

const rows: [lines: string, before: string | string[] | undefined, after: string | undefined][] = [
  ['set X b', 'a', 'b'],
  ['set X b', undefined, 'b'],
  ['setifempty X b', 'a', 'a'],
  ['setifempty X b', undefined, 'b'],
  ['add X b', 'a', 'a, b'],
  ['append X b', ['a', 'c'], 'a, c, b'],
  ['append X b', undefined, 'b'],
  ['merge X b', 'a', 'a, b'],
  ['merge X b', 'a, b', 'a, b'],
  ['merge X b', 'a, "b, c"', 'a, "b, c", b'],
  ['merge X b', 'ab', 'ab, b'],
  ['unset X', 'a', undefined],
  ['edit X a <$0>', 'aa', '<a>a'],
  ['edit* X a <$0>', 'aba', '<a>b<a>'],
  ['edit* X (b)(c)? [$1$2]', 'abcb', 'a[bc][b]'],
  ['edit* X z* -', 'ab', '-ab'],
  ['edit X (?i)A b', 'a', 'b'],
  ['edit X a b', undefined, undefined],
  ['note X n', 'a', 'a'],
]

test('edits the fields of a request as do_headers_fixup does', async () => {
  for (const [lines, before, after] of rows) {
    const text = `RequestHeader ${lines}\nProxyPass / http://b.test/`
    assert.equal(await sentField(text, 'X', before === undefined ? {} : { X: before }), after, `${lines} of ${before}`)
  }
})

test('applies the lines in their order', async () => {
  const text = 'RequestHeader set X a\nRequestHeader append X b\nRequestHeader edit X b c\nProxyPass / http://b.test/'
  assert.equal(await sentField(text, 'X'), 'a, c')
})

test('replaces characters that would end the field', async () => {
  const text = `RewriteEngine On
RewriteRule ^/(.*)$ /x [E=V:$1,PT]
RequestHeader set X %{V}e
ProxyPass / http://b.test/`
  const { outcome } = await explain(optionsOf(text), { url: '/a%0d%0ab', headers: { host: 'h.test' } })
  assert.ok(outcome.kind === 'http')
  assert.equal(outcome.backend.headers.find(([name]) => name === 'X')?.[1], 'a  b')
})
