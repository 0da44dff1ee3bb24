import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { suite, type TestContext, test } from 'node:test'
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { responding } from '../support/backend.ts'
import { plainRequest } from '../support/client.ts'
import { connectClient, startBackend } from '../support/harness.ts'
import { ca } from '../support/tls.ts'
import { folder, Program } from './program.ts'

const CERTS = fileURLToPath(new URL('../support/certs/', import.meta.url))

/** Sends one request over TLS. Returns the protocol, the cipher and the whole response, or the code of the error. */
function ask(port: number, options: ConnectionOptions, host = 'localhost'): Promise<string> {
  return new Promise(resolve => {
    const socket: TLSSocket = connectTls({ port, host: '127.0.0.1', ca, servername: host, ...options }, () => {
      socket.write(plainRequest('/', { host, headers: ['Connection: close'] }))
    })
    let text = ''
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      text += chunk
    })
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    socket.once('end', () => {
      const status = /^HTTP\/1\.1 (\d+)/.exec(text)?.[1]
      resolve(status === undefined ? 'closed' : `${socket.getProtocol()} ${socket.getCipher().name} ${status}`)
    })
  })
}

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

suite('settings of a server in ws-tunnel run', { concurrency: 2 }, () => {
  test('SSLProtocol sets the versions of each virtual host, and SSLCipherSuite the ciphers', async t => {
    const { address } = await startBackend(t, responding({ body: 'page' }))
    const pass = `ProxyPass / http://${address}/`
    const { port } = await serve(
      t,
      tlsHost(
        'localhost',
        'server',
        `SSLProtocol -all +TLSv1.2\nSSLCipherSuite ECDHE-ECDSA-AES256-GCM-SHA384\n${pass}`,
      ) + tlsHost('elsewhere.example', 'wrong-name', `SSLProtocol TLSv1.3\n${pass}`),
      '127.0.0.1:0=443',
    )
    assert.equal(await ask(port, {}), 'TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384 200')
    assert.match(await ask(port, { minVersion: 'TLSv1.3' }), /^ERR_SSL|ECONNRESET/)
    assert.match(await ask(port, { ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' }), /^ERR_SSL/)
    const outcome = await ask(port, { maxVersion: 'TLSv1.2' }, 'elsewhere.example')
    assert.match(outcome, /^closed|^ECONNRESET|^ERR_SSL/, 'TLS 1.2 to a host that has TLS 1.3 alone')
  })

  test('SSLVerifyClient asks for a certificate, and refuses one that the CA has not signed', async t => {
    const { address } = await startBackend(t, responding({ body: 'page' }))
    const { port } = await serve(
      t,
      tlsHost(
        'localhost',
        'server',
        `SSLVerifyClient require\nSSLCACertificateFile ${CERTS}ca.pem\nProxyPass / http://${address}/`,
      ),
      '127.0.0.1:0=443',
    )
    const [cert, key] = await Promise.all(['client.pem', 'client.key'].map(name => readFile(join(CERTS, name))))
    assert.match(await ask(port, { cert, key }), / 200$/)
    assert.match(await ask(port, {}), / 403$|^ERR_SSL|^closed/)
  })

  test('RequestReadTimeout ends a head that takes too long to arrive with 408, and logs it', async t => {
    const { port, program } = await serve(
      t,
      'CustomLog /dev/stdout "%r %>s"\nRequestReadTimeout header=1\nProxyPass /x !\n',
      '127.0.0.1:0',
    )
    const client = await connectClient(t, port)
    const { statusCode } = await client.send('GET /slow HTTP/1.1\r\nHost: h\r\n').whole()
    assert.equal(statusCode, 408)
    const [line = ''] = await program.lines(1)
    assert.match(line, / 408$/)
  })

  test('RequestReadTimeout and Timeout end a body that arrives too slowly with 408, not one that is only large', async t => {
    const { address } = await startBackend(t, responding({ body: 'page' }))
    const pass = `CustomLog /dev/stdout "%r %>s"\nProxyPass / http://${address}/\n`
    for (const line of ['RequestReadTimeout body=1,MinRate=1000', 'Timeout 1']) {
      const { port, program } = await serve(t, `${line}\n${pass}`, '127.0.0.1:0')
      const slow = await connectClient(t, port)
      const response = slow.send('POST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc').whole()
      const fast = await connectClient(t, port)
      const body = 'x'.repeat(100_000)
      fast.send(`POST /fast HTTP/1.1\r\nHost: h\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
      assert.equal((await fast.whole()).statusCode, 200)
      assert.equal((await response).statusCode, 408)
      assert.match((await program.lines(2)).join(), /POST \/slow HTTP\/1\.1 408/)
    }
  })

  test('ErrorDocument replaces the responses of the gateway by a text or a redirect', async t => {
    const lines = 'ErrorDocument 404 "not here"\nErrorDocument 503 https://status.example/\n'
    const { port } = await serve(t, `${lines}ProxyPass /down ws://127.0.0.1:1/\n`, '127.0.0.1:0')
    const missing = await connectClient(t, port)
    const found = await missing.send(plainRequest('/missing')).whole()
    assert.deepEqual([found.statusCode, found.body], [404, 'not here'])
    const down = await connectClient(t, port)
    const { statusCode, rawHeaders } = await down.send(plainRequest('/down')).whole()
    assert.equal(statusCode, 302)
    assert.deepEqual(rawHeaders.find(([name]) => name === 'Location')?.[1], 'https://status.example/')
  })

  test('ErrorDocument names a file below DocumentRoot, unless a ProxyPass leads its path to a backend', async t => {
    const at = await folder(t, { 'down.html': '<h1>Back soon</h1>', 'plain.txt': 'gone' })
    const lines = `DocumentRoot ${at('.')}\nErrorDocument 503 /down.html\nErrorDocument 404 /plain.txt\nErrorDocument 403 /none.html\n`
    const conf = `${lines}<Location /no>\nRequire all denied\n</Location>\nProxyPass /down.html !\nProxyPass /down ws://127.0.0.1:1/\n`
    const { port, program } = await serve(t, conf, '127.0.0.1:0')
    await program.prints(/ErrorDocument: no file below DocumentRoot: the response with status 403 is a short text/)
    for (const [path, status, body, type] of [
      ['/down/x', 503, '<h1>Back soon</h1>', 'text/html'],
      ['/missing', 404, 'gone', 'text/plain; charset=utf-8'],
      ['/no', 403, '403 Forbidden\n', 'text/plain; charset=utf-8'],
    ] as const) {
      const client = await connectClient(t, port)
      const response = await client.send(plainRequest(path)).whole()
      const found = response.rawHeaders.find(([name]) => name === 'Content-Type')?.[1]
      assert.deepEqual([response.statusCode, response.body, found], [status, body, type], path)
    }
  })

  test('LimitRequestFieldSize lets larger fields through than Node does by default, and 400s those over it', async t => {
    const { address } = await startBackend(t, responding({ body: 'page' }))
    const { port } = await serve(t, `LimitRequestFieldSize 40000\nProxyPass / http://${address}/\n`, '127.0.0.1:0')
    for (const [size, status] of [
      [30_000, 200],
      [41_000, 400],
    ] as const) {
      const client = await connectClient(t, port)
      const head = plainRequest('/', { host: 'h', headers: [`X-Large: ${'x'.repeat(size)}`] })
      assert.equal((await client.send(head).whole()).statusCode, status)
      client.destroy()
    }
  })

  test('KeepAlive Off closes the connection, and MaxKeepAliveRequests limits its requests', async t => {
    const { address } = await startBackend(t, responding({ body: 'page' }))
    for (const [line, requests] of [
      ['KeepAlive Off', 1],
      ['MaxKeepAliveRequests 2', 2],
    ] as const) {
      const { port } = await serve(t, `${line}\nProxyPass / http://${address}/\n`, '127.0.0.1:0')
      const client = await connectClient(t, port)
      for (let i = 0; i < requests; i++) {
        const { statusCode, rawHeaders } = await client.send(plainRequest('/')).whole()
        assert.equal(statusCode, 200)
        const closes = rawHeaders.some(([name, value]) => /^connection$/i.test(name) && value === 'close')
        assert.equal(closes, i === requests - 1)
      }
    }
  })

  test('a plain request whose client sends FIN at once is answered', async t => {
    const { address } = await startBackend(t, responding({ body: 'page' }))
    const { port } = await serve(t, `ProxyPass / http://${address}/\n`, '127.0.0.1:0')
    const socket = createConnection({ port, host: '127.0.0.1', allowHalfOpen: true })
    t.after(() => socket.destroy())
    socket.end(plainRequest('/', { host: 'h' }))
    let text = ''
    socket.on('data', chunk => {
      text += chunk
    })
    await once(socket, 'end')
    assert.match(text, /^HTTP\/1\.1 200 [\s\S]*page$/)
  })
})
