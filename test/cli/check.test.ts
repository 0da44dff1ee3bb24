import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { suite, test } from 'node:test'
import { ended, folder } from './program.ts'

const GOOD = `Listen 8080
<VirtualHost *:80>
  ServerName chat.example
  ProxyPass /ws/ ws://127.0.0.1:9000/
</VirtualHost>
<VirtualHost *:443>
  ServerName chat.example
  <IfDefine STAGE>
    ProxyPass /stage/ ws://\${BACKEND}/
  </IfDefine>
  ProxyPass /ws/ ws://127.0.0.1:9000/
</VirtualHost>
`

suite('ws-tunnel check', { concurrency: 3 }, () => {
  test('says that the syntax is OK, for all virtual hosts of a file', async t => {
    const at = await folder(t, { 'good.conf': GOOD })
    const { code, stdout, stderr } = await ended(t, 'check', at('good.conf'))
    assert.deepEqual([code, stdout, stderr], [0, '', 'Syntax OK\n'])
  })

  test('points at every wrong line with a caret, and ends with 1', async t => {
    const at = await folder(t, {
      'bad.conf': 'ProxyPass /ws/ ws://127.0.0.1:99999/\n# fine\n  ProxyPas /a ws://b/\n',
    })
    const { code, stdout, stderr } = await ended(t, 'check', at('bad.conf'))
    assert.equal(code, 1)
    assert.equal(stderr, '')
    const lines = stdout.split('\n')
    assert.match(lines[0] ?? '', /bad\.conf:1:16: error: ProxyPass: .*a port from 1 to 65535/)
    assert.deepEqual(lines.slice(1, 3), ['  ProxyPass /ws/ ws://127.0.0.1:99999/', `  ${' '.repeat(15)}^`])
    assert.match(lines[3] ?? '', /bad\.conf:3:3: error: ProxyPas: no such directive$/)
    assert.deepEqual(lines.slice(4, 6), ['    ProxyPas /a ws://b/', '    ^'])
  })

  test('defines names, allows directives and takes the behaviour of a version', async t => {
    const at = await folder(t, { 'good.conf': `${GOOD}Require valid-user\n` })
    const refused = await ended(t, 'check', at('good.conf'))
    assert.match(refused.stdout, /good\.conf:13:1: error: Require: access control/)
    assert.equal(refused.code, 1)
    const allowed = await ended(
      t,
      'check',
      at('good.conf'),
      '--allow',
      'Require',
      '-D',
      'STAGE',
      '-D',
      'BACKEND=127.0.0.1',
    )
    assert.equal(allowed.code, 0, allowed.stdout)
    assert.match(allowed.stdout, /ignored: Require: .* \(allowed\)/)
    const old = await ended(t, 'check', at('good.conf'), '--allow=Require', '-DSTAGE', '--compat', '2.4.46')
    assert.match(old.stdout, /good\.conf:9:/, 'the variable is not defined')
  })

  test('checks the virtual host of a name alone', async t => {
    const at = await folder(t, {
      'two.conf': `${GOOD}<VirtualHost *:80>\nServerName broken.example\nProxyPass /a ws://b:0/\n</VirtualHost>\n`,
    })
    assert.equal((await ended(t, 'check', at('two.conf'))).code, 1)
    assert.equal((await ended(t, 'check', at('two.conf'), '--server-name', 'chat.example')).code, 0)
    const nobody = await ended(t, 'check', at('two.conf'), '--server-name', 'nobody.example')
    assert.equal(nobody.code, 1)
    assert.match(nobody.stdout, /no virtual host is named nobody\.example/)
  })

  test('only warns of certificates that are not here', async t => {
    const at = await folder(t, {
      'tls.conf': `SSLEngine On\nSSLCertificateFile cert.pem\nProxyPass / ws://127.0.0.1/\n`,
    })
    const { code, stdout } = await ended(t, 'check', at('tls.conf'))
    assert.equal(code, 0)
    assert.match(stdout, /tls\.conf:2:1: warning: SSLCertificateFile: .*cert\.pem' does not exist or is empty/)
  })

  test('ends with 1 for a file that cannot be read', async t => {
    const { code, stderr } = await ended(t, 'check', '/nowhere/at.conf')
    assert.deepEqual([code, stderr], [1, 'ws-tunnel: cannot read /nowhere/at.conf: ENOENT\n'])
  })
})

suite('the command line', { concurrency: 3 }, () => {
  test('has a help and a version', async t => {
    const help = await ended(t, '--help')
    assert.equal(help.code, 0)
    for (const word of ['check FILE', 'explain FILE METHOD URL', 'run FILE', '--listen', '--drain', '-D NAME']) {
      assert.ok(help.stdout.includes(word), word)
    }
    assert.deepEqual((await ended(t, 'run', '--help')).stdout, help.stdout)
    const { version } = JSON.parse(readFileSync(new URL('../../packages/cli/package.json', import.meta.url), 'utf8'))
    assert.equal((await ended(t, '--version')).stdout, `ws-tunnel ${version}\n`)
  })

  const wrong: [args: string[], message: RegExp][] = [
    [[], /a command is missing: check, explain or run/],
    [['chek'], /unknown command 'chek'/],
    [['constructor'], /unknown command 'constructor'/],
    [['--nope'], /unknown option '--nope'/],
    [['check'], /check: FILE is missing/],
    [['check', 'a', 'b'], /check: unexpected argument 'b'/],
    [['check', 'a', '--json'], /Unknown option '--json'/],
    [['check', 'a', '--compat', '2.2'], /--compat: expected 2\.4\.71, 2\.4\.47, 2\.4\.46, 2\.5, got 2\.2/],
    [['explain', 'a', 'GET'], /explain: URL is missing/],
    [['explain', 'a', 'GET', '/', '-H', 'nothing'], /-H: expected 'NAME: VALUE', got 'nothing'/],
    [['run', 'a', '--listen', 'here'], /--listen: expected \[HOST:\]PORT\[=FILEPORT\], got here/],
    [['run', 'a', '--listen', '65536'], /--listen: expected/],
    [['run', 'a', '--drain', 'long'], /--drain: expected a number of seconds, got long/],
  ]
  for (const [args, message] of wrong) {
    test(`ends with 2 for: ${args.join(' ') || 'nothing'}`, async t => {
      const { code, stdout, stderr } = await ended(t, ...args)
      assert.deepEqual([code, stdout], [2, ''])
      assert.match(stderr, message)
      assert.match(stderr, /Try 'ws-tunnel --help'\.\n$/)
    })
  }
})
