import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { createServer } from 'node:http'
import { connect as connectTcp, type LookupFunction, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { createTunnelProxy, listenForUpgrades, type WsTunnelOptions } from '@ws-tunnel/core'
import { addon } from '@ws-tunnel/native'
import {
  type Backend,
  echo,
  echoing,
  raw,
  record,
  responding,
  type Script,
  silent,
  switchingHead,
} from '../../support/backend.ts'
import { connect, plainRequest, type RawClient, upgradeRequest } from '../../support/client.ts'
import type { CoreGateway } from '../../support/frameworks.ts'
import { closedPort, eventually, openHandles, socketPath } from '../../support/gate.ts'
import {
  connectClient,
  connectTunnel,
  sendRequest,
  startGateway as startAnyGateway,
  startBackend,
} from '../../support/harness.ts'
import { native } from '../../support/pump.ts'
import { appOf, closeAfter, listen } from '../../support/server.ts'
import { seeded } from '../../support/traffic.ts'

/** A gateway with a thread, also in a run whose other tests use JavaScript. */
const startGateway: typeof startAnyGateway = (t, options, ...rest) =>
  startAnyGateway(t, { async: true, ...options }, ...rest)

/** Whether the gateway has ended every connection. */
const released = ({ connections }: Backend): boolean =>
  connections.every(({ socket, ended }) => socket.destroyed || ended)

const sendUpgrade = (t: TestContext, gateway: CoreGateway): Promise<RawClient> =>
  sendRequest(t, gateway, upgradeRequest('/'))

/** A gateway whose round trips a thread makes, and one whose round trips Node makes. */
async function both(t: TestContext, options: WsTunnelOptions): Promise<[CoreGateway, CoreGateway]> {
  return [await startGateway(t, { ...options, async: true }), await startGateway(t, { ...options, async: false })]
}

/** Asserts that both report the same failure of a backend. @returns the failure. */
async function agreed(
  t: TestContext,
  options: WsTunnelOptions,
): Promise<{ code: string; causes: unknown[]; statusCode: number }> {
  const reported: { code: string; causes: unknown[]; statusCode: number }[] = []
  for (const gateway of await both(t, options)) {
    const { statusCode } = await (await sendUpgrade(t, gateway)).responseHead()
    const { code, cause } = gateway.errors[0] as Error & {
      code: string
      cause?: NodeJS.ErrnoException & { address?: string }
    }
    reported.push({ code, causes: [cause?.code, cause?.syscall, cause?.errno, cause?.address], statusCode })
  }
  assert.deepEqual(reported[0], reported[1])
  return reported[0] as (typeof reported)[0]
}

const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'

/** A port that accepts no connection, because its backlog is full. */
async function deafPort(t: TestContext): Promise<number> {
  const worker = new Worker(
    `const { parentPort } = require('node:worker_threads')
     const server = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
       parentPort.postMessage(server.address().port)
       Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
     })`,
    { eval: true },
  )
  const [port] = (await once(worker, 'message')) as [number]
  const waiting: Socket[] = []
  for (let last: Socket | undefined; last === undefined || !last.connecting; ) {
    last = connectTcp(port, '127.0.0.1')
    last.on('error', () => {})
    waiting.push(last)
    await Promise.race([once(last, 'connect'), new Promise(resolve => setTimeout(resolve, 100))])
  }
  t.after(async () => {
    for (const socket of waiting) socket.destroy()
    await worker.terminate()
  })
  return port
}

test('has no socket of Node for the backend', native, async t => {
  const backend = await startBackend(t, record())
  const gateway = await startGateway(t, { target: `ws://${backend.address}/` })
  const before = openHandles()['TCPSocketWrap'] ?? 0
  const client = await connectTunnel(t, gateway, '/')
  // The two sockets belong to the client and the backend of this test.
  await eventually(() => assert.equal((openHandles()['TCPSocketWrap'] ?? 0) - before, 2))
  assert.equal(gateway.opened[0]?.offloaded, true)
  client.destroy()
})

test('sends the same request as Node, byte for byte', native, async t => {
  const seen: string[] = []
  const backend = await startBackend(t, async connection => {
    const request = await connection.request()
    seen.push(request.raw)
    await connection.write(switchingHead(request))
  })
  const request = upgradeRequest('/a?b=%20', {
    headers: { Cookie: ['a=b', 'c=d'], 'X-Odd': '\xe9 ~', 'Sec-WebSocket-Protocol': 'x' },
  })
  for (const gateway of await both(t, { target: `ws://${backend.address}/base` })) {
    const client = await sendRequest(t, gateway, request)
    assert.equal((await client.responseHead()).statusCode, 101)
  }
  assert.equal(seen.length, 2)
  assert.equal(seen[0], seen[1])
})

test(
  'delivers the bytes that the backend sends with its 101, and those that the client sends before it',
  native,
  async t => {
    const early = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
    const backend = await startBackend(t, record({ early }))
    const gateway = await startGateway(t, { target: `ws://${backend.address}/` })
    const client = await sendUpgrade(t, gateway)
    client.send(early)
    await client.responseHead()
    assert.deepEqual(await client.readExact(256), early)
    const connection = await backend.connection()
    assert.deepEqual(await connection.readExact(256), early)
    const [tunnel] = gateway.opened
    assert.deepEqual([tunnel?.bytesFromBackend, tunnel?.bytesFromClient, tunnel?.offloaded], [256, 256, true])
  },
)

test('delivers the bytes that a client sends before the 101 while it does not read', native, async t => {
  const backend = await startBackend(t, record())
  const proxy = createTunnelProxy({ target: `ws://${backend.address}/`, drainTimeout: 0 })
  const app = appOf(proxy)
  const sent = Promise.withResolvers<void>()
  // So many bytes that epoll does not report the socket as writable, but fewer than the socket takes.
  const server = createServer((_req, res) => res.end(Buffer.alloc(120_000)).on('finish', sent.resolve))
  t.after(() => proxy.close())
  closeAfter(t, server)
  listenForUpgrades(server, app)
  const { path, remove } = await socketPath()
  t.after(remove)
  await listen(server, { path })
  const client = await connectClient(t, 0, { path })
  client.socket.pause()
  client.send(plainRequest('/'))
  await sent.promise
  client.send(`${upgradeRequest('/')}early`)
  assert.equal((await (await backend.connection()).readExact(5)).toString(), 'early')
  assert.deepEqual(
    Array.from(proxy.tunnels, ({ offloaded }) => offloaded),
    [true],
  )
})

const FAILURES: Record<string, [script: Script, code: string]> = {
  'sends FIN without a byte': [raw(''), 'WST_ERR_NO_RESPONSE'],
  'sends RST without a byte': [raw('', 'reset'), 'WST_ERR_NO_RESPONSE'],
  'sends FIN as soon as it has accepted': [connection => connection.end(), 'WST_ERR_NO_RESPONSE'],
  'sends FIN in the middle of the head': [raw(SWITCH), 'WST_ERR_NO_RESPONSE'],
  'sends a head that is too large': [raw(`${SWITCH}X: ${'x'.repeat(100_000)}\r\n\r\n`, 'keep'), 'WST_ERR_BAD_RESPONSE'],
  'sends bytes that are not HTTP': [raw('\x16\x03\x01\x02', 'keep'), 'WST_ERR_BAD_RESPONSE'],
  'sends a line without colon': [raw(`${SWITCH}nonsense\r\n\r\n`, 'keep'), 'WST_ERR_BAD_RESPONSE'],
  'ends its lines with LF alone': [raw('HTTP/1.1 101 S\nUpgrade: websocket\n\n', 'keep'), 'WST_ERR_BAD_RESPONSE'],
  'stops after a line without colon': [raw('HTTP/1.1 101 S\r\nnonsense\r\n', 'keep'), 'WST_ERR_BAD_RESPONSE'],
  'sends NUL in a value': [raw(`${SWITCH}X: a\0b\r\n\r\n`, 'keep'), 'WST_ERR_BAD_RESPONSE'],
  'switches without Upgrade': [raw('HTTP/1.1 101 S\r\nConnection: Upgrade\r\n\r\n', 'keep'), 'WST_ERR_BAD_SWITCH'],
  'switches without Connection': [raw('HTTP/1.1 101 S\r\nUpgrade: websocket\r\n\r\n', 'keep'), 'WST_ERR_BAD_SWITCH'],
  'switches to another protocol': [
    raw('HTTP/1.1 101 S\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n', 'keep'),
    'WST_ERR_BAD_SWITCH',
  ],
  'accepts another key': [raw(`${SWITCH}Sec-WebSocket-Accept: no\r\n\r\n`, 'keep'), 'WST_ERR_BAD_SWITCH'],
  'sends many interim responses': [raw('HTTP/1.1 103 Early\r\n\r\n'.repeat(11), 'keep'), 'WST_ERR_BAD_RESPONSE'],
  'never responds': [silent(), 'WST_ERR_HANDSHAKE_TIMEOUT'],
  'never ends its head': [raw('HTTP/1.1 101 Switching', 'keep'), 'WST_ERR_HANDSHAKE_TIMEOUT'],
}

for (const [what, [script, code]] of Object.entries(FAILURES)) {
  test(`reports the same failure as Node for a backend that ${what}`, native, async t => {
    const backend = await startBackend(t, script)
    const timeouts = code === 'WST_ERR_HANDSHAKE_TIMEOUT' ? { handshakeTimeout: 200 } : {}
    const reported = await agreed(t, { target: `ws://${backend.address}/`, strictHandshake: true, ...timeouts })
    assert.equal(reported.code, code)
    await eventually(() => released(backend))
  })
}

test('reports the same failure as Node for an address where nothing listens', native, async t => {
  const reported = await agreed(t, { target: `ws://127.0.0.1:${await closedPort()}/` })
  assert.deepEqual([reported.code, ...reported.causes.slice(0, 2)], ['WST_ERR_CONNECT', 'ECONNREFUSED', 'connect'])
})

test('fails after connectTimeout if a backend does not accept', native, async t => {
  const reported = await agreed(t, { target: `ws://127.0.0.1:${await deafPort(t)}/`, connectTimeout: 200 })
  assert.equal(reported.code, 'WST_ERR_CONNECT_TIMEOUT')
})

test('does not apply connectTimeout to the response', native, async t => {
  const backend = await startBackend(t, async connection => {
    const request = await connection.request()
    await new Promise(resolve => setTimeout(resolve, 150))
    await connection.write(switchingHead(request))
  })
  const gateway = await startGateway(t, { target: `ws://${backend.address}/`, connectTimeout: 50 })
  assert.equal((await (await sendUpgrade(t, gateway)).responseHead()).statusCode, 101)
})

test('fails over from a member of a balancer that is unreachable', native, async t => {
  const backend = await startBackend(t, echo())
  const gateway = await startGateway(t, {
    routes: [{ path: '/', target: 'balancer://b/' }],
    balancers: {
      b: { members: [{ url: `ws://127.0.0.1:${await closedPort()}` }, { url: `ws://${backend.address}` }] },
    },
  })
  const client = await connectTunnel(t, gateway, '/')
  client.send('hello')
  assert.equal((await client.readExact(5)).toString(), 'hello')
  assert.equal(gateway.opened[0]?.offloaded, true)
  client.destroy()
})

/** Responses that are not a valid 101 in one read. The client gets the same bytes as from a round trip of Node. */
const ANSWERS: Record<string, Script> = {
  'a response with a length': responding({ statusCode: 403, headers: ['X-A: b'], body: 'no' }),
  'a response in chunks': raw(
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n',
  ),
  'a response until FIN': raw(`HTTP/1.0 200 OK\r\n\r\n${'x'.repeat(200_000)}`),
  'a response that breaks off': raw('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc'),
  'an interim response before a 101': raw(`HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n${SWITCH}\r\nafter`),
  'a folded field': raw(`${SWITCH}X: a\r\n b\r\n\r\nafter`),
  'a response before the request': async connection => {
    await connection.write('HTTP/1.1 400 Early\r\nContent-Length: 2\r\n\r\nno')
    connection.end()
  },
}

for (const [what, script] of Object.entries(ANSWERS)) {
  test(`hands ${what} over to Node`, native, async t => {
    const backend = await startBackend(t, script)
    const received: string[] = []
    for (const gateway of await both(t, { target: `ws://${backend.address}/`, strictHandshake: false })) {
      const client = await sendUpgrade(t, gateway)
      client.end()
      received.push((await client.readAll()).toString('latin1').replace(/^Date: .*\r\n/m, ''))
    }
    assert.equal(received[0], received[1])
    assert.match(received[0] as string, /^HTTP\/1\.1 /)
    await eventually(() => released(backend))
  })
}

test('opens a tunnel after a 101 that arrives in pieces', native, async t => {
  const backend = await startBackend(t, async connection => {
    const head = switchingHead(await connection.request())
    for (const piece of head.match(/[\s\S]{1,20}/g) ?? []) {
      await connection.write(piece)
      await new Promise(resolve => setImmediate(resolve))
    }
    await echoing(connection, backend)
  })
  const gateway = await startGateway(t, { target: `ws://${backend.address}/` })
  const client = await connectTunnel(t, gateway, '/')
  client.send('hello')
  assert.equal((await client.readExact(5)).toString(), 'hello')
  await eventually(() => gateway.opened[0]?.offloaded === true)
  client.destroy()
})

test('counts for a member the bytes that a thread has moved before Node gets the response', native, async t => {
  const text = 'HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno'
  const backend = await startBackend(t, raw(text, 'keep'))
  const counts: unknown[] = []
  const options = {
    routes: [{ path: '/', target: 'balancer://b/' }],
    balancers: { b: { members: [{ url: `ws://${backend.address}` }] } },
  }
  for (const gateway of await both(t, options)) {
    assert.equal((await (await sendUpgrade(t, gateway)).whole()).body, 'no')
    const member = gateway.proxy.balancers.get('b')?.members[0]
    await eventually(() => member?.bytesReceived === text.length)
    counts.push(member?.bytesSent)
  }
  assert.deepEqual(counts[0], counts[1])
  assert.ok((counts[0] as number) > 50)
})

test('ends the connection to the backend when the client leaves before the response', native, async t => {
  const backend = await startBackend(t, silent())
  const gateway = await startGateway(t, { target: `ws://${backend.address}/` })
  const client = await sendUpgrade(t, gateway)
  await backend.request()
  client.reset()
  await eventually(() => released(backend))
  await eventually(() => assert.equal((gateway.errors[0] as { code?: string })?.code, 'WST_ERR_CLIENT_GONE'))
})

test('refuses the client, and aborts the connect, when the proxy closes', native, async t => {
  const gateway = await startGateway(t, { target: `ws://127.0.0.1:${await deafPort(t)}/` })
  const client = await sendUpgrade(t, gateway)
  await eventually(() => (gateway.proxy.routes[0]?.hits ?? 0) > 0)
  await gateway.proxy.close({ drainTimeout: 0 })
  assert.equal((await client.responseHead()).statusCode, 503)
  assert.equal((gateway.errors[0] as { code?: string }).code, 'WST_ERR_CLOSING')
})

test('looks up names as Node does, and leaves a name with several addresses to Node', native, async t => {
  const backend = await startBackend(t, echo())
  const lookups: unknown[] = []
  const lookup =
    (...addresses: string[]): LookupFunction =>
    (host, { all }, done) => {
      lookups.push([host, all])
      done(null, addresses.map(address => ({ address, family: 4 })) as never)
    }
  const reached: unknown[] = []
  for (const addresses of [['127.0.0.1'], ['127.0.0.2', '127.0.0.1'], []]) {
    const gateway = await startGateway(t, { target: `ws://chat.test:${backend.port}/`, lookup: lookup(...addresses) })
    const client = await sendUpgrade(t, gateway)
    reached.push((await client.responseHead()).statusCode, (gateway.errors[0] as { code?: string })?.code)
  }
  assert.deepEqual(reached, [101, undefined, 101, undefined, 502, 'WST_ERR_DNS'])
  assert.deepEqual(lookups, Array(3).fill(['chat.test', true]))
})

test('uses the first result of a lookup that gives two', native, async t => {
  const backend = await startBackend(t, echo())
  const lookup: LookupFunction = (_host, _options, done) => {
    const give = (address: string): void => done(null, [{ address, family: 4 }] as never)
    give('127.0.0.1')
    give('127.0.0.2')
  }
  for (const gateway of await both(t, { target: `ws://chat.test:${backend.port}/`, lookup })) {
    const client = await sendUpgrade(t, gateway)
    assert.equal((await client.responseHead()).statusCode, 101)
    client.send('hello')
    assert.equal((await client.readExact(5)).toString(), 'hello')
  }
  assert.equal(backend.connections.length, 2)
})

test('connects to an IPv6 address', native, async t => {
  const backend = await startBackend(t, echo(), { host: '::1' }).catch(() => undefined)
  if (backend === undefined) return t.skip('no IPv6')
  t.after(backend.close)
  const gateway = await startGateway(t, { target: `ws://[::1]:${backend.port}/` })
  assert.equal((await (await sendUpgrade(t, gateway)).responseHead()).statusCode, 101)
  assert.equal(gateway.opened[0]?.offloaded, true)
})

test('leaves the round trip to Node if asyncDelay is not 0', native, async t => {
  const backend = await startBackend(t, echo())
  const gateway = await startGateway(t, { target: `ws://${backend.address}/`, asyncDelay: 60_000 })
  const client = await connectTunnel(t, gateway, '/')
  assert.equal(gateway.opened[0]?.offloaded, false)
  client.destroy()
})

test('leaves no descriptor, in whatever way a round trip ends', native, async t => {
  const backend = await startBackend(t, echo())
  const gateway = await startGateway(t, { target: `ws://${backend.address}/`, handshakeTimeout: 100 })
  const refused = await startGateway(t, { target: `ws://127.0.0.1:${await closedPort()}/` })
  const scripts = [...Object.values(FAILURES).map(([script]) => script), ...Object.values(ANSWERS), echo()]
  const round = async (): Promise<void> => {
    for (const script of scripts) {
      backend.play(script)
      const client = await connect(gateway.port)
      client.send(upgradeRequest('/')).end()
      await client.readAll()
      client.destroy()
      await client.closed
    }
    const client = await connect(refused.port)
    client.send(upgradeRequest('/')).end()
    await client.readAll()
    client.destroy()
    // A connection whose client has left may still be accepted.
    await eventually(() => {
      for (const { socket } of backend.connections) socket.destroy()
      return backend.open === 0
    })
  }
  const descriptors = (): number => readdirSync('/proc/self/fd').length
  await round()
  const first = descriptors()
  await round()
  await round()
  await eventually(() => assert.ok(descriptors() <= first, `${descriptors()} descriptors, ${first} before`), 10_000)
})

test('ends cleanly, whichever side leaves at whatever time', native, async t => {
  const seed = Math.floor(Math.random() * 2 ** 31)
  t.diagnostic(`seed ${seed}`)
  const random = seeded(seed)
  const scripts = [...Object.values(FAILURES).map(([script]) => script), ...Object.values(ANSWERS), echo(), record()]
  const someTime = (): Promise<void> => new Promise(resolve => setTimeout(resolve, 6 * random() ** 2))
  const backend = await startBackend(t, async (connection, all) => {
    const script = scripts[Math.floor(random() * scripts.length)] as Script
    if (random() < 0.3) await someTime()
    await script(connection, all)
    await someTime()
    if (random() < 0.5) connection.reset()
    else connection.end()
  })
  const gateway = await startGateway(t, { target: `ws://${backend.address}/`, handshakeTimeout: 50, threads: 2 })
  const visit = async (): Promise<void> => {
    const client = await connect(gateway.port)
    client.send(upgradeRequest('/'))
    if (random() < 0.3) client.send('ahead')
    await someTime()
    if (random() < 0.2) await gateway.opened.at(-1)?.close()
    if (random() < 0.5) client.reset()
    else client.end()
    await client.closed
  }
  const some = async (): Promise<void> => {
    for (let i = 0; i < 40; i++) await visit()
  }
  await Promise.all(Array.from({ length: 8 }, some))
  await eventually(() => gateway.proxy.tunnels.size === 0, 10_000)
  await gateway.proxy.close()
  assert.equal(gateway.opened.length, gateway.ends.length)
})

test('ends with its worker thread, also before the response', native, async t => {
  const backend = await startBackend(t, silent())
  const gateway = fork(new URL('../tunnel/offload-child.ts', import.meta.url), [String(backend.port), 'worker'], {
    execArgv: ['--disable-warning=ExperimentalWarning'],
  })
  t.after(() => void gateway.kill('SIGKILL'))
  const [{ port }] = (await once(gateway, 'message')) as [{ port: number }]
  const client = await connectClient(t, port)
  client.send(upgradeRequest('/'))
  await backend.request()
  gateway.send('terminate')
  const [connection] = backend.connections
  await Promise.all([client.readAll(), connection?.readAll()])
  assert.deepEqual((await once(gateway, 'message'))[0], { terminated: true })
})

test('rejects a slot that has no connection or no response, without harm', native, async t => {
  const backend = await startBackend(t, echo())
  const gateway = await startGateway(t, { target: `ws://${backend.address}/` })
  // The addon has a listener from here on.
  const client = await connectTunnel(t, gateway, '/')
  const loaded = addon
  assert.ok(loaded)
  const nothing = Buffer.alloc(0)
  for (const address of ['localhost', '', '127.0.0.1\0', '1'.repeat(100), 'fe80::1%lo']) {
    assert.throws(() => loaded.connect(address, 80, 'x', 0, 0), /cannot connect/, address)
  }
  assert.throws(() => loaded.connect('127.0.0.1', 65_536, 'x', 0, 0), /cannot connect/)
  assert.throws(() => loaded.connect('127.0.0.1', 80, nothing as never, 0, 0), TypeError)
  const slot = loaded.connect('127.0.0.1', backend.port, 'GET / HTTP/1.1\r\n\r\n', 0, 0)
  assert.throws(() => loaded.attachClient(slot, 0, nothing, 0, ''), /no such response/)
  assert.throws(() => loaded.releaseBackend(slot), /no such response/)
  loaded.end(slot)
  loaded.flush()
  client.send('alive')
  assert.equal((await client.readExact(5)).toString(), 'alive')
  await eventually(() => assert.throws(() => loaded.connected(slot), RangeError))
  client.destroy()
})

test('serves plain requests too', native, async t => {
  const backend = await startBackend(t, responding({ body: 'plain' }))
  const gateway = await startGateway(t, { target: `ws://${backend.address}/` })
  assert.equal((await (await sendRequest(t, gateway, plainRequest('/'))).whole()).body, 'plain')
})
