import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { suite, type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { echo, openBackend, responding, silent } from '../support/backend.ts'
import { connect, openTunnel, plainRequest, type RawClient, upgradeRequest } from '../support/client.ts'
import { closedPort, eventually } from '../support/gate.ts'
import { connectClient, connectTunnel, startBackend } from '../support/harness.ts'
import { ca } from '../support/tls.ts'
import { ended, folder, Program } from './program.ts'

const CERTS = fileURLToPath(new URL('../support/certs/', import.meta.url))

const client = (t: TestContext, port: number, tls?: { servername?: string }): Promise<RawClient> =>
  connectClient(t, port, tls === undefined ? {} : { tls: { ca, ...tls } })

/** Options of a test that needs Linux's device that is always full. */
const FULL = { skip: existsSync('/dev/full') ? false : 'there is no /dev/full' }

/** Options of a test that needs Linux's list of limits. */
const LINUX = { skip: existsSync('/proc/self/limits') ? false : 'there is no /proc/self/limits' }

/** Two ports that were free a moment ago. */
async function freePorts(): Promise<number[]> {
  const servers = await Promise.all([openBackend(echo()), openBackend(echo())])
  await Promise.all(servers.map(server => server.close()))
  return servers.map(({ port }) => port)
}

/** The status and the body of the response to one request. */
async function get(t: TestContext, port: number, path: string, host: string, headers: string[] = []): Promise<string> {
  const requester = await client(t, port)
  const { statusCode, body } = await requester.send(plainRequest(path, { host, headers })).whole()
  requester.destroy()
  return `${statusCode} ${body}`
}

async function say(through: RawClient, text: string): Promise<void> {
  through.send(text)
  assert.equal((await through.readExact(text.length)).toString('latin1'), text)
}

const host = (port: number | string, lines: string): string => `<VirtualHost *:${port}>\n${lines}\n</VirtualHost>\n`

suite('ws-tunnel run', { concurrency: 2 }, () => {
  test('selects the virtual host by port and Host: by name, by alias with wildcards, or the first one', async t => {
    const names = ['first', 'second', 'third']
    const backends = await Promise.all(names.map(name => startBackend(t, responding({ body: name }))))
    const pass = (i: number): string => `ProxyPass /p http://${backends[i]?.address}/`
    const at = await folder(t, {
      'a.conf': [
        host(80, `ServerName first.example\n${pass(0)}`),
        host(80, `ServerName second.example\nServerAlias *.second.example s?.example\n${pass(1)}`),
        host(81, `ServerName first.example\n${pass(2)}`),
      ].join(''),
    })
    const listens = ['--listen', '127.0.0.1:0=80', '--listen', 'localhost:0=81', '--listen=127.0.0.1:0=82']
    const program = new Program(t, ['run', at('a.conf'), ...listens])
    const [one = 0, two = 0, none = 0] = await program.ports(3)
    assert.equal(await get(t, one, '/p', 'first.example'), '200 first')
    assert.equal(await get(t, one, '/p', 'SECOND.example.:8080'), '200 second')
    assert.equal(await get(t, one, '/p', 'a.b.second.example'), '200 second')
    assert.equal(await get(t, one, '/p', 'sx.example'), '200 second')
    assert.equal(await get(t, one, '/p', 'unknown.example'), '200 first')
    assert.equal(await get(t, one, '/elsewhere', 'first.example'), '404 404 Not Found\n')
    const localhost = await connect(two, { host: 'localhost' })
    t.after(() => localhost.destroy())
    localhost.send(plainRequest('/p', { host: 'second.example' }))
    assert.equal((await localhost.whole()).body, 'third')
    assert.equal(await get(t, none, '/p', 'first.example'), '404 404 Not Found\n')
  })

  test('serves virtual hosts of every port at a listener whose port no virtual host has', async t => {
    const { address } = await startBackend(t, responding({ body: 'page' }))
    const at = await folder(t, { 'a.conf': host(80, `ProxyPass / http://${address}/`) })
    const program = new Program(t, ['run', at('a.conf'), '--listen', '127.0.0.1:0'])
    const [port = 0] = await program.ports()
    assert.equal(await get(t, port, '/', 'x'), '200 page')
  })

  test('normalises every spelling of a path as httpd does, logs the target as it came, and 505s another version', async t => {
    const { address } = await startBackend(t, responding({ body: request => request.path }))
    const at = await folder(t, {
      'a.conf': `LogFormat "%r" line\nCustomLog /dev/stdout line\nProxyPass /p/ http://${address}/b/\n`,
    })
    const program = new Program(t, ['run', at('a.conf'), '--listen', '127.0.0.1:0'])
    const [port = 0] = await program.ports()
    for (const path of ['//p/x', '/%70/./x', '/y/../p/x', 'http://front.example/p/x'])
      assert.equal(await get(t, port, path, 'front.example'), '200 /b/x', path)
    assert.equal(await get(t, port, '/p/%40', 'front.example'), '200 /b/@')
    await eventually(() => assert.match(program.stdout, /^GET http:\/\/front\.example\/p\/x HTTP\/1\.1$/m))
    const requester = await client(t, port)
    const { statusCode } = await requester.send('GET /p/x HTTP/2.0\r\nHost: h\r\n\r\n').whole()
    assert.equal(statusCode, 505)
  })

  test('uses the certificate of the virtual host that SNI names', async t => {
    const echoing = await startBackend(t, echo())
    const page = await startBackend(t, responding({ body: 'elsewhere' }))
    const tls = (name: string): string =>
      `SSLEngine On\nSSLCertificateFile ${join(CERTS, `${name}.pem`)}\nSSLCertificateKeyFile ${join(CERTS, `${name}.key`)}\n`
    const at = await folder(t, {
      'a.conf': [
        host(443, `ServerName localhost\n${tls('server')}ProxyPass / ws://${echoing.address}/`),
        host(443, `ServerName elsewhere.example\n${tls('wrong-name')}ProxyPass / http://${page.address}/`),
      ].join(''),
    })
    const program = new Program(t, ['run', at('a.conf'), '--listen', '127.0.0.1:0=443'])
    const [port = 0] = await program.ports()
    assert.match(program.stderr, /listening on https:/)

    const { client: tunnelled } = await openTunnel(port, '/', {
      tls: { ca, servername: 'localhost' },
      host: 'localhost',
    })
    t.after(() => tunnelled.destroy())
    await say(tunnelled, 'over TLS')
    const fields = new Map((await echoing.request()).rawHeaders)
    assert.equal(fields.get('X-Forwarded-Host'), 'localhost')

    const other = await client(t, port, { servername: 'elsewhere.example' })
    assert.equal((await other.send(plainRequest('/', { host: 'elsewhere.example' })).whole()).body, 'elsewhere')
    // The connection uses the certificate of another host (RFC 9110 15.5.20).
    const misdirected = await client(t, port, { servername: 'elsewhere.example' })
    assert.equal((await misdirected.send(plainRequest('/', { host: 'localhost' })).whole()).statusCode, 421)
    await assert.rejects(connect(port, { tls: { ca, servername: 'unknown.example' } }), /altnames/)
  })

  test("logs each request in the file's format, escaped, and a tunnel when it has ended", async t => {
    const page = await startBackend(t, responding({ statusCode: 404, body: 'four', headers: ['X-Answer: "yes"'] }))
    const { address } = await startBackend(t, echo())
    const format = String.raw`%h %l %u %t \"%r\" %>s %b %B %I %O %D %T %v %p %a %m %U %q %H \"%{X-Ask}i\" \"%{X-Answer}o\" %{No}i %%`
    const at = await folder(t, {
      'a.conf': `LogFormat "${format}" all\n${host(
        '*',
        `ServerName log.example\nCustomLog /dev/null all\nProxyPass /ws/ ws://${address}/\nProxyPass / http://${page.address}/`,
      )}`,
    })
    const program = new Program(t, ['run', at('a.conf'), '--listen', '127.0.0.1:0'])
    const [port = 0] = await program.ports()

    const requester = await client(t, port)
    const request = plainRequest('/a%20b?c="d"', { host: 'x', headers: ['X-Ask: a"b\\c\u00e9\u0080\t.'] })
    const whole = await requester.send(request).whole()
    assert.equal(whole.body, 'four')
    const [line = ''] = await program.lines(1)
    const fields =
      /^127\.0\.0\.1 - - \[\d\d\/\w{3}\/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "(.*)" 404 4 4 (\d+) (\d+) (\d+) 0 log\.example (\d+) 127\.0\.0\.1 GET \/a b (\S+) HTTP\/1\.1 "(.*)" "(.*)" - %$/.exec(
        line,
      )
    assert.ok(fields, line)
    assert.equal(fields[1], String.raw`GET /a%20b?c=\"d\" HTTP/1.1`)
    assert.equal(Number(fields[2]), request.length)
    assert.equal(Number(fields[3]), requester.total)
    assert.ok(Number(fields[4]) > 0)
    assert.equal(Number(fields[5]), port)
    assert.equal(fields[6], String.raw`?c=\"d\"`)
    assert.equal(fields[7], String.raw`a\"b\\c\xe9\x80\t.`)
    assert.equal(fields[8], String.raw`\"yes\"`)

    const through = await connectTunnel(t, port, '/ws/room')
    const head = through.total
    await say(through, 'x'.repeat(1_000))
    assert.equal((await program.lines(1)).length, 1, 'a tunnel that is open')
    through.end()
    await through.closed
    const [, tunnelled = ''] = await program.lines(2)
    assert.match(tunnelled, /"GET \/ws\/room HTTP\/1\.1" 101 1000 1000 \d+ \d+ \d+ 0 log\.example/)
    const [, bytesIn, bytesOut] = /101 1000 1000 (\d+) (\d+)/.exec(tunnelled) as unknown as [string, string, string]
    assert.ok(Number(bytesIn) > 1_000)
    assert.equal(Number(bytesOut), head + 1_000)
  })

  test('logs in the common format with bytes and time if the file has no log line', async t => {
    const at = await folder(t, { 'a.conf': `LogLevel info\nProxyPass / ws://127.0.0.1:${await closedPort()}/\n` })
    const program = new Program(t, ['run', at('a.conf'), '--listen', '127.0.0.1:0'])
    const [port = 0] = await program.ports()
    assert.equal(await get(t, port, '/x', 'x'), '503 503 Service Unavailable\n')
    assert.equal(await get(t, port, '/a%2Fb', 'x'), '404 404 Not Found\n')
    const lines = await program.lines(2)
    assert.match(lines[0] ?? '', /^127\.0\.0\.1 - - \[.*\] "GET \/x HTTP\/1\.1" 503 24 \d+ \d+ \d+$/)
    assert.match(
      program.stderr,
      /\[ws-tunnel:error\] \[pid \d+\] \[client 127\.0\.0\.1:\d+\] WST_ERR_CONNECT: .*: GET \/x$/m,
    )
    assert.match(program.stderr, /\[ws-tunnel:info\] .* WST_ERR_ENCODED_SLASH/)
  })

  test('logs 499 for a client that disconnects before its response, and continues to serve', async t => {
    const { address, request } = await startBackend(t, silent())
    const at = await folder(t, { 'a.conf': `ProxyPass /x !\nProxyPass / ws://${address}/\n` })
    const program = new Program(t, ['run', at('a.conf'), '--listen', '127.0.0.1:0'])
    const [port = 0] = await program.ports()
    for (const [i, head] of [plainRequest('/'), upgradeRequest('/')].entries()) {
      const requester = await client(t, port)
      requester.send(head)
      await request(i)
      requester.reset()
      const lines = await program.lines(i + 1)
      assert.match(lines[i] ?? '', /"GET \/ HTTP\/1\.1" 499 - \d+ 0 \d+$/)
    }
    assert.equal(await get(t, port, '/x', 'x'), '404 404 Not Found\n')
  })

  test('logs the bytes of each request on a connection separately, and no body bytes for HEAD', async t => {
    const { address } = await startBackend(t, responding({ body: 'page' }))
    const at = await folder(t, { 'a.conf': `ProxyPass / http://${address}/\n` })
    const program = new Program(t, ['run', at('a.conf'), '--listen', '127.0.0.1:0'])
    const [port = 0] = await program.ports()
    const requester = await client(t, port)
    const requests = [
      plainRequest('/'),
      plainRequest('/', { method: 'HEAD' }),
      plainRequest('/', { method: 'POST', body: 'x' }),
    ]
    let before = 0
    for (const [i, request] of requests.entries()) {
      await requester.send(request).whole(request.startsWith('HEAD') ? 'HEAD' : 'GET')
      const sent = requester.total - before
      before = requester.total
      const lines = await program.lines(i + 1)
      assert.match(lines[i] ?? '', new RegExp(`" 200 ${i === 1 ? '-' : '4'} ${request.length} ${sent} \\d+$`))
    }
  })

  test('omits messages from the error log that are less urgent than LogLevel', async t => {
    const at = await folder(t, { 'a.conf': `LogLevel crit\nProxyPass / ws://127.0.0.1:${await closedPort()}/\n` })
    const program = new Program(t, ['run', at('a.conf'), '--listen', '127.0.0.1:0'])
    const [port = 0] = await program.ports()
    assert.equal(await get(t, port, '/x', 'x'), '503 503 Service Unavailable\n')
    await program.lines(1)
    assert.doesNotMatch(program.stderr, /WST_ERR_CONNECT/)
  })

  test('on SIGHUP serves new requests from the new file, keeps tunnels open, and refuses a broken file', async t => {
    const old = await startBackend(t, echo())
    const page = await startBackend(t, responding({ body: 'new' }))
    const at = await folder(t, { 'a.conf': `ProxyPass /ws/ ws://${old.address}/\n` })
    const program = new Program(t, ['run', at('a.conf'), '--listen', '127.0.0.1:0'])
    const [port = 0] = await program.ports()
    const through = await connectTunnel(t, port, '/ws/')
    await say(through, 'before')

    await writeFile(at('a.conf'), `ProxyPass /page http://${page.address}/\n`)
    program.signal('SIGHUP')
    await program.prints(/the configuration was reloaded/)
    assert.equal(await get(t, port, '/page', 'x'), '200 new')
    assert.equal(await get(t, port, '/ws/', 'x'), '404 404 Not Found\n')
    await say(through, 'after')

    await writeFile(at('a.conf'), 'ProxyPas /ws/ ws://a/\n')
    program.signal('SIGHUP')
    await program.prints(
      /was not reloaded and the old one stays: it has errors\n.*a\.conf:1:1: error: ProxyPas: no such/,
    )
    assert.equal(await get(t, port, '/page', 'x'), '200 new')
    await say(through, 'and after that')

    program.signal('SIGTERM')
    await program.prints(/caught SIGTERM, draining/)
    await say(through, 'while it drains')
    through.end()
    assert.equal(await program.exit(), 0)
    assert.match(program.stdout, /"GET \/ws\/ HTTP\/1\.1" 101 40 /)
  })

  test('on SIGHUP opens and closes listeners of the file', async t => {
    const page = await startBackend(t, responding({ body: 'page' }))
    const [one = 0, two = 0] = await freePorts()
    // No other test listens at this address.
    const address = '127.77.0.1'
    const pass = `ProxyPass / http://${page.address}/\n`
    const at = await folder(t, { 'a.conf': `Listen ${address}:${one}\n${pass}` })
    const bodyAt = async (port: number): Promise<string> => {
      const requester = await connect(port, { host: address })
      t.after(() => requester.destroy())
      return (await requester.send(plainRequest('/')).whole()).body
    }
    const program = new Program(t, ['run', at('a.conf')])
    assert.deepEqual(await program.ports(), [one])
    assert.equal(await bodyAt(one), 'page')
    await writeFile(at('a.conf'), `Listen ${address}:${two}\n${pass}`)
    program.signal('SIGHUP')
    assert.deepEqual(await program.ports(2), [one, two])
    assert.equal(await bodyAt(two), 'page')
    await eventually(() => assert.rejects(connect(one, { host: address }), { code: 'ECONNREFUSED' }))
  })

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    test(`on ${signal} refuses new connections, ends tunnels after --drain, and exits with 0`, async t => {
      const { address } = await startBackend(t, echo())
      const at = await folder(t, { 'a.conf': `ProxyPass / ws://${address}/\n` })
      const program = new Program(t, ['run', at('a.conf'), '--listen', '127.0.0.1:0', '--drain', '0.3'])
      const [port = 0] = await program.ports()
      const through = await connectTunnel(t, port, '/')
      program.signal(signal)
      await program.prints(/draining/)
      await eventually(() => assert.rejects(connect(port), { code: 'ECONNREFUSED' }))
      program.signal(signal)
      await say(through, 'still here')
      assert.equal((await through.readAll()).length, 0)
      through.end()
      assert.equal(await program.exit(), 0)
      assert.match(program.stdout, /"GET \/ HTTP\/1\.1" 101 10 /)
    })
  }

  const refused: [name: string, conf: string, args: string[], message: RegExp][] = [
    ['errors in the file', 'ProxyPas / ws://a/\n', ['--listen', '0'], /a\.conf:1:1: error: ProxyPas/],
    ['a file without a Listen line', 'ProxyPass / ws://a/\n', [], /no listening sockets available/],
    [
      'a Listen line without a port',
      'Listen here\nProxyPass / ws://a/\n',
      [],
      /a\.conf:1:1: error: Listen: Port must be/,
    ],
    [
      'an unknown LogFormat directive',
      'LogFormat "%Z" x\nProxyPass / ws://a/\n',
      ['--listen', '0'],
      /a\.conf:1:1: error: LogFormat: Unrecognized LogFormat directive %Z/,
    ],
    [
      'SSLEngine without a certificate',
      `${host(443, 'SSLEngine On\nProxyPass / ws://a/')}`,
      ['--listen', '0=443'],
      /a\.conf:2:1: error: SSLEngine: .*no certificate/,
    ],
    [
      'a certificate and a key that do not belong together',
      host(
        443,
        `SSLEngine On\nSSLCertificateFile ${CERTS}server.pem\nSSLCertificateKeyFile ${CERTS}client.key\nProxyPass / ws://a/`,
      ),
      ['--listen', '0=443'],
      /a\.conf:4:1: error: SSLCertificateKeyFile: certificate and key cannot be used/,
    ],
    [
      'TLS on only some virtual hosts of a port',
      host(80, 'ProxyPass / ws://a/') +
        host(80, `SSLEngine On\nSSLCertificateFile ${CERTS}server.pem\nSSLCertificateKeyFile ${CERTS}server.key`),
      ['--listen', '0=80'],
      /the virtual hosts of port 80 must all have SSLEngine On, or none/,
    ],
    [
      'a --server-name that no virtual host has',
      host(80, 'ProxyPass / ws://a/'),
      ['--server-name', 'b'],
      /no virtual host is named b/,
    ],
  ]
  for (const [name, conf, args, message] of refused) {
    test(`exits with 1 before it listens, for ${name}`, async t => {
      const at = await folder(t, { 'a.conf': conf })
      const { code, stderr, stdout } = await ended(t, 'run', at('a.conf'), ...args)
      assert.deepEqual([code, stdout], [1, ''], stderr)
      assert.match(stderr, message)
    })
  }

  test('serves, reloads and drains although what it writes finds a full disk', FULL, async t => {
    const backend = await startBackend(t, echo())
    const [port = 0] = await freePorts()
    // The LogFormat line is the cause of a warning.
    const conf = `LogFormat "%f" f\nCustomLog a f\nLogLevel debug\nProxyPass / ws://${backend.address}/\n`
    const at = await folder(t, { 'a.conf': conf })
    const full = await open('/dev/full', 'w')
    t.after(() => full.close())
    const program = new Program(t, ['run', at('a.conf'), '--listen', `127.0.0.1:${port}`], full.fd)
    const through = await eventually(() => connectTunnel(t, port), 15_000)
    await say(through, 'first')
    program.signal('SIGHUP')
    assert.equal(await get(t, port, '/%2f', 'a.example'), '404 404 Not Found\n')
    const second = await connectTunnel(t, port)
    await say(second, 'second')
    await say(through, 'third')
    program.signal('SIGTERM')
    for (const tunnel of [through, second]) tunnel.end()
    assert.equal(await program.exit(), 0)
  })

  test('says at the start for how many tunnels its descriptors are enough', LINUX, async t => {
    const at = await folder(t, { 'a.conf': 'ProxyPass / ws://a/\n' })
    const program = new Program(t, ['run', at('a.conf'), '--listen', '127.0.0.1:0'])
    await program.prints(/notice\].* \d+ descriptors are enough for about \d+ tunnels; further clients get 503/)
  })

  test('exits with 1 if it cannot listen', async t => {
    const { port } = await startBackend(t, echo())
    const at = await folder(t, { 'a.conf': 'ProxyPass / ws://a/\n' })
    const { code, stderr } = await ended(t, 'run', at('a.conf'), '--listen', `127.0.0.1:${port}`)
    assert.equal(code, 1)
    assert.match(stderr, /could not listen: .*EADDRINUSE/)
  })
})
