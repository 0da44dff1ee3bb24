import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { isProbed, PausedProbe } from '../../../packages/core/src/tunnel/paused-probe.ts'
import { Pump } from '../../../packages/core/src/tunnel/pump.ts'
import { eventually } from '../../support/gate.ts'
import { connectedPair, encryptedPair } from '../../support/pair.ts'
import { Reader } from '../../support/reader.ts'

/** The same as a stream that is no socket, which the pump cannot read directly. */
function anotherKind(socket: Socket): Duplex {
  return new Duplex({
    read() {},
    write: (chunk, _encoding, done) => void socket.write(chunk, done),
    final: done => void socket.end(done),
  })
}

/** A pump between two connections, with the far ends of both. */
async function pumping(t: TestContext, first: Buffer[] = [], wrap: (socket: Socket) => Duplex = socket => socket) {
  const [sender, source] = await connectedPair(t)
  const [socket, receiver] = await connectedPair(t)
  const sink = wrap(socket)
  const running = new Pump(source, sink, first)
  return { sender, source, sink, receiver, running }
}

test('moves bytes that were received before its start first', async t => {
  const { sender, receiver, running } = await pumping(t, [Buffer.from('early '), Buffer.alloc(0), Buffer.from('bird ')])
  sender.end('worm')
  assert.equal((await new Reader(receiver).readAll()).toString(), 'early bird worm')
  assert.equal(running.bytes, 15)
})

test('passes FIN on, and leaves the other direction open', async t => {
  const { sender, sink, source, receiver } = await pumping(t)
  const reader = new Reader(receiver)
  sender.end()
  assert.equal((await reader.readAll()).length, 0)
  assert.equal(sink.destroyed || source.destroyed, false)
  receiver.write('back')
  const [chunk] = (await once(sink, 'data')) as [Buffer]
  assert.equal(chunk.toString(), 'back')
})

test('reads the source only while the sink accepts bytes', async t => {
  const { sender, source, sink, receiver, running } = await pumping(t)
  const bytes = randomBytes(24_000_000)
  sender.write(bytes)
  await eventually(() => sink.writableNeedDrain && source.isPaused())
  const stalledAt = running.bytes
  const held = sink.writableLength + source.readableLength
  assert.ok(stalledAt < bytes.length, 'all bytes were taken without a reader')
  assert.ok(held <= 4 * 65_536, `${held} bytes are held`)
  sender.end()
  assert.ok((await new Reader(receiver).readAll()).equals(bytes))
  assert.equal(running.bytes, bytes.length)
})

test('stops at flush() after it has moved what was received', async t => {
  const { sender, source, sink, receiver, running } = await pumping(t, [], anotherKind)
  const listeners = (stream: Duplex): number[] => ['data', 'end', 'drain'].map(name => stream.listenerCount(name))
  source.pause()
  sender.write('received')
  await eventually(() => source.readableLength === 8)
  running.flush()
  assert.equal(running.bytes, 8)
  sink.end()
  assert.equal((await new Reader(receiver).readAll()).toString(), 'received')
  const [fresh] = await connectedPair(t)
  assert.deepEqual(listeners(source)[0], listeners(fresh)[0])
  assert.deepEqual(listeners(sink)[2], 0)
})

test('moves what a source had received before it was reset', async t => {
  const { sender, source, sink, receiver, running } = await pumping(t, [], anotherKind)
  source.pause()
  sender.write('last words')
  await eventually(() => source.readableLength === 10)
  sender.resetAndDestroy()
  await new Promise(resolve => source.once('close', resolve))
  running.flush()
  sink.end()
  assert.equal((await new Reader(receiver).readAll()).toString(), 'last words')
})

for (const [kind, wrap] of [
  ['a socket', (socket: Socket) => socket],
  ['another stream', anotherKind],
] as const) {
  test(`keeps every byte and their order to ${kind}, in chunks of any size, for a reader that pauses at times`, async t => {
    const { sender, receiver, running } = await pumping(t, [], wrap)
    const bytes = randomBytes(12_000_000)
    const sizes = [1, 64, 4_095, 4_097, 16_384, 16_385, 65_535, 65_536, 65_537, 300_000]
    const send = async (): Promise<void> => {
      for (let at = 0, i = 0; at < bytes.length; i++) {
        const piece = bytes.subarray(at, at + (sizes[i % sizes.length] as number))
        at += piece.length
        if (!sender.write(piece)) await once(sender, 'drain')
        else await new Promise(setImmediate)
      }
      sender.end()
    }
    const received: Buffer[] = []
    receiver.on('data', chunk => {
      received.push(chunk)
      if (received.length % 10 !== 0) return
      receiver.pause()
      setImmediate(() => receiver.resume())
    })
    await Promise.all([send(), once(receiver, 'end')])
    assert.ok(Buffer.concat(received).equals(bytes))
    assert.equal(running.bytes, bytes.length)
  })
}

test('discards bytes that arrive after flush()', async t => {
  const { sender, source, sink, receiver, running } = await pumping(t)
  running.flush()
  source.resume()
  sender.end(randomBytes(200_000))
  await once(source, 'end')
  assert.equal(running.bytes, 0)
  sink.end()
  assert.equal((await new Reader(receiver).readAll()).length, 0)
})

test('drops bytes for a destroyed sink without an error', async t => {
  const { sender, sink, running } = await pumping(t)
  sink.destroy()
  sender.write('too late')
  await eventually(() => running.bytes === 8)
})

test('an empty TLS socket has encrypted or copied the bytes of a write when the write returns', async t => {
  const [client, server] = await encryptedPair(t)
  const reader = new Reader(server)
  for (const size of [1, 4_096, 16_384, 16_385, 81_920, 1_000_000]) {
    assert.equal(client.writableLength, 0)
    const bytes = randomBytes(size)
    const sent = Buffer.from(bytes)
    client.write(bytes)
    bytes.fill(0)
    assert.ok((await reader.readExact(size)).equals(sent))
    await eventually(() => client.writableLength === 0)
  }
})

test('keeps the bytes that have to wait for the probe of a paused TLS socket', async t => {
  const [client, sink] = await encryptedPair(t)
  const [sender, source] = await encryptedPair(t)
  const reader = new Reader(client)
  // The sink is the source of the other direction, which is paused.
  sink.pause()
  const probe = new PausedProbe(sink)
  t.after(() => probe.stop())
  const running = new Pump(source, sink, [])
  sink.pause()
  const sent: Buffer[] = []
  for (let round = 0; round < 2; round++) {
    const probed = new Promise<void>(resolve => {
      const { write } = sink
      sink.write = ((chunk: Buffer, done: () => void) => {
        sink.write = write
        const result = sink.write(chunk, done)
        assert.ok(isProbed(sink))
        // The buffers of reads that follow in this turn are reused at once.
        for (const fill of [1, 2]) {
          const bytes = Buffer.alloc(50_000, fill)
          sent.push(Buffer.from(bytes))
          if (!running.take(bytes)) bytes.fill(0)
        }
        resolve()
        return result
      }) as typeof sink.write
    })
    probe.start()
    await probed
    const expected = Buffer.concat(sent.splice(0))
    assert.ok((await reader.readExact(expected.length)).equals(expected))
  }
  sender.destroy()
})
