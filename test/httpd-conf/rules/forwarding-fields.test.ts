import assert from 'node:assert/strict'
import { test } from 'node:test'
import { outcomeOf, sentField } from '../support.ts'

const PASS = 'ServerName own.test\nProxyPass / http://b.test/'

const rows: [lines: string, field: string, client: string | undefined, sent: string | undefined][] = [
  ['RequestHeader set X 1', 'X-Forwarded-For', undefined, '127.0.0.1'],
  ['RequestHeader set X 1', 'X-Forwarded-For', '9.9.9.9', '9.9.9.9, 127.0.0.1'],
  ['RequestHeader unset X-Forwarded-For', 'X-Forwarded-For', '9.9.9.9', '127.0.0.1'],
  ['RequestHeader set X-Forwarded-For 1.2.3.4', 'X-Forwarded-For', '9.9.9.9', '1.2.3.4, 127.0.0.1'],
  ['RequestHeader set X 1', 'X-Forwarded-Host', undefined, 'h.test'],
  ['RequestHeader set Host o.test', 'X-Forwarded-Host', 'c.test', 'c.test, o.test'],
  ['RequestHeader set X 1', 'X-Forwarded-Server', undefined, 'own.test'],
  ['RequestHeader set X 1\nProxyAddHeaders Off', 'X-Forwarded-For', undefined, undefined],
  ['RequestHeader set X-Forwarded-For 1\nProxyAddHeaders Off', 'X-Forwarded-For', undefined, '1'],
]

test('adds X-Forwarded-* after the edits, as httpd does', async () => {
  for (const [lines, field, client, sent] of rows)
    assert.equal(
      await sentField(`${lines}\n${PASS}`, field, client === undefined ? {} : { [field]: client }),
      sent,
      `${lines} ${field} ${client}`,
    )
})

test('counts Max-Forwards down', async () => {
  assert.equal(await sentField(PASS, 'Max-Forwards', { 'max-forwards': '2' }), '1')
  assert.equal(await sentField(`ProxyMaxForwards 9\n${PASS}`, 'Max-Forwards', { 'max-forwards': '2' }), '1')
})

test('refuses a Max-Forwards of zero, and one that is not a number', async () => {
  for (const value of ['0', 'x', '-1'])
    assert.equal(await outcomeOf(PASS, '/', { 'max-forwards': value }), '400', value)
})
