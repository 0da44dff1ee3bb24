import assert from 'node:assert/strict'
import { test } from 'node:test'
import { messagesOf, outcomeOf } from '../support.ts'

const errorsOf = (rules: string): string =>
  messagesOf(`RewriteEngine On\n${rules}\nProxyPass / http://b.test/`, 'error').join('\n')

const wrong: [lines: string, message: RegExp][] = [
  ['RewriteCond %{REQUEST_FILENAME} -F\nRewriteRule ^/a - [F]', /tests by a subrequest/],
  [
    '<Location /a>\nRewriteCond %{REMOTE_USER} =eve\nRewriteRule ^ - [F]\n</Location>',
    /the flag E alone sees the user/,
  ],
  ['RewriteCond expr "-R \'10.0.0.0/8\'"\nRewriteRule ^/a - [F]', /"-R '10.*" is not supported/],
  ["RewriteCond expr \"filesize('a') == 'b'\"\nRewriteRule ^/a - [F]", /the function filesize is not supported/],
  ["RewriteCond expr \"'a' == 'b' &&\"\nRewriteRule ^/a - [F]", /ends too soon/],
  [`RewriteCond expr "${'('.repeat(60)}"\nRewriteRule ^/a - [F]`, /more than 50 deep/],
  ['RewriteCond %{HTTP_HOST} a [X]', /unknown flag 'X'/],
  ['RewriteCond %{HTTP_HOST} a b]', /bad flag delimiters/],
  ['RewriteCond %{HTTP_HOST}', /bad argument line/],
]

test('refuses a condition that it does not support', () => {
  for (const [lines, message] of wrong) assert.match(errorsOf(lines), message, lines)
})

const conditions: [condition: string, value: string, holds: boolean][] = [
  ['^a.c$', 'abc', true],
  ['!^a.c$', 'abc', false],
  ['^A.C$', 'abc', false],
  ['^A.C$ [NC]', 'abc', true],
  ['=abc', 'abc', true],
  ['=ABC', 'abc', false],
  ['=ABC [NC]', 'abc', true],
  ['!=abc', 'abc', false],
  ['=""', '', true],
  ['>abd', 'abe', true],
  ['>abd', 'ab', false],
  ['>b', 'abc', true],
  ['>b [NC]', 'abc', false],
  ['<b [NC]', 'abc', true],
  ['<=abc', 'abc', true],
  ['>=abd', 'abc', false],
  ['-eq 5', '5', true],
  ['-eq5', '5x', true],
  ['-gt5', '6', true],
  ['-gt5', '5', false],
  ['-ge5', '5', true],
  ['-lt5', '5', false],
  ['-le5', '5', true],
  ['-ne5', '5', false],
  ['!-ne5', '5', true],
  ['-eq', 'x-eqx', true],
]

test('tests a value as httpd does', async () => {
  for (const [condition, value, holds] of conditions) {
    const quoted = condition.startsWith('-eq ') ? `"${condition.replace(' ', '')}"` : condition
    const text = `RewriteEngine On\nRewriteCond %{HTTP:X-A} ${quoted}\nRewriteRule ^ - [G]\nProxyPass / http://b.test/`
    const outcome = await outcomeOf(text, '/', value === '' ? {} : { 'x-a': value })
    assert.equal(outcome, holds ? '410' : 'b.test /', `${condition} of ${value}`)
  }
})

const folder = new URL('.', import.meta.url).pathname.replace(/\/$/, '')

const files: [text: string, test: string, holds: boolean][] = [
  ['%{DOCUMENT_ROOT}/sections.test.ts', '-f', true],
  ['%{DOCUMENT_ROOT}%{REQUEST_URI}', '-f', true],
  ['%{DOCUMENT_ROOT}%{REQUEST_URI}', '!-f', false],
  ['%{DOCUMENT_ROOT}/none', '-f', false],
  ['%{DOCUMENT_ROOT}', '-f', false],
  ['%{DOCUMENT_ROOT}', '-d', true],
  ['%{DOCUMENT_ROOT}%{REQUEST_URI}', '-d', false],
  ['%{DOCUMENT_ROOT}%{REQUEST_URI}', '-s', true],
  ['%{DOCUMENT_ROOT}%{REQUEST_URI}', '-x', false],
  ['%{DOCUMENT_ROOT}', '-x', true],
  ['%{DOCUMENT_ROOT}%{REQUEST_URI}', '-l', false],
  ['/proc/self/exe', '-L', true],
  ['/proc/self/exe', '-h', true],
]

test('tests files below DocumentRoot', async () => {
  for (const [text, test, holds] of files) {
    const conf = `DocumentRoot ${folder}\nRewriteEngine On\nRewriteCond ${text} ${test}\nRewriteRule ^ - [G]\nProxyPass / http://b.test/`
    assert.equal(
      await outcomeOf(conf, '/sections.test.ts'),
      holds ? '410' : 'b.test /sections.test.ts',
      `${text} ${test}`,
    )
  }
})

test('captures the groups of the last pattern that matched, and of an expression', async () => {
  const rules = (condition: string): string =>
    `RewriteEngine On\n${condition}\nRewriteRule ^ http://r.test/%1 [P]\nProxyPass / http://b.test/`
  assert.equal(await outcomeOf(rules('RewriteCond %{HTTP:X-A} (b)'), '/', { 'x-a': 'abc' }), 'r.test /b')
  assert.equal(await outcomeOf(rules('RewriteCond expr "%{HTTP:X-A} =~ /(c)/"'), '/', { 'x-a': 'abc' }), 'r.test /c')
})
