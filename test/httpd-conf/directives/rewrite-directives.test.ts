import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isEngineOn } from '../../../packages/httpd-conf/src/directives/rewrite-directives.ts'
import type { Directive } from '../../../packages/httpd-conf/src/syntax/parser.ts'
import { messagesOf } from '../support.ts'

const PASS = 'ProxyPass / ws://b.test/'

const engine = (args: string): Directive => ({
  name: 'RewriteEngine',
  key: 'rewriteengine',
  args,
  place: { file: 'x.conf', line: 1, column: 1, text: '' },
  children: undefined,
})

test('runs the rules if the last RewriteEngine is on', () => {
  assert.equal(isEngineOn([]), false)
  assert.equal(isEngineOn([engine('Off'), engine('ON')]), true)
  assert.equal(isEngineOn([engine('On'), engine('Off')]), false)
})

const reported: [lines: string, severity: 'ignored' | 'error', message: RegExp][] = [
  ['RewriteRule ^ - [F]', 'ignored', /RewriteEngine is off/],
  ['RewriteCond a b', 'ignored', /RewriteEngine is off/],
  ['<Location /a>\nRewriteEngine On\n</Location>', 'error', /rules in a section match file names/],
  [
    'RewriteEngine On\n<Location /a>\nRewriteRule ^ - [F]\n</Location>',
    'error',
    /^RewriteRule: rules in a section match file names/,
  ],
  ['RewriteEngine maybe', 'error', /RewriteEngine must be On or Off/],
]

test('reports rules that do not run', () => {
  for (const [lines, severity, message] of reported)
    assert.match(messagesOf(`${lines}\n${PASS}`, severity).join(), message, lines)
})
