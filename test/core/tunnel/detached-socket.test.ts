import assert from 'node:assert/strict'
import { createServer, type Server, Socket } from 'node:net'
import { test } from 'node:test'
import {
  type CountingServer,
  endConnectionCount,
  keepByteCounts,
  keepConnectionCount,
} from '../../../packages/core/src/tunnel/detached-socket.ts'
import { eventually } from '../../support/gate.ts'
import { connectClient } from '../../support/harness.ts'
import { closeAfter, listen } from '../../support/server.ts'

const connections = (server: Server): Promise<number> =>
  new Promise((resolve, reject) => server.getConnections((error, count) => (error ? reject(error) : resolve(count))))

test('a destroyed socket counts as a connection of its server until endConnectionCount()', async t => {
  const accepted = Promise.withResolvers<Socket>()
  const server = createServer(accepted.resolve)
  closeAfter(t, server)
  await connectClient(t, await listen(server))
  const socket = await accepted.promise
  const counting = keepConnectionCount(socket) as CountingServer
  socket.destroy()
  await new Promise(resolve => socket.once('close', resolve))
  assert.equal(await connections(server), 1)
  let closed = false
  server.close(() => {
    closed = true
  })
  await new Promise(resolve => setTimeout(resolve, 50))
  assert.equal(closed, false)
  endConnectionCount(counting)
  await eventually(() => closed)
})

test('a socket without a server has no count to keep', () => {
  assert.equal(keepConnectionCount(new Socket()), undefined)
})

test('adds the bytes of the engine to those that the socket has read and written', async t => {
  const accepted = Promise.withResolvers<Socket>()
  const server = createServer(accepted.resolve)
  closeAfter(t, server)
  const client = await connectClient(t, await listen(server))
  const socket = await accepted.promise
  client.send('12345678')
  await eventually(() => {
    socket.read(0)
    return socket.bytesRead === 8
  })
  socket.write('123')
  await client.readExact(3)
  const engine = { bytesFromClient: 0, bytesFromBackend: 0 }
  // The engine sends, and counts, 5 of the 8 bytes.
  keepByteCounts(socket, engine, [Buffer.from('4567'), Buffer.from('8')])
  assert.deepEqual([socket.bytesRead, socket.bytesWritten], [3, 3])
  Object.assign(engine, { bytesFromClient: 5, bytesFromBackend: 100 })
  assert.deepEqual([socket.bytesRead, socket.bytesWritten], [8, 103])
})
