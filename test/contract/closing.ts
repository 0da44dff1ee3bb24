import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'
import { echo, record, responding, switching } from '../support/backend.ts'
import { upgradeRequest } from '../support/client.ts'
import { eventually } from '../support/gate.ts'
import { assertFailure, connectClient } from '../support/harness.ts'
import type { Theme } from './theme.ts'

/** How tunnels end that the proxy ends: after a time, at a deadline, and when it closes. */
export const closingTheme: Theme = setUp => {
  test('ends tunnels up to the jitter before maxLifetime, each at another time', async t => {
    const options = { maxLifetime: { ms: 1_000, jitter: 900 } }
    const { open, gateway } = await setUp(t, record(), options, { finAfterFin: true })
    await Promise.all(Array.from({ length: 12 }, () => open()))
    await eventually(() => assert.equal(gateway.ends.length, 12))
    const durations = gateway.ends.map(({ end }) => end.duration).sort((a, b) => a - b)
    assert.deepEqual([...new Set(gateway.ends.map(({ end }) => end.reason))], ['lifetime'])
    const [least = 0, most = 0] = [durations[0], durations.at(-1)]
    assert.ok(least > 90 && most < 2_000 && most - least > 150, durations.map(Math.round).join())
  })

  test('ends a tunnel at its deadline, which is a time from now or a date, and sooner than maxLifetime', async t => {
    const deadlines = [150, new Date(Date.now() + 300), undefined, -1, new Date(0)]
    const options = { maxLifetime: 5_000, deadline: () => deadlines[next++] }
    let next = 0
    const { open, gateway } = await setUp(t, record(), options, { finAfterFin: true })
    for (const _ of deadlines) await open()
    await eventually(() => assert.equal(gateway.ends.length, 4))
    assert.deepEqual([...new Set(gateway.ends.map(({ end }) => end.reason))], ['deadline'])
    assert.ok((gateway.ends.find(({ tunnel }) => tunnel === gateway.opened[0])?.end.duration ?? 0) > 140)
    assert.equal(gateway.tunnels.size, 1)
  })

  test('500s an upgrade whose deadline fails or is no time', async t => {
    const results = [
      () => {
        throw new Error('no token')
      },
      () => 'soon',
      () => new Date(Number.NaN),
    ]
    for (const deadline of results) {
      const setup = await setUp(t, echo(), { deadline: deadline as never })
      assertFailure(setup.gateway, await setup.refused('/'), 500, 'WST_ERR_CALLBACK')
    }
  })

  test('429s an upgrade past maxTunnelsPerKey of its key, until one of its tunnels ends', async t => {
    const key = (req: { headers: Record<string, unknown> }) => req.headers['x-user'] as string | undefined
    const setup = await setUp(t, record(), { maxTunnels: 10, maxTunnelsPerKey: { limit: 2, key: key as never } })
    const as = (user?: string) => (user === undefined ? {} : { headers: { 'X-User': user } })
    const first = await setup.tunnel('/', as('ann'))
    await setup.tunnel('/', as('ann'))
    const refused = await setup.refused('/', as('ann'))
    assert.equal(`${refused.statusCode} ${refused.body}`, '429 {"code":"WST_ERR_TUNNEL_LIMIT"}')
    await setup.tunnel('/', as('bob'))
    for (let i = 0; i < 4; i++) await setup.tunnel('/', as())
    first.reset()
    await eventually(() => setup.tunnel('/', as('ann')))
    assert.equal((await setup.refused('/', as('ann'))).statusCode, 429)
  })

  test('500s an upgrade whose key fails or is no string', async t => {
    const keys = [
      () => {
        throw new Error('no user')
      },
      () => 7,
    ]
    for (const key of keys) {
      const setup = await setUp(t, echo(), { maxTunnelsPerKey: { limit: 1, key: key as never } })
      assertFailure(setup.gateway, await setup.refused('/'), 500, 'WST_ERR_CALLBACK')
    }
  })

  test('ends the open tunnels one after another in drainSpread, the oldest first', async t => {
    const { open, gateway } = await setUp(
      t,
      record(),
      { drainTimeout: 1_500, drainSpread: 1_400 },
      { finAfterFin: true },
    )
    for (let i = 0; i < 8; i++) await open()
    const begin = performance.now()
    const times: number[] = []
    for (const tunnel of gateway.opened) void tunnel.ended.then(() => times.push(performance.now() - begin))
    await gateway.closeProxy()
    assert.equal(gateway.ends[0]?.tunnel, gateway.opened[0])
    assert.equal(gateway.ends.at(-1)?.tunnel, gateway.opened.at(-1))
    assert.deepEqual([...new Set(gateway.ends.map(({ end }) => end.reason))], ['shutdown'])
    // A busy machine may delay some of them, but never brings them all together.
    assert.ok((times[0] ?? 0) > 90 && (times.at(-1) ?? 0) - (times[0] ?? 0) > 600, times.map(Math.round).join())
  })

  test('sends a Close frame where a frame has ended, and none elsewhere', async t => {
    const text = Buffer.concat([Buffer.from([0x81, 5]), Buffer.from('hello')])
    const masked = Buffer.from([0x81, 0x82, 1, 2, 3, 4, 0x69, 0x6b])
    const cases: [what: string, down: Buffer, up: Buffer, toClient: RegExp, toBackend: RegExp][] = [
      ['nothing sent', Buffer.alloc(0), Buffer.alloc(0), /^880203e9$/, /^8882.{12}$/],
      ['whole frames', text, masked, /^810568656c6c6f880203e9$/, /^818201020304696b8882.{12}$/],
      ['half a frame down', text.subarray(0, 4), masked, /^81056865$/, /8882.{12}$/],
      ['half a header up', text, masked.subarray(0, 3), /880203e9$/, /^818201$/],
      ['closed already', Buffer.from('880203e8', 'hex'), masked, /^880203e8$/, /8882.{12}$/],
    ]
    for (const [what, down, up, toClient, toBackend] of cases) {
      const setup = await setUp(t, record(), { closeFrame: true })
      const { client, connection } = await setup.open()
      client.send(up)
      await connection.write(down)
      const [tunnel] = setup.gateway.opened
      await eventually(() =>
        assert.equal((tunnel?.bytesFromClient ?? 0) + (tunnel?.bytesFromBackend ?? 0), up.length + down.length),
      )
      void tunnel?.close()
      assert.match((await client.readAll()).toString('hex'), toClient, what)
      assert.match((await connection.readAll()).toString('hex'), toBackend, what)
    }
  })

  test('sends no Close frame without the option, to another protocol, or if the peers end the tunnel', async t => {
    const settings: [options: object, request: object, ends: boolean][] = [
      [{}, {}, false],
      [{ closeFrame: true, upgrade: 'chat' }, { token: 'chat' }, false],
      [{ closeFrame: true }, {}, true],
    ]
    for (const [options, request, byPeers] of settings) {
      const { tunnel, gateway, backend } = await setUp(t, switching(request), options)
      const client = await tunnel('/', request)
      const connection = await backend.connection()
      if (byPeers) {
        client.end()
        connection.end()
      } else void gateway.opened[0]?.close()
      assert.equal((await client.readAll()).length + (await connection.readAll()).length, 0)
    }
  })

  test('the `ws` package sees the code 1001 at both ends', async t => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const codes: number[] = []
    const sockets = new WebSocketServer({ server, perMessageDeflate: true })
    sockets.on('connection', ws => {
      ws.on('close', code => codes.push(code))
      ws.on('message', data => ws.send(data))
    })
    t.after(() => server.close())
    const { port } = server.address() as AddressInfo
    const options = { target: `ws://127.0.0.1:${port}/`, closeFrame: true, maxLifetime: 500 }
    const { gateway } = await setUp(t, record(), () => options)
    const client = new WebSocket(`ws://127.0.0.1:${gateway.port}/`)
    client.on('close', code => codes.push(code))
    client.on('open', () => client.send('x'.repeat(70_000)))
    await once(client, 'message')
    await eventually(() => assert.deepEqual(codes, [1001, 1001]))
  })

  test('close() uses the options for what is undefined', async t => {
    const setup = await setUp(t, echo(), { drainTimeout: 60_000 })
    const client = await setup.tunnel('/')
    const closed = setup.gateway.closeProxy({ drainTimeout: undefined } as object)
    assert.equal(String(await client.send('before').readExact(6)), 'before')
    await new Promise(resolve => setTimeout(resolve, 50))
    assert.equal(String(await client.send('after').readExact(5)), 'after')
    client.end()
    await closed
  })

  test('takes requests for noticeTime after `ready` is false, then 503s them with Retry-After', async t => {
    const setup = await setUp(t, responding({ body: 'page' }), {
      noticeTime: 400,
      retryAfter: 1_500,
      drainTimeout: 60_000,
    })
    const waiting = await connectClient(t, setup.gateway)
    const [proxy] = setup.gateway.proxies()
    assert.equal(proxy?.ready, true)
    const kept = await setup.connect()
    kept.send('GET /own HTTP/1.1\r\nHost: a\r\n\r\n')
    await kept.whole()
    // Fastify refuses requests by itself while it closes.
    if (setup.gateway.framework === 'Fastify 5') return
    const closed = setup.gateway.closeProxy()
    assert.equal(proxy.ready, false)
    assert.equal((await setup.get('/')).body, 'page')
    await new Promise(resolve => setTimeout(resolve, 450))
    const response = await waiting.send(upgradeRequest('/')).whole()
    assert.equal(`${response.statusCode} ${response.header('retry-after')}`, '503 2')
    await closed
  })
}
