import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import type { Tunnel, WsTunnelOptions } from '@ws-tunnel/core'
import { type BackendConnection, record, switching } from '../../support/backend.ts'
import { openTunnel, type RawClient } from '../../support/client.ts'
import { eventually, openHandles, within } from '../../support/gate.ts'
import { connectTunnel, sendFinAfterFin, setUp, startBackend, WIRES } from '../../support/harness.ts'
import { async } from '../../support/pump.ts'
import * as certificates from '../../support/tls.ts'
import { GIGABYTE, MAX_CHUNK, offer, receiveRandomly } from '../../support/traffic.ts'

/** A gateway in a process of its own, whose memory holds nothing of the test. */
async function measuredGateway(t: TestContext, options: WsTunnelOptions, tls: boolean) {
  const child: ChildProcess = fork(
    new URL('measured-gateway.ts', import.meta.url),
    [JSON.stringify(options), tls ? 'tls' : ''],
    {
      execArgv: ['--expose-gc', '--disable-warning=ExperimentalWarning'],
    },
  )
  t.after(() => {
    child.kill('SIGKILL')
  })
  const [{ port }] = (await once(child, 'message')) as [{ port: number }]
  return {
    port,
    memory: async (): Promise<NodeJS.MemoryUsage> => {
      child.send('memory')
      const [usage] = (await once(child, 'message')) as [NodeJS.MemoryUsage]
      return usage
    },
    /** Full collections so far. */
    collections: async (): Promise<number> => {
      child.send('collections')
      const [count] = (await once(child, 'message')) as [number]
      return count
    },
    /** Bytes in the old space of V8, without a collection before. */
    old: async (): Promise<number> => {
      child.send('old')
      const [bytes] = (await once(child, 'message')) as [number]
      return bytes
    },
  }
}

const stalls: [stalled: 'client' | 'backend', wire: 'TCP' | 'TLS'][] = [
  ['client', 'TCP'],
  ['backend', 'TCP'],
  ['client', 'TLS'],
  ['backend', 'TLS'],
]

for (const [stalled, wire] of stalls) {
  test(`grows by no more than 4 MB while a gigabyte is offered to a ${stalled} that reads nothing, over ${wire}`, async t => {
    const tls = wire === 'TLS'
    const backend = await startBackend(t, switching({ after: () => {} }), tls ? { tls: certificates.server } : {})
    const target = `${tls ? 'wss' : 'ws'}://localhost:${backend.port}/`
    const gateway = await measuredGateway(t, { target, async, tls: { ca: certificates.ca } }, tls)
    const open = async (n: number): Promise<[reader: Socket, sender: Socket]> => {
      const client = await connectTunnel(
        t,
        gateway,
        '/',
        {},
        tls ? { tls: { ca: certificates.ca, servername: 'localhost' } } : {},
      )
      const [near, far] = [client.release(), (await backend.connection(n)).release()]
      return stalled === 'client' ? [near, far] : [far, near]
    }

    // The allocator and the compiler take memory once, while the first bytes pass.
    for (let n = 0; n < 2; n++) {
      const [reader, sender] = await open(n)
      const all = receiveRandomly(reader, () => 1)
      for (let left = 500; left > 0; left--) if (!sender.write(Buffer.alloc(MAX_CHUNK))) await once(sender, 'drain')
      sender.end()
      assert.equal((await all).bytes, 500 * MAX_CHUNK)
      reader.end()
    }
    const before = await gateway.memory()
    const [reader, sender] = await open(2)
    reader.pause()
    const taken = await within(20_000, 'backpressure', offer(sender))
    assert.ok(taken < GIGABYTE / 4, `${taken} bytes were taken for a reader that reads nothing`)
    // Buffered bytes stay as long as the reader is paused. What the compiler or a collection takes for a moment does not.
    await eventually(async () => {
      const during = await gateway.memory()
      const grown = (key: 'rss' | 'external' | 'arrayBuffers'): number => during[key] - before[key]
      const [rss, external, arrayBuffers] = [grown('rss'), grown('external'), grown('arrayBuffers')]
      t.diagnostic(`taken ${taken}, grown: rss ${rss}, external ${external}, arrayBuffers ${arrayBuffers}`)
      assert.ok(Math.max(rss, external, arrayBuffers) <= 4_000_000, `grew by ${rss}, ${external}, ${arrayBuffers}`)
    })
    const all = receiveRandomly(reader, () => 1)
    sender.end()
    assert.equal((await all).bytes, taken)
  })
}

const MEGABYTE = 1_000_000
const MAX_COLLECTIONS_PER_GB = 2

for (const [clientWire, backendWire] of WIRES.filter(wires => wires.includes('TLS'))) {
  test(`starts at most ${MAX_COLLECTIONS_PER_GB} full collections per gigabyte: ${clientWire} in front, ${backendWire} behind`, async t => {
    const secure = backendWire === 'TLS'
    const backend = await startBackend(t, switching({ after: () => {} }), secure ? { tls: certificates.server } : {})
    const target = `${secure ? 'wss' : 'ws'}://localhost:${backend.port}/`
    const gateway = await measuredGateway(t, { target, async, tls: { ca: certificates.ca } }, clientWire === 'TLS')
    const wire = clientWire === 'TLS' ? { tls: { ca: certificates.ca, servername: 'localhost' } } : {}
    const client = (await connectTunnel(t, gateway, '/', {}, wire)).release()
    const peer = (await backend.connection()).release()
    const chunk = Buffer.alloc(MAX_CHUNK)
    const move = async (from: Socket, to: Socket, bytes: number): Promise<void> => {
      let received = 0
      const all = new Promise<void>(resolve => {
        const onData = ({ length }: Buffer): void => {
          received += length
          if (received < bytes) return
          to.off('data', onData)
          resolve()
        }
        to.on('data', onData)
        to.resume()
      })
      for (let left = bytes; left > 0; left -= chunk.length)
        if (!from.write(left < chunk.length ? chunk.subarray(0, left) : chunk)) await once(from, 'drain')
      await all
    }
    const moveBothWays = (bytes: number): Promise<unknown> =>
      Promise.all([move(client, peer, bytes), move(peer, client, bytes)])
    await moveBothWays(50 * MEGABYTE)
    const before = await gateway.collections()
    await moveBothWays(250 * MEGABYTE)
    const perGigabyte = ((await gateway.collections()) - before) * 2
    t.diagnostic(`${perGigabyte} per GB`)
    assert.ok(perGigabyte <= MAX_COLLECTIONS_PER_GB, `${perGigabyte} full collections per GB`)
  })
}

test('uses little of the heap for an idle tunnel, and frees it at the end', async t => {
  const backend = await startBackend(t, switching({ after: () => {} }))
  const gateway = await measuredGateway(t, { target: `ws://127.0.0.1:${backend.port}/`, async }, false)
  const heapWith = async (tunnels: number): Promise<number> => {
    const clients: RawClient[] = []
    while (clients.length < tunnels) {
      const some = await Promise.all(Array.from({ length: 50 }, () => openTunnel(gateway.port, '/')))
      clients.push(...some.map(({ client }) => client))
    }
    const { heapUsed } = await gateway.memory()
    for (const client of clients) client.end()
    for (const connection of backend.connections) connection.release().resume().end()
    await Promise.all(clients.map(({ closed }) => closed))
    return heapUsed
  }
  await heapWith(1_000)
  const [few, many, again] = [await heapWith(100), await heapWith(1_100), await heapWith(100)]
  const each = (many - few) / 1_000
  t.diagnostic(`${each} bytes for each, ${again - few} more than before with as many`)
  // Two idle sockets of Node take 2,000 by themselves.
  assert.ok(each < (async ? 4_000 : 8_000), `${each} bytes`)
  assert.ok(again - few < 500_000, `${again - few} bytes more than before`)
})

test('leaves no socket, timer or listener behind after 2,000 tunnels', async t => {
  const { gateway, backend } = await setUp(t, record(), { idleTimeout: 60_000, maxLifetime: 120_000 })
  const ways: ((client: RawClient, connection: BackendConnection, tunnel: Tunnel) => void)[] = [
    client => client.end(),
    (_, connection) => connection.end(),
    client => client.reset(),
    (_, connection) => connection.reset(),
    client => client.destroy(),
    (_, __, tunnel) => void tunnel.close(),
    (client, connection) => {
      client.end()
      connection.reset()
    },
    (client, connection) => {
      client.reset()
      connection.reset()
    },
    (client, _, tunnel) => {
      client.send('x')
      void tunnel.close()
    },
  ]
  const one = async (i: number): Promise<void> => {
    const client = await connectTunnel(t, gateway, `/${i}`)
    const tunnel = gateway.opened.findLast(({ info }) => info.url === `/${i}`)
    const connection = backend.connections.findLast(({ requests }) => requests[0]?.path === `/${i}`)
    assert.ok(tunnel && connection)
    sendFinAfterFin(client, connection)
    ways[i % ways.length]?.(client, connection, tunnel)
    await Promise.all([client.closed, connection.closed, tunnel.ended])
  }
  const run = async (from: number, to: number): Promise<void> => {
    for (let at = from; at < to; at += 100) {
      await Promise.all(Array.from({ length: Math.min(100, to - at) }, (_, i) => one(at + i)))
    }
    await eventually(() => new Promise<boolean>(resolve => gateway.server.getConnections((_, n) => resolve(n === 0))))
    assert.equal(gateway.proxy.tunnels.size, 0)
  }
  const listeners = (): unknown[] =>
    [gateway.server, backend.server, process].map(emitter =>
      emitter.eventNames().map(name => [name, emitter.listenerCount(name as 'exit')]),
    )
  await run(0, 100)
  const [handles, before] = [openHandles(), listeners()]
  await run(100, 2_100)
  await eventually(() => assert.deepEqual(openHandles(), handles))
  assert.deepEqual(listeners(), before)
  assert.deepEqual([gateway.opened.length, gateway.ends.length], [2_100, 2_100])
  assert.equal(new Set(gateway.ends.map(({ tunnel }) => tunnel)).size, 2_100)
})

test('lets V8 collect the objects of an ended tunnel in its young generation', async t => {
  const backend = await startBackend(t, switching({ after: connection => connection.end() }))
  const gateway = await measuredGateway(t, { target: `ws://127.0.0.1:${backend.port}/`, async }, false)
  const run = async (tunnels: number): Promise<void> => {
    const one = async (): Promise<void> => {
      const client = await connectTunnel(t, gateway, '/')
      client.end()
      await client.closed
    }
    for (let left = tunnels; left > 0; left -= 40) await Promise.all(Array.from({ length: 40 }, one))
  }
  // Right after a full collection the next one is far away: one that came meanwhile would hide what stays.
  const first = await gateway.collections()
  for (let i = 0; i < 12 && (await gateway.collections()) === first; i++) await run(1_000)
  const collections = await gateway.collections()
  const before = await gateway.old()
  await run(2_000)
  const each = ((await gateway.old()) - before) / 2_000
  t.diagnostic(`${each} bytes of the old space for each`)
  assert.equal((await gateway.collections()) - collections, 0, 'no full collection came meanwhile')
  // In JavaScript some 3.3 KB of each tunnel stay, for a cause that is not known. They should be as few as with the addon.
  const most = async ? 1_600 : 4_500
  assert.ok(each < most, `${each} bytes of each tunnel stay until the next full collection`)
})
