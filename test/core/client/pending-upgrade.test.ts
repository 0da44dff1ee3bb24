import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { listenForUpgrades } from '../../../packages/core/src/client/listener.ts'
import { PendingUpgrade } from '../../../packages/core/src/client/pending-upgrade.ts'
import { HeaderList } from '../../../packages/core/src/http/header-list.ts'
import { plainRequest, type RawClient, upgradeRequest } from '../../support/client.ts'
import { eventually } from '../../support/gate.ts'
import { connectClient } from '../../support/harness.ts'
import { startServer } from '../../support/server.ts'

interface Pending {
  req: IncomingMessage
  res: ServerResponse
  upgrade: PendingUpgrade
  /** How often the upgrade was told that the client is gone. */
  gone: () => number
}

interface Arrived {
  client: RawClient
  pending: Pending
}

/** How a request reaches the upgrade: through the `upgrade` event, or as a plain request that Node's server still holds. */
const KINDS = { 'an upgrade': upgradeRequest('/'), 'a plain request': plainRequest('/') }

async function arrive(t: TestContext, text: string): Promise<Arrived> {
  const arrived = Promise.withResolvers<Pending>()
  const handler = (req: IncomingMessage, res: ServerResponse): void => {
    let gone = 0
    try {
      arrived.resolve({ req, res, upgrade: new PendingUpgrade(req, res, () => gone++), gone: () => gone })
    } catch (error) {
      arrived.reject(error)
    }
  }
  const { server, port } = await startServer(t, handler)
  listenForUpgrades(server, handler)
  const client = (await connectClient(t, port)).send(text)
  return { client, pending: await arrived.promise }
}

const HEADERS = HeaderList.from(['Connection', 'Upgrade', 'Upgrade', 'x'])

const textOf = (chunks: readonly Buffer[]): string => String(Buffer.concat([...chunks]))

for (const [kind, text] of Object.entries(KINDS)) {
  test(`${kind}: switch writes the 101 with the fields that middleware has set, and gives the early bytes`, async t => {
    const { client, pending } = await arrive(t, text)
    const { res, upgrade } = pending
    res.setHeader('X-Middleware', '1')
    client.send('early ')
    await eventually(() => upgrade.socket.bytesRead >= text.length + 6)
    const { clientHead } = upgrade.switch('Switching', HEADERS)
    assert.equal(textOf(clientHead), 'early ')
    const head = await client.responseHead()
    assert.deepEqual([head.statusCode, head.reason, head.header('x-middleware')], [101, 'Switching', '1'])
    assert.equal(head.header('upgrade'), 'x')
  })

  test(`${kind}: after switch, the response and the socket of the request do not touch the connection`, async t => {
    const { client, pending } = await arrive(t, text)
    const { req, res, upgrade } = pending
    upgrade.switch('Switching', HEADERS)
    res.write('not sent')
    res.end('nor this')
    res.destroy()
    req.socket.destroy()
    req.socket.end('nor that')
    upgrade.socket.write('of the tunnel')
    await client.responseHead()
    assert.equal(String(await client.readExact(13)), 'of the tunnel')
    assert.equal(upgrade.socket.destroyed, false)
  })

  test(`${kind}: refuse drops what the client sends, and delivers the response`, async t => {
    const { client, pending } = await arrive(t, text)
    const { res, upgrade } = pending
    client.send('x'.repeat(200_000))
    upgrade.refuse()
    res.statusCode = 403
    res.end('refused')
    const { statusCode, body, header } = await client.whole()
    assert.deepEqual([statusCode, body, header('connection')], [403, 'refused', 'close'])
  })

  test(`${kind}: refuse aborts the response if the client ends the connection first`, async t => {
    const { client, pending } = await arrive(t, text)
    pending.upgrade.refuse()
    client.end()
    await eventually(() => pending.res.destroyed)
  })

  test(`${kind}: handBack leaves the early bytes to the next handler, which may switch`, async t => {
    const { client, pending } = await arrive(t, text)
    const { req, res, upgrade } = pending
    client.send('early ')
    await eventually(() => upgrade.socket.bytesRead >= text.length + 6)
    upgrade.handBack()
    assert.equal(upgrade.socket.isPaused(), true)
    const next = new PendingUpgrade(req, res, () => {})
    client.send('bird')
    await eventually(() => upgrade.socket.bytesRead >= text.length + 10)
    assert.equal(textOf(next.switch('Switching', HEADERS).clientHead), 'early bird')
    assert.equal((await client.responseHead()).statusCode, 101)
  })

  for (const how of ['end', 'destroy'] as const) {
    test(`${kind}: reports that the client is gone when it ${how === 'end' ? 'sends FIN' : 'closes the connection'}`, async t => {
      const { client, pending } = await arrive(t, text)
      assert.equal(pending.gone(), 0)
      client[how]()
      await eventually(() => pending.gone() > 0)
    })
  }

  test(`${kind}: reports nothing after handBack, refuse or switch`, async t => {
    for (const release of ['handBack', 'refuse', 'switch'] as const) {
      const { client, pending } = await arrive(t, text)
      pending.upgrade[release]('Switching', HEADERS)
      const { socket } = pending.upgrade
      socket.resume()
      client.destroy()
      await eventually(() => socket.destroyed || socket.readableEnded)
      assert.equal(pending.gone(), 0, release)
      socket.destroy()
    }
  })

  test(`${kind}: pauses a client that sends more than 64 KiB before the 101, and loses no byte`, async t => {
    const { client, pending } = await arrive(t, text)
    const { socket } = pending.upgrade
    const sent = Buffer.alloc(2_000_000, 'early ')
    client.socket.write(sent)
    await eventually(() => socket.isPaused())
    assert.ok(socket.bytesRead < sent.length, `${socket.bytesRead} bytes`)
    const { clientHead } = pending.upgrade.switch('Switching', HEADERS)
    const received = [...clientHead]
    socket.on('data', chunk => received.push(chunk)).resume()
    await eventually(() => received.reduce((sum, { length }) => sum + length, 0) === sent.length)
    assert.ok(Buffer.concat(received).equals(sent))
  })
}

test('reports at once that a client is gone whose connection is closed already', async t => {
  const { pending } = await arrive(t, upgradeRequest('/'))
  pending.upgrade.handBack()
  pending.upgrade.socket.destroy()
  let gone = 0
  new PendingUpgrade(pending.req, pending.res, () => gone++)
  assert.equal(gone, 1)
})

test('can detach the socket of an upgrade from its response, and not that of a plain request', async t => {
  const upgraded = (await arrive(t, upgradeRequest('/'))).pending
  assert.equal(upgraded.upgrade.detachableSocket, upgraded.upgrade.socket)
  const { response } = upgraded.upgrade.switch('Switching', HEADERS)
  assert.equal(upgraded.res.socket, null)
  assert.notEqual(response, undefined)
  const plain = (await arrive(t, plainRequest('/'))).pending
  assert.equal(plain.upgrade.detachableSocket, undefined)
  assert.equal(plain.upgrade.switch('Switching', HEADERS).response, undefined)
  assert.equal(plain.res.socket, plain.upgrade.socket)
})

test('closes request and response with the socket, or once detached when the tunnel ends', async t => {
  for (const detached of [false, true]) {
    const { res, upgrade } = (await arrive(t, upgradeRequest('/'))).pending
    let closed = 0
    res.on('close', () => closed++)
    let ofSocket = 0
    upgrade.socket.on('close', () => ofSocket++)
    const { response } = upgrade.switch('Switching', HEADERS)
    if (detached) response?.detach(upgrade.socket)
    upgrade.socket.destroy()
    await Promise.race([once(upgrade.socket, 'close'), sleep(detached ? 50 : 5_000, undefined, { ref: false })])
    // A detached socket is closed long before its connection, so its listeners wait as well.
    assert.deepEqual([closed, ofSocket], detached ? [0, 0] : [1, 1])
    if (detached) response?.close()
    assert.deepEqual([closed, ofSocket], [1, 1])
  }
})

test('refuses a plain request behind one that has no response yet', async t => {
  const refused = Promise.withResolvers<unknown>()
  const { port } = await startServer(t, (req, res) => {
    if (req.url === '/first') return
    try {
      new PendingUpgrade(req, res, () => {})
    } catch (error) {
      refused.resolve(error)
    }
  })
  const client = await connectClient(t, port)
  client.send(plainRequest('/first') + plainRequest('/second'))
  const { code, message } = (await refused.promise) as { code: string; message: string }
  assert.deepEqual([code, /earlier request/.test(message)], ['WST_ERR_BAD_HANDSHAKE', true])
})

test('refuses a request without a real socket', () => {
  const res = { socket: {} as Socket } as ServerResponse
  assert.throws(() => new PendingUpgrade({} as IncomingMessage, res, () => {}), { code: 'WST_ERR_NOT_IMPLEMENTED' })
})
