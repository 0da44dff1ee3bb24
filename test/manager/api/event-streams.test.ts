import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { connect, plainRequest } from '../../support/client.ts'
import { eventually, within } from '../../support/gate.ts'
import { EventStream, startManaged } from '../harness.ts'

test('limits the live pages to maxClients, and accepts another when one disconnects', async t => {
  const managed = await startManaged(t, { unsafeOpen: true, maxClients: 2, interval: 100 })
  const streams = [new EventStream(await managed.request('events')), new EventStream(await managed.request('events'))]
  const refused = await managed.request('events')
  assert.deepEqual([refused.status, refused.headers.get('retry-after')], [503, '30'])
  await streams[0]?.cancel()
  const third = await eventually(async () => {
    const response = await managed.request('events')
    return response.status === 200 && new EventStream(response)
  })
  assert.ok(await (third as EventStream).next('state'))
})

test('stops writing to a live page that does not read, and goes on with the others', async t => {
  const long = 'x'.repeat(250)
  const managed = await startManaged(t, { unsafeOpen: true, interval: 100 }, backend => ({
    routes: [
      { path: '/echo', target: `ws://${backend}/` },
      ...Array.from({ length: 1_000 }, (_, i) => ({ path: `/${long}${i}`, target: `ws://${backend}/${long}` })),
    ],
  }))
  const accepted = once(managed.server, 'connection') as Promise<[Socket]>
  const stalled = await connect(managed.port)
  t.after(() => stalled.destroy())
  const [[socket]] = await Promise.all([
    accepted,
    stalled.send(plainRequest('/admin/manager/events', { host: 'localhost' })).responseHead(),
  ])
  stalled.socket.pause()
  const client = await managed.tunnel('/echo')
  const reading = new EventStream(await managed.request('events', { signal: AbortSignal.timeout(20_000) }))
  let read = 0
  const states = async (n: number): Promise<void> => {
    for (let i = 0; i < n; i++) {
      client.send('x')
      read += JSON.stringify(await reading.next('state')).length
    }
  }
  while (socket.writableLength < 70_000) await states(1)
  const { writableLength } = socket
  await states(10)
  assert.equal(socket.writableLength, writableLength)
  assert.ok(writableLength < read / 2, `${writableLength} of ${read} bytes wait`)
})

test('ends a live page when authorize no longer allows it', async t => {
  let access = true
  const managed = await startManaged(t, { authorize: () => access, interval: 100, recheck: 100 })
  const stream = new EventStream(await managed.request('events'))
  await stream.next('state')
  access = false
  assert.equal(await within(3_000, 'the end of the stream', stream.next('never')), undefined)
})

test('does not count a client that disconnected before authorize allowed it', async t => {
  const called = Promise.withResolvers<void>()
  const decision = Promise.withResolvers<boolean>()
  let first = true
  const managed = await startManaged(t, {
    authorize: () => {
      if (!first) return true
      first = false
      called.resolve()
      return decision.promise
    },
    maxClients: 1,
  })
  const accepted = once(managed.server, 'connection') as Promise<[Socket]>
  const client = await connect(managed.port)
  const [socket] = await accepted
  client.send(plainRequest('/admin/manager/events', { host: 'localhost' }))
  await called.promise
  client.destroy()
  await once(socket, 'close')
  decision.resolve(true)
  const stream = new EventStream(await managed.request('events'))
  assert.ok(await stream.next('state'))
  await stream.cancel()
})

test('disconnects a live page that is no longer allowed and does not read, and writes nothing more to it', async t => {
  let access = true
  const options = { authorize: () => access, interval: 100, recheck: 2_000, maxClients: 1 }
  const managed = await startManaged(t, options, backend => ({
    routes: [
      { path: '/echo', target: `ws://${backend}/` },
      ...Array.from({ length: 50 }, (_, i) => ({ path: `/${'x'.repeat(250)}${i}`, target: `ws://${backend}/` })),
    ],
  }))
  const client = await managed.tunnel('/echo')
  const accepted = once(managed.server, 'connection') as Promise<[Socket]>
  const stalled = await connect(managed.port)
  t.after(() => stalled.destroy())
  const [[socket]] = await Promise.all([
    accepted,
    stalled.send(plainRequest('/admin/manager/events', { host: 'localhost' })).responseHead(),
  ])
  stalled.socket.pause()
  while (socket.writableLength === 0) {
    client.send('x')
    await client.readExact(1)
    await managed.change('close-tunnels', { proxy: 'main', ids: [] })
  }
  assert.ok(socket.writableLength < 65_536)
  access = false
  await once(socket, 'close')
  access = true
  const stream = new EventStream(await managed.request('events'))
  assert.ok(await stream.next('state'))
  await stream.cancel()
})
