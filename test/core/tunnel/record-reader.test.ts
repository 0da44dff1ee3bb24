import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { checkSilence } from '../../../packages/core/src/tunnel/busy-buffers.ts'
import { readDirectly } from '../../../packages/core/src/tunnel/direct-read.ts'
import type { SocketReader } from '../../../packages/core/src/tunnel/socket-reader.ts'
import { eventually } from '../../support/gate.ts'
import { encryptedPair } from '../../support/pair.ts'

interface Reading {
  peer: TLSSocket
  socket: TLSSocket
  reader: SocketReader
  /** Copies of the bytes, one for each hand-over. */
  taken: Buffer[]
  /** The bytes themselves. */
  lent: Buffer[]
}

/** A TLS socket that is read directly. `inUse` says whether the bytes stay in use. */
async function reading(t: TestContext, inUse = (): boolean => false): Promise<Reading> {
  const [peer, socket] = await encryptedPair(t)
  const taken: Buffer[] = []
  const lent: Buffer[] = []
  const take = (bytes: Buffer): boolean => {
    taken.push(Buffer.from(bytes))
    lent.push(bytes)
    return inUse()
  }
  const reader = readDirectly(socket, { take })
  assert.ok(reader)
  socket.resume()
  return { peer, socket, reader, taken, lent }
}

const total = (buffers: Buffer[]): number => buffers.reduce((sum, { length }) => sum + length, 0)

/** Sends the bytes and waits until all of them were taken. */
async function send({ peer, taken }: Reading, bytes: Buffer): Promise<void> {
  const until = total(taken) + bytes.length
  peer.write(bytes)
  await eventually(() => total(taken) === until)
}

test('takes the records of one turn together, and a small record at once', async t => {
  const all = await reading(t)
  const bytes = randomBytes(65_536)
  await send(all, Buffer.from('small'))
  assert.deepEqual(all.taken.map(String), ['small'])
  all.taken.length = 0
  await send(all, bytes)
  assert.ok(all.taken.length <= 2, `${all.taken.length} parts`)
  assert.ok(Buffer.concat(all.taken).equals(bytes))
})

test('gives a busy socket one buffer again and again, and the shared one when it is quiet', async t => {
  const all = await reading(t)
  for (let i = 0; i < 20; i++) await send(all, randomBytes(65_536))
  const buffers = new Set(all.lent.map(({ buffer }) => buffer))
  assert.equal(buffers.size, 1, 'one ArrayBuffer')
  all.lent.length = 0
  for (let i = 0; i < 4; i++) await send(all, Buffer.from('x'))
  const [last] = all.lent.slice(-1) as [Buffer]
  assert.equal(buffers.has(last.buffer), false)
})

test('does not overwrite bytes that are in use, and reuses their buffers after that', async t => {
  let inUse = true
  const all = await reading(t, () => inUse)
  for (let i = 0; i < 12; i++) await send(all, randomBytes(50_000))
  for (const [i, bytes] of all.lent.entries()) assert.ok(bytes.equals(all.taken[i] as Buffer))
  const before = new Set(all.lent.map(({ buffer }) => buffer))
  inUse = false
  all.reader.returnBuffers()
  all.lent.length = 0
  for (let i = 0; i < 12; i++) await send(all, randomBytes(50_000))
  assert.ok(all.lent.every(({ buffer }) => before.has(buffer)))
})

test('hands on what it has gathered when it is told to, as before a FIN of the same turn', async t => {
  const { peer, socket, reader, taken } = await reading(t)
  const bytes = randomBytes(10_000)
  peer.end(bytes)
  await once(socket, 'end')
  reader.handOn()
  assert.ok(Buffer.concat(taken).equals(bytes))
  const parts = taken.length
  reader.handOn()
  assert.equal(taken.length, parts, 'nothing is left')
})

test('gives its buffer back in a silence between two checks, and is busy again after that', async t => {
  const all = await reading(t)
  const first = randomBytes(200_000)
  await send(all, first)
  const [used] = all.lent.slice(-1) as [Buffer]
  checkSilence()
  await send(all, Buffer.from('not silent'))
  checkSilence()
  const [still] = all.lent.slice(-1) as [Buffer]
  assert.equal(still.buffer, used.buffer)
  checkSilence()
  all.lent.length = 0
  const rest = Buffer.concat([Buffer.from('small'), randomBytes(300_000)])
  await send(all, rest.subarray(0, 5))
  assert.notEqual((all.lent[0] as Buffer).buffer, used.buffer)
  await send(all, rest.subarray(5))
  assert.ok(Buffer.concat(all.taken).equals(Buffer.concat([first, Buffer.from('not silent'), rest])))
  all.peer.end()
  await once(all.socket, 'end')
})

test('drops what arrives after it was closed, and keeps bytes that are in use', async t => {
  const all = await reading(t, () => true)
  await send(all, randomBytes(50_000))
  all.reader.close()
  const ended = once(all.socket, 'end')
  all.peer.write(randomBytes(300_000))
  all.peer.end()
  await ended
  assert.equal(total(all.taken), 50_000)
  for (const [i, bytes] of all.lent.entries()) assert.ok(bytes.equals(all.taken[i] as Buffer))
})
