import assert from 'node:assert/strict'
import { test } from 'node:test'
import { diagnosticsOf, messagesOf, sentField } from '../support.ts'

const PASS = 'ProxyPass / http://b.test/'

const wrong: [line: string, httpd: string | undefined][] = [
  [
    'RequestHeader',
    "first argument must be 'add', 'set', 'setifempty', 'append', 'merge', 'unset', 'echo', 'note', 'edit', or 'edit*'.",
  ],
  ['RequestHeader set X', 'Header requires three arguments'],
  [
    'RequestHeader set X 1 env=',
    'error: missing environment variable name. envclause should be in the form env=envar ',
  ],
  [
    'RequestHeader set X 1 env=!',
    'error: missing environment variable name. envclause should be in the form env=envar ',
  ],
  ['RequestHeader set X 1 maybe', 'Unknown parameter: maybe'],
  ['RequestHeader set X 1 env=A more', 'Too many arguments to directive'],
  ['RequestHeader edit X a b env=A more', 'RequestHeader has too many arguments'],
  ['RequestHeader edit X a', 'Header edit requires a match and a substitution'],
  ['RequestHeader edit X ( b', 'Header edit regex could not be compiled'],
  ['RequestHeader echo X', 'Header echo only valid on Header directives'],
  ['Header echo (', 'Header echo regex could not be compiled'],
  ['Header set X %Q', 'Unrecognized header format %Q'],
  ['Header unset X a b', 'header unset takes two arguments'],
  ['Header set "a b" c', undefined],
]

test('refuses a wrong line with the text of httpd', () => {
  for (const [line, httpd] of wrong) {
    const [error] = diagnosticsOf(`${line}\n${PASS}`, 'error')
    assert.ok(error, line)
    assert.equal(error.httpd, httpd, line)
  }
})

const unsupported: [line: string, message: RegExp][] = [
  ['Header set X 1 early', /early is supported for RequestHeader alone/],
  ['RequestHeader set X expr=%{NOPE}', /%\{NOPE\} is not supported/],
  ['RequestHeader set X %{NOPE}s', /%\{NOPE\}s is not supported/],
  ['Header set X %D', /%D is not supported/],
  ['RequestHeader set X 1 "expr=nope(1) == 1"', /nope\(\) is not supported/],
]

test('refuses a line that it does not support', () => {
  for (const [line, message] of unsupported) assert.match(messagesOf(`${line}\n${PASS}`, 'error').join(), message, line)
})

const values: [value: string, sent: string | RegExp][] = [
  ['a%%b', 'a%b'],
  ['%{V}e', 'one'],
  ['%{U}e', '(null)'],
  ['expr=%{REQUEST_SCHEME}://%{HTTP_HOST}%{REQUEST_URI}', 'http://h.test/'],
  ['expr=https', 'https'],
  ['%{REMOTE_ADDR}s-%{HTTPS}s', '127.0.0.1-off'],
  ['%{SSL_PROTOCOL}s', '(null)'],
  ['100%', '100%'],
  ['%t', /^t=\d{16}$/],
]

test('expands the items of a value', async () => {
  for (const [value, sent] of values) {
    const got = await sentField(`SetEnv V one\nRequestHeader set X ${value}\n${PASS}`, 'X')
    if (sent instanceof RegExp) assert.match(got ?? '', sent)
    else assert.equal(got, sent, value)
  }
})

const conditions: [clause: string, applies: boolean][] = [
  ['env=V', true],
  ['env=!V', false],
  ['env=!U', true],
  ['"expr=%{HTTP_HOST} == \'h.test\'"', true],
  ['"expr=%{HTTP_HOST} == \'other\'"', false],
  ['"expr=%{REQUEST_URI} == \'/\'"', true],
  ['early', true],
]

test('applies a line if its condition holds', async () => {
  for (const [clause, applies] of conditions) {
    const text = `SetEnv V 1\nRequestHeader set X yes ${clause}\n${PASS}`
    assert.equal(await sentField(text, 'X', { host: 'h.test' }), applies ? 'yes' : undefined, clause)
  }
})
