import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ErrorMessage, WsTunnelError, WsTunnelOptions } from '@ws-tunnel/core'
import { echo, raw, responding, type Script, silent, switching, switchingHead } from '../support/backend.ts'
import { plainRequest, upgradeRequest } from '../support/client.ts'
import { closedPort, eventually, socketPath } from '../support/gate.ts'
import { assertFailure, gatewayLeft } from '../support/harness.ts'
import * as certificates from '../support/tls.ts'
import type { Theme } from './theme.ts'

const switchedWith = (lines: string): string => `HTTP/1.1 101 Switching Protocols\r\n${lines}\r\n\r\n`

const endless: Script = async connection => {
  await connection.request()
  await connection.write('HTTP/1.1 200 OK\r\n')
  while (!connection.socket.destroyed) await connection.write(`X-${'y'.repeat(98)}: 1\r\n`)
}

/** The response of the backend to an upgrade request, and the response that the client gets. */
export const responsesTheme: Theme = setUp => {
  test('relays the head of the 101 with reason, and with case, order and duplicates of its fields', async t => {
    const headers = [
      'X-B: 1',
      'sEt-CoOkIe: a=1',
      'X-A: 2',
      'Set-Cookie: b=2; Path=/',
      'X-B: 3',
      'Sec-WebSocket-Protocol: chat',
    ]
    const setup = await setUp(t, echo({ reason: 'Dialtone', headers }))
    const head = await (await setup.upgrade('/')).responseHead()
    assert.equal(head.startLine, 'HTTP/1.1 101 Dialtone')
    const sent = head.rawHeaders.map(([name, value]) => `${name}: ${value}`)
    assert.deepEqual(
      sent.filter(line => /^(x-|set-|sec-websocket-protocol)/i.test(line)),
      headers,
    )
  })

  for (const framing of ['Transfer-Encoding: chunked', 'Content-Length: 5']) {
    test(`relays neither hop-by-hop fields nor framing (${framing}) of the 101, and reads no body by it`, async t => {
      const fields = [
        framing,
        'Keep-Alive: timeout=5',
        'Proxy-Authenticate: Basic',
        'Trailer: X',
        'X-Secret: 1',
        'X-Kept: 1',
      ]
      const setup = await setUp(t, async connection => {
        const head = switchingHead(await connection.request(), { headers: fields })
        await connection.write(`${head.replace('Connection: Upgrade', 'Connection: Upgrade, X-Secret')}raw bytes`)
      })
      const client = await setup.upgrade('/')
      const head = await client.responseHead()
      assert.equal(head.statusCode, 101)
      assert.equal(head.header('x-kept'), '1')
      for (const name of [
        'keep-alive',
        'transfer-encoding',
        'content-length',
        'proxy-authenticate',
        'trailer',
        'x-secret',
      ]) {
        assert.equal(head.header(name), undefined, name)
      }
      assert.deepEqual(
        head.headers('connection').map(value => value.toLowerCase()),
        ['upgrade'],
      )
      assert.equal((await client.readExact(9)).toString(), 'raw bytes')
    })
  }

  test('accepts the token of the 101 in any case', async t => {
    const setup = await setUp(t, echo({ token: 'WebSocket' }))
    await setup.tunnel('/')
  })

  const badSwitches: [what: string, script: Script][] = [
    ['another token', echo({ token: 'foo' })],
    ['no token', echo({ token: null })],
    ['a list of tokens', echo({ token: 'websocket, foo' })],
  ]
  for (const [what, script] of badSwitches) {
    test(`502s a 101 with ${what}`, async t => {
      const setup = await setUp(t, script)
      assertFailure(setup.gateway, await setup.refused('/'), 502, 'WST_ERR_BAD_SWITCH')
    })
  }

  for (const status of ['000', '099']) {
    test(`502s the status ${status} of a backend, and takes it for no interim response`, async t => {
      const { get, gateway } = await setUp(t, raw(`HTTP/1.1 ${status} Odd\r\nContent-Length: 2\r\n\r\nok`))
      assertFailure(gateway, await get('/'), 502, 'WST_ERR_BAD_RESPONSE')
    })
  }

  test('relays a 204 without a length', async t => {
    const { get } = await setUp(t, raw('HTTP/1.1 204 Odd\r\nContent-Length: 2\r\nX-Back: 1\r\n\r\n'))
    const response = await get('/')
    assert.deepEqual(
      [response.statusCode, response.header('content-length'), response.header('x-back')],
      [204, undefined, '1'],
    )
  })

  test('502s a 101 in response to a plain request', async t => {
    const setup = await setUp(t, raw(switchedWith('Upgrade: websocket\r\nConnection: Upgrade'), 'keep'))
    assertFailure(setup.gateway, await setup.get('/'), 502, 'WST_ERR_BAD_SWITCH')
  })

  const broken: [what: string, script: Script, code: string][] = [
    ['garbage', raw('SSH-2.0-OpenSSH_9.2\r\n', 'keep'), 'WST_ERR_BAD_RESPONSE'],
    ['a head that ends half-way', raw('HTTP/1.1 200 Fi'), 'WST_ERR_NO_RESPONSE'],
    ['FIN', raw(''), 'WST_ERR_NO_RESPONSE'],
    ['RST', raw('', 'reset'), 'WST_ERR_NO_RESPONSE'],
    ['an oversized head', raw(`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 'keep'), 'WST_ERR_BAD_RESPONSE'],
    ['a head without end', endless, 'WST_ERR_BAD_RESPONSE'],
    [
      'eleven interim responses',
      raw('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'.repeat(11), 'keep'),
      'WST_ERR_BAD_RESPONSE',
    ],
  ]
  const brokenSwitches: typeof broken = [
    [
      'a 101 of HTTP/1.0',
      raw('HTTP/1.0 101 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n', 'keep'),
      'WST_ERR_BAD_SWITCH',
    ],
    ['a 101 with a line without colon', raw(switchedWith('Upgrade websocket'), 'keep'), 'WST_ERR_BAD_RESPONSE'],
    ['half a 101', raw('HTTP/1.1 101 Switching'), 'WST_ERR_NO_RESPONSE'],
  ]
  for (const [what, script, code] of [...broken, ...brokenSwitches]) {
    test(`502s ${what} in response to an upgrade request`, async t => {
      const setup = await setUp(t, script)
      const client = await setup.upgrade('/')
      let refused = await client.whole()
      while (refused.statusCode < 200) refused = await client.whole()
      assertFailure(setup.gateway, refused, 502, code)
    })
  }
  for (const [what, script, code] of broken) {
    test(`502s ${what} in response to a plain request`, async t => {
      const setup = await setUp(t, script)
      const client = (await setup.connect()).send(plainRequest('/'))
      let refused = await client.whole()
      while (refused.statusCode < 200) refused = await client.whole()
      assertFailure(setup.gateway, refused, 502, code)
    })
  }

  test('relays interim responses before the 101', async t => {
    const setup = await setUp(t, async connection => {
      const request = await connection.request()
      await connection.write('HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n')
      await connection.write(switchingHead(request))
    })
    const client = await setup.upgrade('/')
    const hints = await client.responseHead()
    assert.equal(`${hints.statusCode} ${hints.header('link')}`, '103 </style.css>; rel=preload')
    assert.equal((await client.responseHead()).statusCode, 101)
  })

  const refusals: [what: string, text: string, body: string][] = [
    ['a 403 with a length', 'HTTP/1.1 403 Not You\r\nX-Why: no\r\nContent-Length: 4\r\n\r\nbody', 'body'],
    [
      'a chunked 401',
      'HTTP/1.1 401 Who\r\nX-Why: no\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n2\r\n!!\r\n0\r\n\r\n',
      'body!!',
    ],
    [
      'a 500 that lasts until FIN',
      'HTTP/1.1 500 Oh\r\nX-Why: no\r\nConnection: close\r\n\r\nuntil the end',
      'until the end',
    ],
    ['a 302', 'HTTP/1.1 302 Elsewhere\r\nX-Why: no\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n', ''],
    ['a 204', 'HTTP/1.1 204 Nothing\r\nX-Why: no\r\n\r\n', ''],
    ['a 304', 'HTTP/1.1 304 As Was\r\nX-Why: no\r\nETag: "x"\r\n\r\n', ''],
    ['a 200', 'HTTP/1.1 200 Fine\r\nX-Why: no\r\nContent-Length: 4\r\n\r\npage', 'page'],
  ]
  for (const [what, text, body] of refusals) {
    test(`relays ${what} to an upgrade request as HTTP`, async t => {
      const setup = await setUp(t, raw(text))
      const client = await setup.upgrade('/')
      const relayed = await client.whole()
      assert.equal(relayed.startLine, text.slice(0, text.indexOf('\r\n')))
      assert.equal(relayed.header('x-why'), 'no')
      assert.equal(relayed.body, body)
      assert.deepEqual(setup.gateway.errors, [])
      client.send(plainRequest('/own'))
      const more = await client.responseHead().then(
        head => head.statusCode,
        () => 'end',
      )
      assert.ok(more === 'end' || more === 200, `after the response came ${more}`)
    })
  }

  test('relays every Set-Cookie line and the challenge of a refusal', async t => {
    const setup = await setUp(
      t,
      responding({
        statusCode: 401,
        headers: ['Set-Cookie: a=1', 'Set-Cookie: b=2', 'WWW-Authenticate: Basic realm="x"'],
      }),
    )
    const refused = await setup.refused('/')
    assert.deepEqual(refused.headers('set-cookie'), ['a=1', 'b=2'])
    assert.equal(refused.header('www-authenticate'), 'Basic realm="x"')
  })

  for (const end of ['end', 'reset'] as const) {
    test(`never completes a refusal that the backend cuts short by ${end === 'end' ? 'FIN' : 'RST'}`, async t => {
      const setup = await setUp(t, async connection => {
        await connection.request()
        await connection.write('HTTP/1.1 403 No\r\nContent-Length: 100\r\n\r\npart')
        await eventually(() => client.pending.includes('part'))
        connection[end]()
      })
      const client = await setup.upgrade('/')
      const head = await client.responseHead()
      assert.equal(head.statusCode, 403)
      await assert.rejects(client.body(head), /peer ended|ECONNRESET/)
      assert.equal((await setup.get('/own')).body, 'own')
    })
  }

  test('ends the connection to the backend when the client leaves in the middle of a refusal', async t => {
    const setup = await setUp(t, async connection => {
      await connection.request()
      await connection.write('HTTP/1.1 403 No\r\nContent-Length: 100\r\n\r\npart')
    })
    const client = await setup.upgrade('/')
    assert.equal((await client.responseHead()).statusCode, 403)
    client.destroy()
    await gatewayLeft(await setup.backend.connection())
  })

  test('503s a backend that refuses the connection', async t => {
    const port = await closedPort()
    const setup = await setUp(t, silent(), { target: `ws://127.0.0.1:${port}/` })
    assertFailure(setup.gateway, await setup.refused('/'), 503, 'WST_ERR_CONNECT')
    assert.equal((await setup.get('/')).statusCode, 503)
  })

  test('503s a unix socket that does not exist', async t => {
    const { path, remove } = await socketPath()
    t.after(remove)
    const setup = await setUp(t, silent(), { target: `unix:${path}|ws://localhost/` })
    assertFailure(setup.gateway, await setup.refused('/'), 503, 'WST_ERR_CONNECT')
    assert.equal((await setup.get('/')).statusCode, 503)
  })

  test('502s a backend whose name does not resolve', async t => {
    const setup = await setUp(t, silent(), {
      target: 'ws://backend.invalid/',
      lookup: (_host, _options, done) =>
        done(Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND', syscall: 'getaddrinfo' }), ''),
    })
    assertFailure(setup.gateway, await setup.refused('/'), 502, 'WST_ERR_DNS')
    assert.equal((await setup.get('/')).statusCode, 502)
  })

  const untrusted: [what: string, pair: { cert: string; key: string }, ca: string | undefined][] = [
    ['of an unknown authority', certificates.server, undefined],
    ['for another name', certificates.wrongName, certificates.ca],
    ['that has expired', certificates.expired, certificates.ca],
  ]
  for (const [what, pair, ca] of untrusted) {
    test(`502s a TLS backend with a certificate ${what}`, async t => {
      const setup = await setUp(t, echo(), ({ port }) => ({ target: `wss://localhost:${port}/`, tls: { ca } }), {
        backend: { tls: pair },
      })
      assertFailure(setup.gateway, await setup.refused('/'), 502, 'WST_ERR_TLS')
      assert.equal((await setup.get('/')).statusCode, 502)
      assert.equal(setup.backend.seen.length, 0)
    })

    test(`tunnels to a TLS backend with a certificate ${what} where rejectUnauthorized is off`, async t => {
      const tls = { ca, rejectUnauthorized: false }
      const setup = await setUp(t, echo(), ({ port }) => ({ target: `wss://localhost:${port}/`, tls }), {
        backend: { tls: pair },
      })
      assert.equal((await (await setup.tunnel('/')).send('hello').readExact(5)).toString(), 'hello')
    })
  }

  test('502s a wss target whose backend does not use TLS', async t => {
    const setup = await setUp(
      t,
      connection => connection.write('HTTP/1.1 400 Plain\r\n\r\n'),
      ({ port }) => ({ target: `wss://127.0.0.1:${port}/` }),
    )
    assertFailure(setup.gateway, await setup.refused('/'), 502, 'WST_ERR_TLS')
  })

  test('tunnels to a TLS backend that it trusts, with the host of the target as servername', async t => {
    const names: (string | undefined)[] = []
    const backend = {
      tls: {
        ...certificates.server,
        SNICallback: (name: string, done: (error: null) => void) => {
          names.push(name)
          done(null)
        },
      },
    }
    const setup = await setUp(
      t,
      echo(),
      ({ port }) => ({ target: `wss://localhost:${port}/`, tls: { ca: certificates.ca }, preserveHost: true }),
      { backend },
    )
    assert.equal((await (await setup.tunnel('/')).send('hello').readExact(5)).toString(), 'hello')
    assert.deepEqual(names, ['localhost'])
    assert.equal((await setup.backend.request()).header('host'), 'front.example')
  })

  test('tunnels to a TLS backend by its address', async t => {
    const setup = await setUp(
      t,
      echo(),
      ({ port }) => ({ target: `wss://127.0.0.1:${port}/`, tls: { ca: certificates.ca } }),
      { backend: { tls: certificates.server } },
    )
    assert.equal((await (await setup.tunnel('/')).send('hello').readExact(5)).toString(), 'hello')
  })

  test('sends its own certificate to a backend that requests one', async t => {
    const backend = {
      tls: { ...certificates.server, ca: certificates.ca, requestCert: true, rejectUnauthorized: true },
    }
    const setup = await setUp(
      t,
      echo(),
      ({ port }) => ({ target: `wss://localhost:${port}/`, tls: { ca: certificates.ca, ...certificates.client } }),
      { backend },
    )
    assert.equal((await (await setup.tunnel('/')).send('hello').readExact(5)).toString(), 'hello')
    const without = await setUp(
      t,
      echo(),
      ({ port }) => ({ target: `wss://localhost:${port}/`, tls: { ca: certificates.ca } }),
      { backend },
    )
    assert.equal((await without.refused('/')).statusCode, 502)
  })

  test('tunnels and serves HTTP over a unix socket', async t => {
    const { path, remove } = await socketPath()
    t.after(remove)
    const setup = await setUp(t, switching({ early: 'hi' }), {}, { backend: { path } })
    assert.equal((await (await setup.tunnel('/x')).readExact(2)).toString(), 'hi')
    setup.backend.play(responding())
    assert.equal((await setup.get('/y')).body, 'from the backend')
    assert.deepEqual(
      setup.backend.seen.map(request => `${request.path} ${request.header('host')}`),
      ['/x unix', '/y unix'],
    )
  })

  test('connects to an IPv6 address', async t => {
    const setup = await setUp(t, echo(), ({ port }) => ({ target: `ws://[::1]:${port}/` }), {
      backend: { host: '::1' },
    })
    assert.equal((await (await setup.tunnel('/')).send('hello').readExact(5)).toString(), 'hello')
    setup.backend.play(responding())
    assert.equal((await setup.get('/')).statusCode, 200)
    assert.equal(setup.backend.seen[0]?.header('host'), `[::1]:${setup.backend.port}`)
  })

  test('sends the status of a failure by the error handling of the framework too', async t => {
    const port = await closedPort()
    const setup = await setUp(t, silent(), { target: `ws://127.0.0.1:${port}/` }, { errorHandler: 'framework' })
    for (const refused of [await setup.refused('/'), await setup.get('/')]) {
      assert.equal(refused.statusCode, 503)
      assert.doesNotMatch(refused.body, /127\.0\.0\.1/, 'the response names the address of the backend')
    }
    assert.deepEqual(
      setup.gateway.errors.map(error => error.code),
      ['WST_ERR_CONNECT', 'WST_ERR_CONNECT'],
    )
  })

  const failing: Record<string, (port: number) => { options: WsTunnelOptions; about: Partial<WsTunnelError> }> = {
    'a backend that is down': port => ({
      options: { target: `ws://127.0.0.1:${port}/secret` },
      about: { code: 'WST_ERR_CONNECT', target: `127.0.0.1:${port}`, member: undefined, route: 0 },
    }),
    'a name without address': () => ({
      options: { target: 'ws://secret.invalid:9000/' },
      about: { code: 'WST_ERR_DNS', target: 'secret.invalid:9000', member: undefined, route: 0 },
    }),
    'a missing unix socket': () => ({
      options: { target: 'unix:/secret/app.sock|ws://name/' },
      about: { code: 'WST_ERR_CONNECT', target: '/secret/app.sock', member: undefined, route: 0 },
    }),
    'the last member of a balancer': port => ({
      options: {
        routes: [
          { path: '/other', target: false },
          { path: '/', target: 'balancer://secret/' },
        ],
        balancers: { secret: { members: [{ url: `ws://127.0.0.1:${port}/m` }] } },
      },
      about: { code: 'WST_ERR_CONNECT', target: `127.0.0.1:${port}`, member: `ws://127.0.0.1:${port}/m`, route: 1 },
    }),
    'a balancer without a usable member': port => ({
      options: {
        target: 'balancer://secret/',
        balancers: { secret: { members: [{ url: `ws://127.0.0.1:${port}`, status: 'D' }] } },
      },
      about: { code: 'WST_ERR_NO_MEMBER', target: undefined, member: undefined, route: 0 },
    }),
    'a target function that throws': () => ({
      options: {
        target: () => {
          throw new Error('secret')
        },
      },
      about: { code: 'WST_ERR_CALLBACK', target: undefined, member: undefined, route: 0 },
    }),
  }
  for (const [what, optionsOf] of Object.entries(failing)) {
    test(`says in the error which backend and route failed, and tells the client nothing of it: ${what}`, async t => {
      const { options, about } = optionsOf(await closedPort())
      const errors: WsTunnelError[] = []
      const onError = ({ error }: ErrorMessage): unknown => errors.push(error)
      const setup = await setUp(t, silent(), () => ({ ...options, onError }), { errorHandler: 'framework' })
      for (const { startLine, rawHeaders, body } of [await setup.refused('/'), await setup.get('/')])
        assert.doesNotMatch(`${startLine} ${rawHeaders.join()} ${body}`, /127\.0\.0\.1|secret|ECONN|ENO/)
      assert.equal(errors.length, 2)
      for (const error of [...errors, ...setup.gateway.errors]) {
        const { code, target, member, route } = error
        assert.deepEqual({ code, target, member, route }, about)
        // Express and Connect print the stack for each client.
        const isCallback = code === 'WST_ERR_CALLBACK'
        assert.ok(isCallback || !error.stack?.includes('\n'), error.stack)
        assert.doesNotMatch(error.stack ?? '', /127\.0\.0\.1|secret|ECONN|ENO/)
      }
      for (const { message } of errors) {
        const parts = Object.entries(about).filter(([name, value]) => name !== 'code' && value !== undefined)
        for (const [name, value] of parts) assert.ok(message.includes(`${name} ${value}`), message)
      }
    })
  }

  test('calls onError for every failure, with the request', async t => {
    const reported: string[] = []
    const port = await closedPort()
    const onError = ({ error, req }: ErrorMessage): unknown => reported.push(`${error.code} ${req.method}`)
    const setup = await setUp(t, silent(), { target: `ws://127.0.0.1:${port}/`, onError })
    await setup.refused('/')
    await setup.get('/', { method: 'DELETE' })
    assert.deepEqual(reported, ['WST_ERR_CONNECT GET', 'WST_ERR_CONNECT DELETE'])
  })

  test('continues to serve after failures of every kind', async t => {
    const setup = await setUp(t, raw('', 'reset'))
    for (let i = 0; i < 3; i++) assert.equal((await setup.refused('/')).statusCode, 502)
    setup.backend.play(echo())
    assert.equal((await (await setup.tunnel('/')).send('hello').readExact(5)).toString(), 'hello')
  })

  test('relays a refusal on a connection that has served a request before', async t => {
    const setup = await setUp(t, responding({ statusCode: 403, body: 'no' }), {}, { mount: '/live' })
    const client = await setup.connect()
    assert.equal((await client.send(plainRequest('/own')).whole()).body, 'own')
    assert.equal((await client.send(upgradeRequest('/live')).whole()).body, 'no')
  })
}
