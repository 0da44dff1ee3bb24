import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { echo, record, responding, type Script, silent, switching } from '../support/backend.ts'
import { eventually } from '../support/gate.ts'
import { assertFailure, type WholeResponse } from '../support/harness.ts'
import type { Theme } from './theme.ts'

function assertUnavailable(response: WholeResponse, code: string): void {
  assert.equal(`${response.statusCode} ${response.body}`, `503 ${JSON.stringify({ code })}`)
}

/** The limits on times and numbers. */
export const limitsTheme: Theme = setUp => {
  test('504s a backend that does not accept within connectTimeout', async t => {
    const waiting: Script = connection => connection.readAll().then(() => connection.end())
    const setup = await setUp(t, waiting, ({ port }) => ({
      target: `wss://127.0.0.1:${port}/`,
      connectTimeout: 100,
    }))
    assertFailure(setup.gateway, await setup.refused('/'), 504, 'WST_ERR_CONNECT_TIMEOUT')
    assert.equal((await setup.get('/')).statusCode, 504)
  })

  test('504s a backend that does not respond within handshakeTimeout', async t => {
    const setup = await setUp(t, silent(), { handshakeTimeout: 100 })
    assertFailure(setup.gateway, await setup.refused('/'), 504, 'WST_ERR_HANDSHAKE_TIMEOUT')
    assert.equal((await setup.get('/')).statusCode, 504)
  })

  test('applies handshakeTimeout to a head that arrives byte by byte', async t => {
    const setup = await setUp(
      t,
      async connection => {
        await connection.request()
        for (const byte of 'HTTP/1.1 101 Switching Protocols\r\n') {
          if (connection.ended || connection.socket.destroyed) return
          await connection.write(byte)
          await sleep(20)
        }
      },
      { handshakeTimeout: 100 },
    )
    assertFailure(setup.gateway, await setup.refused('/'), 504, 'WST_ERR_HANDSHAKE_TIMEOUT')
  })

  test('applies neither connectTimeout nor handshakeTimeout after the 101', async t => {
    const setup = await setUp(t, echo(), { connectTimeout: 800, handshakeTimeout: 800 })
    const client = await setup.tunnel('/')
    await sleep(900)
    assert.equal((await client.send('hello').readExact(5)).toString(), 'hello')
  })

  test('does not apply handshakeTimeout once a plain response has begun', async t => {
    const setup = await setUp(
      t,
      async connection => {
        await connection.request()
        await connection.write('HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npart')
        await sleep(900)
        await connection.write('rest')
      },
      { handshakeTimeout: 800 },
    )
    assert.equal((await setup.get('/')).body, 'partrest')
  })

  test('ends an idle tunnel after idleTimeout, with FIN to both ends and no further byte', async t => {
    const setup = await setUp(t, record(), { idleTimeout: 100 })
    const { client, connection } = await setup.open()
    assert.equal((await client.readAll()).length, 0)
    assert.equal((await connection.readAll()).length, 0)
    client.end()
    connection.end()
    assert.equal((await setup.gateway.end()).reason, 'idle')
  })

  for (const from of ['client', 'backend'] as const) {
    test(`restarts idleTimeout with every byte of the ${from}`, async t => {
      const setup = await setUp(t, record(), { idleTimeout: 1_000 })
      const { client, connection } = await setup.open()
      for (let i = 0; i < 5; i++) {
        await sleep(240)
        if (from === 'client') client.send('.')
        else await connection.write('.')
      }
      assert.deepEqual(setup.gateway.ends, [])
      assert.equal((await setup.gateway.end()).reason, 'idle')
      assert.equal((await (from === 'client' ? connection : client).readAll()).toString(), '.....')
    })
  }

  test('ends a tunnel as idle if its receiver has stopped reading, however much is sent', async t => {
    const setup = await setUp(t, switching({ after: connection => void connection.release() }), { idleTimeout: 200 })
    const { client, connection } = await setup.open()
    const chunk = Buffer.alloc(65_536)
    const offer = (error?: unknown): unknown => error ?? client.socket.write(chunk, offer)
    for (let i = 0; i < 16; i++) offer()
    assert.equal((await setup.gateway.end()).reason, 'idle')
    connection.socket.resume()
  })

  test('sets no limit to the idle time of a tunnel by default', async t => {
    const setup = await setUp(
      t,
      echo(),
      {},
      {
        serverOptions: {
          keepAliveTimeout: 50,
          requestTimeout: 100,
          headersTimeout: 50,
          connectionsCheckingInterval: 20,
        },
      },
    )
    const client = await setup.tunnel('/')
    await sleep(300)
    assert.equal((await client.send('hello').readExact(5)).toString(), 'hello')
  })

  for (const first of ['client', 'backend'] as const) {
    test(`ends a tunnel that is silent for halfOpenTimeout after the FIN of the ${first}`, async t => {
      const setup = await setUp(t, record(), { halfOpenTimeout: 1_000 })
      const { client, connection } = await setup.open()
      const [gone, stays] = first === 'client' ? [client, connection] : [connection, client]
      gone.end()
      await stays.readAll()
      for (let i = 0; i < 5; i++) {
        await sleep(240)
        stays.socket.write('.')
      }
      assert.deepEqual(setup.gateway.ends, [])
      assert.equal((await gone.readAll()).toString(), '.....')
      stays.end()
      assert.equal((await setup.gateway.end()).reason, 'half-open')
    })
  }

  test('ends a tunnel after maxLifetime, busy or not', async t => {
    const setup = await setUp(t, echo(), { maxLifetime: 200 })
    const { client } = await setup.open()
    for (let i = 0; i < 100 && !client.ended; i++) {
      client.send('.')
      await sleep(20)
    }
    assert.equal((await setup.gateway.end()).reason, 'lifetime')
  })

  test('503s an upgrade past maxTunnels of its route, handshakes counted, until one ends', async t => {
    let release = (): void => {}
    const held = new Promise<void>(resolve => {
      release = resolve
    })
    const setup = await setUp(
      t,
      async (connection, backend) => {
        await held
        return echo()(connection, backend)
      },
      ({ address }) => ({
        routes: [
          { path: '/one', target: `ws://${address}/`, maxTunnels: 1 },
          { path: '/free', target: `ws://${address}/` },
        ],
      }),
    )
    const first = await setup.upgrade('/one')
    await setup.backend.connection()
    assertFailure(setup.gateway, await setup.refused('/one'), 503, 'WST_ERR_TUNNEL_LIMIT')
    release()
    assert.equal((await first.responseHead()).statusCode, 101)
    assert.equal((await setup.refused('/one')).statusCode, 503)
    await setup.tunnel('/free')
    first.end()
    await first.readAll()
    await eventually(() => setup.gateway.ends.length === 1)
    await setup.tunnel('/one')
  })

  test('counts neither failures nor plain requests as tunnels', async t => {
    const setup = await setUp(t, responding({ statusCode: 403 }), { maxTunnels: 1 })
    for (let i = 0; i < 3; i++) assert.equal((await setup.refused('/')).statusCode, 403)
    for (let i = 0; i < 3; i++) assert.equal((await setup.get('/')).statusCode, 403)
    const gone = await setup.upgrade('/')
    gone.reset()
    await gone.closed
    setup.backend.play(echo())
    await eventually(async () => {
      await (await setup.tunnel('/')).send('x').readExact(1)
    })
  })

  test('503s an upgrade and a plain request past maxWaiting of their balancer, and serves the others in their order', async t => {
    const setup = await setUp(t, echo(), ({ address }) => ({
      target: 'balancer://b/',
      balancers: {
        b: {
          timeout: 60_000,
          maxWaiting: 2,
          members: [{ url: `ws://${address}` }],
          lbMethod: ([first]) => (open ? first : undefined),
        },
      },
    }))
    let open = false
    const first = await setup.upgrade('/first')
    const second = await setup.upgrade('/second')
    await eventually(async () => assertUnavailable(await setup.refused('/'), 'WST_ERR_WAITING_LIMIT'))
    assertUnavailable(await setup.get('/'), 'WST_ERR_WAITING_LIMIT')
    open = true
    for (const client of [first, second]) assert.equal((await client.responseHead()).statusCode, 101)
    assert.deepEqual(
      setup.backend.seen.map(({ path }) => path),
      ['/first', '/second'],
    )
  })

  test('uses the options beside routes as the defaults of each route', async t => {
    const setup = await setUp(
      t,
      record(),
      ({ address }) => ({
        upgrade: 'foo',
        idleTimeout: 100,
        routes: [
          { path: '/own', target: `ws://${address}/`, upgrade: 'bar', idleTimeout: 0 },
          { path: '/', target: `ws://${address}/` },
        ],
      }),
      { mount: '/live' },
    )
    const own = await setup.tunnel('/live/own', { token: 'bar' })
    const idle = await setup.tunnel('/live/x', { token: 'foo' })
    await idle.readAll()
    idle.end()
    ;(await setup.backend.connection(1)).end()
    assert.equal((await setup.gateway.end()).reason, 'idle')
    own.send('still there')
    assert.equal((await (await setup.backend.connection(0)).readExact(11)).toString(), 'still there')
  })

  for (const host of ['127.0.0.1', 'localhost', '[::ffff:127.0.0.1]']) {
    test(`508s a request that comes back from ${host} again and again, with few rounds`, async t => {
      let rounds = 0
      const setup = await setUp(t, echo(), () => ({
        target: req => {
          rounds++
          return `ws://${host}:${req.socket.localPort}/`
        },
      }))
      for (const send of [
        () => setup.refused('/'),
        () => setup.get('/'),
        () => setup.get('/', { headers: ['Max-Forwards: 1000000'] }),
        () => setup.get('/', { method: 'POST', body: 'a body' }),
      ]) {
        const response = await send()
        assert.equal(`${response.statusCode} ${response.body}`, '508 {"code":"WST_ERR_LOOP"}')
        assert.ok(rounds > 1 && rounds < 15, `${rounds} rounds`)
        rounds = 0
      }
      assert.deepEqual([...new Set(setup.gateway.errors.map(({ code }) => code))], ['WST_ERR_LOOP'])
    })
  }

  test('lets a request come back that another route sends on, and counts no request that goes to its backend at once', async t => {
    const setup = await setUp(t, responding({ body: ({ raw }) => raw }), ({ address }) => ({
      routes: [
        { path: '/new', target: `ws://${address}/` },
        { path: '/old', target: req => `ws://127.0.0.1:${req.socket.localPort}/new` },
      ],
    }))
    const direct = await setup.get('/new')
    const again = await setup.get('/old')
    assert.equal(again.statusCode, 200)
    assert.doesNotMatch(direct.body, /max-forwards/i)
    assert.match(again.body, /max-forwards: 9/i)
  })
}
