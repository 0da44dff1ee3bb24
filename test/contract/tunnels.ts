import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Tunnel, TunnelEnd } from '@ws-tunnel/core'
import {
  answer,
  type Backend,
  echo,
  record,
  type Script,
  silent,
  switching,
  switchingHead,
} from '../support/backend.ts'
import type { RawClient } from '../support/client.ts'
import { eventually } from '../support/gate.ts'
import type { Started } from '../support/start.ts'
import * as certificates from '../support/tls.ts'
import { assertFailure, type Theme, type World, type WorldOptions, world } from './world.ts'

async function endOf(app: Started, n = 0): Promise<TunnelEnd> {
  return eventually(() => {
    const ended = app.ends[n]
    assert.ok(ended, 'the tunnel has not ended')
    return ended.end
  })
}

const openOne = async (
  w: World,
): Promise<{ client: RawClient; connection: Awaited<ReturnType<Backend['connection']>>; tunnel: Tunnel }> => {
  const client = await w.tunnel('/')
  const connection = await w.backend.connection()
  const [tunnel] = w.app.tunnels
  assert.ok(tunnel)
  return { client, connection, tunnel }
}

/** The bytes after the switch, the ends of a tunnel, and the limits of time and number. */
export const tunnelsTheme: Theme = start => {
  test('passes the FIN of the client on, and lets the backend finish', async t => {
    const w = await world(t, start, record())
    const { client, connection } = await openOne(w)
    client.end('last of the client')
    assert.equal((await connection.readAll()).toString(), 'last of the client')
    await connection.write('still ')
    assert.equal((await client.readExact(6)).toString(), 'still ')
    connection.end('talking')
    assert.equal((await client.readAll()).toString(), 'talking')
    const { reason, bytesFromClient, bytesFromBackend } = await endOf(w.app)
    assert.deepEqual([reason, bytesFromClient, bytesFromBackend], ['finished', 18, 13])
  })

  test('passes the FIN of the backend on, and lets the client finish', async t => {
    const w = await world(t, start, record())
    const { client, connection } = await openOne(w)
    connection.end('last of the backend')
    assert.equal((await client.readAll()).toString(), 'last of the backend')
    client.send('still ')
    assert.equal((await connection.readExact(6)).toString(), 'still ')
    client.end('talking')
    assert.equal((await connection.readAll()).toString(), 'talking')
    assert.equal((await endOf(w.app)).reason, 'finished')
  })

  test('ends when both sides end at once', async t => {
    const w = await world(t, start, record())
    const { client, connection } = await openOne(w)
    client.end('a')
    connection.end('b')
    assert.equal((await client.readAll()).toString(), 'b')
    assert.equal((await connection.readAll()).toString(), 'a')
    assert.equal((await endOf(w.app)).reason, 'finished')
  })

  test('ends both sides on RST of the client, after delivering what came before', async t => {
    const w = await world(t, start, record())
    const { client, connection, tunnel } = await openOne(w)
    client.send('last words')
    await eventually(() => tunnel.bytesFromClient === 10)
    client.reset()
    assert.equal((await connection.readAll()).toString(), 'last words')
    assert.equal(connection.error, undefined)
    connection.end()
    assert.equal((await endOf(w.app)).reason, 'client-error')
  })

  test('ends both sides on RST of the backend, after delivering what came before', async t => {
    const w = await world(t, start, record())
    const { client, connection, tunnel } = await openOne(w)
    await connection.write('last words')
    await eventually(() => tunnel.bytesFromBackend === 10)
    connection.reset()
    assert.equal((await client.readAll()).toString(), 'last words')
    assert.equal(client.error, undefined)
    client.end()
    assert.equal((await endOf(w.app)).reason, 'backend-error')
  })

  test('delivers what a slow client has still to read when the backend resets', async t => {
    const w = await world(t, start, record())
    const { client, connection, tunnel } = await openOne(w)
    client.socket.pause()
    const words = randomBytes(200_000)
    await connection.write(words)
    await eventually(() => tunnel.bytesFromBackend === words.length)
    connection.reset()
    client.socket.resume()
    assert.deepEqual(await client.readAll(), words)
  })

  for (const how of ['end', 'destroy', 'reset'] as const) {
    test(`lets go of the backend when the client leaves before the 101 (${how})`, async t => {
      const w = await world(t, start, silent())
      const client = await w.upgrade('/')
      await w.backend.request()
      client[how]()
      await (await w.backend.connection()).readAll().catch(() => {})
      assert.deepEqual(w.app.ends, [])
    })
  }

  test('survives a 101 that crosses with the leaving client', async t => {
    const w = await world(t, start, async connection => {
      const head = switchingHead(await connection.request())
      client.reset()
      await connection.write(head)
    })
    const client = await w.upgrade('/')
    await client.closed
    await (await w.backend.connection()).readAll().catch(() => {})
    assert.equal((await w.get('/own')).body, 'own')
  })

  test('tells of each tunnel once, with its reason, bytes and duration', async t => {
    const told: string[] = []
    const w = await world(t, start, echo(), {
      onOpen: ({ id }) => told.push(`open ${id}`),
      onClose: ({ id }, { reason }) => told.push(`${reason} ${id}`),
    })
    const { client, tunnel } = await openOne(w)
    assert.match(tunnel.facts.target, new RegExp(w.backend.address))
    assert.ok(tunnel.openedAt)
    client.end('12345')
    assert.equal((await client.readAll()).toString(), '12345')
    const end = await endOf(w.app)
    assert.deepEqual([end.bytesFromClient, end.bytesFromBackend, end.error], [5, 5, undefined])
    assert.ok(end.duration >= 0 && end.duration < 60_000)
    await client.closed
    assert.deepEqual(told, [`open ${tunnel.id}`, `finished ${tunnel.id}`])
  })

  test('closes one tunnel through its own close()', async t => {
    const w = await world(t, start, record())
    const { client, connection, tunnel } = await openOne(w)
    tunnel.close()
    assert.equal((await client.readAll()).length, 0)
    assert.equal((await connection.readAll()).length, 0)
    client.end()
    connection.end()
    assert.equal((await endOf(w.app)).reason, 'closed')
  })

  const transports: [name: string, world: WorldOptions, secure: boolean][] = [
    ['TCP', {}, false],
    [
      'TLS',
      {
        tls: certificates.server,
        client: { tls: { ca: certificates.ca, servername: 'localhost' } },
        backend: { tls: certificates.server },
      },
      true,
    ],
  ]
  for (const [name, where, secure] of transports) {
    test(`carries both directions at once, byte for byte, over ${name}`, async t => {
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
      const options = ({ port }: Backend): { target: string; tls?: { ca: string } } =>
        secure
          ? { target: `wss://localhost:${port}/`, tls: { ca: certificates.ca } }
          : { target: `ws://127.0.0.1:${port}/` }
      const w = await world(t, start, script, options, where)
      const client = await w.tunnel('/')
      await sendInPieces(fromClient, piece => new Promise(resolve => client.socket.write(piece, resolve)))
      client.end()
      assert.ok((await client.readAll()).equals(fromBackend))
      assert.ok((await (await w.backend.connection()).readAll()).equals(fromClient))
    })
  }

  test('opens and closes 250 tunnels at once, and listens for upgrades once', async t => {
    const w = await world(t, start, echo())
    await Promise.all(
      Array.from({ length: 250 }, async (_, i) => {
        const client = await w.tunnel(`/${i}`)
        client.end(`I am ${i}`)
        assert.equal((await client.readAll()).toString(), `I am ${i}`)
        await client.closed
      }),
    )
    await eventually(() => w.app.ends.length === 250 && w.app.tunnels.size === 0)
    await eventually(() => w.backend.open === 0)
    assert.equal(w.app.server.listenerCount('upgrade'), 1)
  })

  test('504s a backend that does not accept in connectTimeout', async t => {
    const waiting: Script = connection => connection.readAll().then(() => connection.end())
    const w = await world(t, start, waiting, ({ port }) => ({
      target: `wss://127.0.0.1:${port}/`,
      connectTimeout: 100,
    }))
    assertFailure(w.app, await w.refused('/'), 504, 'WST_ERR_CONNECT_TIMEOUT')
    assert.equal((await w.get('/')).statusCode, 504)
  })

  test('504s a backend that does not answer in handshakeTimeout', async t => {
    const w = await world(t, start, silent(), { handshakeTimeout: 100 })
    assertFailure(w.app, await w.refused('/'), 504, 'WST_ERR_HANDSHAKE_TIMEOUT')
    assert.equal((await w.get('/')).statusCode, 504)
  })

  test('counts a head that trickles in against handshakeTimeout', async t => {
    const w = await world(
      t,
      start,
      async connection => {
        await connection.request()
        for (const byte of 'HTTP/1.1 101 Switching Protocols\r\n') {
          if (connection.ended || connection.socket.destroyed) return
          await connection.write(byte)
          await sleep(20)
        }
      },
      { handshakeTimeout: 100 },
    )
    assertFailure(w.app, await w.refused('/'), 504, 'WST_ERR_HANDSHAKE_TIMEOUT')
  })

  test('no longer counts connectTimeout and handshakeTimeout after the 101', async t => {
    const w = await world(t, start, echo(), { connectTimeout: 100, handshakeTimeout: 100 })
    const client = await w.tunnel('/')
    await sleep(250)
    assert.equal((await client.send('hello').readExact(5)).toString(), 'hello')
  })

  test('ends an idle tunnel after idleTimeout, with FIN to both and not a byte more', async t => {
    const w = await world(t, start, record(), { idleTimeout: 100 })
    const { client, connection } = await openOne(w)
    assert.equal((await client.readAll()).length, 0)
    assert.equal((await connection.readAll()).length, 0)
    client.end()
    connection.end()
    assert.equal((await endOf(w.app)).reason, 'idle')
  })

  for (const from of ['client', 'backend'] as const) {
    test(`puts idleTimeout off with every byte of the ${from}`, async t => {
      const w = await world(t, start, record(), { idleTimeout: 250 })
      const { client, connection } = await openOne(w)
      for (let i = 0; i < 5; i++) {
        await sleep(60)
        if (from === 'client') client.send('.')
        else await connection.write('.')
      }
      assert.deepEqual(w.app.ends, [])
      assert.equal((await endOf(w.app)).reason, 'idle')
      assert.equal((await (from === 'client' ? connection : client).readAll()).toString(), '.....')
    })
  }

  test('takes a receiver that stopped reading for idle, however much is offered', async t => {
    const w = await world(t, start, switching({ after: connection => void connection.release() }), { idleTimeout: 200 })
    const { client, connection } = await openOne(w)
    const chunk = Buffer.alloc(65_536)
    const offer = (error?: unknown): unknown => error ?? client.socket.write(chunk, offer)
    for (let i = 0; i < 16; i++) offer()
    assert.equal((await endOf(w.app)).reason, 'idle')
    connection.socket.resume()
  })

  test('lets a tunnel be idle for ever by default', async t => {
    const w = await world(
      t,
      start,
      echo(),
      {},
      {
        serverOptions: {
          keepAliveTimeout: 50,
          requestTimeout: 100,
          headersTimeout: 50,
          connectionsCheckingInterval: 20,
        },
      },
    )
    const client = await w.tunnel('/')
    await sleep(300)
    assert.equal((await client.send('hello').readExact(5)).toString(), 'hello')
  })

  for (const first of ['client', 'backend'] as const) {
    test(`ends a tunnel that is silent for halfOpenTimeout after the FIN of the ${first}`, async t => {
      const w = await world(t, start, record(), { halfOpenTimeout: 250 })
      const { client, connection } = await openOne(w)
      const [gone, stays] = first === 'client' ? [client, connection] : [connection, client]
      gone.end()
      await stays.readAll()
      for (let i = 0; i < 5; i++) {
        await sleep(60)
        stays.socket.write('.')
      }
      assert.deepEqual(w.app.ends, [])
      assert.equal((await gone.readAll()).toString(), '.....')
      stays.end()
      assert.equal((await endOf(w.app)).reason, 'half-open')
    })
  }

  test('ends a tunnel after maxLifetime, busy or not', async t => {
    const w = await world(t, start, echo(), { maxLifetime: 200 })
    const { client } = await openOne(w)
    while (!client.ended) {
      client.send('.')
      await sleep(20)
    }
    assert.equal((await endOf(w.app)).reason, 'lifetime')
  })

  test('503s an upgrade past maxTunnels of its route, handshakes counted, until one ends', async t => {
    let release = (): void => {}
    const held = new Promise<void>(resolve => {
      release = resolve
    })
    const w = await world(
      t,
      start,
      async (connection, backend) => {
        await held
        return echo()(connection, backend)
      },
      ({ address }) => ({
        routes: [
          { path: '/one', target: `ws://${address}/`, maxTunnels: 1 },
          { path: '/free', target: `ws://${address}/` },
        ],
      }),
    )
    const first = await w.upgrade('/one')
    await w.backend.connection()
    assertFailure(w.app, await w.refused('/one'), 503, 'WST_ERR_TUNNEL_LIMIT')
    release()
    assert.equal((await first.answer()).statusCode, 101)
    assert.equal((await w.refused('/one')).statusCode, 503)
    await w.tunnel('/free')
    first.end()
    await first.readAll()
    await eventually(() => w.app.ends.length === 1)
    await w.tunnel('/one')
  })

  test('counts neither failures nor plain requests as tunnels', async t => {
    const w = await world(t, start, answer({ statusCode: 403 }), { maxTunnels: 1 })
    for (let i = 0; i < 3; i++) assert.equal((await w.refused('/')).statusCode, 403)
    for (let i = 0; i < 3; i++) assert.equal((await w.get('/')).statusCode, 403)
    const gone = await w.upgrade('/')
    gone.reset()
    await gone.closed
    w.backend.play(echo())
    await eventually(async () => {
      await (await w.tunnel('/')).send('x').readExact(1)
    })
  })

  test('takes what stands beside routes as the default of each of them', async t => {
    const w = await world(
      t,
      start,
      record(),
      ({ address }) => ({
        upgrade: 'foo',
        idleTimeout: 100,
        routes: [
          { path: '/own', target: `ws://${address}/`, upgrade: 'bar', idleTimeout: 0 },
          { path: '/', target: `ws://${address}/` },
        ],
      }),
      { mount: '/live' },
    )
    const patient = await w.tunnel('/live/own', { token: 'bar' })
    const idle = await w.tunnel('/live/x', { token: 'foo' })
    await idle.readAll()
    idle.end()
    ;(await w.backend.connection(1)).end()
    assert.equal((await endOf(w.app)).reason, 'idle')
    patient.send('still there')
    assert.equal((await (await w.backend.connection(0)).readExact(11)).toString(), 'still there')
  })

  test('survives observers that throw', async t => {
    const throwing = (): never => {
      throw new Error('of the observer')
    }
    const warned = once(process, 'warning')
    const w = await world(t, start, echo(), { onClose: throwing, onError: throwing, onOpen: throwing })
    const client = await w.tunnel('/')
    assert.equal((await client.send('hello').readExact(5)).toString(), 'hello')
    client.end()
    await client.readAll()
    w.backend.play(raw(''))
    assert.equal((await w.refused('/')).statusCode, 502)
    assert.match(String((await warned)[0]), /of the observer/)
  })
}
