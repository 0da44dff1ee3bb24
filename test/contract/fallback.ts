import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { METHODS } from 'node:http'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { type BackendConnection, responding, type Script } from '../support/backend.ts'
import { plainRequest } from '../support/client.ts'
import { eventually } from '../support/gate.ts'
import { assertFailure, gatewayLeft } from '../support/harness.ts'
import type { Theme } from './theme.ts'

const headOnly = (...lines: string[]): string => `HTTP/1.1 200 OK\r\n${lines.join('\r\n')}\r\n\r\n`

/** Requests without an upgrade, which the same route serves as HTTP. */
export const fallbackTheme: Theme = setUp => {
  test('serves HTTP with status, reason, fields and body of the backend', async t => {
    const headers = ['X-A: 1', 'Set-Cookie: a=1', 'Set-Cookie: b=2; Path=/', 'Content-Type: text/x', 'Server: backend']
    const setup = await setUp(t, responding({ statusCode: 418, reason: 'Teapot', headers, body: 'short and stout' }))
    const got = await setup.get('/x?y=1')
    assert.equal(`${got.startLine} ${got.body}`, 'HTTP/1.1 418 Teapot short and stout')
    assert.deepEqual(got.headers('set-cookie'), ['a=1', 'b=2; Path=/'])
    assert.deepEqual(['x-a', 'content-type', 'server'].map(got.header), ['1', 'text/x', 'backend'])
    const request = await setup.backend.request()
    assert.equal(request.startLine, 'GET /x?y=1 HTTP/1.1')
    assert.doesNotMatch(request.raw, /\r\nconnection: upgrade|\r\nupgrade:/i)
  })

  test('serves http: targets like ws: ones', async t => {
    const setup = await setUp(t, responding(), ({ address }) => ({ target: `http://${address}/b` }))
    assert.equal((await setup.get('/x')).body, 'from the backend')
    assert.equal((await setup.backend.request()).path, '/b/x')
  })

  test('forwards every method', async t => {
    const setup = await setUp(t, responding({ body: request => request.method }))
    for (const method of METHODS.filter(method => method !== 'CONNECT')) {
      const got = await setup.get('/', { method, headers: ['Content-Type: text/plain'] })
      assert.equal(`${got.statusCode} ${got.body}`, method === 'HEAD' ? '200 ' : `200 ${method}`)
    }
  })

  test('sends no body for HEAD, 204 and 304, and continues to serve', async t => {
    const setup = await setUp(t, async connection => {
      while (!connection.ended) {
        const { method, path } = await connection.request()
        const status = path === '/204' ? '204 None' : path === '/304' ? '304 Same' : '200 OK'
        const length = path === '/204' ? '' : 'Content-Length: 5\r\n'
        await connection.write(
          `HTTP/1.1 ${status}\r\nETag: "x"\r\n${length}\r\n${method === 'GET' && path === '/' ? 'hello' : ''}`,
        )
      }
    })
    const client = await setup.connect()
    for (const [method, path, body] of [
      ['HEAD', '/', ''],
      ['GET', '/204', ''],
      ['GET', '/304', ''],
      ['GET', '/', 'hello'],
    ] as const) {
      client.send(plainRequest(path, { method }))
      const got = await client.whole(method)
      assert.equal(`${got.header('etag')} ${got.body}`, `"x" ${body}`)
      if (method === 'HEAD') assert.equal(got.header('content-length'), '5')
    }
  })

  test('forwards bodies by length and by chunks', async t => {
    const setup = await setUp(t, responding({ body: (_request, body) => `<${body}>` }))
    assert.equal((await setup.get('/', { method: 'POST', body: 'a body' })).body, '<a body>')
    const chunked = 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na \r\n4\r\nbody\r\n0\r\n\r\n'
    assert.equal((await setup.request(chunked)).body, '<a body>')
    assert.equal((await setup.get('/', { method: 'DELETE', body: 'x' })).body, '<x>')
    assert.equal((await setup.get('/', { method: 'POST', headers: ['Content-Length: 0'] })).body, '<>')
  })

  test('forwards bodies of any type and size', async t => {
    const setup = await setUp(
      t,
      responding({ body: (request, body) => `${request.header('content-type')} ${body.length}` }),
    )
    const body = 'x'.repeat(3_000_000)
    for (const type of [
      'application/json',
      'text/plain',
      'multipart/form-data; boundary=x',
      'application/x-unheard-of',
    ]) {
      const got = await setup.get('/', { method: 'PUT', headers: [`Content-Type: ${type}`], body })
      assert.equal(got.body, `${type} 3000000`)
    }
  })

  test('forwards malformed JSON as it is', async t => {
    const setup = await setUp(t, responding({ body: (_request, body) => String(body) }))
    assert.equal(
      (await setup.get('/', { method: 'POST', headers: ['Content-Type: application/json'], body: '{"a":' })).body,
      '{"a":',
    )
  })

  test('forwards a JSON body that express.json() has parsed', async t => {
    const setup = await setUp(
      t,
      responding({ body: (request, body) => JSON.stringify([request.header('content-length'), String(body)]) }),
      {},
      { json: true },
    )
    const got = await setup.get('/', {
      method: 'POST',
      headers: ['Content-Type: application/json'],
      body: '{ "a" : [1, "\xc3\xa9"] }',
    })
    const [length, body] = JSON.parse(got.body) as [string | undefined, string]
    assert.deepEqual(JSON.parse(body), { a: [1, 'é'] })
    if (length !== undefined) assert.equal(Number(length), Buffer.byteLength(body))
  })

  test('forwards a chunked JSON body that express.json() has parsed with one framing', async t => {
    const setup = await setUp(t, responding({ body: (_request, body) => String(body) }), {}, { json: true })
    const got = await setup.request(
      'POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{"a":"b"}\r\n0\r\n\r\n',
    )
    assert.equal(got.body, '{"a":"b"}')
    const request = await setup.backend.request()
    assert.equal([...request.headers('content-length'), ...request.headers('transfer-encoding')].length, 1)
  })

  test('500s a body that was read and cannot be written again', async t => {
    const setup = await setUp(
      t,
      responding(),
      {},
      {
        before: [(req, _res, next) => req.on('end', () => next()).resume()],
      },
    )
    assertFailure(setup.gateway, await setup.get('/', { method: 'POST', body: 'lost' }), 500, 'WST_ERR_BODY_CONSUMED')
  })

  test('streams a response as it arrives', async t => {
    let connection: BackendConnection | undefined
    const setup = await setUp(t, async accepted => {
      connection = accepted
      await accepted.request()
      await accepted.write(headOnly('Content-Type: text/event-stream', 'Transfer-Encoding: chunked'))
      await accepted.write('5\r\nfirst\r\n')
    })
    const client = await setup.connect()
    await client.send(plainRequest('/')).responseHead()
    await eventually(() => client.pending.includes('first'))
    await connection?.write('4\r\nlast\r\n0\r\n\r\n')
    await eventually(() => client.pending.includes('last'))
  })

  test('streams a request as it arrives', async t => {
    const setup = await setUp(t, responding({ body: (_request, body) => String(body) }))
    const client = await setup.connect()
    client.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nfirst')
    const connection = await setup.backend.connection()
    await eventually(() => connection.pending.includes('first'))
    client.send(' last')
    assert.equal((await client.whole()).body, 'first last')
  })

  test('does not decode compressed bodies', async t => {
    const zipped = gzipSync(randomBytes(10_000))
    const setup = await setUp(t, async connection => {
      await connection.request()
      await connection.write(headOnly('Content-Encoding: gzip', `Content-Length: ${zipped.length}`))
      await connection.write(zipped)
    })
    const client = await setup.connect()
    const head = await client.send(plainRequest('/', { headers: ['Accept-Encoding: gzip'] })).responseHead()
    assert.equal(head.header('content-encoding'), 'gzip')
    assert.deepEqual(await client.body(head), zipped)
    assert.equal((await setup.backend.request()).header('accept-encoding'), 'gzip')
  })

  test('relays a response that lasts until FIN', async t => {
    const setup = await setUp(t, async connection => {
      await connection.request()
      connection.end('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end')
    })
    assert.equal((await setup.get('/')).body, 'until the end')
  })

  test('does not relay hop-by-hop fields of a response', async t => {
    const headers = [
      'Connection: X-Secret',
      'X-Secret: 1',
      'Keep-Alive: timeout=77',
      'Proxy-Authenticate: Basic',
      'X-Kept: 1',
    ]
    const setup = await setUp(t, responding({ headers }))
    const got = await setup.get('/')
    assert.equal(got.header('x-kept'), '1')
    for (const name of ['x-secret', 'proxy-authenticate']) assert.equal(got.header(name), undefined, name)
    assert.notEqual(got.header('keep-alive'), 'timeout=77')
  })

  test('relays interim responses', async t => {
    const setup = await setUp(t, async connection => {
      await connection.request()
      await connection.write('HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n')
      await connection.write(`${headOnly('Content-Length: 2')}ok`)
    })
    const client = await setup.connect()
    const hints = await client.send(plainRequest('/')).responseHead()
    assert.equal(`${hints.statusCode} ${hints.header('link')}`, '103 </style.css>')
    assert.equal((await client.whole()).body, 'ok')
  })

  test('serves a client that waits for 100 before its body', async t => {
    const setup = await setUp(t, responding({ body: (_request, body) => String(body) }))
    const client = await setup.connect()
    client.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n')
    assert.equal((await client.responseHead()).statusCode, 100)
    assert.equal((await client.send('body').whole()).body, 'body')
  })

  test('reuses the connection to the backend', async t => {
    const setup = await setUp(t, responding())
    for (let i = 0; i < 5; i++) assert.equal((await setup.get('/')).statusCode, 200)
    assert.equal(setup.backend.connections.length, 1)
  })

  test('opens a new connection if the backend has closed the kept one', async t => {
    const setup = await setUp(t, async connection => {
      await connection.request()
      await connection.write(`${headOnly('Content-Length: 2')}ok`)
      connection.end()
    })
    for (let i = 0; i < 3; i++) {
      assert.equal((await setup.get('/')).body, 'ok')
      await (await setup.backend.connection(i)).closed
    }
  })

  test('aborts the request to the backend when the client aborts its download', async t => {
    const setup = await setUp(t, async connection => {
      await connection.request()
      await connection.write(headOnly('Content-Length: 1000000'))
      await connection.write('begin')
    })
    const client = await setup.connect()
    await client.send(plainRequest('/')).responseHead()
    client.destroy()
    await gatewayLeft(await setup.backend.connection())
  })

  test('aborts the request to the backend when the client aborts its upload, or leaves while it waits', async t => {
    for (const text of ['POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\npart', plainRequest('/')]) {
      const waiting: Script = connection => connection.request().then(() => {})
      const setup = await setUp(t, waiting)
      const client = (await setup.connect()).send(text)
      await setup.backend.request()
      client.destroy()
      await gatewayLeft(await setup.backend.connection())
    }
  })

  for (const how of ['end', 'reset'] as const) {
    test(`never completes a response that the backend cuts short by ${how === 'end' ? 'FIN' : 'RST'}`, async t => {
      const setup = await setUp(t, async connection => {
        await connection.request()
        await connection.write(headOnly('Content-Length: 100'))
        await connection.write('part')
        await eventually(() => client.pending.includes('part'))
        connection[how]()
      })
      const client = await setup.connect()
      const head = await client.send(plainRequest('/')).responseHead()
      await assert.rejects(client.body(head), /no 100 bytes/)
      assert.equal((await setup.get('/own')).body, 'own')
    })
  }

  test('relays a response that arrives before the body of the request is complete', async t => {
    const setup = await setUp(t, async connection => {
      await connection.request()
      connection.end('HTTP/1.1 413 Too Much\r\nConnection: close\r\nContent-Length: 4\r\n\r\nstop')
    })
    const client = await setup.connect()
    client.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nbegin')
    const got = await client.whole()
    assert.equal(`${got.statusCode} ${got.body}`, '413 stop')
  })

  test('reads no faster from the backend than the client does', async t => {
    let sent = 0
    const setup = await setUp(t, async connection => {
      await connection.request()
      await connection.write(headOnly('Connection: close'))
      const chunk = Buffer.alloc(1_000_000)
      while (!connection.socket.destroyed && sent < 200_000_000) {
        await connection.write(chunk)
        sent += chunk.length
      }
    })
    const client = await setup.connect()
    client.socket.pause()
    client.send(plainRequest('/'))
    let before = -1
    await eventually(async () => {
      before = sent
      await new Promise(resolve => setTimeout(resolve, 100))
      return sent === before && sent > 0
    })
    assert.ok(sent < 100_000_000, `${sent} bytes were taken for a client that reads nothing`)
  })

  test('keeps the order of pipelined requests', async t => {
    const setup = await setUp(t, responding({ body: request => request.path }))
    const client = await setup.connect()
    client.send(plainRequest('/1') + plainRequest('/2') + plainRequest('/3'))
    for (const path of ['/1', '/2', '/3']) assert.equal((await client.whole()).body, path)
  })
}
