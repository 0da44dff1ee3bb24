import assert from 'node:assert/strict'
import { test } from 'node:test'
import { messagesOf, outcomeOf } from '../support.ts'

const PASS = 'ProxyPass /p http://b.test/'

const rows: [lines: string, url: string, outcome: string][] = [
  ['Redirect /a http://o.test/x', '/a/b%20c?q', '302 http://o.test/x/b%20c?q'],
  ['Redirect permanent /a /x', '/a', '301 http://h.test/x'],
  ['RedirectPermanent /a http://o.test', '/a/b', '301 http://o.test/b'],
  ['RedirectTemp /a http://o.test', '/a', '302 http://o.test'],
  ['Redirect seeother /a http://o.test/?own', '/a?q', '303 http://o.test/?own'],
  ['Redirect gone /a', '/a', '410'],
  ['Redirect 404 /a', '/a', '404'],
  ['RedirectMatch 308 ^/a/(.*)$ http://o.test/$1.png', '/a/x', '308 http://o.test/x.png'],
  ['Redirect /a http://o.test/', '/ab', 'app'],
  ['Redirect /p http://o.test/', '/p/x', 'b.test //x'],
  ['ProxyPass /q !\nRedirect /q http://o.test/', '/q', '302 http://o.test/'],
  ['<Location /p/x>\nRedirect /p http://o.test\n</Location>', '/p/x', '302 http://o.test/x'],
  ['<Location /p/x>\nRedirect 303 http://o.test/%{REQUEST_METHOD}\n</Location>', '/p/x', '303 http://o.test/GET'],
  ['<Location /p/x>\nRedirect gone\n</Location>', '/p/x/y', '410'],
  ['RewriteEngine On\nRewriteRule ^/a - [F]\nRedirect /a http://o.test/', '/a', '403'],
  ['<Location /a>\nRequire all denied\n</Location>\nRedirect /a http://o.test/', '/a', '302 http://o.test/'],
  ['<Location /p>\nRequire all denied\nRedirect /p http://o.test/\n</Location>', '/p', '403'],
]

test('redirects as httpd does: after ProxyPass in a server, after access control in a section', async () => {
  for (const [lines, url, outcome] of rows) assert.equal(await outcomeOf(`${PASS}\n${lines}`, url), outcome, lines)
})

const wrong: [line: string, message: RegExp][] = [
  ['Redirect often /a http://o.test/', /invalid first argument \(of three\)/],
  ['Redirect permanent /a', /URL to redirect to is missing/],
  ['Redirect gone /a http://o.test/', /not valid for this status/],
  ['Redirect /a o.test', /Redirect to non-URL/],
  ['Redirect 200 /a', /the status 200 is not supported/],
  ['RedirectMatch ( http://o.test/', /Regular expression could not be compiled/],
  ['RedirectPermanent 301 /a http://o.test/', /takes two arguments/],
  ['RedirectRelative On', /always have a whole URL/],
]

test('refuses a wrong line', () => {
  for (const [line, message] of wrong) assert.match(messagesOf(`${line}\n${PASS}`, 'error').join(), message, line)
})
