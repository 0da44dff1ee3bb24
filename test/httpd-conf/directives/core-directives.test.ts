import assert from 'node:assert/strict'
import { test } from 'node:test'
import { diagnosticsOf, messagesOf, optionsOf, routeOf } from '../support.ts'

const PASS = 'ProxyPass / ws://b.test/'

const names: [line: string, serverName: string][] = [
  ['ServerName one.test', 'one.test'],
  ['ServerName one.test:8080', 'one.test'],
  ['ServerName https://one.test:443', 'one.test'],
]

test('reads ServerName without scheme and port', () => {
  for (const [line, serverName] of names) assert.equal(optionsOf(`${line}\n${PASS}`).serverName, serverName, line)
})

const wrong: [line: string, httpd: string | undefined][] = [
  ['ServerName *.test', 'Invalid ServerName "*.test" use ServerAlias to set multiple server names.'],
  ['ServerName a:0', 'The port number "a:0" is outside the appropriate range (i.e., 1..65535).'],
  ['ServerName a:65536', 'The port number "a:65536" is outside the appropriate range (i.e., 1..65535).'],
  ['ServerAlias a', 'ServerAlias only used in <VirtualHost>'],
  ['AllowEncodedSlashes maybe', 'AllowEncodedSlashes must be On, Off, or NoDecode'],
  ['MergeSlashes maybe', 'MergeSlashes must be On or Off'],
  ['Timeout 0', undefined],
  ['Timeout', 'Timeout takes one argument, Timeout duration (sec)'],
]

test('refuses a wrong line with the text of httpd', () => {
  for (const [line, httpd] of wrong) {
    const [error] = diagnosticsOf(`${line}\n${PASS}`, 'error')
    assert.ok(error, line)
    assert.equal(error.httpd, httpd, line)
  }
})

test('reads how paths are decoded', () => {
  for (const [value, mode] of [
    ['On', 'decode'],
    ['Off', 'reject'],
    ['NoDecode', 'keep'],
  ]) {
    const { encodedSlashes, mergeSlashes } = routeOf(`AllowEncodedSlashes ${value}\nMergeSlashes Off\n${PASS}`)
    assert.deepEqual([encodedSlashes, mergeSlashes], [mode, false], value)
  }
})

const access: [lines: string, severity: 'ignored' | 'error'][] = [
  ['Require all granted', 'ignored'],
  ['Require all denied', 'error'],
  ['Require ip 10.0.0.0/8', 'error'],
  ['Order allow,deny', 'ignored'],
  ['Allow from all', 'ignored'],
  ['Allow from 10.0.0.1', 'error'],
  ['Deny from none', 'ignored'],
  ['Deny from all', 'error'],
  ['Satisfy all', 'ignored'],
  ['Satisfy any', 'error'],
  ['<RequireAny>\nRequire all granted\n</RequireAny>', 'ignored'],
  ['<RequireAll>\nRequire all granted\nRequire ip 10.0.0.1\n</RequireAll>', 'error'],
  ['<RequireNone>\nRequire ip 10.0.0.1\n</RequireNone>', 'error'],
]

test('ignores access control that allows every client, and refuses all other', () => {
  for (const [lines, severity] of access) {
    assert.equal(messagesOf(`${lines}\n${PASS}`, severity).length, 1, lines)
    assert.equal(messagesOf(`${lines}\n${PASS}`, severity === 'error' ? 'ignored' : 'error').length, 0, lines)
  }
})

const other: [lines: string, severity: 'ignored' | 'error', message: RegExp][] = [
  ['Redirect /x /y', 'ignored', /requests that are not proxied/],
  ['<Location /a>\nRedirect /x\n</Location>', 'error', /redirect requests that are proxied/],
  ['ErrorDocument 404 /x', 'ignored', /your app makes such responses/],
  ['ErrorDocument 503 /x', 'error', /responses with status 503/],
  ['UseCanonicalName On', 'error', /name from the Host field/],
]

test('refuses what would change a proxied response', () => {
  for (const [lines, severity, message] of other)
    assert.match(messagesOf(`${lines}\n${PASS}`, severity).join(), message, lines)
  assert.deepEqual(messagesOf(`UseCanonicalName Off\n${PASS}`, 'error'), [])
})
