import assert from 'node:assert/strict'
import { connect, createServer, type Socket } from 'node:net'
import { suite, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { echo, record, responding, type Script, silent, switchingHead } from '../../support/backend.ts'
import { plainRequest, upgradeRequest } from '../../support/client.ts'
import { eventually, within } from '../../support/gate.ts'
import { connectClient, connectTunnel, sendFinAfterFin, startBackend } from '../../support/harness.ts'
import { closeAfter, listen } from '../../support/server.ts'
import { KINDS, startChildGateway as startGateway } from '../../support/standstill.ts'
import * as certificates from '../../support/tls.ts'

/** The limit under test, ms. */
const LIMIT = 1_000
/** ms between the start of the chatter and the standstill, so that the latter does not begin with a byte of each tunnel. */
const BETWEEN = 325

/** Writes a byte every 50 ms. @returns a function that stops that. */
function chatter(t: TestContext, sockets: readonly Pick<Socket, 'write'>[]): () => void {
  const timer = setInterval(() => {
    for (const socket of sockets) socket.write('.')
  }, 50)
  t.after(() => clearInterval(timer))
  return () => clearInterval(timer)
}

/** More than the buffers between the two ends of a tunnel hold, in bytes. */
const TOO_MUCH = 16 * 1024 * 1024

/** Responds with a 101 when told. */
function switchLater(): { script: Script; asked: () => boolean; respond: () => void } {
  let respond: (() => void) | undefined
  return {
    script: async connection => {
      const head = switchingHead(await connection.request())
      await new Promise<void>(resolve => {
        respond = resolve
      })
      await connection.write(head)
    },
    asked: () => respond !== undefined,
    respond: () => respond?.(),
  }
}

for (const kind of KINDS) {
  // The tests mostly wait.
  suite(kind, { concurrency: 3 }, () => {
    test(`ends no busy tunnel as idle after it was ${kind}, and the silent ones later`, async t => {
      const backend = await startBackend(t, record())
      const gateway = await startGateway(t, { target: backend.url, idleTimeout: LIMIT })
      const sockets: Socket[] = []
      const quiet = chatter(t, sockets)
      const clients = Array.from({ length: 40 }, async () => {
        const client = await connectTunnel(t, gateway.port)
        sockets.push(client.socket)
        sendFinAfterFin(client)
      })
      await Promise.all(clients)
      await eventually(() => assert.equal(backend.connections.length, 40))
      sendFinAfterFin(...backend.connections)
      await sleep(BETWEEN)
      await gateway.standStill(kind)
      await sleep(LIMIT / 2)
      assert.deepEqual(gateway.ends, [])
      quiet()
      await eventually(() => assert.deepEqual(gateway.ends, Array(40).fill('idle')), 5_000)
    })

    test(`ends no tunnel as idle whose backend read on while it was ${kind}`, async t => {
      const backend = await startBackend(t, record())
      const gateway = await startGateway(t, { target: backend.url, idleTimeout: LIMIT })
      const client = await connectTunnel(t, gateway.port)
      const socket = (await backend.connection()).release().pause()
      client.send(Buffer.alloc(TOO_MUCH))
      await sleep(LIMIT / 4)
      await gateway.standStill(kind, () => socket.resume())
      await sleep(LIMIT / 4)
      assert.deepEqual(gateway.ends, [])
    })

    test(`ends no busy tunnel as half-open after it was ${kind}`, async t => {
      const backend = await startBackend(t, record())
      const gateway = await startGateway(t, { target: backend.url, halfOpenTimeout: LIMIT })
      const clients = await Promise.all(Array.from({ length: 10 }, () => connectTunnel(t, gateway.port)))
      await eventually(() => assert.equal(backend.connections.length, 10))
      for (const client of clients) client.end()
      const quiet = chatter(
        t,
        backend.connections.map(({ socket }) => socket),
      )
      await sleep(BETWEEN)
      await gateway.standStill(kind)
      await sleep(LIMIT / 2)
      assert.deepEqual(gateway.ends, [])
      quiet()
      await eventually(() => assert.deepEqual(gateway.ends, Array(10).fill('half-open')), 5_000)
    })

    test(`takes a 101 that came while it was ${kind}, past handshakeTimeout`, async t => {
      const { script, asked, respond } = switchLater()
      const backend = await startBackend(t, script)
      const gateway = await startGateway(t, { target: backend.url, handshakeTimeout: LIMIT })
      const client = (await connectClient(t, gateway.port)).send(upgradeRequest('/'))
      await eventually(asked)
      await gateway.standStill(kind, respond)
      assert.equal((await client.responseHead()).statusCode, 101)
    })

    test(`takes a plain response that came while it was ${kind}, past handshakeTimeout`, async t => {
      let respond = (): void => {}
      const backend = await startBackend(t, async (connection, from) => {
        const held = new Promise<void>(resolve => {
          respond = resolve
        })
        const { write } = connection
        connection.write = async data => {
          await held
          return write.call(connection, data)
        }
        await responding()(connection, from)
      })
      const gateway = await startGateway(t, { target: backend.url, handshakeTimeout: LIMIT })
      const client = (await connectClient(t, gateway.port)).send(plainRequest('/'))
      await backend.request()
      await gateway.standStill(kind, () => respond())
      assert.equal((await client.whole()).statusCode, 200)
    })

    test(`gives a backend time for a request that it could not send while it was ${kind}`, async t => {
      const tls = await startBackend(t, echo(), { tls: certificates.server })
      // The bytes of a connection are held until the release, so the TLS handshake is finished in the standstill at the earliest.
      const held: (() => void)[] = []
      const relay = createServer({ allowHalfOpen: true }, near => {
        const far = connect(tls.port, '127.0.0.1')
        near.pipe(far)
        far.pause()
        held.push(() => far.pipe(near))
        for (const socket of [near, far]) socket.on('error', () => {})
      })
      closeAfter(t, relay)
      const gateway = await startGateway(t, {
        target: `wss://127.0.0.1:${await listen(relay)}/`,
        tls: { rejectUnauthorized: false },
        connectTimeout: LIMIT,
        handshakeTimeout: LIMIT,
      })
      const client = (await connectClient(t, gateway.port)).send(upgradeRequest('/'))
      await eventually(() => assert.equal(held.length, 1))
      await gateway.standStill(kind, () => held[0]?.())
      assert.equal((await client.responseHead()).statusCode, 101)
    })

    test(`takes the response to a health check that came while it was ${kind}`, async t => {
      let respond: (() => void) | undefined
      const backend = await startBackend(t, async (connection, from) => {
        await connection.request()
        if (from.connections.length === 1)
          await new Promise<void>(resolve => {
            respond = resolve
          })
        await connection.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
      })
      const healthCheck = { method: 'GET11', interval: 1_000, timeout: LIMIT } as const
      const gateway = await startGateway(t, {
        routes: [{ path: '/', target: 'balancer://b/' }],
        balancers: { b: { members: [{ url: backend.url, healthCheck }] } },
      })
      await eventually(() => assert.ok(respond))
      await gateway.standStill(kind, respond)
      await eventually(() => assert.ok(gateway.checks.length > 0))
      assert.deepEqual(gateway.checks[0], { ok: true, detail: 'status 200' })
    })

    for (const [what, worker, balancer] of [
      ['a slot of the backend', { acquireTimeout: LIMIT }, {}],
      ['a member of the balancer', {}, { timeout: LIMIT, maxAttempts: 1 }],
    ] as const) {
      test(`gives ${what} that became free while it was ${kind} to a request that waits for it`, async t => {
        const backend = await startBackend(t, echo())
        const gateway = await startGateway(t, {
          routes: [{ path: '/', target: 'balancer://b/' }],
          balancers: { b: { members: [{ url: backend.url, maxTunnels: 1, ...worker }], ...balancer } },
        })
        const holder = await connectTunnel(t, gateway.port)
        const waiting = (await connectClient(t, gateway.port)).send(upgradeRequest('/'))
        await sleep(LIMIT / 3)
        await gateway.standStill(kind, () => holder.end())
        assert.equal((await waiting.responseHead()).statusCode, 101)
      })
    }
  })
}

test('still applies its limits after a standstill to a backend that stays silent', async t => {
  const backend = await startBackend(t, silent())
  const gateway = await startGateway(t, { target: backend.url, handshakeTimeout: LIMIT })
  const client = (await connectClient(t, gateway.port)).send(upgradeRequest('/'))
  await backend.request()
  await gateway.standStill('stopped by SIGSTOP')
  const continued = performance.now()
  assert.equal((await within(5_000, 'a response', client.responseHead())).statusCode, 504)
  assert.ok(performance.now() - continued < 2 * LIMIT)
})
