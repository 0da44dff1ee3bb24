import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileHttpdConf, type Diagnostic, formatDiagnostic } from '@ws-tunnel/httpd-conf'
import { routesOf as compiledRoutes, diagnosticsOf, filesOf } from '../support.ts'

const PASS = 'ProxyPass /a ws://b.test/'

const routesOf = (text: string, more: object = {}): unknown[] =>
  compiledRoutes(text, more).map(({ path, target }) => [path, target])

const errorsOf = (text: string, more: object = {}): Diagnostic[] => diagnosticsOf(text, 'error', more)

test('reads directives without regard to case, comments and empty lines', () => {
  assert.deepEqual(routesOf(`# a comment\n\n  \t\nPROXYPASS /a ws://b.test/\n  # indented\n`), [['/a', 'ws://b.test/']])
})

test('joins a line that ends in a backslash with the next, comments included', () => {
  assert.deepEqual(routesOf('ProxyPass \\\n  /a \\\r\n ws://b.test/\n'), [['/a', 'ws://b.test/']])
  assert.deepEqual(routesOf(`# nothing \\\nProxyPass /x ws://x.test/\n${PASS}`), [['/a', 'ws://b.test/']])
})

test('expands variables over the whole line, in the order of the lines', () => {
  assert.deepEqual(routesOf(`Define B ws://b.test\nDefine P /a\nProxyPass \${P} \${B}/x\nUnDefine B`), [
    ['/a', 'ws://b.test/x'],
  ])
  assert.deepEqual(routesOf(`ProxyPass /a \${B}/`, { define: { B: 'ws://env.test' } }), [['/a', 'ws://env.test/']])
  const { diagnostics } = compileHttpdConf({ text: `Header set X "\${NOPE}"\n${PASS}` })
  assert.match(diagnostics[0]?.message ?? '', /Config variable \$\{NOPE\} is not defined/)
})

test('resolves <IfDefine>, <IfModule> and <IfVersion>, also negated', () => {
  const one = (section: string, inside: string): number =>
    routesOf(`Define D\n${PASS}\n<${section}>\nProxyPass /c ${inside}\n</${section.split(' ')[0]}>`).length
  for (const section of [
    'IfDefine D',
    'IfDefine !E',
    'IfModule mod_proxy_wstunnel.c',
    'IfModule proxy_module',
    'IfModule !mod_x.c',
    'IfVersion >= 2.4.47',
    'IfVersion !< 2.4',
    'IfVersion 2.4.71',
    'IfVersion ~ ^2\\.4\\.',
  ]) {
    assert.equal(one(section, 'ws://c.test/'), 2, section)
  }
  for (const section of [
    'IfDefine !D',
    'IfDefine E',
    'IfModule !proxy_module',
    'IfModule mod_x.c',
    'IfVersion < 2.4.47',
    'IfVersion > 2.4.71',
  ]) {
    assert.equal(one(section, 'ws://c.test/'), 1, section)
  }
})

test('does not read the content of a section whose condition does not hold', () => {
  assert.deepEqual(routesOf(`<IfDefine NO>\nNonsense \${X}\n<Bogus>\nProxyPass\n</Bogus>\n</IfDefine>\n${PASS}`), [
    ['/a', 'ws://b.test/'],
  ])
})

test('includes files by name, by pattern and in their order, relative to ServerRoot', () => {
  const files = filesOf({
    '/etc/x/main.conf': 'ServerRoot /etc/y\nInclude sites/*.conf\nIncludeOptional none/*.conf',
    '/etc/y/sites/1.conf': 'ProxyPass /one ws://one.test/',
    '/etc/y/sites/2.conf': 'ProxyPass /two ws://two.test/',
  })
  const routes = routesOf('Include /etc/x/main.conf', { files, file: '/etc/apache.conf' })
  assert.deepEqual(routes, [
    ['/one', 'ws://one.test/'],
    ['/two', 'ws://two.test/'],
  ])
})

test('names the included file in its diagnostics', () => {
  const files = filesOf({ '/etc/bad.conf': '\n  ProxyPass /a b.test' })
  const [error] = errorsOf('Include /etc/bad.conf', { files })
  assert.equal(error?.file, '/etc/bad.conf')
  assert.deepEqual([error?.line, error?.column], [2, 16])
  assert.equal(
    formatDiagnostic(error as Diagnostic),
    [
      '/etc/bad.conf:2:16: error: ProxyPass: ProxyPass URL must be absolute!: b.test',
      '    ProxyPass /a b.test',
      '                 ^',
      '  expected: a URL with scheme and host',
    ].join('\n'),
  )
})

test('refuses a file that includes itself as httpd does', () => {
  const files = filesOf({ '/loop.conf': 'Include /loop.conf\nInclude /loop.conf' })
  const errors = errorsOf('Include /loop.conf', { files })
  assert.ok(errors.some(({ httpd }) => httpd?.startsWith('Exceeded maximum include depth of 20')))
})

test('refuses a line with the text with which httpd refuses it', () => {
  const cases: [text: string, httpd: string][] = [
    ['<Location /a>\nProxyPass ws://b.test/', '<Location> was not closed.'],
    ['</Location>', '</Location> without matching <Location> section'],
    ['<Location /a>\n</VirtualHost>', 'Expected </Location> but saw </VirtualHost>'],
    ['<Location /a\n</Location>', "<Location> directive missing closing '>'"],
    ['Define A:B c', "Variable name must not contain ':'"],
    [
      'ProxyPas /a ws://b.test/',
      "Invalid command 'ProxyPas', perhaps misspelled or defined by a module not included in the server configuration",
    ],
  ]
  for (const [text, httpd] of cases) assert.equal(errorsOf(text)[0]?.httpd, httpd, text)
})

test('refuses variables that expand to so much text that it would fill the memory', () => {
  const doubling = Array.from({ length: 60 }, (_, i) => `Define V${i + 1} \${V${i}}\${V${i}}`).join('\n')
  const errors = errorsOf(`Define V0 xxxxxxxxxx\n${doubling}`)
  assert.ok(errors.some(({ message }) => message === 'variables make the configuration too long'))
})

const limits: [what: string, text: string, message: RegExp][] = [
  ['nesting', `${'<Location /a>\n'.repeat(250)}${'</Location>\n'.repeat(250)}`, /nested more than 200 deep/],
  ['a long line', `Header set X ${'x'.repeat(70_000)}`, /longer than 65536 characters/],
  ['a NUL', 'Header set X \0', /the line contains a NUL/],
]

test('reports nesting and lines beyond its limits, and a NUL', () => {
  for (const [what, text, message] of limits)
    assert.match(
      errorsOf(text)
        .map(error => error.message)
        .join(),
      message,
      what,
    )
})

test('ends with an error for files that include one another without end', () => {
  const files = filesOf({
    '/a.conf': 'Include /b.conf\nInclude /b.conf',
    '/b.conf': 'Include /a.conf\nInclude /a.conf',
  })
  assert.ok(errorsOf('Include /a.conf', { files }).some(({ message }) => /more than 1000 files/.test(message)))
})
