import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileHttpdConf, type Diagnostic, type Files, formatDiagnostic } from '@ws-tunnel/httpd-conf'
import fc from 'fast-check'

const PASS = 'ProxyPass /a ws://b.test/'

const routesOf = (text: string, more: object = {}): unknown[] => {
  const { options, diagnostics } = compileHttpdConf({ text, ...more })
  assert.ok(options, diagnostics.map(formatDiagnostic).join('\n'))
  return (options.routes ?? []).map(({ path, target }) => [path, target])
}

const errorsOf = (text: string, more: object = {}): Diagnostic[] =>
  compileHttpdConf({ text, ...more }).diagnostics.filter(({ severity }) => severity === 'error')

/** A file system that holds these files and no others. */
const filesOf = (files: Record<string, string>): Files => ({
  read: file => files[file],
  exists: file => file in files,
  find: pattern => {
    const test = new RegExp(`^${pattern.replace(/[^\w*]/g, '\\$&').replaceAll('*', '[^/]*')}$`)
    return Object.keys(files)
      .filter(name => test.test(name))
      .toSorted()
  },
})

test('reads directives without regard to case, comments and empty lines', () => {
  assert.deepEqual(routesOf(`# a comment\n\n  \t\nPROXYPASS /a ws://b.test/\n  # indented\n`), [['/a', 'ws://b.test/']])
})

test('joins a line that ends in a backslash with the next, comments included', () => {
  assert.deepEqual(routesOf('ProxyPass \\\n  /a \\\r\n ws://b.test/\n'), [['/a', 'ws://b.test/']])
  assert.deepEqual(routesOf(`# nothing \\\nProxyPass /x ws://x.test/\n${PASS}`), [['/a', 'ws://b.test/']])
})

test('takes quotes and backslashes as ap_getword_conf does', () => {
  assert.deepEqual(routesOf(`ProxyPass "/a b" 'ws://b.test/'`), [['/a b', 'ws://b.test/']])
  assert.deepEqual(routesOf(`ProxyPass '/a"b' ws://b.test/`).length, 1)
  assert.equal(
    String((routesOf(String.raw`ProxyPassMatch "^/\d\"(.)$" "ws://b.test/$1"`)[0] as [RegExp])[0].source),
    String.raw`^\/\d"(.)$`,
  )
  assert.equal(
    String((routesOf(String.raw`ProxyPassMatch ^/\\d(.)$ ws://b.test/$1`)[0] as [RegExp])[0].source),
    String.raw`^\/\d(.)$`,
  )
})

test('expands variables over the whole line, in the order of the lines', () => {
  assert.deepEqual(routesOf(`Define B ws://b.test\nDefine P /a\nProxyPass \${P} \${B}/x\nUnDefine B`), [
    ['/a', 'ws://b.test/x'],
  ])
  assert.deepEqual(routesOf(`ProxyPass /a \${B}/`, { define: { B: 'ws://env.test' } }), [['/a', 'ws://env.test/']])
  const { diagnostics } = compileHttpdConf({ text: `Header set X "\${NOPE}"\n${PASS}` })
  assert.match(diagnostics[0]?.message ?? '', /Config variable \$\{NOPE\} is not defined/)
})

test('resolves IfDefine, IfModule and IfVersion, negated too', () => {
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

test('passes over what a condition leaves out without reading it', () => {
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

test('ends an Include of itself as httpd does', () => {
  const files = filesOf({ '/loop.conf': 'Include /loop.conf\nInclude /loop.conf' })
  const errors = errorsOf('Include /loop.conf', { files })
  assert.ok(errors.some(({ httpd }) => httpd?.startsWith('Exceeded maximum include depth of 20')))
})

test('refuses what httpd refuses, in its words', () => {
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

test('refuses <If> with its reason, and names a directive that is nearly right', () => {
  const [section] = errorsOf(`<If "%{HTTP_HOST} == 'x'">\n${PASS}\n</If>`)
  assert.match(section?.message ?? '', /its condition depends on the request/)
  assert.equal(errorsOf('ProxyPas /a ws://b.test/')[0]?.expected, 'perhaps proxypass')
})

test('ends in time for variables made of variables', () => {
  const doubling = Array.from({ length: 60 }, (_, i) => `Define V${i + 1} \${V${i}}\${V${i}}`).join('\n')
  const errors = errorsOf(`Define V0 xxxxxxxxxx\n${doubling}`)
  assert.ok(errors.some(({ message }) => message === 'variables make the configuration too long'))
})

const WORDS = [
  'ProxyPass',
  'ProxyPassMatch',
  'ProxyPassReverse',
  '<Location',
  '</Location>',
  '<LocationMatch',
  '</LocationMatch>',
  '<VirtualHost',
  '</VirtualHost>',
  '<IfDefine',
  '</IfDefine>',
  '<IfVersion',
  '</IfVersion>',
  '<Proxy',
  '</Proxy>',
  'Define',
  'UnDefine',
  'Include',
  'Header',
  'RequestHeader',
  'SetEnvIf',
  'ProxySet',
  'SSLProxyEngine',
  'SSLProxyProtocol',
  'AllowEncodedSlashes',
  'ProxyErrorOverride',
  'Require',
  'set',
  'edit',
  'env=X',
  '/a',
  '/',
  '~',
  '!',
  'on',
  'off',
  'ws://b.test/',
  'wss://b.test/$1',
  'unix:/s|ws://x',
  'balancer://x',
  '^/(.*)$',
  '(a+)+',
  '[',
  '"',
  "'",
  '\\',
  '>',
  `\${X}`,
  '%{X}e',
  'timeout=',
  'upgrade=ANY',
  'nocanon',
  '\n',
  '\n',
  '\n',
  '\\\n',
  '#',
  '\0',
  'é',
]

test('never throws, whatever the text', () => {
  const soup = fc
    .array(fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...WORDS) }, fc.string()), { maxLength: 60 })
    .map(words => words.join(' '))
  const files = filesOf({})
  fc.assert(
    fc.property(soup, text => {
      const { options, diagnostics } = compileHttpdConf({ text, files, file: '/x.conf' })
      assert.equal(
        options === undefined,
        diagnostics.some(({ severity }) => severity === 'error'),
      )
      for (const diagnostic of diagnostics) assert.ok(formatDiagnostic(diagnostic).startsWith('/x.conf:'))
    }),
    { numRuns: 1_000 },
  )
})
