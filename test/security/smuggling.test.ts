import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type Backend,
  echo,
  raw,
  record,
  responding,
  type Script,
  switching,
  switchingHead,
} from '../support/backend.ts'
import { KEY, plainRequest, upgradeRequest } from '../support/client.ts'
import { type Middleware, startExpress5 } from '../support/frameworks.ts'
import { eventually, within } from '../support/gate.ts'
import { setUpOn, statusesOf, unreadBytes } from '../support/harness.ts'

const setUp = setUpOn(startExpress5)

const INTERNAL = 'GET /internal HTTP/1.1\r\nHost: front.example\r\n\r\n'

/** Routes with one path that no client may reach through a tunnel. */
const guarded = ({ address }: Backend) => ({
  routes: [
    { path: '/internal', target: false as const },
    { path: '/', target: `ws://${address}` },
  ],
})

const CLOSED = 'Connection: close\r\n'
const REFUSALS: Record<string, string> = {
  '200 with a length': 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine',
  '403 with a length': 'HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno',
  '426 that names the version':
    'HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\r\n',
  '400 in chunks': 'HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbad\r\n0\r\n\r\n',
  '401 that lasts until FIN': 'HTTP/1.1 401 Unauthorized\r\n\r\nwho are you',
  '200 that pretends to switch':
    'HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 4\r\n\r\nfine',
  '204 without a body': 'HTTP/1.1 204 No Content\r\n\r\n',
}

for (const [name, head] of Object.entries(REFUSALS)) {
  const lastsUntilEnd = name.includes('FIN')

  test(`opens no tunnel after a ${name}, and routes a later request by its own path`, async t => {
    const { backend, connect } = await setUp(t, raw(head, lastsUntilEnd ? 'end' : 'keep'), guarded)
    const client = await connect()
    client.send(upgradeRequest('/ws'))
    const refused = await client.responseHead()
    assert.equal(refused.statusCode, Number(head.slice(9, 12)))
    await client.body(refused)
    client.send(INTERNAL)
    const rest = (await client.readAll().catch(() => client.pending)).toString('latin1')
    assert.ok(rest === '' || rest.startsWith('HTTP/1.1 404 '), rest)
    assert.equal(backend.seen.length, 1)
    assert.equal(unreadBytes(backend), '')
  })

  test(`forwards no request in the packet of the upgrade to a backend that responds with ${name}`, async t => {
    const { backend, sendAndReadAll } = await setUp(t, raw(head, lastsUntilEnd ? 'end' : 'keep'), guarded)
    const text = await sendAndReadAll(upgradeRequest('/ws') + INTERNAL)
    assert.equal(statusesOf(text)[0], Number(head.slice(9, 12)))
    assert.deepEqual(
      statusesOf(text)
        .slice(1)
        .filter(status => status !== 404),
      [],
    )
    assert.equal(backend.seen.length, 1)
    assert.equal(unreadBytes(backend), '')
  })
}

test('sends early bytes to a backend only after its 101, in whatever packets they arrive', async t => {
  let decide: (() => void) | undefined
  const decided = new Promise<void>(resolve => {
    decide = resolve
  })
  const script: Script = async connection => {
    await connection.request()
    await decided
    await connection.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno')
  }
  const { backend, connect } = await setUp(t, script, guarded)
  const client = await connect()
  client.send(`${upgradeRequest('/ws')}glued`)
  await backend.request()
  for (const piece of ['GET /internal', ' HTTP/1.1\r\nHost: a\r\n', '\r\n']) {
    client.send(piece)
    await new Promise(resolve => setImmediate(resolve))
  }
  // A round trip through the same gateway: it has forwarded by now whatever it would forward.
  const other = await connect()
  await other.send(plainRequest('/own')).whole()
  assert.equal(unreadBytes(backend), '')
  decide?.()
  assert.equal((await client.whole()).statusCode, 403)
  await client.readAll()
  assert.equal(unreadBytes(backend), '')
})

test('stops reading from a client that sends without limit before the 101', async t => {
  const { backend, connect } = await setUp(t, async connection => void (await connection.request()), guarded)
  const client = await connect()
  client.send(upgradeRequest('/ws'))
  await backend.request()
  const offered = 64 * 1024 * 1024
  client.send(Buffer.alloc(offered))
  let before = -1
  await eventually(async () => {
    const { writableLength } = client.socket
    await new Promise(resolve => setTimeout(resolve, 100))
    const settled = writableLength === before
    before = writableLength
    return settled
  }, 5_000)
  // The kernels of client and gateway buffer a few MiB each; the gateway itself buffers almost nothing.
  assert.ok(client.socket.writableLength > offered / 2, `${client.socket.writableLength} bytes still wait`)
  assert.equal(unreadBytes(backend), '')
})

test('removes Upgrade from a 200, so that no peer takes it for a switch', async t => {
  const { sendAndReadAll } = await setUp(t, raw(REFUSALS['200 that pretends to switch'] as string, 'keep'))
  const text = await sendAndReadAll(upgradeRequest('/ws'))
  assert.match(text, /^HTTP\/1\.1 200 /)
  assert.doesNotMatch(text, /^upgrade:/im)
  assert.doesNotMatch(text, /^connection:.*upgrade/im)
})

const UP = 'Upgrade: websocket\r\nConnection: Upgrade\r\n'
const BAD_SWITCHES: Record<string, string> = {
  'another token': 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\n',
  'a longer token': 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket/13\r\nConnection: Upgrade\r\n\r\n',
  'two tokens': 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket, foo\r\nConnection: Upgrade\r\n\r\n',
  'two Upgrade lines': `HTTP/1.1 101 Switching Protocols\r\n${UP}Upgrade: foo\r\n\r\n`,
  'no token': 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n',
  'no Connection: upgrade': 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n',
  'nothing at all': 'HTTP/1.1 101 Switching Protocols\r\n\r\n',
  'HTTP/1.0': `HTTP/1.0 101 Switching Protocols\r\n${UP}\r\n`,
}

for (const [name, head] of Object.entries(BAD_SWITCHES)) {
  test(`502s a 101 with ${name}, and relays none of its bytes`, async t => {
    const { backend, sendAndReadAll } = await setUp(t, raw(`${head}bytes of another protocol`, 'keep'))
    const text = await sendAndReadAll(upgradeRequest('/ws') + INTERNAL)
    assert.deepEqual(statusesOf(text), [502])
    assert.doesNotMatch(text, /another protocol/)
    assert.equal(unreadBytes(backend), '')
    await within(
      1_000,
      'the backend connection to end',
      eventually(() => backend.connections.every(each => each.ended)),
    )
  })
}

for (const method of ['GET', 'POST']) {
  test(`502s a 101 in response to a plain ${method}`, async t => {
    const { backend, sendAndReadAll } = await setUp(
      t,
      raw(`HTTP/1.1 101 Switching Protocols\r\n${UP}\r\nsurprise`, 'keep'),
    )
    const request = plainRequest('/health', {
      method,
      body: method === 'POST' ? 'a body' : '',
      headers: [CLOSED.trim()],
    })
    const text = await sendAndReadAll(request)
    assert.deepEqual(statusesOf(text), [502])
    assert.doesNotMatch(text, /surprise|HTTP\/1\.1 101/)
    await within(
      1_000,
      'the backend connection to end',
      eventually(() => backend.connections.every(each => each.ended)),
    )
  })
}

for (const [name, field, body] of [
  ['Content-Length', 'Content-Length: 5', 'hello'],
  ['chunks', 'Transfer-Encoding: chunked', '5\r\nhello\r\n0\r\n\r\n'],
] as const) {
  const request = upgradeRequest('/ws', { headers: { Connection: 'Upgrade, close' } }).replace(
    '\r\n\r\n',
    `\r\n${field}\r\n\r\n`,
  )

  test(`serves an upgrade with a body by ${name} as plain HTTP with new framing`, async t => {
    const { backend, sendAndReadAll } = await setUp(t, responding({ body: (_, sent) => `got ${sent}` }))
    const text = await sendAndReadAll(request + body)
    assert.match(text, /^HTTP\/1\.1 200 .*got hello/s)
    const seen = await backend.request()
    assert.equal(seen.header('upgrade'), undefined)
    assert.equal(seen.headers('content-length').length + seen.headers('transfer-encoding').length, 1)
  })

  test(`400s an upgrade with a body by ${name} if there is no fallback`, async t => {
    const { backend, sendAndReadAll } = await setUp(t, echo(), { fallback: false })
    const text = await sendAndReadAll(request + body + INTERNAL)
    assert.equal(statusesOf(text)[0], 400)
    assert.deepEqual(backend.connections, [])
  })
}

test('accepts an upgrade with Content-Length: 0, which is not a body, and does not forward the field', async t => {
  const { backend, connect } = await setUp(t, echo())
  const client = await connect()
  client.send(`${upgradeRequest('/ws', { headers: { 'Content-Length': '0' } })}after`)
  assert.equal((await client.responseHead()).statusCode, 101)
  assert.equal((await client.readExact(5)).toString(), 'after')
  assert.equal((await backend.request()).header('content-length'), undefined)
})

/** Framings that two parsers may read differently. */
const AMBIGUOUS: Record<string, string[]> = {
  'two lengths': ['Content-Length: 5', 'Content-Length: 6'],
  'the same length twice': ['Content-Length: 5', 'Content-Length: 5'],
  'a list of lengths': ['Content-Length: 5, 6'],
  'length and chunks': ['Content-Length: 5', 'Transfer-Encoding: chunked'],
  'chunks and length': ['Transfer-Encoding: chunked', 'Content-Length: 5'],
  'a length with a plus': ['Content-Length: +5'],
  'a negative length': ['Content-Length: -1'],
  'a length with an underscore': ['Content-Length: 5_5'],
  'a hexadecimal length': ['Content-Length: 0x5'],
  'an empty length': ['Content-Length:'],
  'a length beyond 64 bits': ['Content-Length: 99999999999999999999'],
  'chunks before another coding': ['Transfer-Encoding: chunked, identity'],
  'chunks after a vertical tab': ['Transfer-Encoding: \x0bchunked'],
  'a coding whose name begins with chunked': ['Transfer-Encoding: chunkedx'],
  'quoted chunks': ['Transfer-Encoding: "chunked"'],
  'an unknown coding': ['Transfer-Encoding: x'],
  'a space before the colon': ['Transfer-Encoding : chunked'],
  'a folded coding': ['Transfer-Encoding:\r\n chunked'],
}

for (const [name, fields] of Object.entries(AMBIGUOUS)) {
  for (const upgrade of [false, true]) {
    test(`400s ${upgrade ? 'an upgrade' : 'a request'} framed by ${name}, and closes the connection`, async t => {
      const { backend, sendAndReadAll } = await setUp(t, responding(), guarded)
      const handshake = upgrade ? ['Connection: Upgrade', 'Upgrade: websocket', `Sec-WebSocket-Key: ${KEY}`] : []
      const head = ['POST /ws HTTP/1.1', 'Host: front.example', ...handshake, ...fields]
      const text = await sendAndReadAll(`${head.join('\r\n')}\r\n\r\n0\r\n\r\n${INTERNAL}`)
      assert.deepEqual(statusesOf(text), [400])
      assert.equal(unreadBytes(backend), '')
      assert.deepEqual(
        backend.seen.filter(({ path }) => path !== '/ws'),
        [],
      )
    })
  }
}

test('delivers a second upgrade in the packet of the first as bytes of the tunnel', async t => {
  const { backend, connect } = await setUp(t, echo())
  const client = await connect()
  const second = upgradeRequest('/second')
  client.send(upgradeRequest('/first') + second)
  assert.equal((await client.responseHead()).statusCode, 101)
  assert.equal((await client.readExact(second.length)).toString(), second)
  assert.deepEqual(
    backend.seen.map(({ path }) => path),
    ['/first'],
  )
})

for (const upgrade of ['websocket', 'ANY', ['websocket', 'foo']]) {
  for (const requested of ['h2c', 'H2C', 'h2c, foo2', 'websocket, h2c', 'h2c, websocket']) {
    test(`never forwards h2c: Upgrade: ${requested} on a route that allows ${upgrade}`, async t => {
      const { backend, connect } = await setUp(t, raw('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', 'keep'), {
        upgrade,
      })
      const client = await connect()
      client.send(
        upgradeRequest('/', {
          token: requested,
          headers: { Connection: 'Upgrade, HTTP2-Settings', 'HTTP2-Settings': 'AAMAAABkAARAAAAAAAIAAAAA' },
        }),
      )
      assert.equal((await client.whole()).statusCode, 200)
      const seen = await backend.request()
      const others = requested.split(', ').filter(token => token.toLowerCase() !== 'h2c')
      const allowed = upgrade === 'ANY' ? others : others.filter(token => token === 'websocket')
      assert.equal(seen.header('upgrade'), allowed[0])
      assert.equal(seen.header('http2-settings'), undefined)
      assert.doesNotMatch(seen.header('connection') ?? '', /settings/i)
    })
  }
}

test('426s h2c if there is no fallback, and names the allowed protocols', async t => {
  const { backend, sendAndReadAll } = await setUp(t, echo(), { fallback: false })
  const text = await sendAndReadAll(upgradeRequest('/', { token: 'h2c' }))
  assert.match(text, /^HTTP\/1\.1 426 /)
  assert.match(text, /^Upgrade: websocket\r$/m)
  assert.deepEqual(backend.connections, [])
})

for (const token of ['foo', 'websocketx', 'web', 'websocket/13', 'xwebsocket']) {
  test(`drops the Upgrade of ${token}, which the route does not allow`, async t => {
    const { backend, sendAndReadAll } = await setUp(t, responding())
    const text = await sendAndReadAll(upgradeRequest('/', { token, headers: { Connection: 'Upgrade, close' } }))
    assert.match(text, /^HTTP\/1\.1 200 /)
    const seen = await backend.request()
    assert.equal(seen.header('upgrade'), undefined)
    assert.doesNotMatch(seen.header('connection') ?? '', /upgrade/i)
  })
}

/** Requests that look like an upgrade but are not one. */
const NOT_UPGRADES: Record<string, string> = {
  'HTTP/1.0': upgradeRequest('/', { httpVersion: '1.0' }),
  'no Connection: upgrade': upgradeRequest('/', { headers: { Connection: 'close' } }),
  POST: upgradeRequest('/', { method: 'POST', headers: { 'Content-Length': '0', Connection: 'Upgrade, close' } }),
}

for (const [name, request] of Object.entries(NOT_UPGRADES)) {
  test(`serves an upgrade request with ${name} as plain HTTP`, async t => {
    const { backend, sendAndReadAll } = await setUp(t, responding())
    const text = await sendAndReadAll(request)
    assert.match(text, /^HTTP\/1\.1 200 /)
    assert.equal((await backend.request()).header('upgrade'), undefined)
  })

  test(`400s an upgrade request with ${name} if there is no fallback`, async t => {
    const { backend, sendAndReadAll } = await setUp(t, echo(), { fallback: false })
    assert.deepEqual(statusesOf(await sendAndReadAll(request)), [400])
    assert.deepEqual(backend.connections, [])
  })
}

test('serves Connection: upgrade without Upgrade as plain HTTP, or passes it to the app', async t => {
  const request = upgradeRequest('/x', { headers: { Upgrade: undefined, Connection: 'upgrade, close' } })
  const plain = await setUp(t, responding())
  assert.match(await plain.sendAndReadAll(request), /^HTTP\/1\.1 200 /)
  const upgradesOnly = await setUp(t, responding(), { fallback: false })
  assert.match(await upgradesOnly.sendAndReadAll(request), /^HTTP\/1\.1 404 .*own 404: GET \/x/s)
  assert.deepEqual(upgradesOnly.backend.connections, [])
})

test('relays the 400 of a backend for a missing key; with strictHandshake it sends its own', async t => {
  const request = upgradeRequest('/', { headers: { 'Sec-WebSocket-Key': undefined } })
  const missing = 'HTTP/1.1 400 Bad Request\r\nContent-Length: 6\r\n\r\nno key'
  const lax = await setUp(t, raw(missing, 'keep'))
  assert.match(await lax.sendAndReadAll(request), /^HTTP\/1\.1 400 .*no key$/s)
  const strict = await setUp(t, echo(), { strictHandshake: true })
  assert.deepEqual(statusesOf(await strict.sendAndReadAll(request)), [400])
  assert.deepEqual(strict.backend.connections, [])
})

test('relays the 426 of a backend for a wrong version; with strictHandshake it connects to no backend', async t => {
  const request = upgradeRequest('/', { headers: { 'Sec-WebSocket-Version': '1337' } })
  const lax = await setUp(t, raw(REFUSALS['426 that names the version'] as string, 'keep'), guarded)
  const text = await lax.sendAndReadAll(request + INTERNAL)
  assert.equal(statusesOf(text)[0], 426)
  assert.match(text, /^Sec-WebSocket-Version: 13\r$/m)
  assert.equal(unreadBytes(lax.backend), '')
  const strict = await setUp(t, echo(), { strictHandshake: true })
  assert.deepEqual(statusesOf(await strict.sendAndReadAll(request)), [400])
  assert.deepEqual(strict.backend.connections, [])
})

for (const size of [5, 70_000, 1_000_000]) {
  test(`delivers ${size} early bytes once, in order, after the 101`, async t => {
    const early = Buffer.from(Array.from({ length: size }, (_, i) => (i * 7 + (i >> 8)) & 255))
    let before = -1
    const script: Script = async connection => {
      const request = await connection.request()
      await new Promise(resolve => setTimeout(resolve, 30))
      before = connection.pending.length
      await connection.write(switchingHead(request))
    }
    const { backend, connect } = await setUp(t, script)
    const client = await connect()
    client.send(Buffer.concat([Buffer.from(upgradeRequest('/')), early]))
    assert.equal((await client.responseHead()).statusCode, 101)
    client.end('last')
    const got = await (await backend.connection()).readAll()
    assert.equal(before, 0)
    assert.ok(got.equals(Buffer.concat([early, Buffer.from('last')])), `${got.length} bytes arrived`)
  })
}

test('responds to an upgrade after an unfinished request in order, or not at all', async t => {
  let finish: (() => void) | undefined
  const slow: Middleware = (req, res, next) => {
    if (req.url === '/slow') finish = () => res.end('slow')
    else next()
  }
  const { connect } = await setUp(t, echo(), {}, { before: [slow] })
  const client = await connect()
  client.send(plainRequest('/slow') + upgradeRequest('/ws'))
  await eventually(() => {
    assert.notEqual(finish, undefined)
  })
  const other = await connect()
  await other.send(plainRequest('/own')).whole()
  assert.equal(client.pending.length, 0)
  finish?.()
  const first = await client.whole()
  assert.equal(first.body, 'slow')
  const second = await client.responseHead()
  assert.ok([101, 400].includes(second.statusCode), second.startLine)
  if (second.statusCode === 101) {
    client.send('ping')
    assert.equal((await client.readExact(4)).toString(), 'ping')
  }
})

test('forwards nothing that follows an upgrade which the gateway itself refuses', async t => {
  const options = { allowedOrigins: ['https://app.example'], maxTunnels: 1 }
  const { backend, sendAndReadAll } = await setUp(t, record(), options)
  const text = await sendAndReadAll(upgradeRequest('/ws', { headers: { Origin: 'https://evil.example' } }) + INTERNAL)
  assert.equal(statusesOf(text)[0], 403)
  assert.deepEqual(backend.connections, [])
})

test('opens a new connection for the upgrade after a refused one', async t => {
  const { backend, sendAndReadAll } = await setUp(t, raw(REFUSALS['403 with a length'] as string, 'keep'))
  await sendAndReadAll(upgradeRequest('/first'))
  await sendAndReadAll(upgradeRequest('/second'))
  assert.deepEqual(
    backend.connections.map(({ requests }) => requests.length),
    [1, 1],
  )
})

test('never reuses an upgraded connection for a plain request', async t => {
  const { backend, connect, sendAndReadAll } = await setUp(t, async (connection, each) => {
    const [first] = each.connections
    await (connection === first ? switching()(connection, each) : responding()(connection, each))
  })
  const client = await connect()
  client.send(upgradeRequest('/ws'))
  await client.responseHead()
  client.destroy()
  assert.match(await sendAndReadAll(plainRequest('/plain', { headers: ['Connection: close'] })), /^HTTP\/1\.1 200 /)
  assert.equal(backend.connections.length, 2)
})
