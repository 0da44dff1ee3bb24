import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { test } from 'node:test'
import { ImplicitListeners } from '../../../packages/core/src/client/implicit-listeners.ts'
import { plainRequest, upgradeRequest } from '../../support/client.ts'
import { sendRequest } from '../../support/harness.ts'
import { requestOf } from '../../support/request.ts'
import { startServer } from '../../support/server.ts'

test('sends the upgrades of a server through its request listeners, from its first request until stop', async t => {
  const listeners = new ImplicitListeners(() => false)
  const { server, port } = await startServer(t, (req, res) => {
    listeners.listen(req, '', undefined, true)
    res.end(`${req.headers.upgrade}`)
  })
  for (let i = 0; i < 2; i++) await (await sendRequest(t, port, plainRequest('/'))).whole()
  assert.equal(server.listenerCount('upgrade'), 1)
  assert.equal((await (await sendRequest(t, port, upgradeRequest('/'))).whole()).body, 'websocket')
  listeners.stop()
  assert.equal(server.listenerCount('upgrade'), 0)
})

test('ignores a request that came from no server', () => {
  const req: IncomingMessage = requestOf([])
  assert.doesNotThrow(() => new ImplicitListeners(() => false).listen(req, '', undefined, true))
})

for (const originForm of [true, false]) {
  test(`gives the app the ${originForm ? 'origin' : 'same'} form of a target after the first request`, async t => {
    const listeners = new ImplicitListeners(() => false)
    const { port } = await startServer(t, (req, res) => {
      listeners.listen(req, '', undefined, originForm)
      res.end(req.url)
    })
    const seen: string[] = []
    for (let i = 0; i < 2; i++)
      seen.push((await (await sendRequest(t, port, plainRequest('http://front.example/x'))).whole()).body)
    assert.deepEqual(seen, ['http://front.example/x', originForm ? '/x' : 'http://front.example/x'])
    listeners.stop()
  })
}
