import assert from 'node:assert/strict'
import { test } from 'node:test'
import { explain, type WsTunnelOptions } from '@ws-tunnel/core'
import type { HttpdConf } from '@ws-tunnel/httpd-conf'
import { messagesOf, optionsOf, outcomeOf, outcomeText } from '../support.ts'

const PASS = 'ProxyPass / http://b.test/'

const textOf = (rules: string): string => `RewriteEngine On\n${rules}\n${PASS}`
const compiled = (rules: string, conf: Partial<HttpdConf> = {}): WsTunnelOptions => optionsOf(textOf(rules), conf)

test('explains each rule', async () => {
  const rules = `RewriteRule ^/a/(.*) /b/$1?k
RewriteRule ^/x - [F]
RewriteCond %{HTTP:X-A} .
RewriteRule ^/b - [G]
RewriteRule ^/b/(.*) http://r.test/$1 [P]`
  const { rewriting } = await explain(compiled(rules), { url: '/a/x', headers: { host: 'h.test' } })
  assert.deepEqual(rewriting, [
    'RewriteRule httpd.conf:2: rewrites to /b/x?k',
    'RewriteRule httpd.conf:3: the pattern does not match /b/x',
    'RewriteRule httpd.conf:5: condition 1 does not hold',
    'RewriteRule httpd.conf:6: rewrites to http://r.test/x?k',
  ])
})

test('never applies a rule whose condition allow leaves out', async () => {
  const rules = 'RewriteCond %{LA-U:REMOTE_USER} x\nRewriteRule ^/ ws://r.test/ [P]'
  assert.deepEqual(messagesOf(textOf(rules), 'error'), [
    'RewriteCond: the variable %{LA-U:REMOTE_USER} is not supported',
  ])
  const { outcome } = await explain(compiled(rules, { allow: ['RewriteCond'] }), { url: '/', headers: { host: 'h' } })
  assert.equal(outcomeText(outcome), 'b.test /')
})

test('reads the last RewriteEngine, and no rule of an engine that is off', async () => {
  const rule = 'RewriteRule ^/x - [G]'
  assert.equal(await outcomeOf(`${rule}\n${PASS}\nRewriteEngine On`, '/x'), '410')
  assert.equal(await outcomeOf(`RewriteEngine On\n${rule}\n${PASS}\nRewriteEngine Off`, '/x'), 'b.test /x')
  const host = `<VirtualHost *:80>\nServerName v.test\n${PASS}\n</VirtualHost>`
  assert.equal(await outcomeOf(`RewriteEngine On\n${rule}\n${host}`, '/x'), 'b.test /x')
})

const own: [rule: string, outcome: string][] = [
  ['RewriteRule ^/a http://own.TEST/b [PT]', 'b.test /b'],
  ['RewriteRule ^/a http://other.test:80/b [PT]', 'b.test /b'],
  ['RewriteRule ^/a http://own.test/b [R]', '302 http://own.test/b'],
  ['RewriteRule ^/a https://own.test/b [L]', '302 https://own.test/b'],
  ['RewriteRule ^/a http://own.test:81/b [L]', '302 http://own.test:81/b'],
  ['RewriteRule ^/a http://own.test.org/b [L]', '302 http://own.test.org/b'],
]

test('removes the name of the server itself from a URL, if the scheme is that of the request', async () => {
  for (const [rule, outcome] of own) {
    const names = 'ServerName Own.test\nServerAlias other.test'
    const text = `<VirtualHost *:80>\n${names}\nRewriteEngine On\n${rule}\n${PASS}\n</VirtualHost>`
    assert.equal(await outcomeOf(text, '/a'), outcome, rule)
  }
})

test('applies the sections around the requested path to the request of a rule with [P]', async () => {
  const rule = 'RewriteEngine On\nRewriteRule ^/(.*) http://r.test/$1 [P]'
  const text = `${rule}\n<Location /a>\nProxyPreserveHost On\nRequestHeader set X-In a\n</Location>`
  const hostOf = async (url: string): Promise<string | undefined> => {
    const { outcome } = await explain(optionsOf(text), { url, headers: { host: 'h.test' } })
    return outcome.kind === 'http' ? outcome.backend.headers.find(([name]) => name === 'Host')?.[1] : undefined
  }
  assert.deepEqual([await hostOf('/a/x'), await hostOf('/b')], ['h.test', 'r.test'])
})

test('checks the URL of a rule with [P] as it checks that of ProxyPass', () => {
  assert.match(messagesOf(textOf('RewriteRule ^/b ws://r.test:99999/ [P]'), 'error').join(), /^RewriteRule: .*port/)
})
