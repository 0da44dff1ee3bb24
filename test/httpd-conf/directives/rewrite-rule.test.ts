import assert from 'node:assert/strict'
import { test } from 'node:test'
import { messagesOf } from '../support.ts'

const errorsOf = (rules: string): string =>
  messagesOf(`RewriteEngine On\n${rules}\nProxyPass / http://b.test/`, 'error').join('\n')

const wrong: [line: string, message: RegExp][] = [
  ['RewriteRule ^/a - [H=cgi-script]', /the handler cgi-script is not supported/],
  ['RewriteRule ^/a - [R=201]', /status is not supported/],
  ['RewriteRule ^/a - [R=999]', /invalid HTTP response code '999' for flag 'R'/],
  ['RewriteRule ^/a ws://b.test:PORT/$1 [P]', /"PORT" is not a port/],
  ['RewriteRule ^/a https://%{LA-U:REMOTE_USER}/ [R,L]', /%\{LA-U:REMOTE_USER\} is not supported/],
  ['RewriteRule ^/a ws://%{HTTP_HOST}/ [P]', /host and port are fixed/],
  ['RewriteRule ^/(a) ws://$1.test/ [P]', /host and port are fixed/],
  ['RewriteRule ^/(a) ws://r.test:$1/ [P]', /port/],
  ['RewriteRule ^/a /b [P]', /host and port are fixed/],
  ['RewriteRule ^/a ws://r.test/ [P,PT]', /P together with PT/],
  ['RewriteRule ^/(a|a)*$ - [F]', /exponential/],
  ['RewriteRule ^/a - [X]', /unknown flag 'X'/],
  ['RewriteRule ^/a - [F', /bad flag delimiters/],
  ['RewriteRule ^/a', /bad argument line '\^\/a'/],
]

test('refuses a rule that it does not support, or that would be unsafe', () => {
  for (const [line, message] of wrong) assert.match(errorsOf(line), message, line)
})

test('warns that it makes fewer rounds than a rule allows', () => {
  const text = 'RewriteEngine On\nRewriteRule ^/a /b [N=20000]\nProxyPass / http://b.test/'
  assert.deepEqual(messagesOf(text, 'warning'), ['RewriteRule: at most 1000 rounds are made'])
})
