import assert from 'node:assert/strict'
import { test } from 'node:test'
import { diagnosticsOf, messagesOf, outcomeOf, routeOf } from '../support.ts'

const section = (lines: string): string => `<Location /a>\n${lines}\n</Location>`

const wrong: [text: string, httpd: string | undefined][] = [
  ['ProxyPass /a', 'ProxyPass|ProxyPassMatch needs a path when not defined in a location'],
  ['ProxyPass /a b.test', 'ProxyPass URL must be absolute!: b.test'],
  ['ProxyPass /a unix:/s', 'ProxyPass|ProxyPassMatch uses an invalid "unix:" URL'],
  [
    'ProxyPass /a ws://b.test/ bogus',
    "Invalid ProxyPass|ProxyPassMatch parameter. Parameter must be in the form 'key=value'.",
  ],
  ['ProxyPass /a ws://b.test/ bogus=1', 'ProxyPass unknown Worker parameter'],
  ['ProxyPassMatch ~ ^/a ws://b.test/', "ProxyPassMatch invalid syntax ('~' usage)."],
  ['ProxyPassMatch ( ws://b.test/', 'Regular expression could not be compiled.'],
  [
    section('ProxyPass /a /b http://b.test/'),
    'ProxyPass|ProxyPassMatch can not have a path when defined in a location.',
  ],
  ['ProxyPassReverse http://b.test/', 'ProxyPassReverse needs a path when not defined in a location'],
  [section('ProxyPassReverse /a http://b.test/'), 'ProxyPassReverse can not have a path when defined in a location'],
  [
    'ProxyPassReverse',
    'ProxyPassReverse takes one, two or three arguments, a virtual path and a URL for reverse proxy behaviour',
  ],
  [
    'ProxyPassReverseCookiePath /',
    'ProxyPassReverseCookiePath takes two or three arguments, Path rewrite rule for proxying cookies',
  ],
  ['ProxyPassInterpolateEnv maybe', 'ProxyPassInterpolateEnv must be On or Off'],
  ['<Proxy *>\nProxyPass /a ws://b.test/\n</Proxy>', undefined],
  ['ProxyPass /a ws://b.test/ mapping=maybe', 'unknown mapping'],
]

test('refuses a wrong line with the text of httpd', () => {
  for (const [text, httpd] of wrong) {
    const [error] = diagnosticsOf(text, 'error')
    assert.ok(error, text)
    assert.equal(error.httpd, httpd, text)
  }
})

const unsupported: [text: string, message: RegExp][] = [
  [`ProxyPass /a ws://b.test/\${V} interpolate`, /interpolate of the variable V is not supported/],
  [`ProxyPassReverse /a http://b.test/\${V} interpolate`, /interpolate of the variable V is not supported/],
  ['ProxyPass /a !\nProxyPass /b ! mapping=encoded', /does not exclude the path from lines without mapping=/],
  ['ProxyPass /a "ws://b.test/a b" nocanon', /not in canonical form/],
]

test('refuses a line that it does not support', () => {
  for (const [text, message] of unsupported) assert.match(messagesOf(text, 'error').join(), message, text)
})

const odd: [text: string, message: RegExp][] = [
  ['ProxyPass a ws://b.test/', /does not begin with a slash never matches/],
  ['<LocationMatch ^/a>\nProxyPass ws://b.test/\n</LocationMatch>', /literal path, which hardly ever matches/],
  ['ProxyPassReverse /a http://b.test/ more', /"more" has no effect/],
  ['ProxyPassReverse /a ws://b.test/', /backends send http: URLs, never ws:/],
  [section('ProxyPass ws://b.test/\nProxyPass ws://c.test/'), /this line replaces line 2, in httpd too/],
]

test('warns of a line that does not do what it seems to do', () => {
  for (const [text, message] of odd) assert.match(messagesOf(text, 'warning').join(), message, text)
})

test('reads ProxyPass ~ as a pattern', async () => {
  assert.equal(await outcomeOf('ProxyPass ~ ^/(a+)$ http://b.test/$1', '/aa'), 'b.test /aa')
})

test('accepts interpolate in a line without a variable', () => {
  const lines =
    'ProxyPassInterpolateEnv On\nProxyPass /a ws://b.test/ interpolate\nProxyPassReverse /a http://b.test/ interpolate'
  assert.deepEqual(messagesOf(lines, 'error'), [])
})

test('accepts interpolate where ProxyPassInterpolateEnv is off, and noquery', () => {
  const text = 'ProxyPassInterpolateEnv Off\nProxyPass /a ws://b.test/ interpolate noquery nocanon'
  assert.equal(routeOf(text).nocanon, true)
  assert.match(messagesOf(text, 'ignored').join(), /noquery has no effect/)
})

test('sends the raw path that a pattern with nocanon matches', async () => {
  assert.equal(await outcomeOf('ProxyPassMatch ^/a/(.*)$ http://b.test/$1 nocanon', '/a/%41?q'), 'b.test /%41?q')
})

test('compares the pattern of a section with the path, as ProxyPass does in httpd', async () => {
  const text = '<LocationMatch /a/>\nProxyPass http://b.test/\n</LocationMatch>'
  assert.deepEqual([await outcomeOf(text, '/a/x'), await outcomeOf(text, '/b/a/x')], ['b.test /x', 'app'])
})

test('takes the path of ProxyPassReverse from its Location', () => {
  assert.deepEqual(routeOf(section('ProxyPass http://b.test/\nProxyPassReverse http://b.test/')).passReverse, {
    'http://b.test/': '/a',
  })
})
