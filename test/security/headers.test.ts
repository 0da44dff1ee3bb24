import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type BackendRequest, echo, raw, responding, switching } from '../support/backend.ts'
import { plainRequest, upgradeRequest } from '../support/client.ts'
import { startExpress5 } from '../support/frameworks.ts'
import { eventually } from '../support/gate.ts'
import { type SetUpOptions, setUpOn, statusesOf } from '../support/harness.ts'

const setUp = setUpOn(startExpress5)

const KINDS = ['an upgrade', 'a plain request'] as const

/** The request that the backend gets for an upgrade, or for a plain request, with these header lines after Host. */
async function seen(
  t: TestContext,
  kind: (typeof KINDS)[number],
  lines: string[],
  options: SetUpOptions = {},
): Promise<BackendRequest> {
  const { backend, connect } = await setUp(t, kind === 'an upgrade' ? echo() : responding(), options)
  const handshake = upgradeRequest('/ws', { headers: { Connection: undefined } })
  const connection = kind === 'an upgrade' ? 'Upgrade' : 'keep-alive'
  const nominated = lines.filter(line => /^connection:/i.test(line)).map(line => `, ${line.slice(11).trim()}`)
  const others = lines.filter(line => !/^connection:/i.test(line))
  const all = [`Connection: ${connection}${nominated.join('')}`, ...others]
  const client = await connect()
  client.send(
    kind === 'an upgrade'
      ? handshake.replace('\r\n\r\n', `\r\n${all.join('\r\n')}\r\n\r\n`)
      : plainRequest('/ws', { headers: all }),
  )
  assert.equal((await client.responseHead()).statusCode, kind === 'an upgrade' ? 101 : 200)
  return backend.request()
}

const CREDENTIALS = ['Authorization: Basic eA==', 'Cookie: session=1', 'Origin: https://app.example']

for (const kind of KINDS) {
  test(`forwards the fields that backends decide by, even if the Connection of ${kind} names them`, async t => {
    const request = await seen(t, kind, [
      'Connection: host, x-forwarded-for, X-Forwarded-Host, x-forwarded-proto, forwarded, via, authorization, cookie, origin',
      'Connection: sec-websocket-key, sec-websocket-version, sec-websocket-protocol, content-type',
      'Sec-WebSocket-Protocol: chat',
      'Content-Type: text/plain',
      'Via: 1.1 somebody',
      ...CREDENTIALS,
    ])
    assert.match(request.header('host') ?? '', /^127\.0\.0\.1:/)
    assert.equal(request.header('x-forwarded-for'), '127.0.0.1')
    assert.equal(request.header('x-forwarded-host'), 'front.example')
    assert.equal(request.header('x-forwarded-proto'), 'http')
    assert.equal(request.header('authorization'), 'Basic eA==')
    assert.equal(request.header('cookie'), 'session=1')
    assert.equal(request.header('origin'), 'https://app.example')
    assert.equal(request.header('sec-websocket-protocol'), 'chat')
    assert.equal(request.header('content-type'), 'text/plain')
    assert.equal(request.header('via'), '1.1 somebody')
    if (kind === 'an upgrade') assert.notEqual(request.header('sec-websocket-key'), undefined)
  })

  test(`does not forward other fields that the Connection of ${kind} names`, async t => {
    const request = await seen(t, kind, [
      'Connection: x-hop, X-Other',
      'X-Hop: 1',
      'x-other: 2',
      'X-Hop: 3',
      'X-End: 4',
    ])
    assert.equal(request.header('x-hop'), undefined)
    assert.equal(request.header('x-other'), undefined)
    assert.equal(request.header('x-end'), '4')
    assert.doesNotMatch(request.header('connection') ?? '', /hop|other/i)
  })

  test(`does not forward the hop-by-hop fields of ${kind}`, async t => {
    const request = await seen(t, kind, [
      'Keep-Alive: timeout=5',
      'Proxy-Connection: keep-alive',
      'Proxy-Authenticate: Basic',
      'TE: trailers',
      'Trailer: X-After',
      'HTTP2-Settings: AAMAAABk',
    ])
    for (const name of ['keep-alive', 'proxy-connection', 'proxy-authenticate', 'te', 'trailer', 'http2-settings']) {
      assert.equal(request.header(name), undefined, name)
    }
  })

  test(`replaces the forwarded fields of an untrusted client in ${kind}`, async t => {
    const request = await seen(t, kind, [
      'X-Forwarded-For: 198.51.100.1',
      'x-forwarded-for: 198.51.100.2',
      'X-Forwarded-Host: bank.example',
      'X-Forwarded-Proto: https',
      'X-Forwarded-Server: mine',
      'X-Forwarded-Port: 443',
      'Forwarded: for=198.51.100.3',
    ])
    assert.deepEqual(request.headers('x-forwarded-for'), ['127.0.0.1'])
    assert.deepEqual(request.headers('x-forwarded-host'), ['front.example'])
    assert.deepEqual(request.headers('x-forwarded-proto'), ['http'])
    assert.deepEqual(request.headers('x-forwarded-port'), [])
    assert.deepEqual(request.headers('forwarded'), [])
    assert.doesNotMatch(request.raw, /198\.51\.100|bank\.example|mine/)
  })

  test(`drops fields of ${kind} that are forwarded fields with underscores`, async t => {
    const twins = ['X_Forwarded_For', 'X_FORWARDED_PROTO', 'x_forwarded-host', 'X-Forwarded_Server']
    for (const options of [{}, { trustProxy: true }, { trustProxy: 'loopback' }]) {
      const request = await seen(
        t,
        kind,
        twins.map(name => `${name}: forged`),
        options,
      )
      assert.doesNotMatch(request.raw, /forged/)
    }
  })

  test(`appends to the forwarded fields of a trusted peer in ${kind}, and of no other`, async t => {
    const chain = ['X-Forwarded-For: 198.51.100.1, 198.51.100.2', 'X-Forwarded-Proto: https']
    for (const trustProxy of [true, 'loopback', ['127.0.0.0/8'], (address: string) => address === '127.0.0.1']) {
      const request = await seen(t, kind, chain, { trustProxy })
      assert.equal(request.header('x-forwarded-for'), '198.51.100.1, 198.51.100.2, 127.0.0.1')
      assert.equal(request.header('x-forwarded-proto'), 'https')
    }
    for (const trustProxy of [false, '10.0.0.0/8', ['192.0.2.1'], 0, () => false]) {
      const request = await seen(t, kind, chain, { trustProxy })
      assert.equal(request.header('x-forwarded-for'), '127.0.0.1')
      assert.equal(request.header('x-forwarded-proto'), 'http')
    }
  })

  test(`forwards fields of ${kind} with the names of object properties`, async t => {
    const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'prototype', 'valueOf', '__defineGetter__']
    const request = await seen(
      t,
      kind,
      names.flatMap(name => [`${name}: one`, `${name}: two`]),
    )
    for (const name of names) assert.deepEqual(request.headers(name), ['one', 'two'], name)
  })

  test(`400s ${kind} with no Host, two or a malformed one, and closes the connection`, async t => {
    const { backend, sendAndReadAll } = await setUp(t, echo())
    const hosts = [
      [],
      ['front.example', 'front.example'],
      ['front.example', 'other.example'],
      ...[
        'a b',
        'a@b',
        'a/b',
        'a\\b',
        '[::1',
        '::1]',
        'a:b',
        'a:80:80',
        'a?b',
        'a#b',
        'a,b c',
        'user:pass@host',
        '<script>',
        'a"b',
      ].map(host => [host]),
    ]
    for (const each of hosts) {
      const request = (kind === 'an upgrade' ? upgradeRequest('/ws') : plainRequest('/ws')).replace(
        'Host: front.example\r\n',
        each.map(host => `Host: ${host}\r\n`).join(''),
      )
      const text = await sendAndReadAll(request)
      assert.deepEqual(statusesOf(text), [400], `${each.join(' and ')}: ${text}`)
    }
    assert.deepEqual(backend.connections, [])
  })

  test(`accepts any well-formed Host of ${kind}`, async t => {
    for (const host of [
      'front.example:8080',
      '127.0.0.1',
      '[::1]',
      '[::1]:8080',
      'xn--bcher-kva.example',
      'under_score',
    ]) {
      const { backend, connect } = await setUp(t, kind === 'an upgrade' ? echo() : responding(), { preserveHost: true })
      const client = await connect()
      client.send(kind === 'an upgrade' ? upgradeRequest('/', { host }) : plainRequest('/', { host }))
      assert.equal((await client.responseHead()).statusCode, kind === 'an upgrade' ? 101 : 200, host)
      assert.equal((await backend.request()).header('host'), host)
    }
  })

  test(`400s control bytes and broken lines in the head of ${kind}`, async t => {
    const { backend, sendAndReadAll } = await setUp(t, echo())
    const lines = {
      'NUL in a value': 'X-A: a\0b',
      'bare CR in a value': 'X-A: a\rb',
      'bell in a value': 'X-A: a\x07b',
      'escape in a value': 'X-A: \x1b[31mred',
      'DEL in a value': 'X-A: a\x7fb',
      'bare LF between fields': 'X-A: a\nX-B: b',
      'folded line': 'X-A: a\r\n b',
      'space before the colon': 'X-A : a',
      'space in a name': 'X A: a',
      'no name': ': a',
      'no colon': 'nonsense',
      'NUL in a name': 'X\0A: a',
      'bracket in a name': 'X(A): a',
      'non-ASCII name': 'X\xe9: a',
    }
    for (const [name, line] of Object.entries(lines)) {
      const request = kind === 'an upgrade' ? upgradeRequest('/ws') : plainRequest('/ws')
      const text = await sendAndReadAll(request.replace('\r\n\r\n', `\r\n${line}\r\n\r\n`))
      assert.deepEqual(statusesOf(text), [400], `${name}: ${text}`)
    }
    assert.deepEqual(backend.connections, [])
  })

  test(`400s ${kind} in absolute form whose Host differs from its URI`, async t => {
    const { backend, sendAndReadAll } = await setUp(t, kind === 'an upgrade' ? switching() : responding(), {
      preserveHost: true,
    })
    for (const uri of [
      'http://other.example/ws',
      'http://front.example.evil/ws',
      'http://user@front.example/ws',
      'ws://127.0.0.1:1/ws',
    ]) {
      const request = (kind === 'an upgrade' ? upgradeRequest(uri) : plainRequest(uri)).replace(
        'front.example\r\n',
        'front.example\r\nX-Last: 1\r\n',
      )
      const text = await sendAndReadAll(request)
      assert.deepEqual(statusesOf(text), [400], `${uri}: ${text}`)
    }
    assert.deepEqual(backend.seen, [])
  })

  test(`sends ${kind} in absolute form to the target, never to the authority of the URI`, async t => {
    const { backend, connect } = await setUp(t, kind === 'an upgrade' ? echo() : responding())
    const client = await connect()
    const uri = 'http://front.example/a/b?c=d'
    client.send(kind === 'an upgrade' ? upgradeRequest(uri) : plainRequest(uri))
    assert.equal((await client.responseHead()).statusCode, kind === 'an upgrade' ? 101 : 200)
    const request = await backend.request()
    assert.equal(request.path, '/a/b?c=d')
    assert.match(request.header('host') ?? '', /^127\.0\.0\.1:/)
    assert.equal(request.header('x-forwarded-host'), 'front.example')
  })
}

for (const name of ['Sec-WebSocket-Key', 'Sec-WebSocket-Version']) {
  test(`400s an upgrade with two ${name}`, async t => {
    for (const strictHandshake of [false, true]) {
      const { backend, sendAndReadAll } = await setUp(t, echo(), { strictHandshake })
      const value = name.endsWith('Key') ? 'dGhlIHNhbXBsZSBub25jZQ==' : '13'
      const text = await sendAndReadAll(upgradeRequest('/', { headers: { [name]: [value, value] } }))
      assert.deepEqual(statusesOf(text), [400])
      assert.deepEqual(backend.connections, [])
    }
  })
}

for (const framing of ['Content-Length: 3', 'Transfer-Encoding: chunked', 'Transfer-Encoding: gzip']) {
  test(`removes hop-by-hop fields and ${framing} from a 101, and treats what follows as bytes of the tunnel`, async t => {
    const hop = [
      'Keep-Alive: timeout=5',
      'Proxy-Authenticate: Basic',
      'Proxy-Connection: keep-alive',
      'TE: trailers',
      'Trailer: X-After',
    ]
    const headers = ['Connection: X-Hop', 'X-Hop: 1', ...hop, framing, 'X-End: 2']
    const { connect } = await setUp(t, switching({ headers, early: '5\r\nhello' }))
    const client = await connect()
    client.send(upgradeRequest('/'))
    const head = await client.responseHead()
    assert.equal(head.statusCode, 101)
    for (const line of ['X-Hop: 1', ...hop, framing])
      assert.equal(head.header(line.split(':')[0] as string), undefined, line)
    assert.equal(head.header('x-end'), '2')
    assert.deepEqual(
      head.headers('connection').map(value => value.toLowerCase()),
      ['upgrade'],
    )
    assert.equal((await client.readExact(8)).toString(), '5\r\nhello')
  })
}

test('removes hop-by-hop fields, and those that Connection names, from a plain response', async t => {
  const { sendAndReadAll } = await setUp(
    t,
    responding({
      headers: [
        'Connection: x-hop',
        'X-Hop: 1',
        'Keep-Alive: timeout=5',
        'Proxy-Authenticate: Basic',
        'Upgrade: h2c',
        'X-End: 2',
      ],
    }),
  )
  const text = await sendAndReadAll(plainRequest('/', { headers: ['Connection: close'] }))
  assert.doesNotMatch(text, /^(x-hop|proxy-authenticate|upgrade|keep-alive):/im)
  assert.match(text, /^X-End: 2\r$/m)
})

test('relays fields of a 101 and of a response with the names of object properties', async t => {
  const headers = ['__proto__: a', 'constructor: b', 'toString: c', '__proto__: d']
  const upgraded = await setUp(t, switching({ headers }))
  const client = await upgraded.connect()
  client.send(upgradeRequest('/'))
  const head = await client.responseHead()
  assert.deepEqual([head.statusCode, head.headers('__proto__'), head.header('constructor')], [101, ['a', 'd'], 'b'])
  const plain = await setUp(t, responding({ headers }))
  const text = await plain.sendAndReadAll(plainRequest('/', { headers: ['Connection: close'] }))
  assert.match(text, /^HTTP\/1\.1 200 .*^constructor: b\r$/ms)
})

test('403s an Origin that is not allowed before it connects to the backend', async t => {
  const allowedOrigins = ['https://app.example', 'http://localhost:3000']
  const { backend, sendAndReadAll } = await setUp(t, echo(), { allowedOrigins })
  const refused = [
    'https://evil.example',
    'null',
    '',
    'http://app.example',
    'https://app.example:8443',
    'https://app.example.evil.example',
    'https://evilapp.example',
    'https://app.example/',
    'https://app.example@evil.example',
    'http://localhost',
    'http://localhost:30000',
    'file://',
  ]
  for (const origin of refused) {
    const text = await sendAndReadAll(upgradeRequest('/', { headers: { Origin: origin } }))
    assert.deepEqual(statusesOf(text), [403], origin)
  }
  const twice = await sendAndReadAll(
    upgradeRequest('/', { headers: { Origin: ['https://app.example', 'https://evil.example'] } }),
  )
  assert.deepEqual(statusesOf(twice), [403])
  assert.deepEqual(backend.connections, [])
})

test('accepts the allowed Origins, and clients without Origin', async t => {
  const { connect } = await setUp(t, echo(), { allowedOrigins: ['https://app.example'] })
  for (const origin of ['https://app.example', 'HTTPS://APP.EXAMPLE', undefined]) {
    const client = await connect()
    client.send(upgradeRequest('/', { headers: { Origin: origin } }))
    assert.equal((await client.responseHead()).statusCode, 101, origin)
  }
})

test('keeps control characters of a client out of every error message', async t => {
  const { sendAndReadAll, gateway } = await setUp(
    t,
    raw('HTTP/1.1 101 Switching\r\nUpgrade: \x1b[31m\u2028, b\r\nConnection: Upgrade\r\n\r\n', 'keep'),
    ({ address }) => ({
      routes: [
        { path: /^\/long\/(.*)$/, target: `ws://${address}/$1` },
        {
          path: '/throws',
          target: req => {
            throw new Error(`no room for ${req.url}`)
          },
        },
        { path: '/', target: `ws://${address}`, fallback: false, allowedOrigins: ['https://app.example'] },
      ],
    }),
  )
  const odd = '%0d%0a%1b[31m%e2%80%a8'
  await sendAndReadAll(upgradeRequest(`/long/${odd}`))
  await sendAndReadAll(upgradeRequest(`/throws/${odd}\x80\xff`))
  await sendAndReadAll(upgradeRequest(`/${odd}`, { token: 'foo\xe9' }))
  await sendAndReadAll(upgradeRequest('/', { headers: { Origin: 'https://\xff\xfe' } }))
  await sendAndReadAll(upgradeRequest('/', { host: 'a\tb' }))
  await sendAndReadAll(upgradeRequest('/'))
  await eventually(() => gateway.errors.length >= 4)
  for (const { message } of gateway.errors) assert.match(message, /^[\x20-\x7e]*$/)
})
