import assert from 'node:assert/strict'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type TestContext, test } from 'node:test'
import { listenForUpgrades } from '../../../packages/core/src/client/listener.ts'
import { PendingUpgrade } from '../../../packages/core/src/client/pending-upgrade.ts'
import { HeaderList } from '../../../packages/core/src/http/header-list.ts'
import { type RawClient, upgradeRequest } from '../../support/client.ts'
import { eventually } from '../../support/gate.ts'
import { connectClient } from '../../support/harness.ts'
import { startServer } from '../../support/server.ts'

const HEAD = HeaderList.from(['Upgrade', 'websocket', 'Connection', 'Upgrade'])

interface Pending {
  client: RawClient
  req: IncomingMessage
  res: ServerResponse
  pending: PendingUpgrade
  /** How often the client was reported as gone. */
  gone: () => number
}

/** The upgrade of a client, with bytes in the same packet. */
async function pendingUpgrade(t: TestContext, early = ''): Promise<Pending> {
  const arrived = Promise.withResolvers<Omit<Pending, 'client' | 'gone'>>()
  let gone = 0
  const { server, port } = await startServer(t, () => {})
  listenForUpgrades(server, (req, res) => {
    res.setHeader('X-Own', 'own')
    arrived.resolve({ req, res, pending: new PendingUpgrade(req, res, () => gone++) })
  })
  const client = (await connectClient(t, port)).send(upgradeRequest('/') + early)
  return { client, ...(await arrived.promise), gone: () => gone }
}

test('switch() writes the 101 with the fields of middleware, and gives the early bytes', async t => {
  const { client, pending } = await pendingUpgrade(t, 'one ')
  client.send('two')
  await eventually(() => pending.socket.bytesRead > upgradeRequest('/').length + 4)
  const { clientHead } = pending.switch('Switched', HEAD)
  assert.equal(String(Buffer.concat(clientHead)), 'one two')
  const head = await client.responseHead()
  assert.deepEqual([head.startLine, head.header('x-own')], ['HTTP/1.1 101 Switched', 'own'])
  pending.socket.write('of the backend')
  assert.equal(String(await client.readExact(14)), 'of the backend')
})

test('ignores what middleware does to the response after switch()', async t => {
  const { client, pending, req, res } = await pendingUpgrade(t)
  pending.switch('Switched', HEAD)
  await client.responseHead()
  res.write('late')
  res.end('later')
  res.destroy()
  req.socket.destroy()
  req.socket.end()
  pending.socket.write('alive')
  assert.equal(String(await client.readExact(5)), 'alive')
})

test('refuse() reads on and drops the bytes of the client, and lets the response be read', async t => {
  const { client, pending, res } = await pendingUpgrade(t)
  client.send(Buffer.alloc(4_000_000))
  await eventually(() => pending.socket.isPaused())
  pending.refuse()
  await eventually(() => pending.socket.bytesRead > 4_000_000)
  res.writeHead(403).end('no')
  const { statusCode, body } = await client.whole()
  assert.deepEqual([statusCode, body], [403, 'no'])
  assert.equal((await client.readAll()).length, 0)
})

test('refuse() aborts the response if the client ends its connection before it', async t => {
  const { client, pending, res } = await pendingUpgrade(t)
  pending.refuse()
  client.end()
  await eventually(() => res.destroyed)
})

test('handBack() gives the next handler the upgrade with its early bytes', async t => {
  const { client, pending, req, res } = await pendingUpgrade(t, 'one ')
  client.send('two')
  await eventually(() => pending.socket.bytesRead > upgradeRequest('/').length + 4)
  pending.handBack()
  const next = new PendingUpgrade(req, res, () => {})
  assert.equal(next.socket, pending.socket)
  assert.equal(String(Buffer.concat(next.switch('Switched', HEAD).clientHead)), 'one two')
})

for (const [what, leave] of [
  ['FIN', client => client.end()],
  ['RST', client => client.reset()],
] as [string, (client: RawClient) => void][]) {
  test(`reports a client that leaves by ${what} before the response, and none after it`, async t => {
    const { client, gone } = await pendingUpgrade(t)
    assert.equal(gone(), 0)
    leave(client)
    await eventually(() => gone() > 0)
    const second = await pendingUpgrade(t)
    second.pending.switch('Switched', HEAD)
    await second.client.responseHead()
    const { socket } = second.pending
    const ended = new Promise(resolve => socket.once('end', resolve).once('close', resolve).resume())
    socket.on('error', () => {})
    leave(second.client)
    await ended
    assert.equal(second.gone(), 0)
  })
}

test('stops reading from a client that has sent 64 KiB before the response', async t => {
  const { client, pending } = await pendingUpgrade(t)
  client.send(Buffer.alloc(4_000_000))
  await eventually(() => pending.socket.isPaused())
  assert.ok(pending.socket.bytesRead < 2_000_000, `${pending.socket.bytesRead} bytes`)
  const { clientHead } = pending.switch('Switched', HEAD)
  assert.ok(Buffer.concat(clientHead).length >= 65_536)
})

test('can be detached from its response only if it came by an upgrade event', async t => {
  const { pending } = await pendingUpgrade(t)
  assert.equal(pending.detachableSocket, pending.socket)
  const plain = Promise.withResolvers<PendingUpgrade>()
  const { port } = await startServer(t, (req, res) => plain.resolve(new PendingUpgrade(req, res, () => {})))
  ;(await connectClient(t, port)).send('GET / HTTP/1.1\r\nHost: h.test\r\n\r\n')
  assert.equal((await plain.promise).detachableSocket, undefined)
})
