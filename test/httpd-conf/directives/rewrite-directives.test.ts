import assert from 'node:assert/strict'
import { test } from 'node:test'
import { explain } from '@ws-tunnel/core'
import { isEngineOn } from '../../../packages/httpd-conf/src/directives/rewrite-directives.ts'
import type { Directive } from '../../../packages/httpd-conf/src/syntax/parser.ts'
import { diagnosticsOf, filesOf, messagesOf, optionsOf, outcomeOf, outcomeText } from '../support.ts'

const PASS = 'ProxyPass / ws://b.test/'

const engine = (args: string): Directive => ({
  name: 'RewriteEngine',
  key: 'rewriteengine',
  args,
  place: { file: 'x.conf', line: 1, column: 1, text: '' },
  children: undefined,
})

test('runs the rules if the last RewriteEngine is on', () => {
  assert.equal(isEngineOn([]), undefined)
  assert.equal(isEngineOn([engine('Off'), engine('ON')]), true)
  assert.equal(isEngineOn([engine('On'), engine('Off')]), false)
})

const maps = filesOf({ '/m/map.txt': '# a map\na one # more\nb two\na three\nr x|x' })

const reported: [lines: string, severity: 'ignored' | 'error' | 'warning', message: RegExp][] = [
  ['RewriteRule ^ - [F]', 'ignored', /RewriteEngine is off/],
  ['RewriteCond a b', 'ignored', /RewriteEngine is off/],
  ['<If "true">\nRewriteRule ^ - [F]\n</If>', 'ignored', /RewriteEngine is off/],
  ['RewriteEngine On\nRewriteOptions Nope', 'error', /unknown option 'Nope'/],
  ['RewriteOptions AllowAnyURI', 'error', /a request target that is not a path/],
  ['<Location /a>\nRewriteOptions Inherit\n</Location>', 'error', /always replaces those of other sections/],
  ['RewriteBase /a', 'error', /only valid in per-directory/],
  ['RewriteMap m prg:/bin/x', 'error', /maps of the kind prg are not supported/],
  ['RewriteMap m int:nope', 'error', /internal map not found:nope/],
  ['RewriteMap m txt:none.txt', 'error', /file for map m not found:\/m\/none.txt/],
  [
    `RewriteEngine On\nRewriteCond \${HTTP:Upgrade} websocket\nRewriteRule ^ - [F]`,
    'warning',
    /no RewriteMap is named HTTP/,
  ],
  ['RewriteEngine maybe', 'error', /RewriteEngine must be On or Off/],
]

test('reports rules that do not run', () => {
  for (const [lines, severity, message] of reported)
    assert.match(messagesOf(`${lines}\n${PASS}`, severity, { files: maps, serverRoot: '/m' }).join(), message, lines)
  const cond = `RewriteEngine On\nRewriteCond \${HTTP:Upgrade} websocket\nRewriteRule ^ - [F]\n${PASS}`
  assert.equal(diagnosticsOf(cond, 'warning')[0]?.expected, 'perhaps %{HTTP:Upgrade}')
})

const mapped: [rule: string, location: string][] = [
  [`RewriteMap m txt:map.txt\nRewriteRule ^/(.*) /\${m:$1} [R]`, '/one'],
  [`RewriteMap m map.txt\nRewriteRule ^/(.*) /\${m:c|no} [R]`, '/no'],
  [`RewriteMap m txt:map.txt\nRewriteRule ^/(.*) /\${m:c|\${m:b}} [R]`, '/two'],
  [`RewriteMap m rnd:map.txt\nRewriteRule ^/(.*) /\${m:r} [R]`, '/x'],
  [`RewriteMap u int:toupper\nRewriteRule ^/(.*) /\${u:$1-\${u:b}} [R]`, '/A-B'],
  [`RewriteRule ^/(.*) /\${none:$1|x} [R]`, '/x'],
]

test('looks up the maps of rules', async () => {
  for (const [rule, location] of mapped) {
    const options = optionsOf(`RewriteEngine On\n${rule}\n${PASS}`, { files: maps, serverRoot: '/m' })
    const { outcome } = await explain(options, { url: '/a', headers: { host: 'h.test' } })
    assert.equal(outcomeText(outcome), `302 http://h.test${location}`, rule)
  }
})

const inherited: [main: string, host: string, outcome: string][] = [
  ['RewriteEngine On', 'RewriteRule ^/a - [F]', '403'],
  ['RewriteEngine On\nRewriteRule ^/a - [F]', 'RewriteEngine On', 'b.test /a'],
  ['RewriteEngine On\nRewriteRule ^/a - [F]', 'RewriteEngine On\nRewriteOptions Inherit', '403'],
  ['RewriteRule ^/a - [F]\nRewriteEngine On', 'RewriteOptions InheritBefore\nRewriteRule ^/a - [G]', '403'],
  ['RewriteRule ^/a - [F]\nRewriteEngine On', 'RewriteOptions Inherit\nRewriteRule ^/a - [G]', '410'],
  ['RewriteOptions InheritDown\nRewriteRule ^/a - [F]\nRewriteEngine On', 'RewriteEngine On', '403'],
  [
    'RewriteOptions InheritDown\nRewriteRule ^/a - [F]\nRewriteEngine On',
    'RewriteEngine On\nRewriteOptions IgnoreInherit',
    'b.test /a',
  ],
  ['RewriteOptions InheritDown\nRewriteRule ^/a - [F]\nRewriteEngine On', '', 'b.test /a'],
]

test('inherits engine and rules from the main server as httpd does', async () => {
  for (const [main, host, outcome] of inherited) {
    const text = `${main}\n<VirtualHost *:80>\n${host}\nProxyPass / http://b.test/\n</VirtualHost>`
    assert.equal(await outcomeOf(text, '/a'), outcome, `${main} ${host}`)
  }
})
