import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type TestContext, test } from 'node:test'
import {
  createTunnelProxy,
  type DiagnosticsMessages,
  listenForUpgrades,
  type Tunnel,
  type WsTunnelError,
} from '@ws-tunnel/core'
import { type BackendConnection, echo, responding } from '../../support/backend.ts'
import { openTunnel, plainRequest, upgradeRequest } from '../../support/client.ts'
import { eventually, within } from '../../support/gate.ts'
import { connectClient, connectTunnel, startBackend, startGateway } from '../../support/harness.ts'
import { appOf, closeAfter, listen, startServer } from '../../support/server.ts'

type Handler = (req: IncomingMessage, res: ServerResponse) => void

/** A node:http server whose handler gets plain requests and upgrades. */
async function serverOf(t: TestContext, handler: Handler): Promise<{ server: Server; port: number }> {
  const started = await startServer(t, handler)
  listenForUpgrades(started.server, handler)
  return started
}

const closedPortTarget = 'ws://127.0.0.1:1/'

test('publishes its events to node:diagnostics_channel', async t => {
  const published: [name: string, message: object][] = []
  const listener = (message: unknown, name: string | symbol): void =>
    void published.push([String(name), message as object])
  const names = ['ws-tunnel:open', 'ws-tunnel:close', 'ws-tunnel:error']
  for (const name of names) subscribe(name, listener)
  t.after(() => {
    for (const name of names) unsubscribe(name, listener)
  })
  const backend = await startBackend(t, echo())
  const observed: unknown[] = []
  const gateway = await startGateway(t, {
    routes: [
      { path: '/ok', target: `ws://${backend.address}/` },
      { path: '/bad', target: closedPortTarget },
    ],
    onError: ({ error, req }) => observed.push({ error, req }),
  })
  const client = await connectTunnel(t, gateway, '/ok')
  client.end()
  await gateway.end()
  await (await connectClient(t, gateway)).send(upgradeRequest('/bad')).whole()
  assert.deepEqual(
    published.map(([name]) => name),
    names,
  )
  const [open, close, error] = published.map(([, message]) => message) as [
    DiagnosticsMessages['ws-tunnel:open'],
    DiagnosticsMessages['ws-tunnel:close'],
    DiagnosticsMessages['ws-tunnel:error'],
  ]
  assert.equal(open.tunnel, gateway.opened[0])
  assert.equal(open.req.url, '/ok')
  assert.ok(open.tunnel.info.handshakeTime > 0)
  const { proxy, ...closed } = close
  assert.deepEqual(closed, gateway.ends[0])
  assert.equal(proxy.tunnels, open.proxy.tunnels)
  assert.equal(error.error.code, 'WST_ERR_CONNECT')
  assert.equal(error.req.url, '/bad')
  assert.equal(error.proxy, proxy)
  assert.deepEqual([{ error: error.error, req: error.req }], observed)
})

test('reports for each route its options, how often it matched, and how many tunnels are open', async t => {
  const backend = await startBackend(t, echo())
  const target = `ws://${backend.address}/`
  const gateway = await startGateway(t, {
    routes: [
      { path: '/no', target: false },
      { path: /^\/a$/i, target, maxTunnels: 9 },
      { path: '/', target: () => target },
    ],
  })
  const look = (): unknown[] =>
    gateway.proxy.routes.map(({ index, path, target, hits, open, maxTunnels }) => [
      index,
      path,
      target,
      hits,
      open,
      maxTunnels,
    ])
  assert.deepEqual(look(), [
    [0, '/no', false, 0, 0, 0],
    [1, '/^\\/a$/i', target, 0, 0, 9],
    [2, '/', undefined, 0, 0, 0],
  ])
  const client = await connectTunnel(t, gateway, '/A')
  await (await connectClient(t, gateway)).send(upgradeRequest('/no')).whole()
  assert.deepEqual(
    gateway.proxy.routes.map(({ hits, open }) => [hits, open]),
    [
      [1, 0],
      [1, 1],
      [0, 0],
    ],
  )
  client.end()
  await gateway.end()
  assert.deepEqual(
    gateway.proxy.routes.map(({ hits, open }) => [hits, open]),
    [
      [1, 0],
      [1, 0],
      [0, 0],
    ],
  )
})

test('survives observers that throw or reject, and emits a warning', async t => {
  const warnings: Error[] = []
  const listener = (warning: Error): void => void warnings.push(warning)
  process.on('warning', listener)
  t.after(() => process.off('warning', listener))
  const backend = await startBackend(t, echo())
  const ways: ((what: string) => unknown)[] = [
    what => {
      throw new Error(`${what} threw`)
    },
    what => Promise.reject(new Error(`${what} rejected`)),
    what => {
      throw `${what} threw no error`
    },
  ]
  for (const way of ways) {
    const proxy = createTunnelProxy({
      drainTimeout: 0,
      routes: [
        { path: '/ok', target: `ws://${backend.address}/` },
        { path: '/bad', target: closedPortTarget },
      ],
      onOpen: () => way('onOpen') as never,
      onClose: () => way('onClose') as never,
      onError: () => way('onError') as never,
    })
    t.after(() => proxy.close())
    const { port } = await serverOf(t, appOf(proxy))
    const client = await connectTunnel(t, port, '/ok')
    assert.equal((await client.send('hello').readExact(5)).toString(), 'hello')
    client.end()
    await client.readAll()
    await eventually(() => proxy.tunnels.size === 0)
    const refused = await (await connectClient(t, port)).send(upgradeRequest('/bad')).whole()
    assert.deepEqual([refused.statusCode, refused.body], [503, JSON.stringify({ code: 'WST_ERR_CONNECT' })])
  }
  const warned = ['onOpen', 'onClose', 'onError'].flatMap(name =>
    ['threw', 'rejected', 'threw no error'].map(what => `${name} ${what}`),
  )
  await eventually(() => assert.deepEqual(warnings.map(({ message }) => message).toSorted(), warned.toSorted()))
})

test('calls onError for each failure, with the code that the app gets, and for nothing else', async t => {
  const reported: [code: string, url: string | undefined][] = []
  const backend = await startBackend(t, responding({ statusCode: 500 }))
  const gateway = await startGateway(t, {
    routes: [
      { path: '/served', target: `http://${backend.address}/` },
      { path: '/refused', target: closedPortTarget },
      {
        path: '/thrown',
        target: () => {
          throw new Error('boom')
        },
      },
      { path: '/slash', target: closedPortTarget },
    ],
    onError: ({ error, req }) => reported.push([error.code, req.url]),
  })
  for (const path of ['/served', '/refused', '/thrown', '/slash/%2F', '/nowhere']) {
    await (await connectClient(t, gateway)).send(plainRequest(path)).whole()
    await (await connectClient(t, gateway)).send(upgradeRequest(path)).whole()
  }
  const twice = (code: string, url: string): [string, string][] => [
    [code, url],
    [code, url],
  ]
  assert.deepEqual(reported, [
    ...twice('WST_ERR_CONNECT', '/refused'),
    ...twice('WST_ERR_CALLBACK', '/thrown'),
    ...twice('WST_ERR_ENCODED_SLASH', '/slash/%2F'),
  ])
  assert.deepEqual(
    gateway.errors.map(error => (error as WsTunnelError).code),
    reported.map(([code]) => code),
  )
})

test('does not touch a request that no route matches', async t => {
  const proxy = createTunnelProxy({
    routes: [
      { path: '/a', target: closedPortTarget },
      { path: '/b', target: () => false },
      { path: '/c', target: false },
    ],
  })
  t.after(() => proxy.close())
  const { port } = await serverOf(t, async (req, res) => {
    assert.equal(await proxy.handle(req, res), false)
    assert.deepEqual([res.headersSent, res.getHeaderNames()], [false, []])
    const chunks: Buffer[] = []
    for await (const chunk of req) chunks.push(chunk as Buffer)
    res.end(`own: ${Buffer.concat(chunks)}`)
  })
  for (const path of ['/nowhere', '/b', '/c']) {
    const client = await connectClient(t, port)
    assert.equal((await client.send(plainRequest(path, { method: 'POST', body: 'x=1' })).whole()).body, 'own: x=1')
    assert.equal((await client.send(plainRequest(path)).whole()).body, 'own: ', 'the connection goes on')
    assert.equal((await (await connectClient(t, port)).send(upgradeRequest(path)).whole()).body, 'own: ')
  }
})

test('passes an upgrade that its target function declines to the next tunnel, with its early bytes', async t => {
  const backend = await startBackend(t, echo())
  let decide = (): void => {}
  const declining = createTunnelProxy({
    target: () =>
      new Promise<false>(resolve => {
        decide = () => resolve(false)
      }),
  })
  const serving = createTunnelProxy({ target: `ws://${backend.address}/`, drainTimeout: 0 })
  t.after(() => Promise.all([declining.close(), serving.close()]))
  for (const listens of [true, false]) {
    const server = createServer(async (req, res) => {
      if (!(await declining.handle(req, res))) await serving.handle(req, res)
    })
    closeAfter(t, server)
    if (listens) listenForUpgrades(server, (req, res) => void server.emit('request', req, res))
    const client = await connectClient(t, await listen(server))
    decide = () => {}
    client.send(upgradeRequest('/') + (listens ? 'in the same packet, ' : ''))
    const before = decide
    await eventually(() => decide !== before)
    const late = Buffer.alloc(500_000, 'while it waits ')
    client.send(late)
    decide()
    assert.equal((await client.responseHead()).statusCode, 101)
    const sent = Buffer.concat([Buffer.from(listens ? 'in the same packet, ' : ''), late])
    assert.ok((await client.readExact(sent.length)).equals(sent))
    client.end('bye')
    assert.equal((await client.readAll()).toString(), 'bye')
  }
})

test('uses the mount, the url below it and a parsed body of the caller', async t => {
  const backend = await startBackend(t, responding({ body: (request, body) => `${request.path} ${body}` }))
  const opened: Tunnel[] = []
  const proxy = createTunnelProxy({
    routes: [{ path: '/a', target: `http://${backend.address}/b`, passReverse: true }],
    onOpen: ({ tunnel }) => opened.push(tunnel),
    drainTimeout: 0,
  })
  t.after(() => proxy.close())
  const { port } = await serverOf(t, async (req, res) => {
    let body: unknown
    if (req.method === 'POST') {
      const chunks: Buffer[] = []
      for await (const chunk of req) chunks.push(chunk as Buffer)
      body = JSON.parse(Buffer.concat(chunks).toString())
    }
    await proxy.handle(req, res, { mount: '/mount', url: req.url?.slice('/mount'.length), body })
  })
  const client = await connectClient(t, port)
  const post = { method: 'POST', headers: ['Content-Type: application/json'], body: '{ "x": 1 }' }
  assert.equal((await client.send(plainRequest('/mount/a/x?q', post)).whole()).body, '/b/x?q {"x":1}')
  backend.play(echo())
  await connectTunnel(t, port, '/mount/a/live?x')
  assert.equal(backend.seen.at(-1)?.path, '/b/live?x')
  assert.equal(opened[0]?.info.url, '/mount/a/live?x')
})

test('maps a Location below the mount', async t => {
  const backend = await startBackend(t, async connection => {
    await connection.request()
    connection.end(
      `HTTP/1.1 302 Found\r\nLocation: http://${connection.socket.localAddress}:${connection.socket.localPort}/b/new\r\nContent-Length: 0\r\n\r\n`,
    )
  })
  const proxy = createTunnelProxy({
    routes: [{ path: '/a', target: `http://${backend.address}/b`, passReverse: true }],
  })
  t.after(() => proxy.close())
  const { port } = await serverOf(t, (req, res) => void proxy.handle(req, res, { mount: '/mount', url: '/a/old' }))
  const moved = await (await connectClient(t, port)).send(plainRequest('/mount/a/old')).whole()
  assert.equal(moved.header('location'), 'http://front.example/mount/a/new')
})

test('sets the header fields of a failure on the response, whatever code writes it', async t => {
  const proxy = createTunnelProxy({ target: closedPortTarget, upgrade: ['foo', 'websocket'], fallback: false })
  t.after(() => proxy.close())
  const { port } = await serverOf(t, (req, res) => {
    proxy.handle(req, res).catch((error: WsTunnelError) => res.writeHead(error.statusCode).end())
  })
  const refused = await (await connectClient(t, port)).send(upgradeRequest('/', { token: 'bar' })).whole()
  assert.deepEqual([refused.statusCode, refused.header('upgrade')], [426, 'foo, websocket'])
  assert.match(refused.header('connection') ?? '', /\bUpgrade\b/)
})

test('ignores what other middleware does to the response after the 101', async t => {
  const backend = await startBackend(t, echo())
  const proxy = createTunnelProxy({ target: `ws://${backend.address}/`, drainTimeout: 0 })
  t.after(() => proxy.close())
  let closed = 0
  let response: ServerResponse | undefined
  const { port } = await serverOf(t, async (req, res) => {
    res.once('close', () => closed++)
    assert.equal(await proxy.handle(req, res), true)
    response = res
    res.end('late end')
    res.write('late write')
    res.destroy()
    req.socket.destroy()
    assert.equal(res.headersSent, true)
  })
  const client = await connectTunnel(t, port, '/')
  await eventually(() => response !== undefined)
  assert.equal((await client.send('still here').readExact(10)).toString(), 'still here')
  assert.equal(closed, 0)
  client.end()
  assert.equal((await client.readAll()).length, 0)
  await eventually(() => closed === 1)
})

test('serves the same proxy on several servers, and lists all its tunnels', async t => {
  const backend = await startBackend(t, echo())
  const proxy = createTunnelProxy({ target: `ws://${backend.address}/`, drainTimeout: 0 })
  t.after(() => proxy.close())
  const { tunnels } = proxy
  for (const n of [1, 2, 3]) {
    const { port } = await serverOf(t, appOf(proxy))
    await connectTunnel(t, port, `/${n}`)
    assert.equal(tunnels.size, n)
  }
  assert.deepEqual(
    Array.from(tunnels, ({ info }) => info.url),
    ['/1', '/2', '/3'],
  )
})

const CLOSING = JSON.stringify({ code: 'WST_ERR_CLOSING' })

test('503s plain requests and upgrades of its routes after close(), and passes others to the app', async t => {
  const gateway = await startGateway(t, { routes: [{ path: '/a', target: closedPortTarget }] })
  await gateway.proxy.close()
  const rows: [request: string, statusCode: number][] = [
    [plainRequest('/a'), 503],
    [upgradeRequest('/a'), 503],
    [plainRequest('/b'), 404],
    [upgradeRequest('/b'), 404],
  ]
  for (const [request, statusCode] of rows) {
    const refused = await (await connectClient(t, gateway)).send(request).whole()
    assert.equal(refused.statusCode, statusCode)
    if (statusCode === 503) assert.equal(refused.body, CLOSING)
  }
})

test('refuses an upgrade whose target becomes known after close()', async t => {
  const backend = await startBackend(t, echo())
  let decide: (() => void) | undefined
  const gateway = await startGateway(t, {
    target: () =>
      new Promise(resolve => {
        decide = () => resolve(`ws://${backend.address}/`)
      }),
  })
  const client = await connectClient(t, gateway)
  client.send(upgradeRequest('/'))
  await eventually(() => decide !== undefined)
  await within(2_000, 'close()', gateway.proxy.close())
  decide?.()
  const refused = await client.whole()
  assert.deepEqual([refused.statusCode, refused.body], [503, CLOSING])
  assert.deepEqual([gateway.proxy.tunnels.size, backend.connections.length], [0, 0])
})

test('connects to no backend for a client that left while the target function was running', async t => {
  const backend = await startBackend(t, echo())
  let decide: (() => void) | undefined
  const gateway = await startGateway(t, {
    target: () =>
      new Promise(resolve => {
        decide = () => resolve(`ws://${backend.address}/`)
      }),
  })
  const client = await connectClient(t, gateway)
  client.send(upgradeRequest('/'))
  await eventually(() => decide !== undefined)
  client.reset()
  await eventually(() => gateway.errors.length === 1)
  decide?.()
  assert.equal((gateway.errors[0] as WsTunnelError).code, 'WST_ERR_CLIENT_GONE')
  const { client: next } = await (async () => {
    const opening = openTunnel(gateway.port, '/')
    const before = decide
    await eventually(() => decide !== before)
    decide?.()
    return opening
  })()
  t.after(() => next.destroy())
  assert.equal(backend.connections.length, 1)
})

test('close() lets a plain response that is in progress finish', async t => {
  let connection: BackendConnection | undefined
  const backend = await startBackend(t, async own => {
    await own.request()
    await own.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234')
    connection = own
  })
  const gateway = await startGateway(t, { target: `http://${backend.address}/` })
  const client = await connectClient(t, gateway)
  const head = await client.send(plainRequest('/')).responseHead()
  await client.readExact(5)
  const closed = gateway.proxy.close({ drainTimeout: 2_000 })
  await (await connectClient(t, gateway)).send(plainRequest('/')).whole()
  await connection?.write('56789')
  assert.equal((await client.readExact(5)).toString(), '56789')
  assert.equal(head.statusCode, 200)
  await within(1_000, 'close()', closed)
})

test('leaves no idle connection to a backend open after close()', async t => {
  const backend = await startBackend(t, responding())
  const gateway = await startGateway(t, { target: `http://${backend.address}/` })
  const client = await connectClient(t, gateway)
  await client.send(plainRequest('/')).whole()
  await client.send(plainRequest('/')).whole()
  assert.equal(backend.connections.length, 1, 'the connection is kept alive')
  await gateway.proxy.close()
  await (await backend.connection()).readAll()
})

test('501s CONNECT, and continues to serve', async t => {
  const gateway = await startGateway(t, { target: closedPortTarget })
  const client = await connectClient(t, gateway)
  const refused = await client
    .send('CONNECT internal.example:443 HTTP/1.1\r\nHost: internal.example:443\r\n\r\n')
    .whole()
  assert.deepEqual([refused.statusCode, refused.header('connection')], [501, 'close'])
  assert.equal((await client.readAll()).length, 0)
  assert.equal((await (await connectClient(t, gateway)).send(plainRequest('/')).whole()).statusCode, 503)
})

test('frames a body whose Content-Length was removed', async t => {
  const backend = await startBackend(t, responding({ body: (_, body) => body.toString() }))
  const gateway = await startGateway(t, {
    target: `http://${backend.address}/`,
    requestHeaders: { unset: ['Content-Length'] },
  })
  const smuggled = 'GET /internal HTTP/1.1\r\nHost: x\r\n\r\n'
  for (const method of ['GET', 'DELETE', 'POST']) {
    const client = await connectClient(t, gateway)
    assert.equal((await client.send(plainRequest(`/${method}`, { method, body: smuggled })).whole()).body, smuggled)
  }
  assert.deepEqual(
    backend.seen.map(({ path }) => path),
    ['/GET', '/DELETE', '/POST'],
  )
})
