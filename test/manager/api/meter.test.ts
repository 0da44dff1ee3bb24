import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Meter } from '../../../packages/manager/src/api/meter.ts'
import { openTunnel } from '../../support/client.ts'
import { closedPort, eventually } from '../../support/gate.ts'
import { startManaged } from '../harness.ts'

test('counts what opened, ended and failed, and bytes of ended and open tunnels, until it stops', async t => {
  const nowhere = `ws://127.0.0.1:${await closedPort()}/`
  const managed = await startManaged(t, { unsafeOpen: true }, backend => ({
    routes: [
      { path: '/gone', target: nowhere },
      { path: '/chat', target: `ws://${backend}/` },
    ],
  }))
  const before = await managed.tunnel('/chat')
  const meter = new Meter({ chat: managed.proxy })
  const counts = () => meter.read().get('chat')?.counts
  const traffic = (bytes: number) => ({ bytesFromClient: bytes, bytesFromBackend: bytes })
  const say = async (client: typeof before, text: string): Promise<void> => {
    client.send(text)
    await client.readExact(text.length)
  }
  await say(before, 'hello')
  assert.deepEqual(counts(), {
    opened: 0,
    ended: {},
    errors: {},
    failovers: 0,
    routes: new Map([[1, traffic(5)]]),
    ...traffic(5),
  })
  const after = await managed.tunnel('/chat')
  await say(after, 'you')
  after.end()
  await after.readAll()
  await assert.rejects(openTunnel(managed.port, '/gone'))
  await eventually(() => counts()?.ended['finished'] === 1)
  const expected = { opened: 1, ended: { finished: 1 }, errors: { WST_ERR_CONNECT: 1 }, failovers: 0 }
  assert.deepEqual(counts(), { ...expected, routes: new Map([[1, traffic(8)]]), ...traffic(8) })
  assert.notEqual(counts(), counts())
  meter.stop()
  await managed.tunnel('/chat')
  assert.equal(counts()?.opened, 1)
})
