import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { suite, test } from 'node:test'
import { ended, folder, Program } from './program.ts'

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
  test('prints Syntax OK for a file whose virtual hosts are all correct', async t => {
    const at = await folder(t, { 'good.conf': GOOD })
    const { code, stdout, stderr } = await ended(t, 'check', at('good.conf'))
    assert.deepEqual([code, stdout, stderr], [0, '', 'Syntax OK\n'])
  })

  test('marks every wrong line with a caret and exits with 1', async t => {
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

  test('defines names, skips allowed directives and follows the version of --compat', async t => {
    const at = await folder(t, { 'good.conf': `${GOOD}ProxyRemote * http://a:1\n` })
    const refused = await ended(t, 'check', at('good.conf'))
    assert.match(refused.stdout, /good\.conf:13:1: error: ProxyRemote: /)
    assert.equal(refused.code, 1)
    const allowed = await ended(
      t,
      'check',
      at('good.conf'),
      '--allow',
      'ProxyRemote',
      '-D',
      'STAGE',
      '-D',
      'BACKEND=127.0.0.1',
    )
    assert.equal(allowed.code, 0, allowed.stdout)
    assert.match(allowed.stdout, /^ignored, because .* \(allowed\): ProxyRemote$/m)
    const old = await ended(t, 'check', at('good.conf'), '--allow=ProxyRemote', '-DSTAGE', '--compat', '2.4.46')
    assert.match(old.stdout, /good\.conf:9:/, 'the variable is not defined')
  })

  test('checks only the virtual host of --server-name', async t => {
    const at = await folder(t, {
      'two.conf': `${GOOD}<VirtualHost *:80>\nServerName broken.example\nProxyPass /a ws://b:0/\n</VirtualHost>\n`,
    })
    assert.equal((await ended(t, 'check', at('two.conf'))).code, 1)
    assert.equal((await ended(t, 'check', at('two.conf'), '--server-name', 'chat.example')).code, 0)
    const unknown = await ended(t, 'check', at('two.conf'), '--server-name', 'unknown.example')
    assert.equal(unknown.code, 1)
    assert.match(unknown.stdout, /no virtual host is named unknown\.example/)
  })

  test('only warns about certificates that are not on this machine', async t => {
    const at = await folder(t, {
      'tls.conf': `SSLEngine On\nSSLCertificateFile cert.pem\nProxyPass / ws://127.0.0.1/\n`,
    })
    const { code, stdout } = await ended(t, 'check', at('tls.conf'))
    assert.equal(code, 0)
    assert.match(stdout, /tls\.conf:2:1: warning: SSLCertificateFile: .*cert\.pem' does not exist or is empty/)
  })

  test('prints errors first, then warnings, then ignored lines by reason, and a summary', async t => {
    const at = await folder(t, {
      'a.conf':
        'ServerAdmin a\nServerTokens Prod\nServerTokens Prod\n<Location //x>\n</Location>\nProxyPas\nProxyPass / ws://a/\n',
    })
    const all = await ended(t, 'check', at('a.conf'))
    assert.equal(all.code, 1)
    assert.match(
      all.stdout,
      /^\S+:6:1: error: [\s\S]*\n\S+:4:\d+: warning: [\s\S]*\nignored, because [^:]+: [^:]+: ServerAdmin, ServerTokens \(2\)\n/,
    )
    assert.match(all.stdout, /\n1 error, 1 warning, 3 ignored lines\n$/)
    const quiet = await ended(t, 'check', at('a.conf'), '--quiet')
    assert.match(quiet.stdout, /^\S+:6:1: error: .*\n.*\n.*\n(?: .*\n)*$/)
    assert.doesNotMatch(quiet.stdout, /warning|ignored/)
    assert.match((await ended(t, 'check', at('a.conf'), '--ignored')).stdout, /a\.conf:3:1: ignored: ServerTokens/)
    const { ok, counts, diagnostics } = JSON.parse((await ended(t, 'check', at('a.conf'), '--json')).stdout)
    assert.deepEqual([ok, counts], [false, { errors: 1, warnings: 1, ignored: 3 }])
    assert.equal(diagnostics.length, 5)
  })

  test('reads standard input for -, and adds lines before and after with -C and -c', async t => {
    const program = new Program(t, ['check', '-', '-C', 'Define PORT 9000', '-c', 'ProxyPas /'], 'pipe', {
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    program.input(`ProxyPass /ws/ ws://127.0.0.1:\${PORT}/\n`)
    assert.equal(await program.exit(), 1)
    assert.match(program.stdout, /^-c:1:1: error: ProxyPas: no such directive\n/)
  })

  test('reads variables from the environment, as httpd does, and Define before it', async t => {
    const at = await folder(t, {
      'a.conf': `Define SECOND 127.0.0.1\nProxyPass / ws://\${FIRST}:\${SECOND}/\n<IfDefine FIRST>\nProxyPas\n</IfDefine>\n`,
    })
    const env = { ...process.env, FIRST: '127.0.0.1', SECOND: 'from the environment' }
    const program = new Program(t, ['check', at('a.conf')], 'pipe', { env })
    assert.equal(await program.exit(), 1)
    assert.match(program.stdout, /ws:\/\/127\.0\.0\.1:127\.0\.0\.1\//)
    assert.doesNotMatch(program.stdout, /ProxyPas:/)
  })

  test('understands the flags of httpd: -f, -t, -S, -v, -D, -C', async t => {
    const at = await folder(t, {
      'a.conf':
        'Listen 8080\n<IfDefine STAGE>\n<VirtualHost *:80>\nServerName a.example\nServerAlias b.example\n</VirtualHost>\n</IfDefine>\n<VirtualHost *:80>\nServerName c.example\nProxyPass / ws://127.0.0.1:1/\n</VirtualHost>\n',
    })
    const checked = await ended(t, '-t', '-f', at('a.conf'))
    assert.deepEqual([checked.code, checked.stderr], [0, 'Syntax OK\n'])
    const hosts = await ended(t, '-S', '-D', 'STAGE', '-f', at('a.conf'), '-C', 'ServerName main.example')
    assert.equal(hosts.code, 0, hosts.stderr)
    assert.match(
      hosts.stdout,
      /\*:80 +is a NameVirtualHost\n +default server a\.example \(\S+a\.conf:3\) alias b\.example\n +port server +c\.example [\s\S]*Main server: main\.example\nListens at: 8080\n$/,
    )
    assert.match((await ended(t, '-v')).stdout, /^ws-tunnel \d+\./)
    assert.equal((await ended(t, '-f', '/nowhere')).code, 1)
  })

  test('prints completions that know the commands and their options', async t => {
    for (const shell of ['bash', 'zsh', 'fish']) {
      const { code, stdout } = await ended(t, 'completion', shell)
      assert.equal(code, 0)
      for (const word of ['check', 'explain', 'run', 'workers', 'server-name', 'drain'])
        assert.ok(stdout.includes(word), `${shell}: ${word}`)
    }
  })

  test('exits with 1 for a file that cannot be read', async t => {
    const { code, stderr } = await ended(t, 'check', '/nowhere/at.conf')
    assert.deepEqual([code, stderr], [1, 'ws-tunnel: cannot read /nowhere/at.conf: ENOENT\n'])
  })
})

suite('the command line', { concurrency: 3 }, () => {
  test('prints its commands for --help, and the options of one command after its name', async t => {
    const help = await ended(t, '--help')
    assert.equal(help.code, 0)
    for (const text of ['check [options] <file>', 'explain [options] <file> <method> <url>', 'run [options] <file>']) {
      assert.ok(help.stdout.includes(text), text)
    }
    assert.match(help.stdout, /Exit codes: 0 for success, 1 .*, 2 /)
    const options: Record<string, string[]> = {
      check: ['-D, --define <name>', '--server-name', '--compat', '--allow'],
      explain: ['-H, --header <field>', '--from', '--tls', '--json', '-D, --define <name>'],
      run: ['--listen <address>', '--drain <seconds>', '-D, --define <name>'],
    }
    for (const [command, texts] of Object.entries(options)) {
      const { code, stdout } = await ended(t, command, '-h')
      assert.equal(code, 0)
      for (const text of texts) assert.ok(stdout.includes(text), `${command}: ${text}`)
    }
  })

  test('prints the version of its package', async t => {
    const { version } = JSON.parse(readFileSync(new URL('../../packages/cli/package.json', import.meta.url), 'utf8'))
    for (const option of ['--version', '-V']) {
      const { code, stdout } = await ended(t, option)
      assert.deepEqual([code, stdout], [0, `ws-tunnel ${version}\n`])
    }
  })

  test('prints the help on standard error and exits with 2 without a command', async t => {
    const { code, stdout, stderr } = await ended(t)
    assert.deepEqual([code, stdout], [2, ''])
    assert.match(stderr, /^Usage: ws-tunnel \[options\] \[command\]\n/)
  })

  const wrong: [args: string[], message: RegExp][] = [
    [['chek'], /unknown command 'chek'\n\(Did you mean check\?\)/],
    [['constructor'], /unknown command 'constructor'/],
    [['--nope'], /unknown option '--nope'/],
    [['\x1b[2J'], /unknown command '\\x1b\[2J'/],
    [['check'], /missing required argument 'file'/],
    [['check', 'a', 'b'], /too many arguments for 'check'/],
    [['check', 'a', '--jsn'], /unknown option '--jsn'\n\(Did you mean --json\?\)/],
    [['run', '-'], /run reads its file again at a reload, so it cannot be standard input/],
    [['-f', 'a', '-k', 'start'], /unknown option '-k'/],
    [['completion', 'tcsh'], /Allowed choices are bash, zsh, fish/],
    [['check', 'a', '--compat', '2.2'], /'2\.2' is invalid\. Allowed choices are 2\.4\.71, 2\.4\.47, 2\.4\.46, 2\.5\./],
    [['check', 'a', '--compat'], /option '--compat <version>' argument missing/],
    [['explain', 'a', 'GET'], /missing required argument 'url'/],
    [['explain', 'a', 'GET', '/', '-H', 'nothing'], /argument 'nothing' is invalid\. Expected 'NAME: VALUE'\./],
    [
      ['run', 'a', '--listen', 'here'],
      /argument 'here' is invalid\. Expected \[HOST:\]PORT\[=FILEPORT\] or unix:PATH\[=FILEPORT\]\./,
    ],
    [['run', 'a', '--listen', '65536'], /'65536' is invalid\. Expected/],
    [['run', 'a', '--drain', 'long'], /argument 'long' is invalid\. Expected a number of seconds\./],
    [['run', 'a', '--drain', ''], /argument '' is invalid\. Expected a number of seconds\./],
  ]
  for (const [args, message] of wrong) {
    test(`exits with 2 for: ${JSON.stringify(args.join(' '))}`, async t => {
      const { code, stdout, stderr } = await ended(t, ...args)
      assert.deepEqual([code, stdout], [2, ''])
      assert.match(stderr, /^ws-tunnel: /)
      assert.match(stderr, message)
      assert.match(stderr, /\nTry 'ws-tunnel (?:\w+ )?--help'\.\n$/)
    })
  }
})
