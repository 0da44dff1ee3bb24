import assert from 'node:assert/strict'
import { test } from 'node:test'
import { explain } from '@ws-tunnel/core'
import { messagesOf, optionsOf, outcomeOf, sentField } from '../support.ts'

const PASS = 'ProxyPass / http://b.test/'

const CHAIN = `<If "%{HTTP:X-A} == '1'">\nRequestHeader set X-In if\n</If>
<ElseIf "%{HTTP:X-A} == '2'">\nRequestHeader set X-In elseif\n</ElseIf>
<Else>\nRequestHeader set X-In else\n</Else>\n${PASS}`

test('applies the first section of a chain whose condition holds', async () => {
  for (const [value, section] of [
    ['1', 'if'],
    ['2', 'elseif'],
    ['3', 'else'],
  ] as const)
    assert.equal(await sentField(CHAIN, 'X-In', { 'x-a': value }), section)
})

test('applies an <If> in a Location to the paths of it', async () => {
  const text = `<Location /a>\n<If "-n %{HTTP:X-A}">\nRequire all denied\n</If>\n</Location>\n${PASS}`
  assert.equal(await outcomeOf(text, '/a', { 'x-a': '1' }), '403')
  assert.equal(await outcomeOf(text, '/b', { 'x-a': '1' }), 'b.test /b')
  assert.equal(await outcomeOf(text, '/a'), 'b.test /a')
})

test('does not apply an <If> in a Location that no path is in', async () => {
  const text = `<Location //a>\n<If "true">\nRequire all granted\n</If>\n</Location>\n<Proxy *>\nRequire all denied\n</Proxy>\n${PASS}`
  assert.equal(await outcomeOf(text, '/a'), '403')
})

test('redirects by a RedirectMatch in an <If>', async () => {
  const text = `<If "%{REQUEST_METHOD} == 'GET'">\nRedirectMatch permanent ^/(x*)$ https://o.test/$1\n</If>\n${PASS}`
  assert.equal(await outcomeOf(text, '/xx'), '301 https://o.test/xx')
  const { outcome } = await explain(optionsOf(text), { url: '/xx', method: 'POST', headers: { host: 'h' } })
  assert.equal(outcome.kind, 'http')
})

test('sees the variables that rules and SetEnvIf have set', async () => {
  const text = `SetEnvIf X-A 1 SEEN\n<If "-n reqenv('SEEN')">\nRequestHeader set X-In yes\n</If>\n${PASS}`
  assert.equal(await sentField(text, 'X-In', { 'x-a': '1' }), 'yes')
  assert.equal(await sentField(text, 'X-In', { 'x-a': '2' }), undefined)
})

test('leads upgrades to another backend by a rule of an <If>', async () => {
  const text = `<If "%{HTTP:Upgrade} =~ /websocket/i">\nRewriteEngine On\nRewriteRule ^proxy:http://b.test/?(.*) "ws://w.test/$1" [P,L]\n</If>\n${PASS}`
  assert.equal(await outcomeOf(text, '/x', { upgrade: 'websocket', connection: 'upgrade' }), 'w.test /x')
  assert.equal(await outcomeOf(text, '/x'), 'b.test /x')
})

const wrong: [text: string, message: RegExp][] = [
  ['<Else>\n</Else>', /without previous <If>/],
  ['<If>\n</If>', /requires additional arguments/],
  ['<If "nope(1)">\n</If>', /nope\(\) is not supported/],
]

test('refuses a section that is wrong or not supported', () => {
  for (const [text, message] of wrong) assert.match(messagesOf(`${text}\n${PASS}`, 'error').join(), message, text)
})
