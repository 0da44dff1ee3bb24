import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { TLSSocket } from 'node:tls'
import { readDirectly } from '../../../packages/core/src/tunnel/direct-read.ts'
import { isEncrypted, isPlain } from '../../../packages/core/src/tunnel/onread.ts'
import { eventually } from '../../support/gate.ts'
import { connectedPair, encryptedPair } from '../../support/pair.ts'

const NOTHING = { take: (): boolean => false }

/** A socket that is read directly, its peer, and the reads so far. `keep` says whether the bytes stay in use. */
async function reading(t: TestContext, keep: boolean): Promise<{ peer: Socket; socket: Socket; reads: Buffer[] }> {
  const [peer, socket] = await connectedPair(t)
  const reads: Buffer[] = []
  const take = (bytes: Buffer): boolean => {
    reads.push(keep ? bytes : Buffer.from(bytes))
    return keep
  }
  const reader = readDirectly(socket, { take })
  assert.ok(reader)
  socket.resume()
  return { peer, socket, reads }
}

for (const keep of [false, true]) {
  test(`gives every byte in order, and ${keep ? 'does not overwrite bytes that are still in use' : 'reuses its buffers'}`, async t => {
    const { peer, socket, reads } = await reading(t, keep)
    const sent: Buffer[] = []
    // Small and large reads in turn, so that the socket changes between the shared buffer and its own.
    for (const size of [10, 300_000, 5, 5, 5, 200_000, 1]) {
      const bytes = randomBytes(size)
      sent.push(bytes)
      peer.write(bytes)
      const total = sent.reduce((sum, { length }) => sum + length, 0)
      await eventually(() => reads.reduce((sum, { length }) => sum + length, 0) === total)
    }
    assert.ok(Buffer.concat(reads).equals(Buffer.concat(sent)))
    peer.end()
    await once(socket, 'end')
  })
}

test('emits no data, and stops and continues with pause and resume', async t => {
  const { peer, socket, reads } = await reading(t, false)
  socket.on('data', () => assert.fail('emitted data'))
  socket.pause()
  peer.write('later')
  await new Promise(resolve => setTimeout(resolve, 50))
  assert.equal(reads.length, 0)
  socket.resume()
  await eventually(() => String(reads[0]) === 'later')
})

test('gives the bytes to the taker of the last call', async t => {
  const { peer, socket, reads } = await reading(t, false)
  const later: string[] = []
  assert.ok(readDirectly(socket, { take: bytes => later.push(String(bytes)) < 0 }))
  peer.write('hello')
  await eventually(() => later.length === 1)
  assert.deepEqual([later, reads], [['hello'], []])
})

for (const [what, prepare] of [
  ['a listener of data', socket => socket.on('data', () => {})],
  ['a listener of readable', socket => socket.on('readable', () => {})],
  ['unread bytes', socket => socket.unshift(Buffer.from('unread'))],
] as [string, (socket: Socket) => unknown][]) {
  test(`refuses a socket with ${what}`, async t => {
    const [, socket] = await connectedPair(t)
    prepare(socket)
    assert.equal(readDirectly(socket, NOTHING), undefined)
  })
}

test('only a TCP or Unix connection without TLS is plain', async t => {
  const [, socket] = await connectedPair(t)
  assert.equal(isPlain(socket), true)
  const [, other] = await connectedPair(t)
  const encrypted = new TLSSocket(other)
  assert.deepEqual([isPlain(encrypted), isEncrypted(encrypted), isEncrypted(socket)], [false, true, false])
  const stream = new Duplex()
  assert.deepEqual([isPlain(stream), isEncrypted(stream), readDirectly(stream, NOTHING)], [false, false, undefined])
})

test('reads TCP and TLS connections directly on Node 22, 24 and 26, and leaves them as they are on others', async t => {
  const [release] = process.versions.node.split('.')
  const [, plain] = await connectedPair(t)
  const [client, server] = await encryptedPair(t)
  const direct = [plain, client, server].map(socket => readDirectly(socket, NOTHING) !== undefined)
  assert.deepEqual(new Set(direct), new Set([['22', '24', '26'].includes(release as string)]))
})
