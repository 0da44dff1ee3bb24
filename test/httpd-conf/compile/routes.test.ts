import assert from 'node:assert/strict'
import { test } from 'node:test'
import { messagesOf, outcomeOf, routesOf } from '../support.ts'

const pathsOf = (text: string): unknown[] => routesOf(text).map(({ path, target }) => [String(path), target])

test('puts the routes of sections before the list, the last section first', () => {
  const text = `ProxyPass / http://list.test/
<Location /a>\nProxyPass http://a.test/\n</Location>
<Location /a/b>\nProxyPass http://b.test/\n</Location>`
  assert.deepEqual(pathsOf(text), [
    ['/a/b', 'http://b.test/'],
    ['/a', 'http://a.test/'],
    ['/', 'http://list.test/'],
  ])
})

test('puts lines with mapping= before all others', () => {
  const text = 'ProxyPass /a http://a.test/\nProxyPass /b http://b.test/ mapping=encoded'
  assert.deepEqual(pathsOf(text), [
    ['/b', 'http://b.test/'],
    ['/a', 'http://a.test/'],
  ])
})

const outcomes: [what: string, text: string, url: string, outcome: string][] = [
  ['an exclusion', 'ProxyPass /a/x !\nProxyPass /a http://b.test/', '/a/x', 'app'],
  ['a segment boundary', 'ProxyPass /a http://b.test/', '/ab', 'app'],
  ['a run of slashes', 'MergeSlashes Off\nProxyPass /a/b http://b.test/', '/a//b', 'b.test /'],
  ['captures', 'ProxyPassMatch ^/(\\w+)/(.*)$ http://b.test/$2/$1', '/a/b', 'b.test /b/a'],
  ['a pattern that ignores case', 'ProxyPassMatch (?i)^/a/(.*)$ http://b.test/$1', '/A/b', 'b.test /b'],
  [
    'a pattern that ignores case, split by a section that does not',
    '<Location /A/x>\nProxyPreserveHost On\n</Location>\nProxyPassMatch (?i)^/a/(.*)$ http://b.test/$1',
    '/A/xy',
    'b.test /xy',
  ],
  ['a pattern found later in the path', 'ProxyPassMatch b(.)$ http://b.test/$1', '/abc', 'b.test /c'],
  [
    'the same, split by a section',
    '<Location /a>\nProxyPreserveHost On\n</Location>\nProxyPassMatch b(.)$ http://b.test/$1',
    '/a/bc',
    'b.test /c',
  ],
  [
    'a pattern with an alternative later in the path, split by a section',
    '<Location /a>\nProxyPreserveHost On\n</Location>\nProxyPassMatch ^/x|b(.)$ http://b.test/$1',
    '/a/bc',
    'b.test /c',
  ],
  [
    'a pattern whose ^ matches after a newline, below a section without fallback',
    `ProxyWebsocketFallbackToProxyHttp Off
<LocationMatch (?m)^a>\nProxyPassMatch http://one.test/\n</LocationMatch>
<Location /z>\nProxyPass ws://two.test/\n</Location>`,
    '/z/%0Aa',
    'app',
  ],
  [
    'a pattern of a section, for a path outside of the section',
    '<Location /a>\nProxyPassMatch http://b.test\n</Location>',
    '/x/a',
    'app',
  ],
  [
    'a ProxyPass of the last section that does not match',
    '<Location />\nProxyPass http://one.test/\n</Location>\n<LocationMatch ^/a+$>\nProxyPass !\n</LocationMatch>',
    '/aa',
    'app',
  ],
  [
    'the line of the server then',
    '<Location />\nProxyPass http://one.test/\n</Location>\n<LocationMatch ^/a+$>\nProxyPass !\n</LocationMatch>\nProxyPass / http://b.test/',
    '/aa',
    'b.test /aa',
  ],
  [
    'a ProxyPass of the last section that does not match the path of a rule with [PT]',
    '<Location />\nProxyPass http://one.test/\n</Location>\n<Location /a>\nProxyPass !\n</Location>\nRewriteEngine On\nRewriteRule ^/a/(.*) /d/$1 [PT]',
    '/a/b',
    'app',
  ],
  [
    'a section that only the path of a rule with [PT] is in',
    '<Location />\nProxyPass http://one.test/\n</Location>\n<Location /a>\nProxyPass !\n</Location>\nRewriteEngine On\nRewriteRule ^/d/(.*) /a/$1 [PT]',
    '/d/b',
    'one.test /a/b',
  ],
  ['a variable that excludes a request', 'SetEnvIf Host h no-proxy\nProxyPass / http://b.test/', '/', 'app'],
  [
    'a section by pattern',
    '<LocationMatch ^/(a|b)>\nProxyPassMatch http://b.test/$1\n</LocationMatch>',
    '/a',
    'b.test /a',
  ],
]

test('matches a request as httpd does', async t => {
  for (const [what, text, url, outcome] of outcomes)
    await t.test(what, async () => assert.equal(await outcomeOf(text, url), outcome))
})

test('responds with 426 to a plain request for a balancer of WebSockets without fallback', async () => {
  const text = `ProxyWebsocketFallbackToProxyHttp Off
<Proxy balancer://c>\nBalancerMember ws://b.test\n</Proxy>\nProxyPass / balancer://c/`
  assert.equal(await outcomeOf(text, '/'), '426')
  assert.equal(await outcomeOf('ProxyWebsocketFallbackToProxyHttp Off\nProxyPass / ws://b.test/', '/'), 'app')
})

test('warns of a line that is never reached', () => {
  const text = 'ProxyPass / http://a.test/\nProxyPass /b http://b.test/'
  assert.match(messagesOf(text, 'warning').join(), /never reached, in httpd too: line 1 matches every path/)
  assert.deepEqual(messagesOf(text.split('\n').reverse().join('\n'), 'warning'), [])
})

test('reports an option that the core refuses, at its line', () => {
  assert.match(messagesOf('ProxyPass / http://b.test:99999/', 'error').join(), /^ProxyPass: .*port/)
})

test('supports mapping=servlet only for a literal path', () => {
  const text = '<Location /a/b>\nProxyPreserveHost On\n</Location>\nProxyPass /a http://b.test/ mapping=servlet'
  assert.match(messagesOf(text, 'error').join(), /mapping=servlet is supported only for a literal path/)
})
