import assert from 'node:assert/strict'
import type { LookupFunction } from 'node:net'
import test from 'node:test'
import {
  type BackendConnection,
  echo,
  raw,
  responding,
  type Script,
  silent,
  switching,
  switchingHead,
} from '../support/backend.ts'
import { plainRequest, upgradeRequest } from '../support/client.ts'
import { startExpress5 } from '../support/frameworks.ts'
import { closedPort, within } from '../support/gate.ts'
import { backendReleased, connectClient, setUpOn, statusesOf } from '../support/harness.ts'
import * as tls from '../support/tls.ts'

const setUp = setUpOn(startExpress5)

const KINDS = ['an upgrade', 'a plain request'] as const
const requestOf = (kind: (typeof KINDS)[number], path = '/'): string =>
  kind === 'an upgrade' ? upgradeRequest(path) : plainRequest(path, { headers: ['Connection: close'] })

const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
const OK = 'HTTP/1.1 200 OK\r\n'

/** Writes as long as the connection is open. The gateway runs between the writes. */
async function pour(connection: BackendConnection, text: string): Promise<void> {
  while (!connection.socket.destroyed) {
    await connection.write(text)
    await new Promise(resolve => setImmediate(resolve))
  }
}

/** Begins a head and never completes it. */
const endless =
  (head: string, line: string): Script =>
  async connection => {
    await connection.request()
    await connection.write(head)
    await pour(connection, line.repeat(500))
  }

/** Backends that send no valid response. */
const BROKEN: Record<string, Script> = {
  'sends bytes that are not HTTP': raw('\x16\x03\x01\x02\x00garbage\r\n\r\n'),
  'greets like an SSH server': async connection => {
    await connection.write('SSH-2.0-OpenSSH_9.9\r\n')
  },
  'greets like a mail server and ends': async connection => {
    await connection.write('220 mail.example ESMTP\r\n')
    connection.end()
  },
  'ends without a byte': raw(''),
  'resets without a byte': raw('', 'reset'),
  'ends as soon as it has accepted': connection => connection.end(),
  'ends in the middle of a 101': raw(SWITCH.slice(0, 40)),
  'resets in the middle of a 101': raw(SWITCH.slice(0, 40), 'reset'),
  'ends before the blank line': raw(SWITCH),
  'ends in the middle of the status line': raw('HTTP/1.1 1'),
  'sends one field of 100 KB': raw(`${SWITCH}X-Huge: ${'x'.repeat(100_000)}\r\n\r\n`, 'keep'),
  'sends 20,000 fields': raw(`${SWITCH}${'X: y\r\n'.repeat(20_000)}\r\n`, 'keep'),
  'never ends its head': endless(SWITCH, 'X-More: and more\r\n'),
  'never ends its status line': endless('HTTP/1.1 200 ', 'reason '),
  'never ends a field': endless(`${OK}X: `, 'value '),
  'sends a space in a field name': raw(`${SWITCH}X Y: z\r\n\r\n`, 'keep'),
  'sends a line without colon': raw(`${SWITCH}nonsense\r\n\r\n`, 'keep'),
  'sends NUL in a value': raw(`${SWITCH}X: a\0b\r\n\r\n`, 'keep'),
  'sends a bare CR in a value': raw(`${SWITCH}X: a\rY: b\r\n\r\n`, 'keep'),
  'sends a bare CR in the status line': raw('HTTP/1.1 101 Switching\rProtocols\r\n\r\n', 'keep'),
  'sends NUL in the status line': raw(`HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n`, 'keep'),
  'sends a status of four digits': raw('HTTP/1.1 1010 Odd\r\n\r\n', 'keep'),
  'sends a status of two digits': raw('HTTP/1.1 10 Odd\r\n\r\n', 'keep'),
  'sends a status of letters': raw('HTTP/1.1 abc Odd\r\n\r\n', 'keep'),
  'sends another protocol version': raw('HTTP/7.3 200 OK\r\n\r\n', 'keep'),
  'sends the preface of HTTP/2': raw('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'keep'),
  'sends length and chunks': raw(`${OK}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 'keep'),
  'sends two lengths': raw(`${OK}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello`, 'keep'),
  'sends a length that is not a number': raw(`${OK}Content-Length: 0x5\r\n\r\nhello`, 'keep'),
  'sends a negative length': raw(`${OK}Content-Length: -5\r\n\r\nhello`, 'keep'),
  'sends very many interim responses in one packet': raw(
    `${'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(30)}${SWITCH}\r\n`,
    'keep',
  ),
  'sends very many interim responses one by one': async connection => {
    await connection.request()
    await pour(connection, 'HTTP/1.1 102 Processing\r\n\r\n')
  },
}

for (const kind of KINDS) {
  for (const [name, script] of Object.entries(BROKEN)) {
    test(`502s ${kind} at once, with a body, when the backend ${name}`, async t => {
      const { backend, sendAndReadAll, gateway } = await setUp(t, script)
      const text = await within(1_000, 'a response', sendAndReadAll(requestOf(kind)))
      assert.deepEqual(statusesOf(text), [502], text.slice(0, 500))
      assert.match(text, /\{"code":"WST_ERR_(BAD_RESPONSE|BAD_SWITCH|NO_RESPONSE)"\}$/)
      assert.equal(gateway.errors.length, 1)
      for (const connection of backend.connections) {
        await within(1_000, 'the backend connection to end', ended(connection))
        // A hostile backend can send as much as the kernels buffer. The gateway does not collect more.
        assert.ok(connection.socket.bytesWritten < 32 * 1024 * 1024)
      }
      assert.match(await sendAndReadAll(plainRequest('/own', { headers: ['Connection: close'] })), /own$/)
    })
  }

  test(`502s or 503s ${kind} when the backend resets as soon as it has accepted`, async t => {
    const { sendAndReadAll } = await setUp(t, connection => connection.reset())
    const [status] = statusesOf(await within(1_000, 'a response', sendAndReadAll(requestOf(kind))))
    assert.ok(status === 502 || status === 503, `${status}`)
  })

  test(`504s ${kind} when the backend never responds, or sends a part of its head`, async t => {
    for (const begin of ['', 'HTTP/1.1 1', SWITCH, 'HTTP/1.1 103 Early Hints\r\n\r\n']) {
      const { backend, sendAndReadAll, gateway } = await setUp(t, raw(begin, 'keep'), { handshakeTimeout: 100 })
      const text = await sendAndReadAll(requestOf(kind))
      assert.deepEqual(statusesOf(text), [504], begin)
      assert.deepEqual(
        gateway.errors.map(({ code }) => code),
        ['WST_ERR_HANDSHAKE_TIMEOUT'],
      )
      await within(1_000, 'the backend connection to end', ended(await backend.connection()))
    }
  })

  test(`504s ${kind} when the backend sends its head byte by byte for longer than handshakeTimeout`, async t => {
    const script: Script = async connection => {
      await connection.request()
      while (!connection.ended) {
        await connection.write('H')
        await new Promise(resolve => setTimeout(resolve, 10))
      }
    }
    const drip: Script = async connection => {
      await connection.request()
      await connection.write(SWITCH)
      for (let i = 0; !connection.ended; i++) {
        await connection.write(`X-${i}: y\r\n`)
        await new Promise(resolve => setTimeout(resolve, 10))
      }
    }
    const { sendAndReadAll } = await setUp(t, drip, { handshakeTimeout: 150 })
    assert.deepEqual(statusesOf(await sendAndReadAll(requestOf(kind))), [504])
    const broken = await setUp(t, script, { handshakeTimeout: 150 })
    assert.deepEqual(statusesOf(await broken.sendAndReadAll(requestOf(kind))), [502])
  })

  test(`503s ${kind} when nothing listens at the port or unix socket`, async t => {
    const port = await closedPort()
    for (const target of [`ws://127.0.0.1:${port}`, `ws://[::1]:${port}`, 'unix:/nonexistent/s.sock|ws://name/']) {
      const { sendAndReadAll, gateway } = await setUp(t, echo(), { target })
      const text = await within(1_000, 'a response', sendAndReadAll(requestOf(kind)))
      assert.deepEqual(statusesOf(text), [503], target)
      assert.match(text, /\{"code":"WST_ERR_CONNECT"\}$/)
      assert.equal(gateway.errors.length, 1)
    }
  })

  test(`502s ${kind} when the lookup of the backend's name fails in any way`, async t => {
    const failure = (code: string): Error =>
      Object.assign(new Error(`getaddrinfo ${code} backend.example`), { code, syscall: 'getaddrinfo' })
    const lookups: Record<string, LookupFunction> = {
      'reports that the name does not exist': (_host, _options, done) => done(failure('ENOTFOUND'), '', 4),
      'reports a temporary failure': (_host, _options, done) => done(failure('EAI_AGAIN'), '', 4),
      'returns no address': (_host, _options, done) => process.nextTick(() => done(null, [])),
      'returns no address at once': (_host, _options, done) => done(null, []),
      'returns a name instead of an address': (_host, _options, done) =>
        done(null, [{ address: 'localhost', family: 4 }]),
      'refuses the range of the address': (_host, _options, done) =>
        process.nextTick(() => done(failure('ENOTFOUND'), '', 4)),
    }
    for (const [name, lookup] of Object.entries(lookups)) {
      const { backend, sendAndReadAll } = await setUp(t, echo(), ({ address }) => ({
        target: `ws://backend.example:${address.split(':')[1]}`,
        lookup,
      }))
      const text = await within(1_000, 'a response', sendAndReadAll(requestOf(kind)))
      assert.deepEqual(statusesOf(text), [502], `${name}: ${text}`)
      assert.match(text, /\{"code":"WST_ERR_DNS"\}$/, name)
      assert.deepEqual(backend.connections, [])
    }
  })

  test(`sends a 5xx for ${kind} when the lookup throws`, async t => {
    const { sendAndReadAll } = await setUp(t, echo(), {
      target: 'ws://backend.example',
      lookup: () => {
        throw new Error('no resolver')
      },
    })
    const [status] = statusesOf(await within(1_000, 'a response', sendAndReadAll(requestOf(kind))))
    assert.ok(status !== undefined && status >= 500, `${status}`)
  })

  test(`504s ${kind} when a lookup hangs, or a TLS server does not respond, for connectTimeout`, async t => {
    const hanging = await setUp(t, echo(), { target: 'ws://backend.example', lookup: () => {}, connectTimeout: 100 })
    assert.match(await hanging.sendAndReadAll(requestOf(kind)), /^HTTP\/1\.1 504 .*WST_ERR_CONNECT_TIMEOUT/s)
    const mute = await setUp(
      t,
      () => {},
      ({ address }) => ({ target: `wss://${address}`, connectTimeout: 100 }),
    )
    assert.match(await mute.sendAndReadAll(requestOf(kind)), /^HTTP\/1\.1 504 .*WST_ERR_CONNECT_TIMEOUT/s)
    await within(1_000, 'the backend connection to end', ended(await mute.backend.connection()))
  })

  test(`looks up the name for every ${kind.replace(/^an? /, '')}, and connects to the address of that lookup`, async t => {
    let lookedUp = 0
    const { backend, sendAndReadAll } = await setUp(
      t,
      kind === 'an upgrade' ? raw(`${OK}Content-Length: 0\r\n\r\n`) : responding({ headers: ['Connection: close'] }),
      ({ address }) => ({
        target: `ws://backend.example:${address.split(':')[1]}`,
        lookup: (_host, _options, done) => {
          lookedUp++
          done(null, [{ address: '127.0.0.1', family: 4 }])
        },
      }),
    )
    for (const round of [1, 2, 3]) {
      assert.deepEqual(statusesOf(await sendAndReadAll(requestOf(kind))), [200])
      assert.equal(lookedUp, round)
      assert.equal(backend.connections.length, round)
    }
    assert.match((await backend.request()).header('host') ?? '', /^backend\.example:/)
  })

  const untrusted = {
    'is signed by an unknown authority': { cert: tls.server, options: {} },
    'has expired': { cert: tls.expired, options: { ca: tls.ca } },
    'names another host': { cert: tls.wrongName, options: { ca: tls.ca } },
  }
  for (const [name, { cert, options }] of Object.entries(untrusted)) {
    test(`502s ${kind} when the certificate of the backend ${name}`, async t => {
      const { backend, sendAndReadAll } = await setUp(
        t,
        echo(),
        ({ address }) => ({ target: `wss://localhost:${address.split(':')[1]}`, tls: options }),
        { backend: { tls: cert } },
      )
      const text = await within(1_000, 'a response', sendAndReadAll(requestOf(kind)))
      assert.deepEqual(statusesOf(text), [502])
      assert.match(text, /\{"code":"WST_ERR_TLS"\}$/)
      assert.deepEqual(backend.seen, [])
    })
  }

  test(`502s ${kind} when only one side uses TLS, and never falls back to plain TCP`, async t => {
    const script: Script = async connection => {
      await connection.readExact(1)
      connection.end('HTTP/1.1 400 Bad Request\r\n\r\n')
    }
    const plain = await setUp(t, script, ({ address }) => ({ target: `wss://${address}` }))
    assert.deepEqual(statusesOf(await within(1_000, 'a response', plain.sendAndReadAll(requestOf(kind)))), [502])
    assert.deepEqual(plain.backend.seen, [])
    const encrypted = await setUp(t, echo(), ({ address }) => ({ target: `ws://${address}` }), {
      backend: { tls: tls.server },
    })
    assert.deepEqual(statusesOf(await within(1_000, 'a response', encrypted.sendAndReadAll(requestOf(kind)))), [502])
    assert.deepEqual(encrypted.backend.seen, [])
  })

  test(`502s ${kind} when the backend requires a client certificate and none is configured`, async t => {
    const { sendAndReadAll } = await setUp(
      t,
      echo(),
      ({ address }) => ({ target: `wss://localhost:${address.split(':')[1]}`, tls: { ca: tls.ca } }),
      { backend: { tls: { ...tls.server, ca: tls.ca, requestCert: true, rejectUnauthorized: true } } },
    )
    assert.deepEqual(statusesOf(await within(1_000, 'a response', sendAndReadAll(requestOf(kind)))), [502])
  })

  test(`checks the certificate against the target of ${kind}, never against the Host that is sent`, async t => {
    const names: (string | false | null)[] = []
    const { connect } = await setUp(
      t,
      async (connection, backend) => {
        names.push((connection.socket as unknown as { servername: string | false | null }).servername)
        await (kind === 'an upgrade' ? switching() : responding())(connection, backend)
      },
      ({ address }) => ({
        target: `wss://localhost:${address.split(':')[1]}`,
        preserveHost: true,
        requestHeaders: { set: { Host: 'elsewhere.example' } },
        tls: { ca: tls.ca },
      }),
      { backend: { tls: tls.server } },
    )
    const client = await connect()
    client.send(requestOf(kind))
    assert.equal((await client.responseHead()).statusCode, kind === 'an upgrade' ? 101 : 200)
    assert.deepEqual(names, ['localhost'])
  })

  test(`relays interim responses to ${kind} before the final one`, async t => {
    const interim = 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n'
    const final = kind === 'an upgrade' ? `${SWITCH}\r\n` : `${OK}Content-Length: 4\r\n\r\nbody`
    for (const before of [interim, interim.repeat(5)]) {
      const { connect } = await setUp(t, raw(before + final, 'keep'))
      const client = await connect()
      client.send(requestOf(kind))
      const statuses: number[] = []
      do statuses.push((await client.responseHead()).statusCode)
      while ((statuses.at(-1) as number) < 200 && statuses.at(-1) !== 101)
      const expected = Array.from({ length: before.length / interim.length }, () => [103, 100]).flat()
      assert.deepEqual(statuses, [...expected, kind === 'an upgrade' ? 101 : 200])
    }
  })

  for (const [name, body] of [
    ['a length', 'Content-Length: 100\r\n\r\npart'],
    ['chunks', 'Transfer-Encoding: chunked\r\n\r\n4\r\npart\r\n'],
    ['half a chunk', 'Transfer-Encoding: chunked\r\n\r\n40\r\npart'],
  ] as const) {
    for (const then of ['end', 'reset'] as const) {
      test(`cuts the connection of ${kind} when a response with ${name} breaks off by ${then === 'end' ? 'FIN' : 'RST'}`, async t => {
        const { backend, connect, gateway } = await setUp(t, async connection => {
          await connection.request()
          await connection.write(`HTTP/1.1 403 Forbidden\r\n${body}`)
          if (then === 'reset') await read
          if (then === 'reset') connection.reset()
          else connection.end()
        })
        let haveRead: (() => void) | undefined
        const read = new Promise<void>(resolve => {
          haveRead = resolve
        })
        const client = await connect()
        client.send(requestOf(kind))
        const head = await client.responseHead()
        assert.equal(head.statusCode, 403)
        await client.readThrough('part')
        haveRead?.()
        await within(
          1_000,
          'the end',
          client.readAll().catch(error => error),
        )
        assert.doesNotMatch(client.pending.toString(), /0\r\n\r\n$/, 'the client takes the response for complete')
        client.destroy()
        await backendReleased(backend)
        assert.deepEqual(gateway.errors, [], 'the response has begun, so there is no failure to respond with')
      })
    }
  }
}

const ended = (connection: BackendConnection): Promise<void> =>
  new Promise(resolve => {
    if (connection.ended || connection.socket.destroyed) return resolve()
    connection.socket.once('end', resolve)
    connection.socket.once('close', resolve)
  })

test('opens a tunnel after a 101 that arrives byte by byte or in two parts, with bytes right after it', async t => {
  const { connect } = await setUp(t, async connection => {
    const request = await connection.request()
    const bytes = Buffer.from(`${switchingHead(request)}glued`)
    const at = Number(request.path.slice(1))
    if (at === 0) {
      for (const byte of bytes) {
        await connection.write(Buffer.of(byte))
        await new Promise(resolve => setImmediate(resolve))
      }
      return
    }
    await connection.write(bytes.subarray(0, at))
    await new Promise(resolve => setImmediate(resolve))
    await connection.write(bytes.subarray(at))
  })
  const head = switchingHead({ header: () => undefined } as never).length
  for (let at = 0; at < head + 60; at += at > head - 10 ? 1 : 7) {
    const client = await connect()
    client.send(upgradeRequest(`/${at}`))
    assert.equal((await client.responseHead()).statusCode, 101, `cut at ${at}`)
    assert.equal((await client.readExact(5)).toString(), 'glued', `cut at ${at}`)
    client.destroy()
  }
})

test('accepts a 101 without a reason phrase, or with unusual spacing and case', async t => {
  const heads = [
    'HTTP/1.1 101 \r\nupgrade:WebSocket\r\nconnection:UPGRADE\r\n\r\n',
    'HTTP/1.1 101 Web Socket Protocol Handshake\r\nUpgrade:   websocket  \r\nConnection: keep-alive , Upgrade\r\n\r\n',
    'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Empty:\r\n\r\n',
  ]
  for (const head of heads) {
    const { connect } = await setUp(t, raw(`${head}glued`, 'keep'))
    const client = await connect()
    client.send(upgradeRequest('/'))
    assert.equal((await client.responseHead()).statusCode, 101, head)
    assert.equal((await client.readExact(5)).toString(), 'glued')
  }
})

test('ends the connection to the backend when the client leaves before the response, by FIN or RST', async t => {
  for (const leave of ['end', 'reset', 'destroy'] as const) {
    const { backend, connect, gateway } = await setUp(t, silent())
    const client = await connect()
    client.send(upgradeRequest('/'))
    await backend.request()
    client[leave]()
    await within(1_000, 'the backend connection to end', ended(await backend.connection()))
    assert.deepEqual(
      gateway.errors.map(({ code }) => code),
      ['WST_ERR_CLIENT_GONE'],
    )
    assert.equal(gateway.tunnels.size, 0)
  }
})

test('serves other clients while a backend misbehaves', async t => {
  const { backend, gateway } = await setUp(t, async (connection, each) => {
    const { path } = await connection.request()
    if (path === '/echo') {
      await connection.write(switchingHead(each.seen.at(-1) as never))
      connection.release().pipe(connection.socket)
    } else connection.reset()
  })
  const good = await connectClient(t, gateway)
  good.send(upgradeRequest('/echo'))
  assert.equal((await good.responseHead()).statusCode, 101)
  const bad = Array.from({ length: 50 }, async () => {
    const client = await connectClient(t, gateway)
    client.send(upgradeRequest('/bad'))
    const { statusCode } = await client.responseHead()
    client.destroy()
    return statusCode
  })
  assert.deepEqual(new Set(await Promise.all(bad)), new Set([502]))
  good.send('still here')
  assert.equal((await good.readExact(10)).toString(), 'still here')
  assert.equal(backend.connections.length, 51)
})
