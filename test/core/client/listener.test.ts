import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { createTunnelProxy, listenForUpgrades } from '@ws-tunnel/core'
import * as copy from '../../../packages/core/src/index.ts'
import { echo } from '../../support/backend.ts'
import { plainRequest, upgradeRequest } from '../../support/client.ts'
import { eventually } from '../../support/gate.ts'
import { connectClient, connectTunnel, startBackend } from '../../support/harness.ts'
import { appOf, startServer } from '../../support/server.ts'

const responding =
  (text: string): RequestListener =>
  (req, res) =>
    res.end(`${text}: ${req.url}`)

const serverOf = (t: TestContext, handler = responding('request')): Promise<{ server: Server; port: number }> =>
  startServer(t, handler)

const outcomeOf = async (t: TestContext, port: number, text: string): Promise<string> => {
  const { statusCode, body } = await (await connectClient(t, port)).send(text).whole()
  return statusCode === 200 ? body : String(statusCode)
}

/** Adds the listener of another library to the same server. */
function addOtherListener(server: Server, text = 'other', only = (_req: IncomingMessage): boolean => true): void {
  server.on('upgrade', (req: IncomingMessage, socket: Socket) => {
    if (only(req)) socket.end(`HTTP/1.1 200 Fine\r\nConnection: close\r\n\r\n${text}: ${req.url}`)
  })
}

const traits = (server: Server): unknown[] => [
  server.eventNames().map(name => [name, server.listenerCount(name)]),
  Object.hasOwn(server, 'emit'),
  server.emit,
  (server as { shouldUpgradeCallback?: unknown }).shouldUpgradeCallback,
]

test('sends an upgrade through the handler as an ordinary request', async t => {
  const { server, port } = await serverOf(t)
  listenForUpgrades(server, (req, res) => {
    assert.equal(req.socket.writable, true)
    res.setHeader('Set-Cookie', ['a=1', 'b=2'])
    res.writeHead(401, 'Not you', { 'X-Of': 'the handler' })
    res.write('first ')
    res.end('last')
  })
  const client = await connectClient(t, port)
  const refused = await client.send(upgradeRequest('/x')).whole()
  assert.deepEqual([refused.statusCode, refused.reason, refused.body], [401, 'Not you', 'first last'])
  assert.deepEqual([refused.headers('set-cookie'), refused.header('x-of')], [['a=1', 'b=2'], 'the handler'])
  assert.equal(refused.header('connection'), 'close')
  assert.equal((await client.readAll()).length, 0)
})

test('emits finish, close and the drain of a slow reader on the response', async t => {
  const { server, port } = await serverOf(t)
  const events: string[] = []
  const body = Buffer.alloc(24_000_000, 'x')
  let response: ServerResponse | undefined
  listenForUpgrades(server, async (_req, res) => {
    response = res
    for (const event of ['finish', 'close']) res.on(event, () => events.push(event))
    res.writeHead(200, { 'Content-Length': body.length })
    for (let at = 0; at < body.length; at += 1_000_000) {
      if (!res.write(body.subarray(at, at + 1_000_000))) await once(res, 'drain')
    }
    res.end()
  })
  const client = await connectClient(t, port)
  client.socket.pause()
  client.send(upgradeRequest('/'))
  await eventually(() => response?.writableNeedDrain === true)
  const socket = client.release()
  let received = 0
  for await (const chunk of socket) received += (chunk as Buffer).length
  assert.ok(received > body.length, 'head and body')
  assert.deepEqual(events, ['finish', 'close'])
})

test('closes the response if the client resets the connection', async t => {
  const { server, port } = await serverOf(t)
  const { promise, resolve } = Promise.withResolvers<ServerResponse>()
  listenForUpgrades(server, (_req, res) => resolve(res))
  const client = await connectClient(t, port)
  client.send(upgradeRequest('/'))
  const res = await promise
  client.reset()
  await once(res, 'close')
  assert.equal(res.writableFinished, false)
})

test('adds one listener to a server for any number of calls, also from copies of the package', async t => {
  const { server, port } = await serverOf(t)
  const undo = [
    listenForUpgrades(server, responding('first')),
    listenForUpgrades(server, responding('second')),
    copy.listenForUpgrades(server, responding('copy')),
  ]
  assert.notEqual(copy.listenForUpgrades, listenForUpgrades)
  assert.deepEqual([server.listenerCount('upgrade'), server.listenerCount('connect')], [1, 1])
  assert.equal(await outcomeOf(t, port, upgradeRequest('/x')), 'first: /x')
  undo[0]?.()
  assert.equal(await outcomeOf(t, port, upgradeRequest('/x')), 'second: /x')
  undo[1]?.()
  assert.equal(await outcomeOf(t, port, upgradeRequest('/x')), 'copy: /x')
  undo[2]?.()
  assert.equal(server.listenerCount('upgrade'), 0)
  assert.equal(await outcomeOf(t, port, upgradeRequest('/x')), 'request: /x')
})

test('tunnels an upgrade through one copy of the package that another copy listened for', async t => {
  const backend = await startBackend(t, echo())
  const proxy = copy.createTunnelProxy({ target: `ws://${backend.address}/`, drainTimeout: 0 })
  t.after(() => proxy.close())
  const { server, port } = await serverOf(t, appOf(proxy as never))
  listenForUpgrades(server, appOf(proxy as never))
  const client = await connectClient(t, port)
  client.send(`${upgradeRequest('/')}early`)
  assert.equal((await client.responseHead()).statusCode, 101)
  client.end(' late')
  assert.equal((await client.readAll()).toString(), 'early late')
  assert.equal(server.listenerCount('upgrade'), 1)
})

test('undoes everything it did, once', async t => {
  const { server, port } = await serverOf(t)
  const before = traits(server)
  const undo = listenForUpgrades(server, responding('ours'))
  const undoToo = listenForUpgrades(server, responding('ours too'))
  assert.notDeepEqual(traits(server), before)
  undo()
  undo()
  assert.equal(await outcomeOf(t, port, upgradeRequest('/x')), 'ours too: /x')
  undoToo()
  assert.deepEqual(traits(server), before)
  undoToo()
  assert.deepEqual(traits(server), before)
  listenForUpgrades(server, responding('again'))
  assert.equal(await outcomeOf(t, port, upgradeRequest('/x')), 'again: /x')
})

test('restores an emit and a shouldUpgradeCallback that the server already had', async t => {
  const { server } = await serverOf(t)
  const own = { emit: server.emit.bind(server), shouldUpgradeCallback: () => false }
  Object.assign(server, own)
  const undo = listenForUpgrades(server, responding('ours'))
  undo()
  assert.equal(server.emit, own.emit)
  assert.equal((server as unknown as typeof own).shouldUpgradeCallback, own.shouldUpgradeCallback)
})

const PLAIN: [what: string, request: string][] = [
  [
    'h2c',
    upgradeRequest('/x', {
      token: 'h2c',
      headers: { Connection: 'Upgrade, HTTP2-Settings', 'HTTP2-Settings': 'AAMAAABk' },
    }),
  ],
  ['TLS within HTTP', upgradeRequest('/x', { token: 'TLS/1.0' })],
  ['a body', `${upgradeRequest('/x', { headers: { 'Content-Length': '3' } })}abc`],
  ['HTTP/1.0', upgradeRequest('/x', { httpVersion: '1.0' })],
  ['a POST for WebSocket', upgradeRequest('/x', { method: 'POST', headers: { 'Content-Length': '0' } })],
  ['no Connection: upgrade', upgradeRequest('/x', { headers: { Connection: 'close' } })],
]

test('leaves requests that are not upgrades to plain HTTP', async t => {
  const { server, port } = await serverOf(t)
  listenForUpgrades(server, responding('upgrade'))
  for (const [what, request] of PLAIN) assert.equal(await outcomeOf(t, port, request), 'request: /x', what)
  assert.equal(await outcomeOf(t, port, upgradeRequest('/x', { token: 'foo' })), 'upgrade: /x')
})

test('waits for the response to an earlier request of the connection', async t => {
  let finish = (): void => {}
  const { server, port } = await serverOf(t, (req, res) => {
    if (req.url === '/slow') finish = () => void res.end('slow')
    else res.end(`request: ${req.url}`)
  })
  listenForUpgrades(server, responding('upgrade'))
  const client = await connectClient(t, port)
  client.send(plainRequest('/slow') + upgradeRequest('/x'))
  await once(server, 'request')
  finish()
  assert.equal((await client.whole()).body, 'slow')
  assert.equal((await client.whole()).body, 'request: /x')
})

const ONLY: [what: string, only: copy.Only][] = [
  ['a prefix', '/ours'],
  ['a list', ['/mine', '/ours/']],
  ['a function', req => /^\/(?:ours|mine)\//.test(req.url ?? '')],
]

for (const [what, only] of ONLY) {
  test(`takes the upgrades that \`only\` matches (${what}), and leaves the others to the other listeners`, async t => {
    const { server, port } = await serverOf(t)
    addOtherListener(server)
    listenForUpgrades(server, responding('ours'), { only })
    addOtherListener(server, 'a later one', req => req.url === '/ours/x')
    assert.equal(await outcomeOf(t, port, upgradeRequest('/ours/x')), 'ours: /ours/x')
    assert.equal(
      await outcomeOf(t, port, upgradeRequest('/%6furs/../ours/x')),
      typeof only === 'function' ? 'other: /%6furs/../ours/x' : 'ours: /%6furs/../ours/x',
    )
    assert.equal(await outcomeOf(t, port, upgradeRequest('/theirs')), 'other: /theirs')
    assert.equal(await outcomeOf(t, port, upgradeRequest('/oursx')), 'other: /oursx')
    assert.equal(await outcomeOf(t, port, plainRequest('/ours/x')), 'request: /ours/x')
  })
}

test('serves an upgrade that `only` does not match as plain HTTP if there are no other listeners', async t => {
  const { server, port } = await serverOf(t)
  listenForUpgrades(server, responding('ours'), { only: '/ours' })
  assert.equal(await outcomeOf(t, port, upgradeRequest('/ours')), 'ours: /ours')
  assert.equal(await outcomeOf(t, port, upgradeRequest('/x')), 'request: /x')
})

test('takes no upgrade if `only` throws', async t => {
  const { server, port } = await serverOf(t)
  addOtherListener(server)
  const only = (): boolean => {
    throw new Error('boom')
  }
  listenForUpgrades(server, responding('ours'), { only })
  assert.equal(await outcomeOf(t, port, upgradeRequest('/x')), 'other: /x')
})

test('tries each `only` in order', async t => {
  const { server, port } = await serverOf(t)
  listenForUpgrades(server, responding('a'), { only: '/a' })
  listenForUpgrades(server, responding('b'), { only: ['/b'] })
  listenForUpgrades(server, responding('rest'))
  for (const path of ['/a', '/b/x']) assert.equal(await outcomeOf(t, port, upgradeRequest(path)), `${path[1]}: ${path}`)
  assert.equal(await outcomeOf(t, port, upgradeRequest('/c')), 'rest: /c')
})

test('leaves all upgrades to other listeners without `only`, checks at each upgrade, and warns once per process', async t => {
  const warnings: (Error & { code?: string })[] = []
  const processOnWarning = (warning: Error): void => void warnings.push(warning)
  process.on('warning', processOnWarning)
  t.after(() => process.off('warning', processOnWarning))
  for (const _ of [1, 2]) {
    const { server, port } = await serverOf(t)
    listenForUpgrades(server, responding('ours'))
    assert.equal(await outcomeOf(t, port, upgradeRequest('/x')), 'ours: /x')
    const other = (req: IncomingMessage, socket: Socket): void =>
      void socket.end(`HTTP/1.1 200 Fine\r\nConnection: close\r\n\r\nother: ${req.url}`)
    server.on('upgrade', other)
    assert.equal(await outcomeOf(t, port, upgradeRequest('/x')), 'other: /x')
    server.off('upgrade', other)
    assert.equal(await outcomeOf(t, port, upgradeRequest('/x')), 'ours: /x')
  }
  assert.deepEqual(
    warnings.map(({ name, code }) => [name, code]),
    [['WsTunnelWarning', 'WST_WARN_OTHER_LISTENERS']],
  )
  assert.match(warnings[0]?.message ?? '', /`only`/)
})

test("calls the server's own shouldUpgradeCallback for the upgrades of other listeners", async t => {
  const checked: (string | undefined)[] = []
  const { server, port } = await serverOf(t)
  Object.assign(server, {
    shouldUpgradeCallback: (req: IncomingMessage) => {
      checked.push(req.url)
      return req.url !== '/plain'
    },
  })
  addOtherListener(server)
  listenForUpgrades(server, responding('ours'), { only: '/ours' })
  assert.equal(await outcomeOf(t, port, upgradeRequest('/ours')), 'ours: /ours')
  assert.equal(await outcomeOf(t, port, upgradeRequest('/plain')), 'request: /plain')
  assert.equal(await outcomeOf(t, port, upgradeRequest('/x')), 'other: /x')
  assert.deepEqual(checked, ['/plain', '/x'])
})

test('listens by itself from the first request that a proxy gets, and on no other server', async t => {
  const backend = await startBackend(t, echo())
  const proxy = createTunnelProxy({ routes: [{ path: '/ws', target: `ws://${backend.address}/` }], drainTimeout: 0 })
  t.after(() => proxy.close())
  const { server, port } = await serverOf(t, appOf(proxy))
  const { server: bystander, port: elsewhere } = await serverOf(t)
  const before = [traits(server), traits(bystander)]
  assert.equal(await outcomeOf(t, elsewhere, plainRequest('/')), 'request: /')
  const first = await connectTunnel(t, port, '/ws')
  assert.equal(server.listenerCount('upgrade'), 1)
  const second = await connectTunnel(t, port, '/ws')
  for (const client of [first, second]) {
    client.end('hello')
    assert.equal((await client.readAll()).toString(), 'hello')
  }
  assert.equal(await outcomeOf(t, port, plainRequest('/x')), '404')
  assert.equal(server.listenerCount('upgrade'), 1)
  await proxy.close()
  assert.deepEqual([traits(server), traits(bystander)], before)
})

test('adds one listener for many proxies of one server, until the last is closed', async t => {
  const proxies = Array.from({ length: 15 }, () => createTunnelProxy({ target: () => false }))
  t.after(() => Promise.all(proxies.map(proxy => proxy.close())))
  const { server, port } = await serverOf(t, async (req, res) => {
    for (const proxy of proxies) await proxy.handle(req, res)
    res.end('request')
  })
  assert.equal(await outcomeOf(t, port, plainRequest('/')), 'request')
  assert.equal(server.listenerCount('upgrade'), 1)
  for (const proxy of proxies.slice(1)) await proxy.close()
  assert.equal(server.listenerCount('upgrade'), 1)
  await proxies[0]?.close()
  assert.equal(server.listenerCount('upgrade'), 0)
})

test('adds nothing but the upgrades that `only` matches to a server whose app listens itself', async t => {
  const proxy = createTunnelProxy({ target: () => false })
  const claiming = createTunnelProxy({ target: () => false, only: '/claimed' })
  t.after(() => Promise.all([proxy.close(), claiming.close()]))
  const { server, port } = await serverOf(t, async (req, res) => {
    await proxy.handle(req, res)
    await claiming.handle(req, res)
    res.end(`request: ${req.url}`)
  })
  addOtherListener(server)
  listenForUpgrades(server, responding('ours'), { only: '/ours' })
  assert.equal(await outcomeOf(t, port, plainRequest('/')), 'request: /')
  assert.equal(await outcomeOf(t, port, upgradeRequest('/ours')), 'ours: /ours')
  assert.equal(await outcomeOf(t, port, upgradeRequest('/claimed/x')), 'request: /claimed/x')
  assert.equal(await outcomeOf(t, port, upgradeRequest('/theirs')), 'other: /theirs')
})

test('leaves CONNECT to an app that listens for it', async t => {
  const { server, port } = await serverOf(t)
  listenForUpgrades(server, responding('ours'))
  const request = 'CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n'
  assert.equal(await outcomeOf(t, port, request), '501')
  server.on('connect', (_req: IncomingMessage, socket: Socket) => void socket.end('HTTP/1.1 200 Fine\r\n\r\nconnected'))
  const client = await connectClient(t, port)
  assert.match((await client.send(request).readAll()).toString(), /^HTTP\/1\.1 200 Fine\r\n\r\nconnected$/)
})

test('gives the app the origin form of an absolute form with the own Host, and leaves every other target', async t => {
  const rows: [target: string, url: string][] = [
    ['http://front.example/x?q', '/x?q'],
    ['https://Front.example/x', '/x'],
    ['http://other.example/x', 'http://other.example/x'],
    ['http://front.example', 'http://front.example'],
    ['ws://front.example/x', 'ws://front.example/x'],
    ['//x', '//x'],
  ]
  for (const originForm of [undefined, true, false]) {
    const { server, port } = await serverOf(t)
    const stop = listenForUpgrades(server, responding('request'), originForm === undefined ? {} : { originForm })
    for (const [target, url] of rows) {
      const seen = `request: ${originForm === false ? target : url}`
      assert.equal(await outcomeOf(t, port, upgradeRequest(target)), seen)
      assert.equal(await outcomeOf(t, port, plainRequest(target)), seen)
    }
    stop()
    assert.equal(await outcomeOf(t, port, plainRequest('http://front.example/x')), 'request: http://front.example/x')
  }
})
