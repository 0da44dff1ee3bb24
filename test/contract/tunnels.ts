import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { echo, raw, record, type Script, silent, switching, switchingHead } from '../support/backend.ts'
import { eventually } from '../support/gate.ts'
import { gatewayLeft } from '../support/harness.ts'
import type { Theme } from './theme.ts'

/** The bytes after the 101, and the end of a tunnel. */
export const tunnelsTheme: Theme = setUp => {
  test('forwards the FIN of the client, and lets the backend finish', async t => {
    const setup = await setUp(t, record())
    const { client, connection } = await setup.open()
    client.end('last of the client')
    assert.equal((await connection.readAll()).toString(), 'last of the client')
    await connection.write('still ')
    assert.equal((await client.readExact(6)).toString(), 'still ')
    connection.end('talking')
    assert.equal((await client.readAll()).toString(), 'talking')
    const { reason, bytesFromClient, bytesFromBackend } = await setup.gateway.end()
    assert.deepEqual([reason, bytesFromClient, bytesFromBackend], ['finished', 18, 13])
  })

  test('forwards the FIN of the backend, and lets the client finish', async t => {
    const setup = await setUp(t, record())
    const { client, connection } = await setup.open()
    connection.end('last of the backend')
    assert.equal((await client.readAll()).toString(), 'last of the backend')
    client.send('still ')
    assert.equal((await connection.readExact(6)).toString(), 'still ')
    client.end('talking')
    assert.equal((await connection.readAll()).toString(), 'talking')
    assert.equal((await setup.gateway.end()).reason, 'finished')
  })

  test('ends when both sides end at once', async t => {
    const setup = await setUp(t, record())
    const { client, connection } = await setup.open()
    client.end('a')
    connection.end('b')
    assert.equal((await client.readAll()).toString(), 'b')
    assert.equal((await connection.readAll()).toString(), 'a')
    assert.equal((await setup.gateway.end()).reason, 'finished')
  })

  test('ends both sides after a RST of the client, once it has delivered the bytes before it', async t => {
    const setup = await setUp(t, record())
    const { client, connection, tunnel } = await setup.open()
    client.send('last words')
    await eventually(() => tunnel.bytesFromClient === 10)
    client.reset()
    assert.equal((await connection.readAll()).toString(), 'last words')
    assert.equal(connection.error, undefined)
    connection.end()
    assert.equal((await setup.gateway.end()).reason, 'client-error')
  })

  test('ends both sides after a RST of the backend, once it has delivered the bytes before it', async t => {
    const setup = await setUp(t, record())
    const { client, connection, tunnel } = await setup.open()
    await connection.write('last words')
    await eventually(() => tunnel.bytesFromBackend === 10)
    connection.reset()
    assert.equal((await client.readAll()).toString(), 'last words')
    assert.equal(client.error, undefined)
    client.end()
    assert.equal((await setup.gateway.end()).reason, 'backend-error')
  })

  test('delivers the bytes that a slow client has not read yet when the backend resets', async t => {
    const setup = await setUp(t, record())
    const { client, connection, tunnel } = await setup.open()
    client.socket.pause()
    const words = randomBytes(200_000)
    await connection.write(words)
    await eventually(() => tunnel.bytesFromBackend === words.length)
    connection.reset()
    client.socket.resume()
    assert.deepEqual(await client.readAll(), words)
  })

  test('delivers the bytes that it has buffered for a client that does not read when the backend resets', async t => {
    const setup = await setUp(t, record())
    const { client, connection, tunnel } = await setup.open()
    client.socket.pause()
    const words = randomBytes(30_000_000)
    connection.socket.write(words)
    let moved = 0
    await eventually(async () => {
      moved = tunnel.bytesFromBackend
      await sleep(50)
      return moved > 0 && tunnel.bytesFromBackend === moved
    })
    connection.reset()
    client.socket.resume()
    const events = await client.readAll()
    client.end()
    assert.equal(events.length, (await setup.gateway.end()).bytesFromBackend)
    assert.ok(events.length >= moved, `${events.length} bytes of ${moved} that it had taken`)
    assert.ok(events.equals(words.subarray(0, events.length)))
  })

  for (const how of ['end', 'destroy', 'reset'] as const) {
    test(`ends the connection to the backend when the client leaves before the 101 (${how})`, async t => {
      const setup = await setUp(t, silent())
      const client = await setup.upgrade('/')
      await setup.backend.request()
      client[how]()
      await gatewayLeft(await setup.backend.connection())
      assert.deepEqual(setup.gateway.ends, [])
    })
  }

  test('survives a 101 that arrives while the client leaves', async t => {
    const setup = await setUp(t, async connection => {
      const head = switchingHead(await connection.request())
      client.reset()
      await connection.write(head)
    })
    const client = await setup.upgrade('/')
    await client.closed
    await gatewayLeft(await setup.backend.connection())
    assert.equal((await setup.get('/own')).body, 'own')
  })

  test('reports each tunnel once, with its reason, bytes and duration', async t => {
    const reported: string[] = []
    const setup = await setUp(t, echo(), {
      onOpen: ({ tunnel }) => reported.push(`open ${tunnel.id}`),
      onClose: ({ tunnel, end }) => reported.push(`${end.reason} ${tunnel.id}`),
    })
    const { client, tunnel } = await setup.open()
    assert.match(tunnel.info.target, new RegExp(setup.backend.address))
    assert.ok(tunnel.openedAt)
    client.end('12345')
    assert.equal((await client.readAll()).toString(), '12345')
    const end = await setup.gateway.end()
    assert.deepEqual([end.bytesFromClient, end.bytesFromBackend, end.error], [5, 5, undefined])
    assert.ok(end.duration >= 0 && end.duration < 60_000)
    await client.closed
    assert.deepEqual(reported, [`open ${tunnel.id}`, `finished ${tunnel.id}`])
  })

  test('closes one tunnel by its own close()', async t => {
    const setup = await setUp(t, record())
    const { client, connection, tunnel } = await setup.open()
    tunnel.close()
    assert.equal((await client.readAll()).length, 0)
    assert.equal((await connection.readAll()).length, 0)
    client.end()
    connection.end()
    assert.equal((await setup.gateway.end()).reason, 'closed')
  })

  for (const wire of ['TCP', 'TLS'] as const) {
    test(`carries both directions at once, byte for byte, over ${wire}`, async t => {
      const fromBackend = randomBytes(2_000_000)
      const fromClient = randomBytes(2_000_000)
      const sendInPieces = async (bytes: Buffer, send: (piece: Buffer) => unknown): Promise<void> => {
        for (let at = 0, size = 1; at < bytes.length; at += size) {
          size = 1 + Math.floor(Math.random() * 65_536)
          await send(bytes.subarray(at, at + size))
        }
      }
      const script: Script = switching({
        after: async connection => {
          await sendInPieces(fromBackend, piece => connection.write(piece))
          connection.end()
        },
      })
      const setup = await setUp(t, script, {}, { clientWire: wire, backendWire: wire })
      const client = await setup.tunnel('/')
      await sendInPieces(fromClient, piece => new Promise(resolve => client.socket.write(piece, resolve)))
      client.end()
      assert.ok((await client.readAll()).equals(fromBackend))
      assert.ok((await (await setup.backend.connection()).readAll()).equals(fromClient))
    })
  }

  test('opens and closes 250 tunnels at once, and listens for upgrades once', async t => {
    const setup = await setUp(t, echo())
    await Promise.all(
      Array.from({ length: 250 }, async (_, i) => {
        const client = await setup.tunnel(`/${i}`)
        client.end(`I am ${i}`)
        assert.equal((await client.readAll()).toString(), `I am ${i}`)
        await client.closed
      }),
    )
    await eventually(() => setup.gateway.ends.length === 250 && setup.gateway.tunnels.size === 0)
    await eventually(() => setup.backend.open === 0)
    assert.equal(setup.gateway.server.listenerCount('upgrade'), 1)
  })

  test('survives observers that throw', async t => {
    const throwing = (): never => {
      throw new Error('of the observer')
    }
    const warned = once(process, 'warning')
    const setup = await setUp(t, echo(), { onClose: throwing, onError: throwing, onOpen: throwing })
    const client = await setup.tunnel('/')
    assert.equal((await client.send('hello').readExact(5)).toString(), 'hello')
    client.end()
    await client.readAll()
    setup.backend.play(raw(''))
    assert.equal((await setup.refused('/')).statusCode, 502)
    assert.match(String((await warned)[0]), /of the observer/)
  })
}
