import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { WsTunnelOptions } from '@ws-tunnel/core'
import { echo, record, silent } from '../../support/backend.ts'
import { connect, upgradeRequest } from '../../support/client.ts'
import { within } from '../../support/gate.ts'
import { connectClient, endsOf, type SetUp, setUp, startBackend, startGateway } from '../../support/harness.ts'
import { offer } from '../../support/traffic.ts'

for (const from of ['client', 'backend'] as const) {
  test(`restarts idleTimeout with each byte of the ${from}, and ends after it`, async t => {
    const { gateway, open } = await setUp(t, record(), { idleTimeout: 500 }, { finAfterFin: true })
    const [sender] = endsOf(await open(), from)
    for (let i = 0; i < 6; i++) {
      await sleep(110)
      sender.socket.write('.')
    }
    assert.equal(gateway.ends.length, 0)
    const end = await gateway.end()
    assert.deepEqual([end.reason, end.error], ['idle', undefined])
    assert.ok(end.duration >= 660 + 500 - 20, `ended after ${end.duration} ms`)
  })
}

test('ends an idle tunnel with FIN to both ends and no other byte', async t => {
  const { gateway, open } = await setUp(t, record(), { idleTimeout: 100 })
  const { client, connection } = await open()
  assert.equal((await client.readAll()).length + (await connection.readAll()).length, 0)
  assert.deepEqual([client.error, connection.error], [undefined, undefined])
  const { reason, duration } = await gateway.end()
  assert.equal(reason, 'idle')
  assert.ok(duration >= 90, `ended after ${duration} ms`)
})

for (const stalled of ['client', 'backend'] as const) {
  test(`counts a tunnel as idle when the ${stalled} stops reading, however many bytes are offered`, async t => {
    const { gateway, open } = await setUp(t, record(), { idleTimeout: 200 })
    const [reader, sender] = endsOf(await open(), stalled)
    reader.socket.pause()
    const socket = sender.release()
    socket.on('error', () => {})
    socket.resume()
    // The tunnel may end while bytes are still offered.
    await within(5_000, 'backpressure', offer(socket)).catch(() => {})
    assert.equal((await gateway.end()).reason, 'idle')
  })
}

for (const first of ['client', 'backend'] as const) {
  test(`ends a tunnel that is silent for halfOpenTimeout after the FIN of the ${first}, and no sooner`, async t => {
    const { gateway, open } = await setUp(t, record(), { halfOpenTimeout: 500 })
    const [gone, stays] = endsOf(await open(), first)
    gone.end()
    await stays.readAll()
    for (let i = 0; i < 5; i++) {
      await sleep(110)
      stays.socket.write('.')
    }
    assert.equal(gateway.ends.length, 0)
    assert.equal((await gone.readAll()).toString(), '.....')
    assert.equal((await gateway.end()).reason, 'half-open')
  })
}

test('ends a half-open tunnel after the shorter of idleTimeout and halfOpenTimeout', async t => {
  const shortIdle = await setUp(t, record(), { idleTimeout: 100, halfOpenTimeout: 60_000 })
  const { client } = await shortIdle.open()
  client.end()
  assert.equal((await shortIdle.gateway.end()).reason, 'idle')
  const shortHalf = await setUp(t, record(), { idleTimeout: 60_000, halfOpenTimeout: 100 })
  const { connection } = await shortHalf.open()
  connection.end()
  assert.equal((await shortHalf.gateway.end()).reason, 'half-open')
})

test('ends a tunnel after maxLifetime, even if it is busy', async t => {
  const { gateway, open } = await setUp(t, echo(), { maxLifetime: 200, idleTimeout: 60_000 }, { finAfterFin: true })
  const { client } = await open()
  while (!client.ended) {
    client.send('.')
    await sleep(10)
  }
  const { reason, duration } = await gateway.end()
  assert.equal(reason, 'lifetime')
  assert.ok(duration >= 190, `ended after ${duration} ms`)
})

test('keeps a silent tunnel open if it has no limits', async t => {
  const { gateway, open } = await setUp(t, echo(), { halfOpenTimeout: 0, connectTimeout: 50, handshakeTimeout: 50 })
  gateway.server.keepAliveTimeout = 20
  gateway.server.timeout = 50
  const { client } = await open()
  await sleep(300)
  assert.equal((await client.send('still here').readExact(10)).toString(), 'still here')
  assert.equal(gateway.ends.length, 0)
})

const unresolved: [what: string, options: Partial<WsTunnelOptions>, code: string][] = [
  [
    'a DNS lookup without a result, after connectTimeout',
    { lookup: () => {}, connectTimeout: 100 },
    'WST_ERR_CONNECT_TIMEOUT',
  ],
  [
    'such a lookup without connectTimeout, after handshakeTimeout',
    { lookup: () => {}, connectTimeout: 0, handshakeTimeout: 100 },
    'WST_ERR_CONNECT_TIMEOUT',
  ],
]

for (const [what, options, code] of unresolved) {
  test(`504s ${what}`, async t => {
    const gateway = await startGateway(t, { target: 'ws://backend.example/', ...options } as WsTunnelOptions)
    const client = await connectClient(t, gateway)
    const response = await client.send(upgradeRequest('/')).whole()
    assert.deepEqual([response.statusCode, response.body], [504, JSON.stringify({ code })])
  })
}

const silences: [what: string, scheme: string, options: Partial<WsTunnelOptions>, code: string][] = [
  ['a TLS handshake without a reply', 'wss', { connectTimeout: 100 }, 'WST_ERR_CONNECT_TIMEOUT'],
  [
    'an upgrade request without a response',
    'ws',
    { handshakeTimeout: 100, connectTimeout: 20 },
    'WST_ERR_HANDSHAKE_TIMEOUT',
  ],
]

for (const [what, scheme, options, code] of silences) {
  test(`504s ${what}, and closes the connection to the backend`, async t => {
    const backend = await startBackend(t, () => {})
    const gateway = await startGateway(t, { target: `${scheme}://${backend.address}/`, ...options } as WsTunnelOptions)
    const client = await connectClient(t, gateway)
    const response = await client.send(upgradeRequest('/')).whole()
    assert.deepEqual([response.statusCode, response.body], [504, JSON.stringify({ code })])
    await (await backend.connection()).readAll()
  })
}

test('503s past maxTunnels until a tunnel has ended, however it ends', async t => {
  const { gateway, open } = await setUp(t, record(), { maxTunnels: 2 }, { finAfterFin: true })
  const refused = async (): Promise<void> => {
    const client = await connect(gateway.port)
    client.send(upgradeRequest('/'))
    assert.equal((await client.whole()).statusCode, 503)
    client.destroy()
  }
  await open()
  const ways: ((one: Awaited<ReturnType<SetUp['open']>>) => void)[] = [
    ({ client }) => client.reset(),
    ({ connection }) => connection.reset(),
    ({ client, connection }) => {
      client.end()
      connection.end()
    },
    ({ tunnel }) => void tunnel.close(),
  ]
  for (const [n, end] of ways.entries()) {
    const one = await open()
    await refused()
    end(one)
    await gateway.end(n)
  }
  await open()
  await refused()
})

test('aborts handshakes and ends tunnels after drainTimeout, with the reason shutdown', async t => {
  const { gateway, backend, open } = await setUp(t, record(), { drainTimeout: 150 }, { finAfterFin: true })
  const { client, connection } = await open()
  backend.play(silent())
  const waiting = await connectClient(t, gateway)
  waiting.send(upgradeRequest('/'))
  await backend.request(1)
  const startedAt = performance.now()
  const closed = gateway.proxy.close()
  const late = await connectClient(t, gateway)
  late.send(upgradeRequest('/'))
  assert.equal((await late.whole()).statusCode, 503)
  client.send('still open')
  assert.equal((await connection.readExact(10)).toString(), 'still open')
  await closed
  assert.ok(performance.now() - startedAt >= 140)
  assert.equal((await waiting.whole()).statusCode, 503)
  assert.deepEqual([(await client.readAll()).length, (await connection.readAll()).length], [0, 0])
  assert.equal((await gateway.end()).reason, 'shutdown')
  assert.equal(gateway.proxy.tunnels.size, 0)
})

test('resolves close() as soon as the last tunnel has ended by itself', async t => {
  const { gateway, open } = await setUp(t, echo(), { drainTimeout: 60_000 })
  const { client } = await open()
  const closed = gateway.proxy.close()
  client.end('bye')
  assert.equal((await client.readAll()).toString(), 'bye')
  await within(2_000, 'close()', closed)
  assert.equal((await gateway.end()).reason, 'finished')
  await new Promise<void>(resolve => gateway.server.close(() => resolve()))
})

test('accepts another drainTimeout at close(), 0 for at once, and a second call', async t => {
  const { gateway, open } = await setUp(t, record(), { drainTimeout: 60_000 }, { finAfterFin: true })
  const { client } = await open()
  const first = gateway.proxy.close()
  await within(2_000, 'the hasty close()', gateway.proxy.close({ drainTimeout: 0 }))
  await within(2_000, 'the first close()', first)
  assert.equal((await client.readAll()).length, 0)
  await gateway.proxy.close()
})
