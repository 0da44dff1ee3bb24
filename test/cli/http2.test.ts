import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type ClientHttp2Session, connect } from 'node:http2'
import { join } from 'node:path'
import { suite, type TestContext, test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { connectStream, requestStream } from '../http2/gateways.ts'
import { echo, responding } from '../support/backend.ts'
import { plainRequest } from '../support/client.ts'
import { within } from '../support/gate.ts'
import { sendRequest, startBackend } from '../support/harness.ts'
import { ca } from '../support/tls.ts'
import { folder, Program } from './program.ts'

const CERTS = fileURLToPath(new URL('../support/certs/', import.meta.url))

const tlsHost = (name: string, certificate: string, lines: string): string =>
  `<VirtualHost *:443>
ServerName ${name}
SSLEngine On
SSLCertificateFile ${join(CERTS, `${certificate}.pem`)}
SSLCertificateKeyFile ${join(CERTS, `${certificate}.key`)}
${lines}
</VirtualHost>
`

async function serve(t: TestContext, conf: string, listen: string): Promise<{ port: number; program: Program }> {
  const at = await folder(t, { 'a.conf': conf })
  const program = new Program(t, ['run', at('a.conf'), '--listen', listen])
  const [port = 0] = await program.ports()
  return { port, program }
}

/** The protocol that a host selects of those that a client offers. */
async function selected(port: number, servername: string, ALPNProtocols: string[]): Promise<string> {
  const socket = connectTls({ port, host: '127.0.0.1', servername, ALPNProtocols, rejectUnauthorized: false })
  const isAccepted = await once(socket, 'secureConnect').then(
    () => true,
    () => false,
  )
  const { alpnProtocol } = socket
  socket.destroy()
  return isAccepted ? String(alpnProtocol) : 'refused'
}

async function openSession(t: TestContext, url: string): Promise<ClientHttp2Session> {
  const session = connect(url, { ca })
  t.after(() => session.destroy())
  session.on('error', () => {})
  await within(5_000, 'the settings', once(session, 'remoteSettings'))
  return session
}

suite('HTTP/2 in ws-tunnel run', { concurrency: 2, timeout: 60_000 }, () => {
  test('Protocols selects by ALPN for each virtual host, in the order of the line or of the client', async t => {
    const { port } = await serve(
      t,
      tlsHost('localhost', 'server', 'Protocols h2 http/1.1') +
        tlsHost('elsewhere.example', 'wrong-name', '') +
        tlsHost('third.example', 'wrong-name', 'Protocols http/1.1 h2') +
        tlsHost('fourth.example', 'wrong-name', 'Protocols http/1.1 h2\nProtocolsHonorOrder Off'),
      '127.0.0.1:0=443',
    )
    const both = ['h2', 'http/1.1']
    assert.deepEqual(
      await Promise.all([
        selected(port, 'localhost', both),
        selected(port, 'localhost', ['http/1.1']),
        selected(port, 'elsewhere.example', both),
        selected(port, 'elsewhere.example', ['h2']),
        selected(port, 'third.example', both),
        selected(port, 'fourth.example', both),
      ]),
      ['h2', 'http/1.1', 'http/1.1', 'refused', 'http/1.1', 'h2'],
    )
  })

  test('serves requests and WebSockets over one session, with the limits of the H2 lines, and logs HTTP/2.0', async t => {
    const web = await startBackend(t, responding({ body: 'page' }))
    const sockets = await startBackend(t, echo())
    const { port, program } = await serve(
      t,
      `LogFormat "%r %>s" short\nCustomLog /dev/stdout short\n${tlsHost(
        'localhost',
        'server',
        `Protocols h2 http/1.1
H2WebSockets On
H2WindowSize 128000
H2MaxSessionStreams 7
ProxyPass /live ws://${sockets.address}/
ProxyPass / http://${web.address}/`,
      )}`,
      '127.0.0.1:0=443',
    )
    const session = await openSession(t, `https://localhost:${port}`)
    const { enableConnectProtocol, initialWindowSize, maxConcurrentStreams } = session.remoteSettings
    assert.deepEqual([enableConnectProtocol, initialWindowSize, maxConcurrentStreams], [true, 128_000, 7])
    const plain = requestStream(session, { ':path': '/a' })
    assert.equal((await plain.head())[':status'], 200)
    assert.equal(String(await plain.readAll()), 'page')
    const tunnel = connectStream(session, '/live', { ':authority': 'localhost' })
    assert.equal((await tunnel.head())[':status'], 200)
    tunnel.stream.end('bytes')
    assert.equal(String(await tunnel.readAll()), 'bytes')
    assert.deepEqual((await program.lines(2)).toSorted(), ['GET /a HTTP/2.0 200', 'GET /live HTTP/2.0 101'])
  })

  test('a host with another certificate is not served on the connection', async t => {
    const { address } = await startBackend(t, responding({ body: 'page' }))
    const lines = `Protocols h2\nProxyPass / http://${address}/`
    const { port } = await serve(
      t,
      tlsHost('localhost', 'server', lines) + tlsHost('elsewhere.example', 'wrong-name', lines),
      '127.0.0.1:0=443',
    )
    const session = await openSession(t, `https://localhost:${port}`)
    for (const [authority, status] of [
      ['localhost', 200],
      ['elsewhere.example', 421],
    ] as const) {
      const stream = requestStream(session, { ':path': '/', ':authority': authority })
      assert.equal((await stream.head())[':status'], status, authority)
    }
  })

  test('without H2WebSockets the server does not announce them', async t => {
    const { port } = await serve(t, tlsHost('localhost', 'server', 'Protocols h2'), '127.0.0.1:0=443')
    const session = await openSession(t, `https://localhost:${port}`)
    assert.notEqual(session.remoteSettings.enableConnectProtocol, true)
  })

  test('cleartext HTTP/2 is refused, unless Protocols names h2c', async t => {
    const { address } = await startBackend(t, responding({ body: 'page' }))
    const pass = `ProxyPass / http://${address}/`
    const named = await serve(t, `Protocols h2c http/1.1\n${pass}`, '127.0.0.1:0')
    const session = await openSession(t, `http://127.0.0.1:${named.port}`)
    const stream = requestStream(session, { ':path': '/' })
    assert.equal((await stream.head())[':status'], 200)
    assert.equal(String(await stream.readAll()), 'page')
    for (const parts of [[plainRequest('/')], ['PRI', 'VATE / HTTP/1.1\r\nHost: a\r\n\r\n'], [...plainRequest('/')]]) {
      const client = await sendRequest(t, named.port, parts[0] as string)
      for (const part of parts.slice(1)) client.send(part)
      assert.equal((await client.responseHead()).statusCode, parts[0] === 'PRI' ? 400 : 200)
    }

    const other = await serve(t, pass, '127.0.0.1:0')
    const client = await sendRequest(t, other.port, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
    assert.equal((await client.responseHead()).statusCode, 400)
  })

  test('a stop lets the streams of a session end', async t => {
    const sockets = await startBackend(t, echo())
    const { port, program } = await serve(
      t,
      tlsHost('localhost', 'server', `Protocols h2\nH2WebSockets On\nProxyPass / ws://${sockets.address}/`),
      '127.0.0.1:0=443',
    )
    const session = await openSession(t, `https://localhost:${port}`)
    const tunnel = connectStream(session, '/', { ':authority': 'localhost' })
    await tunnel.head()
    const goaway = once(session, 'goaway')
    program.signal('SIGWINCH')
    await within(5_000, 'the GOAWAY', goaway)
    tunnel.stream.write('still open')
    assert.equal(String(await tunnel.readExact(10)), 'still open')
    tunnel.stream.end()
    assert.equal(await program.exit(), 0)
  })
})
