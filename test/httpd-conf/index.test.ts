import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  type Compat,
  compileHttpdConf,
  compileVirtualHosts,
  diagnosticsOf,
  formatDiagnostic,
  fromHttpdConf,
  HttpdConfError,
} from '@ws-tunnel/httpd-conf'
import fc from 'fast-check'
import { openBackend, switching } from '../support/backend.ts'
import { openTunnel } from '../support/client.ts'
import { startExpress5 } from '../support/frameworks.ts'
import { filesOf } from './support.ts'

test('throws one error that has every wrong line', () => {
  const text = 'ProxyPass /a\nNonsense\nListen 80'
  assert.throws(
    () => fromHttpdConf({ text, file: 'x.conf' }),
    (error: unknown) => {
      assert.ok(error instanceof HttpdConfError)
      assert.equal(error.code, 'WST_ERR_HTTPD_CONF')
      assert.deepEqual(
        error.diagnostics.map(({ line, severity }) => [line, severity]),
        [
          [1, 'error'],
          [2, 'error'],
          [3, 'ignored'],
        ],
      )
      assert.match(error.message, /^x\.conf:1:1: error: ProxyPass: .*needs a path/)
      return true
    },
  )
})

test('compiles a file to options that wsTunnel takes, and keeps their diagnostics', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'ws-tunnel-conf-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const backend = await openBackend(
    switching({ after: connection => connection.write(`the path is ${connection.requests[0]?.path}`) }),
  )
  t.after(() => backend.close())
  const file = join(folder, 'chat.conf')
  writeFileSync(
    file,
    `<VirtualHost *:80>\n  ServerName chat.test\n  DocumentRoot /nowhere\n  ProxyPass /ws/ ws://127.0.0.1:${backend.port}/inner/\n</VirtualHost>\n`,
  )
  const options = fromHttpdConf(file)
  assert.deepEqual(
    diagnosticsOf(options).map(({ line, directive }) => [line, directive]),
    [[3, 'DocumentRoot']],
  )
  const gateway = await startExpress5('/', options)
  t.after(() => gateway.close())
  const { client } = await openTunnel(gateway.port, '/ws/room?x=1')
  t.after(() => client.destroy())
  const text = 'the path is /inner/room?x=1'
  assert.equal(String(await client.readExact(text.length)), text)
})

test('warns of a configuration that proxies nothing', () => {
  const { options, diagnostics } = compileHttpdConf({ text: 'ServerName a.test', file: 'x.conf' })
  assert.deepEqual(options?.routes, [{ path: '/', target: false }])
  assert.deepEqual(
    diagnostics.map(({ severity, line, message }) => [severity, line, message]),
    [['warning', 1, 'nothing is proxied']],
  )
})

test('refuses an option that it does not know', () => {
  const servername = { text: '', servername: 'a.test' } as object
  assert.throws(() => compileHttpdConf(servername), { message: 'Unknown option `servername`, expected `serverName`' })
  assert.throws(
    () => fromHttpdConf({ text: '', host: 'a' } as object),
    /^TypeError: Unknown option `host`, expected one of file, text/,
  )
})

test('refuses a version that it does not know', () => {
  assert.throws(() => compileHttpdConf({ text: '', compat: '2.2' as Compat }), /Expected `compat` to be 2\.4\.71 or/)
})

test('has no diagnostics for options that it did not compile', () => {
  assert.deepEqual(diagnosticsOf({ target: 'ws://b.test/' }), [])
})

test('compiles all virtual hosts, each over the main server, with the directives for a standalone server', () => {
  const text = `Listen 80
ServerName main.test
ProxyPass /all ws://b.test/
<VirtualHost *:80 [::1]:81>
ServerName one.test
ServerAlias *.one.test
CustomLog "a b" common
ProxyPass /1 ws://b.test/
</VirtualHost>`
  const { servers, diagnostics, absolute } = compileVirtualHosts({ text, serverRoot: '/etc/httpd' })
  assert.ok(servers, diagnostics.map(formatDiagnostic).join('\n'))
  const { main, hosts } = servers
  assert.deepEqual([main.serverName, main.addresses, main.place], ['main.test', [], undefined])
  assert.deepEqual(
    main.directives.map(({ key, words }) => [key, words]),
    [
      ['listen', ['80']],
      ['servername', ['main.test']],
      ['proxypass', ['/all', 'ws://b.test/']],
    ],
  )
  const [host] = hosts
  assert.deepEqual([host?.serverName, host?.names, host?.addresses], ['one.test', ['*.one.test'], ['*:80', '[::1]:81']])
  assert.deepEqual(host?.directives.find(({ key }) => key === 'customlog')?.words, ['a b', 'common'])
  assert.deepEqual(
    host?.options.routes?.map(({ path }) => path),
    ['/all', '/1'],
  )
  assert.equal(absolute('cert.pem'), '/etc/httpd/cert.pem')
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

test('never throws for any text, and formats each of its diagnostics', () => {
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
