import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { describe, type TestContext, test } from 'node:test'
import { echoStream, startHttp2Backend } from '../http2/http2-backend.ts'
import { type Backend, type BackendConnection, echo, record } from '../support/backend.ts'
import type { RawClient } from '../support/client.ts'
import { eventually } from '../support/gate.ts'
import { FRAMEWORKS, type ProcessSettings } from '../support/handover/process.ts'
import { Succession } from '../support/handover/processes.ts'
import { connectTunnel, sendFinAfterFin, sendRequest, startBackend } from '../support/harness.ts'
import { async, native } from '../support/pump.ts'
import { ca } from '../support/tls.ts'

/** Takes the upgrade and leaves the connection to the test. */
const upgrade = record()

/** A backend, and a series of gateways to it. */
async function start(
  t: TestContext,
  script = echo(),
  settings: Partial<ProcessSettings> = {},
): Promise<{ backend: Backend; gateways: Succession }> {
  const backend = await startBackend(t, script)
  const options = { target: backend.url, async, ...settings.options }
  const gateways = await Succession.create(t, { framework: 'node:http', ...settings, options } as never)
  return { backend, gateways }
}

/** Sends the text and reads it back from an echoing backend. */
async function echoes(client: RawClient, text: string): Promise<void> {
  client.send(text)
  assert.equal(String(await client.readExact(text.length)), text)
}

/** A tunnel through the gateway, with the backend's end of it. */
async function open(
  t: TestContext,
  backend: Backend,
  port: number,
  path = '/',
): Promise<{ client: RawClient; connection: BackendConnection }> {
  const n = backend.connections.length
  const client = await connectTunnel(t, port, path)
  return { client, connection: await backend.connection(n) }
}

for (const framework of Object.keys(FRAMEWORKS) as (keyof typeof FRAMEWORKS)[]) {
  test(`${framework}: open tunnels and the listener move to the next process`, native, async t => {
    const { gateways } = await start(t, echo(), { framework })
    const first = await gateways.next()
    const port = await first.port()
    const clients = await Promise.all(Array.from({ length: 40 }, () => connectTunnel(t, port, '/a?b')))
    await Promise.all(clients.map((client, i) => echoes(client, `first ${i}`)))

    const second = await gateways.next()
    const { report } = await first.report('handed over')
    assert.deepEqual(report, { moved: 40, stayed: { tls: 0, http2: 0, busy: 0, ending: 0 } })
    assert.equal(await first.exited, 0)
    assert.equal(first.reports.filter(({ kind }) => kind === 'closed').length, 0)
    await Promise.all(clients.map((client, i) => echoes(client, `second ${i}`)))
    const own = await connectTunnel(t, port, '/')
    await echoes(own, 'own')

    const { tunnels, open } = await second.view()
    assert.equal(tunnels.length, 41)
    assert.deepEqual(open, [41])
    const [moved] = tunnels
    assert.deepEqual([moved?.info.url, moved?.handovers, moved?.offloaded], ['/a?b', 1, true])
    for (const client of clients) client.end()
    const { end } = await second.report('closed', 40)
    assert.equal(end.reason, 'finished')
    assert.equal(end.bytesFromClient, 'first 0second 0'.length + (end.bytesFromClient > 15 ? 2 : 0))
    assert.deepEqual((await second.view()).open, [1])
  })
}

test('an upgrade that waits for its backend moves when it has opened', native, async t => {
  const { promise: go, resolve } = Promise.withResolvers<void>()
  const { gateways } = await start(t, async (connection, backend) => {
    await go
    await echo()(connection, backend)
  })
  const first = await gateways.next()
  const port = await first.port()
  const waiting = connectTunnel(t, port)
  await eventually(async () => (await first.view()).open[0] === 1)
  const second = gateways.start({ at: { port } })
  await eventually(() => first.hasMade('stopped'))
  resolve()
  const client = await waiting
  await echoes(client, 'late')
  await second.report('listening')
  assert.equal((await first.report('handed over')).report.moved, 1)
  await echoes(client, 'later')
  assert.equal((await second.view()).tunnels.length, 1)
})

describe('a tunnel that moves keeps', native, () => {
  test('the bytes that wait in both directions, in their order', async t => {
    const { backend, gateways } = await start(t, upgrade)
    const options = { target: backend.url, async: true }
    const first = await gateways.next({ options })
    const { client, connection } = await open(t, backend, await first.port())
    client.socket.pause()
    connection.socket.pause()
    const bytes = (seed: number): Buffer =>
      Buffer.from(Uint8Array.from({ length: 12_000_000 }, (_, i) => i * seed + (i >> 9)))
    const [up, down] = [bytes(7), bytes(13)]
    client.send(up)
    void connection.write(down)
    // The sockets and the pipes between them are full when no more bytes are taken.
    let taken = -1
    await eventually(async () => {
      const [tunnel] = (await first.view()).tunnels
      const now = (tunnel?.bytesFromClient ?? 0) + (tunnel?.bytesFromBackend ?? 0)
      const isFull = now === taken && now > 0
      taken = now
      return isFull
    })

    await gateways.next({ options })
    assert.equal((await first.report('handed over')).report.moved, 1)
    client.socket.resume()
    connection.socket.resume()
    assert.ok((await client.readExact(down.length)).equals(down))
    assert.ok((await connection.readExact(up.length)).equals(up))
  })

  for (const side of ['client', 'backend'] as const) {
    test(`the state after the FIN of the ${side}`, async t => {
      const { backend, gateways } = await start(t, upgrade)
      const options = { target: backend.url, async: true }
      const first = await gateways.next({ options })
      const { client, connection } = await open(t, backend, await first.port())
      const [near, far] = side === 'client' ? [client, connection] : [connection, client]
      near.end('last')
      assert.equal(String(await far.readAll()), 'last')
      const second = await gateways.next({ options })
      assert.equal((await first.report('handed over')).report.moved, 1)
      far.end('reply')
      assert.equal(String(await near.readAll()), 'reply')
      const { end } = await second.report('closed')
      assert.deepEqual([end.reason, end.bytesFromClient + end.bytesFromBackend], ['finished', 9])
    })
  }

  test('its age and its idle time, so that its limits go on', async t => {
    const { backend, gateways } = await start(t)
    const options = { target: backend.url, async, idleTimeout: 1_500 }
    const first = await gateways.next({ options })
    const client = await connectTunnel(t, await first.port())
    await echoes(client, 'x')
    sendFinAfterFin(client)
    const opened = performance.now()
    await eventually(async () => ((await first.view()).tunnels[0]?.idle ?? 0) > 600)
    const second = await gateways.next({ options })
    await client.readAll()
    const passed = performance.now() - opened
    const { end } = await second.report('closed')
    assert.equal(end.reason, 'idle')
    assert.ok(passed > 1_400 && passed < 2_600, `${passed}`)
    assert.ok(Math.abs(end.duration - passed) < 500, `${end.duration} ${passed}`)
  })

  test('its member, whose state and counters move too', async t => {
    const { backend, gateways } = await start(t)
    const members = [{ url: backend.url }, { url: 'ws://127.0.0.1:1/', retry: 60_000 }]
    const options = { target: 'balancer://b/', async, balancers: { b: { members, lbMethod: 'byrequests' as const } } }
    const first = await gateways.next({ options })
    const port = await first.port()
    const clients = [await connectTunnel(t, port), await connectTunnel(t, port), await connectTunnel(t, port)]
    const before = (await first.view()).members
    assert.deepEqual([before[1]?.status, before[1]?.failures], ['E', 1])
    const second = await gateways.next({ options })
    await first.report('handed over')
    const [good, bad] = (await second.view()).members
    assert.deepEqual([good?.busy, good?.tunnels, good?.selected], [3, 3, before[0]?.selected])
    assert.deepEqual([bad?.status, bad?.failures], ['E', 1])
    for (const client of clients) client.end()
    await second.report('closed', 3)
    assert.equal((await second.view()).members[0]?.busy, 0)
  })
})

test('a tunnel over TLS stays until it ends, and is counted; the listener moves', native, async t => {
  const { gateways } = await start(t, echo(), { tls: true })
  const first = await gateways.next()
  const port = await first.port()
  const wire = { tls: { ca, servername: 'localhost' } }
  const old = await connectTunnel(t, port, '/', {}, wire)
  const second = await gateways.next()
  await eventually(() => first.hasMade('done'))
  await echoes(old, 'still here')
  await echoes(await connectTunnel(t, port, '/', {}, wire), 'new')
  assert.equal((await second.view()).tunnels.length, 1)
  old.end()
  assert.deepEqual((await first.report('handed over')).report, {
    moved: 0,
    stayed: { tls: 1, http2: 0, busy: 0, ending: 0 },
  })
  assert.equal(await first.exited, 0)
})

test('a tunnel to a backend of HTTP/2 stays and ends where it is, and the listener moves', native, async t => {
  const backend = await startHttp2Backend(t, arrived => echoStream(arrived))
  const { gateways } = await start(t, echo(), { options: { target: `h2c://127.0.0.1:${backend.port}`, async } })
  const first = await gateways.next()
  const old = await connectTunnel(t, await first.port())
  await echoes(old, 'before')
  const second = await gateways.next()
  const own = await connectTunnel(t, await second.port())
  await echoes(own, 'new')
  await echoes(old, 'after')
  assert.equal(first.reports.filter(({ kind }) => kind === 'handed over').length, 0)
  old.end()
  assert.equal(String(await old.readAll()), '')
  assert.deepEqual((await first.report('handed over')).report, {
    moved: 0,
    stayed: { tls: 0, http2: 1, busy: 0, ending: 0 },
  })
  assert.equal(await first.exited, 0)
  assert.equal(backend.sessions.length, 2)
})

test('a listener at a unix socket moves, and keeps its name', native, async t => {
  const { gateways } = await start(t)
  const at = { path: `${gateways.path}.http` }
  const first = await gateways.next({ at })
  const old = await connectTunnel(t, 0, '/', {}, at)
  await gateways.next({ at })
  await first.report('handed over')
  assert.equal(await first.exited, 0)
  await echoes(old, 'old')
  await echoes(await connectTunnel(t, 0, '/', {}, at), 'new')
})

test(
  'plain requests are served in every moment, and the socket of the hand-over is for its user alone',
  native,
  async t => {
    const { backend, gateways } = await start(t, async connection => {
      for (;;) {
        await connection.request()
        await connection.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      }
    })
    void backend
    const first = await gateways.next()
    const port = await first.port()
    let stop = false
    let served = 0
    const requests = Array.from({ length: 4 }, async () => {
      while (!stop) {
        const client = await sendRequest(t, port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
        assert.equal((await client.whole()).statusCode, 200)
        served++
      }
    })
    for (let i = 0; i < 3; i++) {
      const before = served
      await gateways.next()
      await eventually(() => served > before + 10)
    }
    stop = true
    await Promise.all(requests)
    assert.equal(statSync(gateways.path).mode & 0o777, 0o600)
    t.diagnostic(`${served} requests`)
  },
)
