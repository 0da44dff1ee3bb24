import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import type { WsTunnelOptions } from '@ws-tunnel/core'
import { type BackendConnection, echo, responding, silent } from '../../support/backend.ts'
import { plainRequest, type RawClient, upgradeRequest } from '../../support/client.ts'
import { startNameServer } from '../../support/dns.ts'
import { eventually, within } from '../../support/gate.ts'
import { connectClient, startBackend, startGateway } from '../../support/harness.ts'
import { async } from '../../support/pump.ts'
import type { Left } from './stopping-child.ts'

const MAX_WAIT = 10_000

const connected = (t: TestContext, port: number): Promise<RawClient> => connectClient(t, port, { allowHalfOpen: false })

test('leaves no timer, socket or listener after close(), whatever was in progress', async t => {
  const [echoing, plain, mute] = await Promise.all(
    [echo(), responding(), silent()].map(script => startBackend(t, script)),
  )
  assert.ok(echoing && plain && mute)
  const connections = (): BackendConnection[] => [echoing, plain, mute].flatMap(backend => backend.connections)
  const names = await startNameServer()
  t.after(names.close)
  names.zones.set('backends.test', { A: ['127.0.0.1'] })
  const options: WsTunnelOptions = {
    async,
    balancers: {
      echo: {
        members: [
          { url: `ws://${echoing.address}/`, healthCheck: { method: 'WEBSOCKET', interval: 100, fails: 1_000 } },
        ],
      },
      full: { members: [{ url: `ws://${echoing.address}/full`, maxTunnels: 1, acquireTimeout: 60_000 }] },
      unsure: {
        members: [
          { url: `ws://${mute.address}/check`, healthCheck: { method: 'GET', timeout: 60_000, interval: 60_000 } },
        ],
      },
      closed: { members: [{ url: `ws://${echoing.address}/`, status: 'D' }], timeout: 60_000 },
    },
    routes: [
      { path: '/echo', target: 'balancer://echo/', idleTimeout: 60_000, maxLifetime: 120_000 },
      { path: '/full', target: 'balancer://full/' },
      { path: '/wait', target: 'balancer://closed/' },
      { path: '/mute', target: `ws://${mute.address}/` },
      { path: '/no-tls', target: `wss://${mute.address}/`, connectTimeout: 60_000 },
      { path: '/plain', target: `http://${plain.address}/` },
    ],
  }
  const child = fork(new URL('stopping-child.ts', import.meta.url), [JSON.stringify(options), names.address], {
    execArgv: ['--disable-warning=ExperimentalWarning', '--disable-warning=WsTunnelWarning'],
  })
  t.after(() => {
    child.kill('SIGKILL')
  })
  const exit = once(child, 'exit')
  const [{ port, before }] = (await once(child, 'message')) as [{ port: number; before: Left }]
  const send = async (request: string): Promise<RawClient> => (await connected(t, port)).send(request)

  for (const path of ['/echo', '/echo', '/full'])
    assert.equal((await (await send(upgradeRequest(path))).responseHead()).statusCode, 101)
  for (const path of ['/mute', '/no-tls', '/wait', '/full']) await send(upgradeRequest(path))
  // Connections that clients keep alive belong to the server, not to the gateway.
  const get = (path: string): Promise<RawClient> => send(plainRequest(path, { headers: ['Connection: close'] }))
  for (const path of ['/mute', '/wait']) await get(path)
  for (const path of ['/plain', '/metrics']) await (await get(path)).whole()
  const live = await get('/manager/events')
  await live.readThrough('event: state')
  // Two upgrades, a plain request and a health check.
  await eventually(() => mute.connections.length === 4)
  await eventually(() => names.queries.length > 1)

  child.send('close')
  const [withServer] = (await once(child, 'message')) as [Left]
  assert.deepEqual(withServer, before)
  await eventually(() =>
    assert.deepEqual(
      connections().filter(({ ended, error }) => !ended && error === undefined),
      [],
    ),
  )
  child.send('close the server')
  const [last] = (await once(child, 'message')) as [Left]
  assert.deepEqual(last, { ...before, handles: {} })
  assert.deepEqual(await within(MAX_WAIT, 'the gateway to end by itself', exit), [0, null])
})

const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n'

test('close() lets plain requests that are in progress finish', async t => {
  const sent = Promise.withResolvers<BackendConnection>()
  const backend = await startBackend(t, async connection => {
    await connection.request()
    sent.resolve(connection)
  })
  const gateway = await startGateway(t, { target: `http://${backend.address}/` })
  const client = await connected(t, gateway.port)
  client.send(plainRequest('/'))
  const connection = await sent.promise
  const closing = gateway.proxy.close({ drainTimeout: MAX_WAIT })
  await connection.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone')
  assert.equal((await client.whole()).body, 'done')
  await closing
})

test('aborts plain requests without a response after drainTimeout, and responses that are not finished then', async t => {
  const backend = await startBackend(t, async connection => {
    const { path } = await connection.request()
    if (path === '/begun') await connection.write(CHUNKED)
    await connection.readAll()
    connection.end()
  })
  const gateway = await startGateway(t, { target: `http://${backend.address}/` })
  const [begun, mute] = [await connected(t, gateway.port), await connected(t, gateway.port)]
  begun.send(plainRequest('/begun'))
  await begun.readThrough('one\r\n')
  mute.send(plainRequest('/mute'))
  await backend.request(1)
  await gateway.proxy.close({ drainTimeout: 50 })
  const { statusCode, body } = await mute.whole()
  assert.deepEqual([statusCode, JSON.parse(body)], [503, { code: 'WST_ERR_CLOSING' }])
  await begun.closed
  assert.equal(begun.pending.length, 0)
  await eventually(() => backend.open === 0)
})
