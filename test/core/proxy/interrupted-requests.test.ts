import assert from 'node:assert/strict'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { test } from 'node:test'
import { createTunnelProxy, type WsTunnelError } from '@ws-tunnel/core'
import { echo, responding, silent } from '../../support/backend.ts'
import { plainRequest, upgradeRequest } from '../../support/client.ts'
import { eventually, within } from '../../support/gate.ts'
import { assertFailure, connectTunnel, sendRequest, setUp, startBackend, startGateway } from '../../support/harness.ts'
import { startServer } from '../../support/server.ts'

test('refuses an upgrade without a free slot while its target function runs, and ignores a later failure of it', async t => {
  const backend = await startBackend(t, echo())
  const running = Promise.withResolvers<string>()
  let calls = 0
  const gateway = await startGateway(t, {
    maxTunnels: 1,
    target: () => (calls++ === 0 ? `ws://${backend.address}/` : running.promise),
  })
  await connectTunnel(t, gateway)
  const client = await sendRequest(t, gateway, upgradeRequest('/'))
  assertFailure(gateway, await client.whole(), 503, 'WST_ERR_TUNNEL_LIMIT')
  // An unhandled rejection fails the test.
  running.reject(new Error('too late'))
  await new Promise(resolve => setImmediate(resolve))
})

test('serves the next request of a connection after a body that was read in part', async t => {
  const readPart = (listener: RequestListener) => (req: IncomingMessage, res: ServerResponse) => {
    if (req.method !== 'POST') return listener(req, res)
    req.once('readable', () => {
      req.read(1)
      listener(req, res)
    })
  }
  const { connect, gateway } = await setUp(
    t,
    responding(),
    {},
    {
      prepare: server => {
        const [listener] = server.listeners('request') as [RequestListener]
        server.off('request', listener).on('request', readPart(listener))
      },
    },
  )
  const client = await connect()
  client.send(plainRequest('/', { method: 'POST', body: 'x'.repeat(1_000_000) }))
  assertFailure(gateway, await client.whole(), 500, 'WST_ERR_BODY_CONSUMED')
  assert.equal((await client.send(plainRequest('/')).whole()).statusCode, 200)
})

/** When other middleware responds: before the proxy gets the request, or at a later time. */
const TIMES: [when: string, schedule: (respond: () => void, handle: () => void) => void][] = [
  [
    'before the proxy gets it',
    (respond, handle) => {
      respond()
      handle()
    },
  ],
  [
    'right after that',
    (respond, handle) => {
      handle()
      respond()
    },
  ],
  [
    'before the backend has it',
    (respond, handle) => {
      handle()
      setImmediate(respond)
    },
  ],
  [
    'while the backend is silent',
    (respond, handle) => {
      handle()
      setTimeout(respond, 50)
    },
  ],
]

for (const method of ['GET', 'POST']) {
  for (const [when, schedule] of TIMES) {
    test(`ends a ${method} that other middleware responds to ${when}`, async t => {
      const backend = await startBackend(t, silent())
      const proxy = createTunnelProxy({ target: backend.url })
      const settled = Promise.withResolvers<unknown>()
      const { port } = await startServer(t, (req, res) => {
        const handle = (): void => void proxy.handle(req, res).then(settled.resolve, settled.resolve)
        schedule(() => res.end('own'), handle)
      })
      const client = await sendRequest(t, port, plainRequest('/', { method, body: method === 'GET' ? '' : 'x' }))
      assert.equal((await client.whole()).body, 'own')
      const outcome = await within(1_000, 'the end of the exchange', settled.promise)
      assert.ok(outcome === true || (outcome as WsTunnelError).code === 'WST_ERR_CLIENT_GONE', String(outcome))
      await eventually(() => backend.connections.every(({ ended, socket }) => ended || socket.destroyed))
      await within(1_000, 'close()', proxy.close({ drainTimeout: 60_000 }))
    })
  }
}
