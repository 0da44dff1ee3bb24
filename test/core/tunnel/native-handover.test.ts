import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import type { DetachedTunnel, EngineListener, StayReason } from '../../../packages/core/src/tunnel/engine.ts'
import { descriptor, loadNativeAddon, type NativeAddon } from '../../../packages/core/src/tunnel/native-addon.ts'
import { NativeEngine } from '../../../packages/core/src/tunnel/native-engine.ts'
import { socketPath, within } from '../../support/gate.ts'
import { connectedPair } from '../../support/pair.ts'
import { native } from '../../support/pump.ts'

const LIMITS = { async: true, asyncDelay: 0, threads: 2, keepAlive: 30_000 }

/** Both ends of a connection over a unix socket. Node reads neither. */
async function unixPair(t: TestContext): Promise<[Socket, Socket]> {
  const { path, remove } = await socketPath()
  const server = createServer({ pauseOnConnect: true }).listen(path)
  await once(server, 'listening')
  const near = connect(path)
  near.pause()
  const [far] = (await once(server, 'connection')) as [Socket]
  server.close()
  t.after(async () => {
    near.destroy()
    far.destroy()
    await remove()
  })
  return [near, far]
}

const response = { detach: () => {}, close: () => {} }

/** An offloaded tunnel between two peers. */
async function openTunnel(
  t: TestContext,
  listener: EngineListener,
): Promise<{ client: Socket; backend: Socket; engine: NativeEngine }> {
  const [client, clientSide] = await connectedPair(t)
  const [backend, backendSide] = await connectedPair(t)
  const ends = { client: clientSide, clientHead: [], backend: backendSide, backendHead: [], response }
  const engine = NativeEngine.adopt(ends, LIMITS, listener)
  assert.ok(engine)
  return { client, backend, engine }
}

const { addon } = (loadNativeAddon() ?? {}) as NativeAddon

const detach = (engine: NativeEngine): Promise<DetachedTunnel | StayReason> =>
  new Promise(resolve => engine.detach(resolve))

/** Moves a tunnel as two processes do, in one. */
async function move(
  engine: NativeEngine,
  pair: [Socket, Socket],
  listener: EngineListener,
  look: (detached: DetachedTunnel) => void = () => {},
): Promise<NativeEngine> {
  const detached = await within(5_000, 'the detached tunnel', detach(engine))
  assert.ok(typeof detached === 'object', String(detached))
  look(detached)
  const [from, to] = pair.map(socket => descriptor(socket)) as [number, number]
  addon.sendDescriptors(from, [detached.clientFd, detached.backendFd])
  const [clientFd, backendFd] = addon.receiveDescriptors(to) as [number, number]
  const { bytesFromClient, bytesFromBackend, idle } = engine
  const next = NativeEngine.takeOver(
    { ...detached, clientFd, backendFd, bytesFromClient, bytesFromBackend, idle },
    LIMITS,
  )
  engine.destroy()
  next.listen(listener)
  next.resume()
  return next
}

class Listener implements EngineListener {
  readonly fins: string[] = []
  readonly closed = Promise.withResolvers<void>()
  broken: string | undefined

  onFin(side: string): void {
    this.fins.push(side)
  }

  onBroken(side: string): void {
    this.broken = side
  }

  onClosed(): void {
    this.closed.resolve()
  }
}

test('a tunnel that moves at any moment loses and changes no byte, also after a FIN', native, async t => {
  const pair = await unixPair(t)
  let waited = 0
  const chunk = fc.record({
    from: fc.constantFrom('client', 'backend'),
    // More than the buffers of two sockets take, so that bytes wait in the tunnel.
    size: fc.oneof(fc.integer({ min: 1, max: 200_000 }), fc.integer({ min: 4_000_000, max: 12_000_000 })),
    moves: fc.boolean(),
    pauses: fc.boolean(),
  })
  const property = fc.asyncProperty(fc.array(chunk, { minLength: 1, maxLength: 12 }), async chunks => {
    const listener = new Listener()
    let { client, backend, engine } = await openTunnel(t, listener)
    const peers = { client, backend }
    const got = { client: [] as Buffer[], backend: [] as Buffer[] }
    const sent = { client: [] as Buffer[], backend: [] as Buffer[] }
    const ends = (['client', 'backend'] as const).map(side => {
      peers[side].on('data', data => got[side].push(data))
      return once(peers[side], 'end')
    })
    let seed = 1
    for (const { from, size, moves, pauses } of chunks) {
      seed = (seed * 31 + 7) % 251
      const bytes = Buffer.alloc(size, seed)
      const to = from === 'client' ? backend : client
      if (pauses) to.pause()
      else to.resume()
      peers[from as 'client'].write(bytes)
      sent[from as 'client'].push(bytes)
      await setImmediate()
      if (!moves) continue
      engine = await move(engine, pair, listener, detached => {
        waited += detached.fromClient.length + detached.fromBackend.length
      })
    }
    client.resume()
    backend.resume()
    client.end()
    if (chunks[0]?.moves) engine = await move(engine, pair, listener)
    backend.end()
    await within(10_000, 'both FINs', Promise.all(ends))
    await within(5_000, 'the end of the tunnel', listener.closed.promise)
    assert.ok(Buffer.concat(got.backend).equals(Buffer.concat(sent.client)))
    assert.ok(Buffer.concat(got.client).equals(Buffer.concat(sent.backend)))
    assert.equal(listener.broken, undefined)
    assert.equal(engine.bytesFromClient, Buffer.concat(sent.client).length)
    assert.equal(engine.bytesFromBackend, Buffer.concat(sent.backend).length)
  })
  await fc.assert(property, { numRuns: 15 })
  assert.ok(waited > 0, 'no byte waited in a tunnel that moved')
})

test('a tunnel that was detached and resumed goes on', native, async t => {
  const listener = new Listener()
  const { client, backend, engine } = await openTunnel(t, listener)
  assert.equal(typeof (await detach(engine)), 'object')
  client.write('waits')
  assert.equal(engine.bytesFromClient, 0)
  engine.resume()
  assert.equal(String((await once(backend, 'data'))[0]), 'waits')
  assert.equal(typeof (await detach(engine)), 'object')
  // An end ends it, detached or not.
  engine.end()
  await Promise.all([client, backend].map(peer => once(peer.resume(), 'end')))
  client.end()
  backend.end()
  await listener.closed.promise
})

test('a tunnel that ends is not detached', native, async t => {
  const listener = new Listener()
  const { client, engine } = await openTunnel(t, listener)
  engine.end()
  assert.equal(await detach(engine), 'ending')
  client.destroy()
  engine.destroy()
  await listener.closed.promise
})

test('a tunnel that is ended while it is detached ends with what it has received', native, async t => {
  const listener = new Listener()
  const { client, backend, engine } = await openTunnel(t, listener)
  const last = once(backend, 'data')
  const result = detach(engine)
  client.write('last')
  engine.end()
  assert.equal(await result, 'ending')
  assert.equal(String((await last)[0]), 'last')
  await Promise.all([client, backend].map(peer => once(peer.resume(), 'end')))
  client.end()
  backend.end()
  await listener.closed.promise
})

test('a tunnel that another process has is closed there alone', native, async t => {
  const pair = await unixPair(t)
  const [first, second] = [new Listener(), new Listener()]
  const { client, backend, engine } = await openTunnel(t, first)
  const next = await move(engine, pair, second)
  await first.closed.promise
  client.write('lives')
  assert.equal(String((await once(backend, 'data'))[0]), 'lives')
  next.destroy()
  await second.closed.promise
})

test('no descriptors, too many of them, and closed ones are errors', native, async t => {
  const [near, far] = (await unixPair(t)).map(socket => descriptor(socket)) as [number, number]
  assert.throws(() => addon.receiveDescriptors(far), /cannot receive descriptors/)
  assert.throws(() => addon.sendDescriptors(near, []), /1 to 253/)
  assert.throws(() => addon.sendDescriptors(near, Array(254).fill(0)), /1 to 253/)
  assert.throws(() => addon.sendDescriptors(near, [-1]), /cannot send descriptors/)
  assert.throws(() => addon.sendDescriptors(-1, [0]), /cannot send descriptors/)
  assert.throws(() => addon.peerUser(-1), /cannot read the user/)
  assert.equal(addon.peerUser(near), process.geteuid?.())
  assert.throws(() => addon.detach(99_999), RangeError)
  assert.throws(() => addon.resume(99_999), RangeError)
  assert.throws(() => addon.detached(99_999), RangeError)
})
