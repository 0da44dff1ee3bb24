import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { JsEngine } from '../../../packages/core/src/tunnel/js-engine.ts'
import { eventually } from '../../support/gate.ts'
import { connectedPair } from '../../support/pair.ts'
import { Reader } from '../../support/reader.ts'

interface Running {
  engine: JsEngine
  /** The peers of the two sockets of the engine. */
  client: Reader
  backend: Reader
  ends: { client: Socket; backend: Socket }
  events: string[]
}

/** An engine between two connections, started, with its events in order. */
async function running(t: TestContext, heads: { clientHead?: string; backendHead?: string } = {}): Promise<Running> {
  const [client, clientSocket] = await connectedPair(t)
  const [backend, backendSocket] = await connectedPair(t)
  const events: string[] = []
  const engine = new JsEngine(
    {
      client: clientSocket,
      clientHead: [Buffer.from(heads.clientHead ?? '')],
      backend: backendSocket,
      backendHead: [Buffer.from(heads.backendHead ?? '')],
    },
    0,
    {
      onFin: side => events.push(`FIN of the ${side}`),
      onBroken: (side, error) => events.push(`${side} broken: ${(error as NodeJS.ErrnoException)?.code}`),
      onClosed: () => events.push('closed'),
    },
  )
  engine.start()
  const ends = { client: clientSocket, backend: backendSocket }
  return { engine, client: new Reader(client), backend: new Reader(backend), ends, events }
}

test('moves the bytes of the heads first, then those of both sides, and counts them', async t => {
  const { engine, client, backend, events } = await running(t, { clientHead: 'early ', backendHead: 'hi ' })
  client.socket.write('bird')
  backend.socket.write('there')
  assert.equal(String(await backend.readExact(10)), 'early bird')
  assert.equal(String(await client.readExact(8)), 'hi there')
  assert.deepEqual([engine.bytesFromClient, engine.bytesFromBackend, engine.offloaded], [10, 8, false])
  assert.deepEqual(events, [])
})

test('reports each FIN, and the end when both connections are closed', async t => {
  const { client, backend, events } = await running(t)
  client.socket.end('last')
  assert.equal(String(await backend.readAll()), 'last')
  assert.deepEqual(events, ['FIN of the client'])
  backend.socket.end()
  await client.readAll()
  await eventually(() => events.includes('closed'))
  assert.deepEqual(events.slice(0, 2), ['FIN of the client', 'FIN of the backend'])
  assert.equal(events.at(-1), 'closed')
})

for (const side of ['client', 'backend'] as const) {
  test(`reports a RST of the ${side} with its error`, async t => {
    const { [side]: broken, events } = await running(t)
    broken.socket.resetAndDestroy()
    await eventually(() => events.length > 0)
    assert.equal(events[0], `${side} broken: ECONNRESET`)
  })

  test(`reports that other code has destroyed the socket of the ${side}`, async t => {
    const { ends, events } = await running(t)
    ends[side].destroy()
    await eventually(() => events.length > 0)
    assert.deepEqual(events, [`${side} broken: undefined`])
  })
}

test('reports sockets that were destroyed before it starts', async t => {
  const [, client] = await connectedPair(t)
  const [, backend] = await connectedPair(t)
  const events: string[] = []
  const listener = {
    onFin: () => {},
    onBroken: (side: string) => events.push(side),
    onClosed: () => events.push('closed'),
  }
  const engine = new JsEngine({ client, clientHead: [], backend, backendHead: [] }, 0, listener)
  for (const socket of [client, backend]) {
    socket.destroy()
    await new Promise(resolve => socket.once('close', resolve))
  }
  engine.start()
  assert.deepEqual(events, ['client', 'backend', 'closed'])
})

test('end() delivers what was received, then FIN to both ends', async t => {
  const { engine, client, backend } = await running(t, { clientHead: 'received' })
  engine.end()
  assert.equal(String(await backend.readAll()), 'received')
  assert.equal((await client.readAll()).length, 0)
})

test('destroy() closes both connections, and the end is the last event', async t => {
  const { engine, client, backend, events } = await running(t)
  engine.destroy()
  await Promise.all([client.readAll(), backend.readAll()])
  await eventually(() => events.at(-1) === 'closed')
})

test('release() removes every listener, so that another engine can take the sockets', async t => {
  const { engine, client, ends, events } = await running(t)
  const before = ['close', 'error', 'end', 'data', 'drain'].map(name => ends.client.listenerCount(name))
  assert.ok(before.some(count => count > 0))
  engine.release()
  // The listener of this test's own pair is the one of `error`.
  assert.deepEqual(
    ['close', 'error', 'data', 'drain'].map(name => ends.client.listenerCount(name)),
    [0, 1, 0, 0],
  )
  client.socket.resetAndDestroy()
  await new Promise(resolve => setTimeout(resolve, 50))
  assert.deepEqual(events, [])
})

test('counts its idle time from its last byte', async t => {
  const { engine, client, backend } = await running(t)
  await new Promise(resolve => setTimeout(resolve, 60))
  const silent = engine.idle
  assert.ok(silent >= 50, `${silent} ms`)
  client.socket.write('x')
  await backend.readExact(1)
  assert.ok(engine.idle < silent)
})
