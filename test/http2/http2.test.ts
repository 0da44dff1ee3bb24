import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { constants, type IncomingHttpHeaders } from 'node:http2'
import { get } from 'node:https'
import { suite, test } from 'node:test'
import { WebSocket } from 'ws'
import { echo, raw, record, responding, silent, switching } from '../support/backend.ts'
import type { Middleware } from '../support/frameworks.ts'
import { closedPort, eventually, within } from '../support/gate.ts'
import { startBackend } from '../support/harness.ts'
import { ca } from '../support/tls.ts'
import { connectStream, GATEWAYS, openSession, requestStream } from './gateways.ts'

for (const [name, start] of GATEWAYS) {
  suite(`${name} over HTTP/2`, { timeout: 60_000 }, () => {
    test('an extended CONNECT is an upgrade: the backend gets a WebSocket handshake, the client a 200', async t => {
      const backend = await startBackend(t, echo({ headers: ['Sec-WebSocket-Protocol: two', 'X-Back: 1'] }))
      const gateway = await start(t, { target: backend.url })
      const stream = connectStream(await openSession(t, gateway.port), '/live/room?x=1', {
        'sec-websocket-protocol': 'one, two',
        'x-client': 'kept',
        origin: 'https://front.example',
      })
      const head = await stream.head()
      assert.equal(head[':status'], 200)
      assert.deepEqual([head['sec-websocket-protocol'], head['x-back']], ['two', '1'])
      for (const field of ['connection', 'upgrade', 'sec-websocket-accept']) assert.equal(head[field], undefined, field)
      const request = await backend.request()
      assert.equal(`${request.method} ${request.path} ${request.httpVersion}`, 'GET /room?x=1 1.1')
      assert.match(request.header('sec-websocket-key') ?? '', /^[A-Za-z0-9+/]{22}==$/)
      assert.deepEqual(
        [
          'upgrade',
          'sec-websocket-version',
          'sec-websocket-protocol',
          'x-client',
          'x-forwarded-host',
          'x-forwarded-proto',
        ].map(field => request.header(field)),
        ['websocket', '13', 'one, two', 'kept', 'front.example', 'https'],
      )
      assert.doesNotMatch(request.raw, /^:/m)
      stream.stream.write('hello')
      assert.equal(String(await stream.readExact(5)), 'hello')
      const [tunnel] = gateway.tunnels
      assert.equal(tunnel?.info.clientAddress, '127.0.0.1')
      assert.equal(tunnel.info.protocol, 'websocket')
    })

    test('carries megabytes both ways byte by byte, with early bytes, and END_STREAM and FIN correspond', async t => {
      const backend = await startBackend(t, echo({ early: 'first ' }))
      const gateway = await start(t, { target: backend.url })
      const session = await openSession(t, gateway.port)
      const sent = randomBytes(3_000_000)
      const stream = connectStream(session, '/live')
      stream.stream.write('early ')
      assert.equal((await stream.head())[':status'], 200)
      for (let at = 0; at < sent.length; at += 70_001) stream.stream.write(sent.subarray(at, at + 70_001))
      stream.stream.end()
      const got = await stream.readAll()
      const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
      assert.equal(got.length, 'first early '.length + sent.length)
      assert.equal(digest(got), digest(Buffer.concat([Buffer.from('first early '), sent])))
      assert.equal(await stream.closed(), 0)
      await eventually(() => assert.equal(gateway.tunnels.size, 0))
    })

    test('keeps a direction open after the end of the other', async t => {
      const backend = await startBackend(t, record())
      const gateway = await start(t, { target: backend.url })
      const session = await openSession(t, gateway.port)
      const first = connectStream(session, '/live')
      await first.head()
      first.stream.end('done')
      const connection = await backend.connection()
      assert.equal(String(await connection.readAll()), 'done')
      await connection.write('late')
      assert.equal(String(await first.readExact(4)), 'late')
      connection.end()
      assert.equal(await first.closed(), 0)

      const second = connectStream(session, '/live')
      await second.head()
      const other = await backend.connection(1)
      other.end('bye')
      assert.equal(String(await second.readAll()), 'bye')
      second.stream.write('after')
      assert.equal(String(await other.readExact(5)), 'after')
      second.stream.end()
      assert.equal(await second.closed(), 0)
    })

    test('a reset of one end ends the other within a second', async t => {
      const backend = await startBackend(t, record())
      const gateway = await start(t, { target: backend.url })
      const session = await openSession(t, gateway.port)
      const first = connectStream(session, '/live')
      await first.head()
      const connection = await backend.connection()
      first.stream.destroy(new Error('cut'))
      await within(1_500, 'the end of the backend connection', connection.readAll())

      const second = connectStream(session, '/live')
      await second.head()
      const other = await backend.connection(1)
      await other.write('last words')
      assert.equal(String(await second.readExact(10)), 'last words')
      other.reset()
      await within(1_500, 'the end of the stream', second.readAll())
      await eventually(() => assert.equal(gateway.tunnels.size, 0))
    })

    test('a client that leaves before the 101 ends the handshake', async t => {
      const backend = await startBackend(t, silent())
      const gateway = await start(t, { target: backend.url })
      const stream = connectStream(await openSession(t, gateway.port), '/live')
      await backend.request()
      stream.stream.destroy(new Error('cut'))
      const connection = await backend.connection()
      await within(1_500, 'the end of the backend connection', connection.readAll())
    })

    test('a stream that is not read holds no other up, and no more than its window', async t => {
      const backend = await startBackend(
        t,
        switching({
          after: async connection => {
            const { path } = connection.requests[0] as { path: string }
            if (path === '/echo') connection.release().pipe(connection.socket)
            else
              for (let i = 0; i < 200 && !connection.socket.destroyed; i++)
                await connection.write(Buffer.alloc(100_000))
          },
        }),
      )
      const gateway = await start(t, { target: backend.url })
      const session = await openSession(t, gateway.port)
      const stalled = connectStream(session, '/live/bulk')
      await stalled.head()
      stalled.stream.pause()
      const lively = connectStream(session, '/live/echo')
      await lively.head()
      await eventually(() => {
        const [first] = gateway.tunnels
        assert.ok((first?.idle ?? 0) > 100, 'the stalled tunnel moves no byte')
      })
      for (let i = 0; i < 20; i++) {
        lively.stream.write(`ping ${i}`)
        assert.equal(String(await within(1_000, 'a pong', lively.readExact(`ping ${i}`.length))), `ping ${i}`)
      }
      const [first] = gateway.tunnels
      assert.ok((first?.bytesFromBackend ?? 0) < 8_000_000, `${first?.bytesFromBackend} bytes were taken`)
    })

    test('middleware sees an upgrade: it refuses with its own response, and adds cookies to the 200', async t => {
      const backend = await startBackend(t, echo())
      const guard: Middleware = (req, res, next) => {
        if (req.headers['x-user'] === undefined) res.writeHead(401, { 'X-Why': 'no user' }).end('who are you?')
        else {
          res.setHeader('Set-Cookie', ['a=1', 'b=2'])
          next()
        }
      }
      const gateway = await start(t, { target: backend.url }, { before: [guard] })
      const session = await openSession(t, gateway.port)
      const refused = connectStream(session, '/live')
      const head = await refused.head()
      assert.deepEqual([head[':status'], head['x-why']], [401, 'no user'])
      assert.equal(String(await refused.readAll()), 'who are you?')
      assert.equal(backend.connections.length, 0)
      const opened = connectStream(session, '/live', { 'x-user': 'ada' })
      const fields = await opened.head()
      assert.deepEqual([fields[':status'], fields['set-cookie']], [200, ['a=1', 'b=2']])
    })

    const refusals: [what: string, path: string, more: object, status: number][] = [
      ['a protocol that no route lets through', '/live', { ':protocol': 'connect-udp' }, 501],
      ['a path without a route', '/elsewhere', {}, 404],
      ['a page of the app, which would open a tunnel without another end', '/own', {}, 502],
      ['an authority that differs from Host', '/live', { host: 'other.example' }, 400],
    ]
    for (const [what, path, more, status] of refusals) {
      test(`refuses an extended CONNECT with ${status}: ${what}`, async t => {
        const backend = await startBackend(t, echo())
        const gateway = await start(t, { target: backend.url })
        const session = await openSession(t, gateway.port)
        const stream = connectStream(session, path, more)
        assert.equal((await stream.head())[':status'], status)
        await stream.readAll()
        assert.equal(backend.connections.length, 0)
        assert.equal((await requestStream(session, { ':path': '/own' }).head())[':status'], 200)
      })
    }

    test('refuses a CONNECT without a protocol with 501', async t => {
      const gateway = await start(t, { target: 'ws://127.0.0.1:9/' })
      const session = await openSession(t, gateway.port)
      const stream = requestStream(session, { ':method': 'CONNECT', ':path': undefined, ':authority': 'a.example:80' })
      assert.equal((await stream.head())[':status'], 501)
    })

    test('relays what the backend responds instead of a 101, and its failures', async t => {
      const backend = await startBackend(
        t,
        responding({ statusCode: 403, headers: ['X-Back: no', 'Connection: close'], body: 'not you' }),
      )
      const gateway = await start(t, {
        routes: [
          { path: '/down', target: `ws://127.0.0.1:${await closedPort()}/` },
          { path: '/', target: backend.url },
        ],
      })
      const session = await openSession(t, gateway.port)
      const refused = connectStream(session, '/live/x')
      const head = await refused.head()
      assert.deepEqual([head[':status'], head['x-back']], [403, 'no'])
      assert.equal(String(await refused.readAll()), 'not you')
      assert.equal((await connectStream(session, '/live/down').head())[':status'], 503)
      const wrong = 'HTTP/1.1 101 Ok\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n'
      backend.play(raw(wrong, 'keep'))
      assert.equal((await connectStream(session, '/live/x').head())[':status'], 502)
    })

    test('ends its streams when the proxy closes, and leaves the session to the server', async t => {
      const backend = await startBackend(t, echo())
      const gateway = await start(t, { target: backend.url })
      const stream = connectStream(await openSession(t, gateway.port), '/live')
      await stream.head()
      await within(5_000, 'the close', gateway.closeProxy({ drainTimeout: 0 }))
      await stream.readAll()
      await stream.closed()
    })

    test('serves plain requests on the same session: bodies both ways, HEAD, many at a time', async t => {
      const seen: string[] = []
      const backend = await startBackend(
        t,
        responding({
          headers: ['X-Back: 1', 'Connection: keep-alive', 'Keep-Alive: timeout=5'],
          body: ({ method, path }, body) => {
            seen.push(`${method} ${path} ${body.length}`)
            return body.length > 0 ? body.toString('latin1') : 'x'.repeat(200_000)
          },
        }),
      )
      const gateway = await start(t, { target: backend.url })
      const session = await openSession(t, gateway.port)
      const body = randomBytes(400_000).toString('hex')
      const got = requestStream(session, { ':path': '/live/a?q' })
      const head = await got.head()
      assert.deepEqual(
        [head[':status'], head['x-back'], head['keep-alive'], head.connection],
        [200, '1', undefined, undefined],
      )
      assert.equal((await got.readAll()).length, 200_000)
      const posted = requestStream(
        session,
        { ':method': 'POST', ':path': '/live/b', 'content-type': 'text/plain' },
        body,
      )
      assert.equal(String(await posted.readAll()), body)
      const known = requestStream(
        session,
        { ':method': 'PUT', ':path': '/live/c', 'content-length': body.length, 'content-type': 'text/plain' },
        body,
      )
      assert.equal(String(await known.readAll()), body)
      assert.deepEqual(seen, ['GET /a?q 0', `POST /b ${body.length}`, `PUT /c ${body.length}`])
      const many = await Promise.all(
        Array.from({ length: 50 }, (_, i) =>
          requestStream(
            session,
            { ':method': 'POST', ':path': '/live/m', 'content-type': 'text/plain' },
            `body ${i}`,
          ).readAll(),
        ),
      )
      assert.deepEqual(
        many.map(String),
        Array.from({ length: 50 }, (_, i) => `body ${i}`),
      )
      assert.equal(String(await requestStream(session, { ':path': '/own' }).readAll()), 'own')
    })

    for (const code of [constants.NGHTTP2_NO_ERROR, constants.NGHTTP2_CANCEL]) {
      test(`a body that the client breaks off with ${code} does not seem complete to the backend`, async t => {
        const backend = await startBackend(t, async connection => void (await connection.request()))
        const gateway = await start(t, { target: backend.url })
        const session = await openSession(t, gateway.port)
        // Without this option, Node's client sends END_STREAM before RST_STREAM.
        const options = { endStream: false, waitForTrailers: true }
        const sending = session.request({ ':method': 'POST', ':path': '/live', 'content-type': 'text/plain' }, options)
        sending.on('error', () => {})
        sending.write('half')
        const connection = await backend.connection()
        assert.equal(String(await connection.readExact(9)), '4\r\nhalf\r\n')
        sending.close(code)
        assert.equal(String(await within(2_000, 'the end', connection.readAll())), '')
      })
    }

    for (const [how, head, end] of [
      ['in chunks', 'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n', 'end'],
      ['without a length', '\r\nhello', 'reset'],
      ['with a length', 'Content-Length: 9\r\n\r\nhello', 'end'],
    ] as const) {
      test(`a response ${how} that breaks off does not seem complete to the client`, async t => {
        const backend = await startBackend(t, async connection => {
          await connection.request()
          await connection.write(`HTTP/1.1 200 OK\r\n${head}`)
          await got
          connection[end]()
        })
        const gateway = await start(t, { target: backend.url })
        const session = await openSession(t, gateway.port)
        const stream = requestStream(session, { ':path': '/live' })
        const got = stream.readExact(5)
        assert.equal(String(await got), 'hello')
        await stream.closed()
        assert.notEqual(stream.stream.rstCode, constants.NGHTTP2_NO_ERROR)
      })
    }

    test('gives the backend one Cookie for the fields of a client', async t => {
      const backend = await startBackend(t, responding())
      const gateway = await start(t, { target: backend.url })
      const session = await openSession(t, gateway.port)
      await requestStream(session, { ':path': '/live', cookie: ['a=1', 'b=2'] as never }).readAll()
      assert.deepEqual((await backend.request()).headers('cookie'), ['a=1; b=2'])
    })

    for (const [status, expected] of [
      [204, 204],
      [205, 205],
      [304, 304],
      [999, 502],
    ]) {
      test(`responds with ${expected} if the backend sends ${status} with a length`, async t => {
        const backend = await startBackend(t, raw(`HTTP/1.1 ${status} Odd\r\nContent-Length: 2\r\n\r\nok`))
        const gateway = await start(t, { target: backend.url })
        const session = await openSession(t, gateway.port)
        const stream = requestStream(session, { ':path': '/live' })
        assert.equal((await stream.head())[':status'], expected)
        await stream.closed()
        assert.equal(stream.stream.rstCode, constants.NGHTTP2_NO_ERROR)
      })
    }

    test('serves HTTP/1.1 and its WebSockets on the same port', async t => {
      const backend = await startBackend(t, echo())
      const gateway = await start(t, { target: backend.url })
      const page = await new Promise<string>((resolve, reject) => {
        const request = get({ host: 'localhost', port: gateway.port, path: '/own', ca, agent: false }, response => {
          let text = response.httpVersion
          response.on('data', chunk => {
            text += ` ${chunk}`
          })
          response.on('end', () => resolve(text))
        })
        request.on('error', reject)
      })
      assert.equal(page, '1.1 own')
      const socket = new WebSocket(`wss://localhost:${gateway.port}/live`, { ca })
      t.after(() => socket.terminate())
      await within(
        5_000,
        'the WebSocket',
        new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject)),
      )
      assert.equal((await backend.request()).header('upgrade'), 'websocket')
    })
  })
}

for (const [name, start] of GATEWAYS.filter(([name]) => name !== 'Fastify 5')) {
  test(`${name} over HTTP/2: an HTTP/1 app serves trailers, interim responses, HEAD and aborts`, async t => {
    let arrived = 0
    let ended = 0
    let aborted = 0
    const app: Middleware = (req, res, next) => {
      if (req.url === '/trailers') {
        res.writeEarlyHints({ link: '</style.css>; rel=preload' })
        res.setHeader('Trailer', 'X-Sum')
        res.write('some ')
        res.addTrailers({ 'X-Sum': '42' })
        res.end('text')
      } else if (req.url === '/upload') {
        req.on('aborted', () => aborted++)
        req.once('data', () => arrived++)
        req.on('end', () => ended++)
        req.on('end', () => res.end(`${req.rawTrailers.join(': ')}`))
      } else if (req.url === '/head') {
        res.setHeader('Content-Length', 5)
        res.end('12345')
      } else next()
    }
    const gateway = await start(t, { target: 'ws://127.0.0.1:9/' }, { before: [app] })
    const session = await openSession(t, gateway.port)
    const stream = requestStream(session, { ':path': '/trailers' })
    const interim: IncomingHttpHeaders[] = []
    let trailers: IncomingHttpHeaders = {}
    stream.stream.on('headers', fields => interim.push(fields))
    stream.stream.on('trailers', fields => {
      trailers = fields
    })
    assert.equal(String(await stream.readAll()), 'some text')
    await stream.closed()
    assert.deepEqual(
      interim.map(fields => [fields[':status'], fields.link]),
      [[103, '</style.css>; rel=preload']],
    )
    assert.equal(trailers['x-sum'], '42')
    const head = requestStream(session, { ':method': 'HEAD', ':path': '/head' })
    assert.equal((await head.head())['content-length'], '5')
    assert.equal((await head.readAll()).length, 0)

    const sending = session.request(
      { ':method': 'POST', ':path': '/upload' },
      { endStream: false, waitForTrailers: true },
    )
    sending.on('wantTrailers', () => sending.sendTrailers({ 'x-check': '7' }))
    sending.end('body')
    let text = ''
    for await (const chunk of sending) text += chunk
    assert.equal(text, 'x-check: 7')

    const cut = session.request({ ':method': 'POST', ':path': '/upload' }, { endStream: false })
    cut.on('error', () => {})
    cut.write('half')
    await eventually(() => assert.equal(arrived, 2))
    cut.destroy(new Error('cut'))
    await eventually(() => assert.equal(aborted, 1))
    assert.equal(ended, 1, 'a body that was cut does not seem complete')
  })
}
