import assert from 'node:assert/strict'
import { test } from 'node:test'
import { echo, raw, record, responding } from '../support/backend.ts'
import { KEY, plainRequest, upgradeRequest } from '../support/client.ts'
import type { Middleware } from '../support/frameworks.ts'
import { assertFailure, type SetUp } from '../support/harness.ts'
import type { Theme } from './theme.ts'

/** The header fields that the backend and the client get. */
export const headersTheme: Theme = setUp => {
  test('forwards the fields of an upgrade request in their order, case and number', async t => {
    const setup = await setUp(t, record(), { addHeaders: false })
    const headers: [string, string][] = [
      ['X-b', '1'],
      ['COOKIE', 'a=1'],
      ['x-A', '2'],
      ['X-b', '3'],
      ['Authorization', 'Basic eA=='],
      ['Origin', 'http://front.example'],
      ['User-Agent', 'tester'],
      ['Sec-WebSocket-Protocol', 'one, two'],
      ['Sec-WebSocket-Extensions', 'permessage-deflate; client_max_window_bits'],
    ]
    await setup.tunnel('/', { headers })
    const { rawHeaders } = await setup.backend.request()
    assert.deepEqual(
      rawHeaders.filter(([name]) => !/^(host|connection|upgrade)$/i.test(name)),
      [['Sec-WebSocket-Key', KEY], ['Sec-WebSocket-Version', '13'], ...headers],
    )
    assert.equal(rawHeaders[0]?.[0], 'Host')
  })

  test('lets the backend select the subprotocol', async t => {
    const setup = await setUp(t, echo({ headers: ['Sec-WebSocket-Protocol: two'] }))
    const head = await (await setup.upgrade('/', { headers: { 'Sec-WebSocket-Protocol': 'one, two' } })).responseHead()
    assert.equal(head.header('sec-websocket-protocol'), 'two')
  })

  test('does not forward hop-by-hop fields, nor those that Connection names', async t => {
    const setup = await setUp(t, record())
    const hop = {
      Connection: 'Upgrade, X-Secret, keep-alive',
      'X-Secret': '1',
      'Keep-Alive': 'timeout=5',
      'Proxy-Connection': 'keep-alive',
      TE: 'trailers',
      Trailer: 'X-T',
      Expect: '100-continue',
      'X-Kept': '1',
    }
    await setup.tunnel('/', { headers: hop })
    setup.backend.play(responding())
    await setup.get('/', {
      headers: Object.entries(hop)
        .filter(([name]) => name !== 'Expect')
        .map(([name, value]) => `${name}: ${value}`),
    })
    for (const request of setup.backend.seen) {
      assert.equal(request.header('x-kept'), '1')
      for (const name of ['x-secret', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'expect']) {
        assert.equal(request.header(name), undefined, name)
      }
    }
    assert.deepEqual(setup.backend.seen[0]?.headers('connection'), ['Upgrade'])
  })

  test('forwards the fields that backends decide by, even if Connection names them', async t => {
    const setup = await setUp(t, record())
    const fields = { Cookie: 'a=1', Authorization: 'Basic eA==', Origin: 'http://front.example' }
    const names = [
      ...Object.keys(fields),
      'Host',
      'X-Forwarded-For',
      'Via',
      'Forwarded',
      'Sec-WebSocket-Key',
      'Content-Type',
    ]
    await setup.tunnel('/', {
      headers: { ...fields, 'Content-Type': 'text/x', Connection: `Upgrade, ${names.join(', ')}` },
    })
    const request = await setup.backend.request()
    for (const [name, value] of Object.entries(fields)) assert.equal(request.header(name), value)
    assert.equal(request.header('host'), setup.backend.address)
    assert.equal(request.header('x-forwarded-for'), '127.0.0.1')
    assert.equal(request.header('sec-websocket-key'), KEY)
    assert.equal(request.header('content-type'), 'text/x')
  })

  const forged = {
    'X-Forwarded-For': '9.9.9.9',
    'X-Forwarded-Host': 'evil.example',
    'X-Forwarded-Proto': 'https',
    'X-Forwarded-Server': 'evil',
    Forwarded: 'for=9.9.9.9',
    X_Forwarded_For: '9.9.9.9',
    'X-Forwarded_Host': 'evil.example',
  }
  const both = async (setup: SetUp, headers: Record<string, string>): Promise<void> => {
    await setup.tunnel('/', { headers })
    setup.backend.play(responding())
    await setup.get('/', { headers: Object.entries(headers).map(([name, value]) => `${name}: ${value}`) })
    assert.equal(setup.backend.seen.length, 2)
  }

  test('replaces forwarding fields of a peer that is not trusted, also those with underscores', async t => {
    const setup = await setUp(t, record(), { serverName: 'gate.example' })
    await both(setup, forged)
    for (const request of setup.backend.seen) {
      assert.deepEqual(request.headers('x-forwarded-for'), ['127.0.0.1'])
      assert.deepEqual(request.headers('x-forwarded-host'), ['front.example'])
      assert.deepEqual(request.headers('x-forwarded-proto'), ['http'])
      assert.deepEqual(request.headers('x-forwarded-server'), ['gate.example'])
      for (const name of ['forwarded', 'x_forwarded_for', 'x-forwarded_host'])
        assert.equal(request.header(name), undefined)
    }
  })

  test('appends to forwarding fields of a trusted peer', async t => {
    const setup = await setUp(t, record(), { trustProxy: 'loopback', serverName: 'gate.example' })
    await both(setup, forged)
    for (const request of setup.backend.seen) {
      assert.equal(request.header('x-forwarded-for'), '9.9.9.9, 127.0.0.1')
      assert.equal(request.header('x-forwarded-host'), 'evil.example, front.example')
      assert.equal(request.header('x-forwarded-server'), 'evil, gate.example')
      assert.equal(request.header('x-forwarded-proto'), 'https')
    }
  })

  test('supports the values of trustProxy that Express has: addresses, hops, functions', async t => {
    for (const [trustProxy, expected] of [
      ['10.0.0.0/8', '127.0.0.1'],
      [['10.0.0.0/8', '127.0.0.1'], '9.9.9.9, 127.0.0.1'],
      [1, '9.9.9.9, 127.0.0.1'],
      [0, '127.0.0.1'],
      [(address: string) => address === '127.0.0.1', '9.9.9.9, 127.0.0.1'],
    ] as const) {
      const setup = await setUp(t, record(), { trustProxy: trustProxy as string })
      await setup.tunnel('/', { headers: { 'X-Forwarded-For': '9.9.9.9' } })
      assert.equal((await setup.backend.request()).header('x-forwarded-for'), expected, String(trustProxy))
    }
  })

  test('adds no forwarding fields with addHeaders: false, and still trusts none', async t => {
    const setup = await setUp(t, record(), { addHeaders: false })
    await both(setup, forged)
    for (const request of setup.backend.seen) assert.doesNotMatch(request.raw, /forwarded/i)
  })

  /** Middleware that changes `req.headers`. */
  const changing =
    (change: (headers: Record<string, unknown>) => void): Middleware =>
    (req, _res, next) => {
      change(req.headers)
      next()
    }

  test('sends what the app has set, deleted or added in req.headers, and the rest as it came', async t => {
    const guard = changing(headers => {
      headers['x-user'] = 'alice'
      headers['x-roles'] = ['reader', 'writer']
      delete headers['x-admin']
      delete headers['x-list']
      headers['X-Mixed'] = 'app'
    })
    const setup = await setUp(t, record(), { addHeaders: false }, { before: [guard] })
    const sent: [string, string][] = [
      ['X-User', 'root'],
      ['X-b', '1'],
      ['X-b', '2'],
      ['X-Admin', 'yes'],
      ['COOKIE', 'a=1'],
      ['X-Mixed', 'client'],
    ]
    await setup.tunnel('/', { headers: sent })
    setup.backend.play(responding())
    await setup.get('/', { headers: sent.map(field => field.join(': ')) })
    assert.equal(setup.backend.seen.length, 2)
    for (const request of setup.backend.seen) {
      assert.deepEqual(
        request.rawHeaders.filter(([name]) => !/^(host|connection|upgrade|sec-websocket-.*)$/i.test(name)),
        [
          ['X-User', 'alice'],
          ['X-b', '1'],
          ['X-b', '2'],
          ['COOKIE', 'a=1'],
          ['X-Mixed', 'app'],
          ['x-roles', 'reader'],
          ['x-roles', 'writer'],
        ],
      )
    }
  })

  test('does not let the client take away or double what the app has set', async t => {
    const guard = changing(headers => {
      headers['x-user'] = 'alice'
      delete headers['x-admin']
    })
    const setup = await setUp(t, record(), {}, { before: [guard] })
    const evil = { 'X-User': 'root', X_User: 'root', X_Admin: 'yes', 'X-Admin': 'yes' }
    await setup.tunnel('/', { headers: { ...evil, Connection: 'Upgrade, x-user' } })
    setup.backend.play(responding())
    const lines = Object.entries(evil).map(([name, value]) => `${name}: ${value}`)
    await setup.get('/', { headers: [...lines, 'Connection: x-user'] })
    assert.equal(setup.backend.seen.length, 2)
    for (const request of setup.backend.seen) {
      assert.deepEqual(request.headers('x-user'), ['alice'])
      assert.doesNotMatch(request.raw, /root|admin/i)
    }
  })

  test('edits with requestHeaders what the app has left', async t => {
    const guard = changing(headers => Object.assign(headers, { 'x-user': 'alice', 'x-id': '7' }))
    const setup = await setUp(
      t,
      record(),
      {
        requestHeaders: headers =>
          headers.set('X-Seen', `${headers.get('x-user')} ${headers.get('x-id')}`).unset('x-id'),
      },
      { before: [guard] },
    )
    await both(setup, { 'X-User': 'root' })
    for (const request of setup.backend.seen) {
      assert.equal(request.header('x-seen'), 'alice 7')
      assert.equal(request.header('x-id'), undefined)
    }
  })

  test('routes by the fields that the app has left', async t => {
    const guard = changing(headers => Object.assign(headers, { 'x-user': 'alice' }))
    const setup = await setUp(
      t,
      record(),
      ({ address }) => ({
        routes: [
          { when: [{ header: 'X-User', matches: /^root$/ }], target: `ws://${address}/root` },
          { when: [{ header: 'X-User', matches: /^alice$/ }], target: `ws://${address}/alice` },
        ],
      }),
      { before: [guard] },
    )
    await both(setup, { 'X-User': 'root' })
    for (const request of setup.backend.seen) assert.equal(request.path, '/alice/')
  })

  test('appends nothing to a forwarded field that the app has set', async t => {
    const own = { 'x-forwarded-for': '203.0.113.9', 'x-forwarded-proto': 'https', forwarded: 'for=203.0.113.9' }
    for (const trustProxy of [false, true]) {
      const before = [changing(headers => Object.assign(headers, own))]
      const setup = await setUp(t, record(), { trustProxy }, { before })
      await both(setup, { ...forged, 'X-Forwarded-Proto': 'http' })
      for (const request of setup.backend.seen) {
        for (const [name, value] of Object.entries(own)) assert.deepEqual(request.headers(name), [value])
        assert.equal(request.header('x_forwarded_for'), undefined)
      }
    }
  })

  test('takes hop-by-hop fields and framing from the client, not from req.headers', async t => {
    const before = [
      changing(headers => {
        Object.assign(headers, {
          connection: 'close',
          te: 'trailers',
          'keep-alive': 'timeout=5',
          expect: '100-continue',
        })
        headers['content-length'] = '2'
        headers['transfer-encoding'] = 'chunked'
      }),
    ]
    const setup = await setUp(t, record(), {}, { before })
    await setup.tunnel('/')
    setup.backend.play(responding({ body: (_request, body) => String(body) }))
    assert.equal(
      (await setup.get('/', { method: 'POST', body: 'a body', headers: ['Content-Type: text/x'] })).body,
      'a body',
    )
    const [upgrade, post] = setup.backend.seen
    assert.deepEqual(upgrade?.headers('connection'), ['Upgrade'])
    assert.equal(post?.header('content-length'), '6')
    for (const request of setup.backend.seen) {
      for (const name of ['te', 'keep-alive', 'expect', 'transfer-encoding'])
        assert.equal(request.header(name), undefined, name)
    }
    assert.equal(upgrade?.header('content-length'), undefined)
  })

  test('serves an upgrade as a plain request if the app deletes its Upgrade', async t => {
    const before = [changing(headers => delete headers['upgrade'])]
    const setup = await setUp(t, responding(), {}, { before })
    assert.equal((await setup.refused('/')).statusCode, 200)
    assert.equal((await setup.backend.request()).header('upgrade'), undefined)
  })

  test('responds 500 to a field of the app that HTTP does not allow, and connects to no backend', async t => {
    const before = [changing(headers => Object.assign(headers, { 'x-user': 'a\r\nX-Admin: yes' }))]
    const setup = await setUp(t, record(), {}, { before })
    assertFailure(setup.gateway, await setup.refused('/'), 500, 'WST_ERR_APP_HEADERS')
    assert.equal((await setup.get('/')).statusCode, 500)
    assert.equal(setup.backend.connections.length, 0)
  })

  test('takes only space and tab for optional white space', async t => {
    const setup = await setUp(t, responding())
    for (const head of [
      upgradeRequest('/', { token: '\xa0websocket' }),
      upgradeRequest('/', { token: 'websocket\xa0' }),
      upgradeRequest('/', { headers: { Connection: '\xa0Upgrade' } }),
      upgradeRequest('/', { headers: { Connection: 'close, Upgrade\xa0' } }),
    ]) {
      assert.equal((await (await setup.connect()).send(head).whole()).statusCode, 200, JSON.stringify(head))
    }
    assert.equal(setup.gateway.opened.length, 0)
    for (const request of setup.backend.seen) assert.equal(request.header('upgrade'), undefined)
    setup.backend.play(echo())
    await setup.tunnel('/', { headers: { Upgrade: '\t websocket\t', Connection: 'x ,\tUpgrade\t' } })
  })

  for (const [name, trustProxy] of [
    ['loopback', 'loopback'],
    ['all', true],
    ['one hop', 1],
  ] as const) {
    test(`trusts the peer of a unix socket with trustProxy ${name}, and adds no empty address`, async t => {
      const setup = await setUp(t, record(), { trustProxy }, { clientWire: 'unix' })
      await both(setup, { 'X-Forwarded-For': '203.0.113.9:4711', 'X-Forwarded-Proto': 'https' })
      for (const request of setup.backend.seen) {
        assert.deepEqual(request.headers('x-forwarded-for'), ['203.0.113.9:4711'])
        assert.equal(request.header('x-forwarded-proto'), 'https')
      }
    })
  }

  test('trusts no peer of a unix socket otherwise, and adds no empty address', async t => {
    for (const trustProxy of [false, '10.0.0.0/8']) {
      const setup = await setUp(t, record(), { trustProxy }, { clientWire: 'unix' })
      await both(setup, forged)
      for (const request of setup.backend.seen) {
        assert.equal(request.header('x-forwarded-for'), undefined)
        assert.deepEqual(request.headers('x-forwarded-proto'), ['http'])
      }
    }
  })

  test('sends both where the app and the backend set Vary, Link, Server-Timing and Content-Security-Policy', async t => {
    const names = ['Vary', 'Link', 'Server-Timing', 'Content-Security-Policy']
    const before: Middleware[] = [
      (_req, res, next) => {
        for (const name of names) res.setHeader(name, 'app')
        res.setHeader('ETag', 'app')
        next()
      },
    ]
    const headers = [...names, 'ETag'].map(name => `${name}: back`)
    const setup = await setUp(t, echo({ headers }), {}, { before })
    const switched = await (await setup.upgrade('/')).responseHead()
    assert.equal(switched.statusCode, 101)
    setup.backend.play(responding({ headers }))
    for (const message of [switched, await setup.get('/'), await setup.refused('/')]) {
      for (const name of names) assert.deepEqual(message.headers(name), ['app', 'back'], name)
      assert.deepEqual(message.headers('etag'), ['back'])
    }
  })

  for (const own of [{ 'Content-Length': '3' }, { 'Transfer-Encoding': 'chunked' }, { 'Transfer-Encoding': 'gzip' }]) {
    test(`never sends the framing of middleware beside that of the backend: ${JSON.stringify(own)}`, async t => {
      const before: Middleware[] = [
        (_req, res, next) => {
          for (const [name, value] of Object.entries(own)) res.setHeader(name, value)
          next()
        },
      ]
      const setup = await setUp(t, echo(), {}, { before })
      const client = await setup.upgrade('/')
      const switched = await client.responseHead()
      assert.equal(switched.statusCode, 101)
      for (const name of ['content-length', 'transfer-encoding']) assert.equal(switched.header(name), undefined)
      client.send('hello')
      assert.equal((await client.readExact(5)).toString(), 'hello')
      for (const lines of [['Content-Length: 9'], ['Transfer-Encoding: chunked']]) {
        const body = lines[0]?.startsWith('C') ? 'some text' : '9\r\nsome text\r\n0\r\n\r\n'
        setup.backend.play(raw(`HTTP/1.1 200 OK\r\nConnection: close\r\n${lines[0]}\r\n\r\n${body}`))
        const text = await setup.sendAndReadAll(plainRequest('/', { headers: ['Connection: close'] }))
        assert.deepEqual(
          text.match(/^(?:content-length|transfer-encoding): .*$/gim)?.map(line => line.toLowerCase()),
          lines.map(line => line.toLowerCase()),
        )
        assert.ok(text.endsWith(`\r\n\r\n${body}`), text)
      }
    })
  }

  test('sends X-Forwarded-Proto: https for a client that uses TLS', async t => {
    const setup = await setUp(t, record(), {}, { clientWire: 'TLS' })
    await both(setup, {})
    for (const request of setup.backend.seen) assert.equal(request.header('x-forwarded-proto'), 'https')
  })

  test('sends the Host of the target, or that of the client with preserveHost', async t => {
    const own = await setUp(t, record())
    await both(own, {})
    for (const request of own.backend.seen) assert.deepEqual(request.headers('host'), [own.backend.address])
    const kept = await setUp(t, record(), { preserveHost: true })
    await both(kept, {})
    for (const request of kept.backend.seen) assert.deepEqual(request.headers('host'), ['front.example'])
  })

  test('writes no field whose value is undefined', async t => {
    const setup = await setUp(t, record())
    await both(setup, {})
    for (const request of setup.backend.seen) assert.doesNotMatch(request.raw, /undefined|null|\[object/)
  })

  test('edits the fields of request and response, the 101 included', async t => {
    const edits = { set: { 'X-Set': 'new' }, append: { 'X-Both': 'second' }, unset: ['X-Gone'] }
    const back = ['X-Set: old', 'X-Both: first', 'X-Gone: 1']
    const setup = await setUp(t, echo({ headers: back }), { requestHeaders: edits, responseHeaders: edits })
    const head = await (
      await setup.upgrade('/', { headers: { 'X-Set': 'old', 'X-Both': 'first', 'X-Gone': '1' } })
    ).responseHead()
    setup.backend.play(responding({ headers: back }))
    const plain = await setup.get('/', { headers: ['X-Set: old', 'X-Both: first', 'X-Gone: 1'] })
    assert.equal(head.statusCode, 101)
    for (const message of [head, plain, ...setup.backend.seen]) {
      assert.deepEqual(message.headers('x-set'), ['new'])
      assert.deepEqual(message.headers('x-both'), ['first', 'second'])
      assert.equal(message.header('x-gone'), undefined)
    }
  })

  test('edits with functions that read the request', async t => {
    const setup = await setUp(t, echo(), {
      requestHeaders: (headers, { req }) => headers.set('X-Path', String(req.url)),
      responseHeaders: (headers, { req }) => headers.append('X-Method', String(req.method)),
    })
    const head = await (await setup.upgrade('/x')).responseHead()
    assert.equal(`${head.statusCode} ${head.header('x-method')}`, '101 GET')
    assert.equal((await setup.backend.request()).header('x-path'), '/x')
    setup.backend.play(responding())
    assert.equal((await setup.get('/y', { method: 'DELETE' })).header('x-method'), 'DELETE')
    assert.equal(setup.backend.seen[1]?.header('x-path'), '/y')
  })

  for (const option of ['requestHeaders', 'responseHeaders'] as const) {
    test(`500s ${option} that throw`, async t => {
      const throwing = (): void => {
        throw new Error('secret')
      }
      const setup = await setUp(t, echo(), { [option]: throwing })
      assertFailure(setup.gateway, await setup.refused('/'), 500, 'WST_ERR_CALLBACK')
      setup.backend.play(responding())
      assert.equal((await setup.get('/')).statusCode, 500)
    })
  }

  test('403s a foreign Origin before it connects to the backend', async t => {
    const setup = await setUp(t, echo(), { allowedOrigins: ['https://app.example', 'http://dev.example:3000'] })
    for (const Origin of [
      'https://evil.example',
      'http://app.example',
      'https://app.example:8443',
      'https://app.example.evil.example',
      'https://evilapp.example',
      'http://dev.example',
      'null',
    ]) {
      const refused = await setup.refused('/', { headers: { Origin } })
      assert.equal(refused.statusCode, 403, Origin)
      assert.equal(refused.body, '{"code":"WST_ERR_ORIGIN"}')
    }
    assert.equal(setup.backend.connections.length, 0)
    for (const Origin of ['https://app.example', 'http://dev.example:3000'])
      await setup.tunnel('/', { headers: { Origin } })
    await setup.tunnel('/')
  })

  test('lets pages of files through where file:// is allowed, and sandboxed ones where null is', async t => {
    for (const allowed of ['file://', 'null']) {
      const setup = await setUp(t, echo(), { allowedOrigins: [allowed] })
      for (const Origin of ['file://', 'null']) {
        const { statusCode } = await (await setup.upgrade('/', { headers: { Origin } })).responseHead()
        assert.equal(statusCode, Origin === allowed ? 101 : 403, `${Origin} where ${allowed} is allowed`)
      }
    }
  })

  test('checks the Origin of the client, whatever the app has made of it', async t => {
    const before = [changing(headers => delete headers['origin'])]
    const setup = await setUp(t, echo(), { allowedOrigins: ['https://app.example'] }, { before })
    assert.equal((await setup.refused('/', { headers: { Origin: 'https://evil.example' } })).statusCode, 403)
    await setup.tunnel('/', { headers: { Origin: 'https://app.example' } })
    assert.equal((await setup.backend.request()).header('origin'), undefined)
  })

  test('checks no Origin without allowedOrigins', async t => {
    const setup = await setUp(t, echo())
    await setup.tunnel('/', { headers: { Origin: 'https://evil.example' } })
  })

  for (const [via, request, response] of [
    ['off', '1.0 before', '1.0 behind'],
    ['on', '1.0 before, 1.1 gate.example', '1.0 behind, 1.1 gate.example'],
    ['full', '1.0 before, 1.1 gate.example (ws-tunnel)', '1.0 behind, 1.1 gate.example (ws-tunnel)'],
    ['block', undefined, undefined],
  ] as const) {
    test(`writes Via in both directions as via: ${via} requires`, async t => {
      const setup = await setUp(t, echo({ headers: ['Via: 1.0 behind'] }), { via, serverName: 'gate.example' })
      const head = await (await setup.upgrade('/', { headers: { Via: '1.0 before' } })).responseHead()
      setup.backend.play(responding({ headers: ['Via: 1.0 behind'] }))
      const plain = await setup.get('/', { headers: ['Via: 1.0 before'] })
      assert.equal(head.statusCode, 101)
      assert.deepEqual([head.header('via'), plain.header('via')], [response, response])
      assert.deepEqual(
        setup.backend.seen.map(seen => seen.header('via')),
        [request, request],
      )
    })
  }

  test('maps Location and other URL fields, and cookies, back to the URLs of the client, also on the 101', async t => {
    const lines = ({ address }: { address: string }): string[] => [
      `Location: http://${address}/b/x`,
      `Content-Location: http://${address}/b/y`,
      'Set-Cookie: a=1; Path=/b; HttpOnly',
      'Set-Cookie: b=2; Domain=back.example; Secure',
      'Set-Cookie: c=3; Path=/other',
    ]
    const setup = await setUp(
      t,
      (connection, backend) => echo({ headers: lines(backend) })(connection, backend),
      ({ address }) => ({
        routes: [
          {
            path: '/a',
            target: `ws://${address}/b`,
            passReverse: { [`http://${address}/b`]: '/a' },
            passReverseCookiePath: { '/b': '/a' },
            passReverseCookieDomain: { 'back.example': 'front.example' },
          },
        ],
      }),
    )
    const head = await (await setup.upgrade('/a')).responseHead()
    setup.backend.play((connection, backend) =>
      responding({ statusCode: 302, headers: lines(backend) })(connection, backend),
    )
    const plain = await setup.get('/a')
    assert.deepEqual([head.statusCode, plain.statusCode], [101, 302])
    for (const message of [head, plain]) {
      assert.equal(message.header('location'), 'http://front.example/a/x')
      assert.equal(message.header('content-location'), 'http://front.example/a/y')
      assert.deepEqual(message.headers('set-cookie'), [
        'a=1; Path=/a; HttpOnly',
        'b=2; Domain=front.example; Secure',
        'c=3; Path=/other',
      ])
    }
  })

  test('maps Location back from the target of the route with passReverse: true', async t => {
    const setup = await setUp(
      t,
      (connection, backend) =>
        responding({ statusCode: 302, headers: [`Location: http://${backend.address}/b/login?next=%2F`] })(
          connection,
          backend,
        ),
      ({ address }) => ({ target: `http://${address}/b`, passReverse: true }),
      { mount: '/pub' },
    )
    const location = (await setup.get('/pub/x')).header('location')
    assert.equal(location, 'http://front.example/pub/login?next=%2F')
  })

  test('does not change Location without passReverse', async t => {
    const setup = await setUp(t, responding({ statusCode: 302, headers: ['Location: http://127.0.0.1/b'] }))
    assert.equal((await setup.get('/')).header('location'), 'http://127.0.0.1/b')
  })
}
