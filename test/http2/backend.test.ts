import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { constants } from 'node:http2'
import { Readable } from 'node:stream'
import { suite, test } from 'node:test'
import { echo, raw, responding } from '../support/backend.ts'
import { plainRequest, upgradeRequest } from '../support/client.ts'
import { closedPort, eventually, within } from '../support/gate.ts'
import {
  connectClient,
  connectTunnel,
  sendRequest,
  startBackend,
  startGateway,
  type WholeResponse,
} from '../support/harness.ts'
import { ca, server as certificate, wrongName } from '../support/tls.ts'
import { connectStream, GATEWAYS, openSession, requestStream } from './gateways.ts'
import { type Arrived, echoStream, startHttp2Backend } from './http2-backend.ts'

const { NGHTTP2_CANCEL, NGHTTP2_HTTP_1_1_REQUIRED, NGHTTP2_NO_ERROR, NGHTTP2_REFUSED_STREAM } = constants

const hello = ({ stream }: Arrived): void => {
  stream.respond({ ':status': 200, 'content-length': 5 })
  stream.end('hello')
}

type To = Parameters<typeof sendRequest>[1]

const get = async (t: Parameters<typeof sendRequest>[0], to: To, path = '/', method = 'GET'): Promise<WholeResponse> =>
  (await sendRequest(t, to, plainRequest(path, { method }))).whole(method)

for (const [name, start] of GATEWAYS) {
  suite(`${name} before a backend of HTTP/2`, { timeout: 60_000 }, () => {
    test('plain requests and tunnels of many clients share one session', async t => {
      const backend = await startHttp2Backend(t, arrived =>
        arrived.headers[':method'] === 'CONNECT' ? echoStream(arrived, { 'x-back': '1' }) : hello(arrived),
      )
      const gateway = await start(t, { target: `h2c://127.0.0.1:${backend.port}` })
      const first = await openSession(t, gateway.port)
      const second = await openSession(t, gateway.port)
      for (const session of [first, second]) {
        const plain = requestStream(session, { ':path': '/live/a?x=1' })
        assert.equal((await plain.head())[':status'], 200)
        assert.equal(String(await plain.readAll()), 'hello')
        const tunnel = connectStream(session, '/live/room')
        const head = await tunnel.head()
        assert.deepEqual([head[':status'], head['x-back']], [200, '1'])
        tunnel.stream.write('both ways')
        assert.equal(String(await tunnel.readExact(9)), 'both ways')
      }
      assert.equal(gateway.tunnels.size, 2)
      assert.equal(backend.sessions.length, 1)
      const { headers } = await backend.request(1)
      assert.deepEqual(
        [':method', ':protocol', ':path', ':scheme', 'sec-websocket-version', 'sec-websocket-key', 'upgrade'].map(
          field => headers[field],
        ),
        ['CONNECT', 'websocket', '/room', 'http', '13', undefined, undefined],
      )
    })
  })
}

suite('a tunnel to a backend of HTTP/2', { timeout: 60_000 }, () => {
  test('a client of HTTP/1.1 gets a 101 with the accept of its key, and all bytes both ways', async t => {
    const backend = await startHttp2Backend(t, arrived => echoStream(arrived, { 'sec-websocket-protocol': 'two' }))
    const gateway = await startGateway(t, { target: `h2c://127.0.0.1:${backend.port}`, strictHandshake: true })
    const client = await connectTunnel(t, gateway, '/', { headers: { 'Sec-WebSocket-Protocol': 'one, two' } })
    const sent = randomBytes(3_000_000)
    client.send(sent).end()
    const got = await client.readAll()
    const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
    assert.equal(digest(got), digest(sent))
    const end = await gateway.end()
    assert.deepEqual([end.reason, end.bytesFromClient, end.bytesFromBackend], ['finished', sent.length, sent.length])
    assert.equal((await backend.request()).headers['sec-websocket-protocol'], 'one, two')
  })

  test('the 101 names what the backend has selected', async t => {
    const backend = await startHttp2Backend(t, arrived => echoStream(arrived, { 'sec-websocket-protocol': 'two' }))
    const gateway = await startGateway(t, { target: `h2c://127.0.0.1:${backend.port}` })
    const client = await connectClient(t, gateway)
    const head = await client.send(upgradeRequest('/')).responseHead()
    assert.equal(head.startLine, 'HTTP/1.1 101 Switching Protocols')
    assert.deepEqual(
      ['upgrade', 'connection', 'sec-websocket-protocol', 'sec-websocket-accept'].map(field => head.header(field)),
      ['websocket', 'Upgrade', 'two', 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='],
    )
  })

  test('a reset of one end ends the other within a second, as over TCP', async t => {
    const backend = await startHttp2Backend(t, ({ stream }) => stream.respond({ ':status': 200 }))
    const gateway = await startGateway(t, { target: `h2c://127.0.0.1:${backend.port}` })
    const client = await connectTunnel(t, gateway)
    const { stream } = await backend.request()
    stream.resume()
    client.reset()
    await within(1_500, 'the end of the stream', once(stream, 'end'))
    await within(1_500, 'the close of the stream', once(stream, 'close'))

    const second = await connectTunnel(t, gateway)
    const other = (await backend.request(1)).stream
    other.write('last words')
    assert.equal(String(await second.readExact(10)), 'last words')
    other.close(NGHTTP2_CANCEL)
    await within(1_500, 'the end of the client', second.readAll())
    assert.equal((await gateway.end(0)).reason, 'client-error')
    assert.equal((await gateway.end(1)).reason, 'backend-error')
  })

  test('a direction stays open after the end of the other', async t => {
    const backend = await startHttp2Backend(t, ({ stream }) => stream.respond({ ':status': 200 }))
    const gateway = await startGateway(t, { target: `h2c://127.0.0.1:${backend.port}` })
    const client = await connectTunnel(t, gateway)
    const { stream } = await backend.request()
    client.end('done')
    let text = ''
    for await (const chunk of stream) text += chunk
    assert.equal(text, 'done')
    stream.end('late')
    assert.equal(String(await client.readAll()), 'late')
    assert.equal((await gateway.end()).reason, 'finished')
  })

  test('a refused CONNECT is relayed as the response that it is', async t => {
    const backend = await startHttp2Backend(t, ({ stream }) => {
      stream.respond({ ':status': 401, 'www-authenticate': 'Basic' })
      stream.end('who are you')
    })
    const gateway = await startGateway(t, { target: `h2c://127.0.0.1:${backend.port}` })
    const client = await connectClient(t, gateway)
    const response = await client.send(upgradeRequest('/')).whole()
    assert.deepEqual(
      [response.statusCode, response.header('www-authenticate'), response.body],
      [401, 'Basic', 'who are you'],
    )
  })

  test('a backend whose SETTINGS do not allow extended CONNECT gets the upgrade over HTTP/1.1', async t => {
    const backend = await startHttp2Backend(t, hello, {
      tls: certificate,
      allowHTTP1: true,
      settings: { enableConnectProtocol: false },
    })
    backend.server.on('upgrade', (_req, socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
      socket.pipe(socket)
    })
    for (const options of [
      { target: `h2://localhost:${backend.port}` },
      { target: `wss://localhost:${backend.port}`, http2: true },
    ]) {
      const gateway = await startGateway(t, { ...options, tls: { ca } })
      const client = await connectTunnel(t, gateway)
      client.send('over 1.1')
      assert.equal(String(await client.readExact(8)), 'over 1.1')
      assert.equal((await get(t, gateway)).body, 'hello')
      client.destroy()
    }
    assert.equal(backend.arrived.length, 2)
  })
})

suite('a plain request to a backend of HTTP/2', { timeout: 60_000 }, () => {
  test('passes fields byte by byte, interim responses, a body both ways and trailers both ways', async t => {
    const backend = await startHttp2Backend(t, ({ stream }) => {
      stream.additionalHeaders({ ':status': 103, link: '</style.css>' })
      stream.respond(
        { ':status': 201, 'x-bytes': Buffer.from([0x63, 0xe9]).toString('latin1'), 'set-cookie': ['a=1', 'b=2'] },
        { waitForTrailers: true },
      )
      let trailers = {}
      stream.on('trailers', fields => {
        trailers = { 'x-sum': `${fields['x-own']}!` }
      })
      stream.on('wantTrailers', () => stream.sendTrailers(trailers))
      stream.pipe(stream)
    })
    const gateway = await startGateway(t, { target: `h2c://127.0.0.1:${backend.port}` })
    const body = '3\r\nabc\r\n4\r\ndefg\r\n0\r\nX-Own: sum\r\n\r\n'
    const fields =
      'Transfer-Encoding: chunked\r\nTE: trailers\r\nConnection: TE, X-Gone\r\nX-Gone: 1\r\nX-Kept: caf\xe9\r\nCookie: a=1; b=2'
    const client = await sendRequest(t, gateway, `POST /up HTTP/1.1\r\nHost: front.example\r\n${fields}\r\n\r\n${body}`)
    const interim = await client.responseHead()
    assert.deepEqual([interim.statusCode, interim.header('link')], [103, '</style.css>'])
    const head = await client.responseHead()
    assert.equal(head.startLine, 'HTTP/1.1 201 Created')
    assert.equal(head.header('x-bytes'), 'c\xe9')
    assert.deepEqual(head.headers('set-cookie'), ['a=1', 'b=2'])
    const got = await client.readChunked()
    assert.deepEqual([String(got.body), got.trailers.toLowerCase()], ['abcdefg', 'x-sum: sum!\r\n'])
    const { headers } = await backend.request()
    assert.deepEqual(
      ['x-kept', 'x-gone', 'te', 'cookie', 'transfer-encoding', 'connection', 'host'].map(field => headers[field]),
      ['caf\xe9', undefined, 'trailers', 'a=1; b=2', undefined, undefined, undefined],
    )
  })

  test('a HEAD, a 204 and a 304 have no body, and the client connection stays usable', async t => {
    const backend = await startHttp2Backend(t, ({ stream, headers }) => {
      const status = Number(headers[':path']?.slice(1))
      stream.respond({ ':status': status, ...(status === 200 && { 'content-length': 7 }) }, { endStream: true })
    })
    const gateway = await startGateway(t, { target: `h2c://127.0.0.1:${backend.port}` })
    const client = await connectClient(t, gateway)
    for (const [method, path] of [
      ['HEAD', '/200'],
      ['GET', '/204'],
      ['GET', '/304'],
      ['HEAD', '/200'],
    ] as const) {
      const response = await client.send(plainRequest(path, { method })).whole(method)
      assert.equal(response.statusCode, Number(path.slice(1)), path)
    }
  })

  test('a response that is reset, or shorter than its length, is never a whole one', async t => {
    const backend = await startHttp2Backend(t, ({ stream, headers }) => {
      const path = headers[':path']
      // A stream of Node that waits for no trailers is ended before it is reset.
      const options = { waitForTrailers: path !== '/length' }
      stream.respond({ ':status': 200, ...(path === '/length' && { 'content-length': 10 }) }, options)
      stream.write('part')
      setImmediate(() => {
        if (path === '/gone') stream.session?.destroy()
        else stream.close(path === '/length' ? NGHTTP2_NO_ERROR : NGHTTP2_CANCEL)
      })
    })
    const gateway = await startGateway(t, { target: `h2c://127.0.0.1:${backend.port}` })
    for (const path of ['/reset', '/length', '/gone']) {
      const client = await sendRequest(t, gateway, plainRequest(path))
      const all = String(await client.readAll())
      assert.doesNotMatch(all, /0\r\n\r\n$/, path)
    }
  })

  test('an upload that the client aborts is reset, never ended', async t => {
    const backend = await startHttp2Backend(t, () => {})
    const gateway = await startGateway(t, { target: `h2c://127.0.0.1:${backend.port}` })
    const client = await sendRequest(
      t,
      gateway,
      'POST / HTTP/1.1\r\nHost: front.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n',
    )
    const { stream } = await backend.request()
    assert.equal(String((await once(stream, 'data'))[0]), 'abc')
    let ended = false
    stream.on('end', () => {
      ended ||= !stream.aborted
    })
    client.reset()
    await within(2_000, 'the reset', once(stream, 'close'))
    assert.deepEqual([stream.rstCode, ended], [NGHTTP2_CANCEL, false])
  })

  test('a client that leaves during the response resets the stream alone', async t => {
    const backend = await startHttp2Backend(t, (arrived, n) => {
      if (n > 0) hello(arrived)
      else {
        arrived.stream.respond({ ':status': 200 })
        arrived.stream.write('begin')
      }
    })
    const gateway = await startGateway(t, { target: `h2c://127.0.0.1:${backend.port}` })
    const client = await sendRequest(t, gateway, plainRequest('/'))
    await client.responseHead()
    const { stream } = await backend.request()
    client.reset()
    await within(2_000, 'the reset', once(stream, 'close'))
    assert.equal(stream.rstCode, NGHTTP2_CANCEL)
    assert.equal((await get(t, gateway)).body, 'hello')
    assert.equal(backend.sessions.length, 1)
  })

  test('a client that does not read stops the backend at the window of the stream, and no other stream', async t => {
    let sent = 0
    const backend = await startHttp2Backend(t, arrived => {
      if (arrived.headers[':path'] === '/') hello(arrived)
      else {
        arrived.stream.respond({ ':status': 200 })
        const bulk = (function* () {
          for (sent = 0; sent < 50_000_000; sent += 10_000) yield Buffer.alloc(10_000)
        })()
        Readable.from(bulk, { objectMode: false }).pipe(arrived.stream)
      }
    })
    const gateway = await startGateway(t, { target: `h2c://127.0.0.1:${backend.port}` })
    const stalled = await sendRequest(t, gateway, plainRequest('/bulk'))
    stalled.socket.pause()
    for (let i = 0; i < 20; i++) assert.equal((await get(t, gateway)).body, 'hello')
    // What the buffers of the kernel hold between client and gateway is more than a window.
    assert.ok(sent < 20_000_000, `the backend has sent ${sent} bytes`)
  })

  test('opens a further session when the backend allows no further stream', async t => {
    const held: Arrived[] = []
    const backend = await startHttp2Backend(t, arrived => void held.push(arrived), {
      settings: { maxConcurrentStreams: 3 },
    })
    const gateway = await startGateway(t, { target: `h2c://127.0.0.1:${backend.port}` })
    const responses = Array.from({ length: 7 }, () => get(t, gateway))
    await eventually(() => assert.equal(held.length, 7))
    assert.equal(backend.sessions.length, 3)
    held.forEach(hello)
    for (const { body } of await Promise.all(responses)) assert.equal(body, 'hello')
  })

  test('credentials of a connection go over HTTP/1.1, because clients share a session', async t => {
    const seen: string[] = []
    const backend = await startHttp2Backend(t, hello, { tls: certificate, allowHTTP1: true })
    backend.server.on('request', (req, res) => {
      if (req.httpVersion !== '1.1') return
      seen.push(String(req.headers.authorization))
      res.end('over 1.1')
    })
    const gateway = await startGateway(t, { target: `h2://localhost:${backend.port}`, tls: { ca } })
    const text = plainRequest('/', { headers: ['Authorization: NTLM dGVzdA=='] })
    assert.equal((await (await sendRequest(t, gateway, text)).whole()).body, 'over 1.1')
    assert.deepEqual([seen, backend.arrived.length], [['NTLM dGVzdA=='], 0])
  })
})

suite('what may go wrong before a response of HTTP/2', { timeout: 60_000 }, () => {
  for (const method of ['GET', 'POST']) {
    test(`a refused ${method} is repeated once on another session, and then fails over`, async t => {
      const refusing = await startHttp2Backend(t, ({ stream }) => stream.close(NGHTTP2_REFUSED_STREAM))
      const sound = await startHttp2Backend(t, hello)
      const members = [refusing, sound].map(({ port }, lbSet) => ({ url: `h2c://127.0.0.1:${port}`, lbSet }))
      const gateway = await startGateway(t, { target: 'balancer://two', balancers: { two: { members } } })
      assert.equal((await get(t, gateway, '/', method)).body, 'hello')
      assert.deepEqual([refusing.arrived.length, refusing.sessions.length, sound.arrived.length], [2, 2, 1])
    })

    test(`a ${method} behind the last stream of a GOAWAY is repeated`, async t => {
      const backend = await startHttp2Backend(t, (arrived, n) => {
        if (n !== 1) hello(arrived)
        else arrived.stream.session?.goaway(NGHTTP2_NO_ERROR, 1)
      })
      const gateway = await startGateway(t, { target: `h2c://127.0.0.1:${backend.port}` })
      assert.equal((await get(t, gateway)).body, 'hello')
      assert.equal((await get(t, gateway, '/', method)).body, 'hello')
      assert.deepEqual([backend.arrived.length, backend.sessions.length], [3, 2])
    })
  }

  test('a GOAWAY lets the streams that it covers end, and later requests connect again', async t => {
    const backend = await startHttp2Backend(t, (arrived, n) => {
      if (n > 0) hello(arrived)
      else arrived.stream.respond({ ':status': 200 })
    })
    const gateway = await startGateway(t, { target: `h2c://127.0.0.1:${backend.port}` })
    const client = await connectTunnel(t, gateway)
    const { stream } = await backend.request()
    stream.session?.close()
    await eventually(async () => {
      assert.equal((await get(t, gateway)).body, 'hello')
      assert.equal(backend.sessions.length, 2)
    })
    stream.write('still open')
    assert.equal(String(await client.readExact(10)), 'still open')
  })

  test('a session that closes as it is used again costs an idempotent request nothing, and a POST a 502', async t => {
    let isLeaving = false
    const backend = await startHttp2Backend(t, arrived => {
      if (isLeaving) arrived.stream.session?.destroy()
      else hello(arrived)
      isLeaving = false
    })
    const gateway = await startGateway(t, { target: `h2c://127.0.0.1:${backend.port}` })
    assert.equal((await get(t, gateway)).body, 'hello')
    isLeaving = true
    assert.equal((await get(t, gateway)).body, 'hello')
    isLeaving = true
    assert.equal((await get(t, gateway, '/', 'POST')).statusCode, 502)
    assert.equal(gateway.errors[0]?.code, 'WST_ERR_NO_RESPONSE')
  })

  test('a backend that requires HTTP/1.1 gets the request over HTTP/1.1', async t => {
    const backend = await startHttp2Backend(t, ({ stream }) => stream.close(NGHTTP2_HTTP_1_1_REQUIRED), {
      tls: certificate,
      allowHTTP1: true,
    })
    backend.server.on('request', (req, res) => {
      if (req.httpVersion === '1.1') res.end('over 1.1')
    })
    const gateway = await startGateway(t, { target: `https://localhost:${backend.port}`, http2: true, tls: { ca } })
    assert.equal((await get(t, gateway)).body, 'over 1.1')
  })

  test('a backend that selects HTTP/1.1 by ALPN gets requests and upgrades over it, and is not asked again soon', async t => {
    const backend = await startBackend(t, responding({ body: 'plain' }), { tls: certificate })
    const gateway = await startGateway(t, { target: `https://localhost:${backend.port}`, http2: true, tls: { ca } })
    for (let i = 0; i < 3; i++) assert.equal((await get(t, gateway)).body, 'plain')
    const other = await startBackend(t, echo(), { tls: certificate })
    const second = await startGateway(t, { target: `wss://localhost:${other.port}`, http2: true, tls: { ca } })
    const client = await connectTunnel(t, second)
    client.send('bytes')
    assert.equal(String(await client.readExact(5)), 'bytes')
  })

  test('a silent response ends in a 504, and later requests get another session', async t => {
    const backend = await startHttp2Backend(t, (arrived, n) => {
      if (n > 0) hello(arrived)
    })
    const gateway = await startGateway(t, { target: `h2c://127.0.0.1:${backend.port}`, handshakeTimeout: 300 })
    assert.equal((await get(t, gateway)).statusCode, 504)
    assert.equal(gateway.errors[0]?.code, 'WST_ERR_HANDSHAKE_TIMEOUT')
    assert.equal((await get(t, gateway)).body, 'hello')
    assert.equal(backend.sessions.length, 2)
  })

  test('a backend that cannot be reached, accepts and says nothing, speaks HTTP/1.1, or has another name', async t => {
    const mute = await startBackend(t, () => {})
    const old = await startBackend(t, raw('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n'))
    const wrong = await startHttp2Backend(t, hello, { tls: wrongName })
    const noAlpn = await startBackend(t, responding(), { tls: certificate })
    const rows: [target: string, status: number, code: string][] = [
      [`h2c://127.0.0.1:${await closedPort()}`, 503, 'WST_ERR_CONNECT'],
      [`h2c://127.0.0.1:${mute.port}`, 504, 'WST_ERR_CONNECT_TIMEOUT'],
      [`h2c://127.0.0.1:${old.port}`, 502, 'WST_ERR_BAD_RESPONSE'],
      [`h2://localhost:${wrong.port}`, 502, 'WST_ERR_TLS'],
      [`h2://localhost:${noAlpn.port}`, 502, 'WST_ERR_TLS'],
    ]
    for (const [target, status, code] of rows) {
      const gateway = await startGateway(t, { target, connectTimeout: 400, tls: { ca } })
      assert.equal((await get(t, gateway)).statusCode, status, target)
      assert.equal(gateway.errors[0]?.code, code, target)
    }
  })

  test('a health check asks over HTTP/2 what requests go over', async t => {
    let status = 200
    const backend = await startHttp2Backend(t, ({ stream }) =>
      stream.respond({ ':status': status }, { endStream: true }),
    )
    const gateway = await startGateway(t, {
      target: 'balancer://one',
      balancers: {
        one: {
          members: [{ url: `h2c://127.0.0.1:${backend.port}` }],
          healthCheck: { method: 'GET', uri: '/health', interval: 1_000 },
        },
      },
    })
    const member = gateway.proxy.balancers.get('one')?.members[0]
    await eventually(() => assert.equal(member?.health?.ok, true), 5_000)
    assert.equal((await backend.request()).headers[':path'], '/health')
    status = 500
    await eventually(() => assert.equal(member?.health?.ok, false), 5_000)
  })
})
