import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { TLSSocket } from 'node:tls'
import type { TunnelEnds } from '../../../packages/core/src/tunnel/engine.ts'
import { canOffload, canOffloadClient, isReady, unread } from '../../../packages/core/src/tunnel/offloading.ts'
import { eventually } from '../../support/gate.ts'
import { connectedPair } from '../../support/pair.ts'
import { native } from '../../support/pump.ts'

/** The ends of a tunnel between two plain connections. */
async function endsOf(t: TestContext): Promise<TunnelEnds> {
  const [, client] = await connectedPair(t)
  const [, backend] = await connectedPair(t)
  return { client, clientHead: [], backend, backendHead: [], response: { detach: () => {}, close: () => {} } }
}

test('a thread can take two plain connections', native, async t => {
  const ends = await endsOf(t)
  assert.deepEqual([canOffload(ends), canOffloadClient(ends), isReady(ends)], [true, true, true])
})

for (const side of ['client', 'backend'] as const) {
  test(`a thread can never take a tunnel if other code reads the ${side}, or if the ${side} uses TLS`, async t => {
    const read = await endsOf(t)
    read[side].on('data', () => {})
    const encrypted = await endsOf(t)
    const tls = { ...encrypted, [side]: new TLSSocket(encrypted[side]) }
    assert.deepEqual([canOffload(read), canOffload(tls)], [false, false])
    const isClient = side === 'client'
    assert.deepEqual([canOffloadClient(read), canOffloadClient(tls)], [!isClient, !isClient])
  })

  for (const [what, change] of [
    ['has unwritten bytes', socket => socket.write(Buffer.alloc(20_000_000))],
    ['has sent its FIN', socket => socket.end()],
    ['is destroyed', socket => socket.destroy()],
  ] as [string, (socket: Socket) => unknown][]) {
    test(`a thread cannot take a tunnel now whose ${side} ${what}`, async t => {
      const ends = await endsOf(t)
      change(ends[side])
      assert.equal(isReady(ends), false)
    })
  }
}

test('a thread can never take a tunnel whose client cannot be detached', async t => {
  const ends = { ...(await endsOf(t)), response: undefined }
  assert.deepEqual([canOffload(ends), canOffloadClient(ends)], [false, false])
})

test('takes the bytes that were received and not read', async t => {
  const [peer, socket] = await connectedPair(t)
  assert.deepEqual(unread(socket), [])
  peer.write('received')
  socket.on('readable', () => {})
  await eventually(() => socket.readableLength === 8)
  assert.equal(String(Buffer.concat(unread(socket))), 'received')
  assert.equal(socket.readableLength, 0)
})
