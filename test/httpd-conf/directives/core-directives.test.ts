import assert from 'node:assert/strict'
import { test } from 'node:test'
import { diagnosticsOf, messagesOf, optionsOf, outcomeOf, routeOf, routesOf } from '../support.ts'

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

const other: [lines: string, severity: 'ignored' | 'error' | 'warning', message: RegExp][] = [
  ['ErrorDocument 503 /x', 'ignored', /responses with status 503/],
  ['ErrorDocument 99 /x', 'error', /Unsupported HTTP response code 99/],
  ['DocumentRoot /srv', 'ignored', /requests that are not proxied/],
  ['LimitRequestBody 9', 'ignored', /does not apply to proxied requests/],
  ['LimitRequestBody x', 'error', /requires a non-negative integer/],
  ['ServerName h.test/path', 'warning', /only the name and the port count: h\.test/],
  ['UseCanonicalName DNS', 'error', /a DNS lookup for each request/],
  ['UseCanonicalName maybe', 'error', /parameter must be/],
]

test('reports a line that has no effect, or that is not supported', () => {
  for (const [lines, severity, message] of other)
    assert.match(messagesOf(`${lines}\n${PASS}`, severity).join(), message, lines)
  assert.deepEqual(messagesOf(`UseCanonicalName Off\n${PASS}`, 'error'), [])
})

test('redirects to the name of the server with UseCanonicalName On', async () => {
  const text = `ServerName own.test:81\nUseCanonicalName On\nRedirect /a /b\nProxyPass / !`
  assert.equal(await outcomeOf(text, '/a'), '302 http://own.test:81/b')
  assert.equal(await outcomeOf(text.replace('On', 'Off'), '/a'), '302 http://h.test/b')
  const reverse = `ServerName own.test\nUseCanonicalName On\nSSLEngine On\nProxyPassReverse / http://b.test/\n${PASS}`
  const passReverse = routesOf(reverse).at(-1)?.passReverse
  assert.deepEqual(passReverse, { 'http://b.test/': 'https://own.test/' })
})
