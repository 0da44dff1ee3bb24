import assert from 'node:assert/strict'
import { test } from 'node:test'
import { shellPattern } from '../../../packages/httpd-conf/src/directives/sections.ts'
import { diagnosticsOf, messagesOf, outcomeOf, routesOf, sentField } from '../support.ts'

const PASS = 'ProxyPass / http://b.test/'

const patterns: [shell: string, path: string, matches: boolean][] = [
  ['/a*', '/abc', true],
  ['/a*', '/a/b', false],
  ['/a?', '/ab', true],
  ['/a?', '/a/', false],
  ['/[ab]', '/b', true],
  ['/[!ab]', '/b', false],
  ['/[^ab]', '/c', true],
  ['/a\\*', '/a*', true],
  ['/a\\*', '/ab', false],
  ['/a.b', '/axb', false],
]

test('reads a shell pattern whose wildcards match no slash', () => {
  for (const [shell, path, matches] of patterns)
    assert.equal(new RegExp(shellPattern(shell)).test(path), matches, `${shell} ${path}`)
})

const wrong: [text: string, httpd: string | undefined][] = [
  ['<Location>\n</Location>', '<Location> directive requires additional arguments'],
  ['<Location /a /b>\n</Location>', 'Multiple <Location> arguments not (yet) supported.'],
  ['<Location /a>\n<Location /b>\n</Location>\n</Location>', '<Location not allowed in <Location> context'],
  ['<LocationMatch "(">\n</LocationMatch>', 'Regex could not be compiled'],
  ['<LocationMatch "(a)\\1">\n</LocationMatch>', undefined],
  ['<ProxyMatch "(">\n</ProxyMatch>', 'Regex could not be compiled'],
  ['<ProxyMatch a>\nProxySet max=1\n</ProxyMatch>', undefined],
  ['<VirtualHost>\n</VirtualHost>', '<VirtualHost> directive requires additional arguments'],
  ['<Location /a>\n<VirtualHost *>\n</VirtualHost>\n</Location>', '<VirtualHost not allowed in <Location> context'],
  [
    '<VirtualHost *>\n<VirtualHost *>\n</VirtualHost>\n</VirtualHost>',
    '<VirtualHost> cannot occur within <VirtualHost> section',
  ],
]

test('refuses a wrong section with the text of httpd', () => {
  for (const [text, httpd] of wrong) {
    const [error] = diagnosticsOf(`${text}\n${PASS}`, 'error')
    assert.ok(error, text)
    assert.equal(error.httpd, httpd, text)
  }
})

test('refuses a directive in <Proxy> that it does not support there', () => {
  const section = (line: string): string => `<Proxy http://b.test/>\n${line}\n</Proxy>\n${PASS}`
  assert.match(messagesOf(section('ProxyPreserveHost On'), 'error').join(), /not supported in a <Proxy> section/)
  assert.match(messagesOf(section('SSLProxyEngine On'), 'error').join(), /not supported in a <Proxy> section/)
  for (const line of ['Require all granted', 'ProxySet max=1', 'ServerSignature On', 'Options None'])
    assert.deepEqual(messagesOf(section(line), 'error'), [], line)
})

test('applies header lines of a <Proxy> to the requests for its backends', async () => {
  const text = (url: string): string => `<Proxy "${url}">\nRequestHeader set X-In proxy\n</Proxy>\n${PASS}`
  for (const url of ['*', 'http://b.test/', 'http://b.test/*', 'http://b.*', 'http:'])
    assert.equal(await sentField(text(url), 'X-In'), 'proxy', url)
  assert.equal(await sentField(text('http://c.test/'), 'X-In'), undefined)
  assert.match(messagesOf(text('http://b.test/a'), 'error').join(), /a part of the requests of a ProxyPass line/)
  const rule = 'RewriteEngine On\nRewriteRule ^/(.*) http://c.test/$1 [P]\n'
  assert.equal(await sentField(`${rule}${text('http://c.test')}`, 'X-In'), 'proxy')
})

test('merges a <Proxy> before the Location sections', async () => {
  const text = `<Location />\nRequestHeader append X-In location\n</Location>\n<Proxy *>\nRequestHeader set X-In proxy\n</Proxy>\n${PASS}`
  assert.equal(await sentField(text, 'X-In'), 'proxy, location')
})

test('warns of a Location with a run of slashes, which never matches', async () => {
  const text = `<Location /a//b>\nProxyPass http://never.test/\n</Location>\n${PASS}`
  assert.match(messagesOf(text, 'warning').join(), /never matches, in httpd too/)
  assert.equal(await outcomeOf(text, '/a/b'), 'b.test /a/b')
})

test('reads <Location ~> and <LocationMatch> as patterns', () => {
  for (const open of ['<Location ~ "^/a+$">', '<LocationMatch "^/a+$">']) {
    const close = open.startsWith('<LocationM') ? '</LocationMatch>' : '</Location>'
    const [route] = routesOf(`${open}\nProxyPassMatch http://b.test/\n${close}`)
    assert.equal(String(route?.path), '/^\\/a+$/s', open)
  }
})
