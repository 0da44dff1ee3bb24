import assert from 'node:assert/strict'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { test } from 'node:test'
import { answer, echo } from '../../support/backend.ts'
import { plainRequest, upgradeRequest } from '../../support/client.ts'
import { assertFailure, connectTunnel, sendRequest, setUp, startBackend, startGateway } from '../../support/harness.ts'

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
    answer(),
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
