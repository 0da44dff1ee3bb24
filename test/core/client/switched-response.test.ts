import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type TestContext, test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createTunnelProxy, listenForUpgrades } from '@ws-tunnel/core'
import { echo } from '../../support/backend.ts'
import type { RawClient } from '../../support/client.ts'
import { eventually } from '../../support/gate.ts'
import { connectTunnel, startBackend } from '../../support/harness.ts'
import { async } from '../../support/pump.ts'
import { closeAfter, listen } from '../../support/server.ts'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** A tunnel through a gateway that calls `look` with the request and response when the tunnel is open. */
async function tunnelOf(
  t: TestContext,
  look: (req: IncomingMessage, res: ServerResponse) => void,
  listening: 'by the app' | 'by the proxy' = 'by the app',
): Promise<{ client: RawClient }> {
  const backend = await startBackend(t, echo())
  const proxy = createTunnelProxy({ target: `ws://${backend.address}/`, drainTimeout: 0, async })
  t.after(() => proxy.close())
  const server = createServer()
  closeAfter(t, server)
  const opened = Promise.withResolvers<void>()
  const app = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    await proxy.handle(req, res)
    setImmediate(() => {
      look(req, res)
      opened.resolve()
    })
  }
  if (listening === 'by the app') listenForUpgrades(server, app)
  else {
    server.on('request', app)
    proxy.listen(server)
  }
  const client = await connectTunnel(t, await listen(server), '/')
  await opened.promise
  return { client }
}

for (const late of ['req', 'res'] as const) {
  test(`emits close of ${late} to a listener that was added after the tunnel had opened`, async t => {
    let closed = 0
    const { client } = await tunnelOf(t, (req, res) => {
      const emitter = { req, res }[late]
      emitter.once('close', () => closed++)
    })
    collectGarbage()
    assert.equal((await client.send('still open').readExact(10)).toString(), 'still open')
    assert.equal(closed, 0)
    client.end()
    await client.closed
    await eventually(() => closed === 1)
  })
}

for (const listening of ['by the app', 'by the proxy'] as const) {
  test(`retains neither request nor response of an open tunnel whose close event has no listener (listening ${listening})`, async t => {
    const references: WeakRef<object>[] = []
    const look = (req: IncomingMessage, res: ServerResponse): void =>
      void references.push(new WeakRef(req), new WeakRef(res))
    const { client } = await tunnelOf(t, look, listening)
    await eventually(() => {
      collectGarbage()
      return references.every(reference => reference.deref() === undefined)
    })
    assert.equal(references.length, 2)
    assert.equal((await client.send('open').readExact(4)).toString(), 'open')
  })
}
