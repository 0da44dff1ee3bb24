import assert from 'node:assert/strict'
import { test } from 'node:test'
import { explain, type WsTunnelOptions } from '@ws-tunnel/core'
import { compileHttpdConf, type HttpdConf } from '@ws-tunnel/httpd-conf'
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

test('warns of a URL with a name of the server itself, which httpd would remove', () => {
  const warned = (rule: string): number[] => {
    const names = 'ServerName Own.test\nServerAlias other.test'
    const text = `<VirtualHost *:80>\n${names}\nRewriteEngine On\n${rule}\n${PASS}\n</VirtualHost>`
    return compileHttpdConf({ text })
      .diagnostics.filter(({ severity, message }) => severity === 'warning' && /removes its own name/.test(message))
      .map(({ line }) => line)
  }
  assert.deepEqual(warned('RewriteRule ^/a https://own.TEST/b [L]'), [5])
  assert.deepEqual(warned('RewriteRule ^/a http://other.test:80/$1'), [5])
  for (const rule of ['https://own.test/b [R]', 'http://own.test/b [P]', 'http://own.test.org/b', '/own.test/b'])
    assert.deepEqual(warned(`RewriteRule ^/a ${rule}`), [])
})

test('refuses [P] together with sections that have other directives than ProxyPass', () => {
  const section = (line: string): string => `<Location /a>\n${line}\n</Location>\nRewriteRule ^/b ws://r.test/ [P]`
  assert.match(messagesOf(textOf(section('ProxyPreserveHost On')), 'error').join(), /\[P\] is not supported together/)
  assert.deepEqual(messagesOf(textOf(section('ProxyPass ws://b.test/')), 'error'), [])
})

test('checks the URL of a rule with [P] as it checks that of ProxyPass', () => {
  assert.match(messagesOf(textOf('RewriteRule ^/b ws://r.test:99999/ [P]'), 'error').join(), /^RewriteRule: .*port/)
})
