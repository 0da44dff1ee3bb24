import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { createServer as createHttpServer, type IncomingMessage } from 'node:http'
import { createServer, type Server } from 'node:net'
import { duplexPair } from 'node:stream'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { TLSSocket } from 'node:tls'
import type { DiagnosticsMessages, MemberOptions, WsTunnelError, WsTunnelOptions } from '@ws-tunnel/core'
import { createTunnelProxy, explain } from '@ws-tunnel/core'
import { echo, raw, responding, type Script, silent } from '../../support/backend.ts'
import { openTunnel, plainRequest, upgradeRequest } from '../../support/client.ts'
import { eventually } from '../../support/gate.ts'
import { connectTunnel, sendRequest, startBackend, startGateway } from '../../support/harness.ts'
import { closeAfter, listen } from '../../support/server.ts'
import { ca, server as trusted, wrongName } from '../../support/tls.ts'

/** An address where nothing listens. Each call gives another one. */
async function deadAddress(): Promise<string> {
  const server: Server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise(resolve => server.close(resolve))
  return `127.0.0.1:${port}`
}

/** A request whose body is shorter than its Content-Length. */
const unfinished = (begun: string): string => `POST / HTTP/1.1\r\nHost: h.test\r\nContent-Length: 100\r\n\r\n${begun}`

const balanced = (members: readonly MemberOptions[], more: object = {}): WsTunnelOptions => ({
  routes: [{ path: '/', target: 'balancer://b/' }],
  balancers: { b: { members, ...more } },
})

test('opens a tunnel to the next member if one is unreachable, and the client notices nothing', async t => {
  const backend = await startBackend(t, echo())
  const dead = await deadAddress()
  const gateway = await startGateway(t, balanced([{ url: `ws://${dead}/` }, { url: `ws://${backend.address}/base` }]))
  const messages: DiagnosticsMessages['ws-tunnel:failover'][] = []
  const listener = (message: unknown): void => void messages.push(message as never)
  subscribe('ws-tunnel:failover', listener)
  t.after(() => unsubscribe('ws-tunnel:failover', listener))
  const client = await connectTunnel(t, gateway, '/room?x=1')
  client.send('hello')
  assert.equal((await client.readExact(5)).toString(), 'hello')
  const [a, b] = gateway.proxy.balancers.get('b')?.members ?? []
  assert.ok(a && b)
  assert.deepEqual([a.status, a.failures, a.busy, b.status, b.busy], ['E', 1, 0, '', 1])
  assert.deepEqual([b.bytesSent, b.bytesReceived], [5, 5])
  assert.deepEqual(
    messages.map(({ error, from, to }) => [error.code, from.url, to.url]),
    [['WST_ERR_CONNECT', a.url, b.url]],
  )
  assert.equal(gateway.opened[0]?.info.member, b.url)
  assert.match(backend.seen[0]?.startLine ?? '', /^GET \/base\/room\?x=1 /)
  client.destroy()
  await gateway.end()
  assert.deepEqual([b.busy, b.tunnels.size, b.bytesSent], [0, 0, 5])
})

test('sends a body once, to the member that is reachable', async t => {
  const backend = await startBackend(t, responding({ body: 'taken' }))
  const dead = await deadAddress()
  const { port } = await startGateway(t, balanced([{ url: `http://${dead}/` }, { url: `http://${backend.address}/` }]))
  const body = 'x'.repeat(300_000)
  const client = await sendRequest(t, port, plainRequest('/p', { method: 'POST', body }))
  const { statusCode } = await client.responseHead()
  assert.equal(statusCode, 200)
  assert.equal(backend.seen.length, 1)
})

test('fails over from a member whose certificate is wrong', async t => {
  const liar = await startBackend(t, echo(), { tls: wrongName })
  const backend = await startBackend(t, echo())
  const gateway = await startGateway(
    t,
    balanced([{ url: `wss://${liar.address}/` }, { url: `ws://${backend.address}/` }]),
  )
  const client = await connectTunnel(t, gateway, '/')
  client.destroy()
  assert.equal(gateway.proxy.balancers.get('b')?.members[0]?.status, 'E')
  assert.equal(liar.seen.length, 0)
})

const NEVER_ANSWERS = 'gone.test'
const slowness: [what: string, times: Partial<MemberOptions>][] = [
  ['connectTimeout', { connectTimeout: 100 }],
  ['a handshakeTimeout that is shorter', { connectTimeout: 5_000, handshakeTimeout: 100 }],
  ['both of the same length, as with httpd', { connectTimeout: 100, handshakeTimeout: 100 }],
]
for (const [what, times] of slowness) {
  test(`fails over from a member that does not accept, or is silent in TLS, for ${what}`, async t => {
    const mute = await startBackend(t, connection => connection.readAll().then(() => connection.end()))
    for (const url of [`ws://${NEVER_ANSWERS}:9/`, `wss://${mute.address}/`]) {
      const backend = await startBackend(t, echo())
      const shop = await startBackend(t, responding({ body: 'taken' }))
      const to = (address: string): WsTunnelOptions['balancers'] => ({
        b: { members: [{ url, ...times }, { url: `ws://${address}/` }] },
      })
      const target = 'balancer://b/'
      const tunnels = await startGateway(t, { target, lookup: () => {}, balancers: to(backend.address) })
      const client = await connectTunnel(t, tunnels, '/')
      client.destroy()
      const plain = await startGateway(t, { target, lookup: () => {}, balancers: to(shop.address) })
      const body = 'x'.repeat(100_000)
      const poster = await sendRequest(t, plain, plainRequest('/', { method: 'POST', body }))
      assert.equal((await poster.responseHead()).statusCode, 200)
      assert.deepEqual([backend.seen.length, shop.seen.length, mute.seen.length], [1, 1, 0])
      for (const { proxy } of [tunnels, plain]) assert.equal(proxy.balancers.get('b')?.members[0]?.status, 'E')
    }
  })
}

const broken: [how: string, script: Script][] = [
  ['ends', connection => connection.end()],
  ['ends after its first message', connection => connection.readExact(10).then(() => connection.end())],
  ['is reset after its first message', connection => connection.readExact(10).then(() => connection.reset())],
  ['gets bytes that are not TLS', connection => connection.write('HTTP/1.1 400 Bad Request\r\n\r\n')],
]
for (const [how, script] of broken) {
  test(`fails over from a member whose TLS handshake ${how}`, async t => {
    const bad = await startBackend(t, script)
    const good = await startBackend(t, responding({ body: 'taken' }))
    for (const request of [
      upgradeRequest('/'),
      plainRequest('/'),
      plainRequest('/', { method: 'POST', body: 'once' }),
    ]) {
      const members = [{ url: `wss://${bad.address}/` }, { url: `ws://${good.address}/` }]
      const gateway = await startGateway(t, balanced(members))
      assert.equal((await (await sendRequest(t, gateway, request)).responseHead()).statusCode, 200)
      assert.equal(gateway.proxy.balancers.get('b')?.members[0]?.status, 'E')
    }
    assert.equal(good.seen.length, 3)
  })
}

/** A backend whose TLS connection breaks after it has received `last`. */
async function breakingTls(t: TestContext, last: string): Promise<string> {
  const server = createServer(socket => {
    const [encrypted, ours] = duplexPair()
    socket.on('error', () => {})
    socket.pipe(ours).pipe(socket)
    let received = ''
    new TLSSocket(encrypted, { isServer: true, ...trusted })
      .on('error', () => {})
      .on('data', chunk => {
        received += chunk
        if (received.includes(last)) socket.write('no record of TLS')
      })
  })
  closeAfter(t, server)
  return `127.0.0.1:${await listen(server)}`
}

test('sends a body that a parser has read to no second member, whatever breaks at the first', async t => {
  const bad = await breakingTls(t, 'once')
  const good = await startBackend(t, responding({ body: 'taken' }))
  const proxy = createTunnelProxy({
    ...balanced([{ url: `ws://${await deadAddress()}/` }, { url: `wss://${bad}/` }, { url: `ws://${good.address}/` }]),
    tls: { ca },
  })
  t.after(() => proxy.close({ drainTimeout: 0 }))
  const app = createHttpServer(async (req, res) => {
    proxy.handle(req, res, { body: await text(req) }).catch(error => res.writeHead(error.statusCode).end())
  })
  closeAfter(t, app)
  const post = plainRequest('/', { method: 'POST', body: 'once' })
  assert.equal((await (await sendRequest(t, await listen(app), post)).responseHead()).statusCode, 502)
  const states = proxy.balancers.get('b')?.members.map(({ status }) => status)
  assert.deepEqual([states, good.seen.length], [['E', '', ''], 0])
})

test('does not fail over once a member has the request', async t => {
  const mute = await startBackend(t, async connection => {
    await connection.request()
    connection.reset()
  })
  const backend = await startBackend(t, echo())
  const options = balanced([{ url: `ws://${mute.address}/` }, { url: `ws://${backend.address}/` }])
  const { port, proxy } = await startGateway(t, options)
  const client = await sendRequest(t, port, upgradeRequest('/'))
  assert.equal((await client.responseHead()).statusCode, 502)
  assert.equal(backend.seen.length, 0)
  assert.equal(proxy.balancers.get('b')?.members[0]?.status, '')
})

test('tries no more members than maxAttempts allows', async t => {
  const backend = await startBackend(t, echo())
  const dead = await deadAddress()
  const members = [{ url: `ws://${dead}/1` }, { url: `ws://${dead}/2` }, { url: `ws://${backend.address}/` }]
  const { port, proxy } = await startGateway(t, balanced(members, { maxAttempts: 1 }))
  assert.equal((await (await sendRequest(t, port, upgradeRequest('/'))).responseHead()).statusCode, 503)
  assert.deepEqual(
    proxy.balancers.get('b')?.members.map(({ status }) => status),
    ['E', 'E', ''],
  )
  assert.equal((await (await sendRequest(t, port, upgradeRequest('/'))).responseHead()).statusCode, 101)
})

test('never takes out a member whose errors are ignored', async t => {
  const backend = await startBackend(t, echo())
  const dead = await deadAddress()
  const members = [{ url: `ws://${dead}/`, status: 'I' }, { url: `ws://${backend.address}/` }]
  const { port } = await startGateway(t, balanced(members))
  const statuses: number[] = []
  for (let i = 0; i < 4; i++)
    statuses.push((await (await sendRequest(t, port, upgradeRequest('/'))).responseHead()).statusCode)
  assert.deepEqual(statuses, [503, 101, 503, 101])
})

test('relays a response that takes its member out, and selects other members from then on', async t => {
  const sick = await startBackend(t, responding({ statusCode: 503, body: 'sick' }))
  const backend = await startBackend(t, responding({ body: 'well' }))
  const members = [{ url: `http://${sick.address}/` }, { url: `http://${backend.address}/` }]
  const { port } = await startGateway(t, balanced(members, { failOnStatus: [503] }))
  const statuses: number[] = []
  for (let i = 0; i < 4; i++)
    statuses.push((await (await sendRequest(t, port, plainRequest('/'))).responseHead()).statusCode)
  assert.deepEqual(statuses, [503, 200, 200, 200])
})

test('takes out a silent member with failOnTimeout', async t => {
  const mute = await startBackend(t, silent())
  const backend = await startBackend(t, echo())
  const members = [{ url: `ws://${mute.address}/`, handshakeTimeout: 100 }, { url: `ws://${backend.address}/` }]
  const { port, proxy } = await startGateway(t, balanced(members, { failOnTimeout: true }))
  assert.equal((await (await sendRequest(t, port, upgradeRequest('/'))).responseHead()).statusCode, 504)
  assert.equal(proxy.balancers.get('b')?.members[0]?.status, 'E')
  assert.equal((await (await sendRequest(t, port, upgradeRequest('/'))).responseHead()).statusCode, 101)
})

/** Holds each response back until it may go. */
function late(script: Script): { script: Script; open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { script: async (connection, self) => promise.then(() => script(connection, self)), open: resolve }
}

for (const [kind, request, script, status] of [
  ['a 101', upgradeRequest('/'), echo(), 101],
  ['a response', plainRequest('/'), responding(), 200],
  ['a response to a body', plainRequest('/', { method: 'POST', body: 'all' }), responding(), 200],
] as const) {
  test(`takes out a member that takes longer than unhealthyLatency for ${kind}, which the client still gets`, async t => {
    const slow = late(script)
    const backend = await startBackend(t, slow.script)
    const members = [{ url: `http://${backend.address}/`, upgrade: 'websocket' as const }]
    const { port, proxy } = await startGateway(t, balanced(members, { unhealthyLatency: 50, forceRecovery: false }))
    const [member] = proxy.balancers.get('b')?.members ?? []
    const client = await sendRequest(t, port, request)
    await eventually(() => member?.status === 'E')
    slow.open()
    assert.equal((await client.responseHead()).statusCode, status)
    assert.equal(member?.failures, 1)
    assert.equal((await (await sendRequest(t, port, plainRequest('/'))).responseHead()).statusCode, 503)
  })
}

test('does not take out a member that waits for a body, nor one that responded within unhealthyLatency', async t => {
  const backend = await startBackend(t, (connection, self) => responding()(connection, self))
  const members = [{ url: `http://${backend.address}/`, upgrade: 'websocket' as const }]
  const { port, proxy } = await startGateway(t, balanced(members, { unhealthyLatency: 50 }))
  const [member] = proxy.balancers.get('b')?.members ?? []
  await sendRequest(t, port, unfinished('half'))
  await eventually(() => backend.seen.length === 1)
  const quick = await sendRequest(t, port, plainRequest('/'))
  assert.equal((await quick.responseHead()).statusCode, 200)
  // Longer than the limit: its time is the subject.
  await setTimeout(150)
  assert.deepEqual([member?.status, member?.failures], ['', 0])
})

for (const [kind, request, repeats] of [
  ['a plain request', plainRequest('/again'), true],
  ['an upgrade', upgradeRequest('/again'), true],
  ['a request that the function does not name', plainRequest('/once'), false],
  ['a request whose body was sent', plainRequest('/again', { method: 'POST', body: 'sent' }), false],
] as const) {
  test(`with a function as failoverUnanswered, ${repeats ? 'retries' : 'does not retry'} ${kind}`, async t => {
    const mute = await startBackend(t, raw('', 'reset'))
    const backend = await startBackend(t, responding())
    const members = [
      { url: `http://${mute.address}/`, upgrade: 'websocket' as const },
      { url: `http://${backend.address}/` },
    ]
    const options = { failoverUnanswered: (req: IncomingMessage) => req.url === '/again' }
    const { port } = await startGateway(t, balanced(members, options))
    const client = await sendRequest(t, port, request)
    assert.equal((await client.responseHead()).statusCode, repeats ? 200 : 502)
    assert.deepEqual([mute.seen.length, backend.seen.length], [1, repeats ? 1 : 0])
  })
}

for (const [what, failoverUnanswered] of [
  ['throws', () => assert.fail('no')],
  ['returns no boolean', async () => true],
] as const) {
  test(`responds with 500 if failoverUnanswered ${what}`, async t => {
    const mute = await startBackend(t, raw('', 'reset'))
    const options = balanced([{ url: `http://${mute.address}/` }], { failoverUnanswered })
    const gateway = await startGateway(t, options)
    assert.equal((await (await sendRequest(t, gateway, plainRequest('/'))).responseHead()).statusCode, 500)
    assert.equal((gateway.errors[0] as WsTunnelError).code, 'WST_ERR_CALLBACK')
  })
}

test('retries for a duration at an interval: maxAttempts, timeout and retry, without forceRecovery', async t => {
  const address = await deadAddress()
  const options = { maxAttempts: 100, timeout: 5_000, forceRecovery: false }
  const { port, proxy } = await startGateway(t, balanced([{ url: `ws://${address}/`, retry: 20 }], options))
  const [member] = proxy.balancers.get('b')?.members ?? []
  const client = await sendRequest(t, port, upgradeRequest('/'))
  await eventually(() => (member?.failures ?? 0) >= 3)
  const backend = createServer(socket => {
    socket.on('error', () => {})
    socket.once('data', () => socket.end('HTTP/1.1 204 Here\r\nContent-Length: 0\r\n\r\n'))
  })
  closeAfter(t, backend)
  const [host, backendPort] = address.split(':')
  backend.listen(Number(backendPort), host)
  assert.equal((await client.responseHead()).statusCode, 204)
  assert.deepEqual([member?.selected, member?.usable], [(member?.failures ?? 0) + 1, true])
})

test('takes out a member that never responds to a request with a body, unless the client has not sent all of it', async t => {
  const mute = await startBackend(t, silent())
  const members = [{ url: `http://${mute.address}/`, handshakeTimeout: 100 }]
  const { port, proxy } = await startGateway(t, balanced(members, { failOnTimeout: true }))
  const [member] = proxy.balancers.get('b')?.members ?? []
  for (const begun of ['', 'half'])
    assert.equal((await (await sendRequest(t, port, unfinished(begun))).responseHead()).statusCode, 504)
  assert.equal(member?.failures, 0)
  assert.equal(
    (await (await sendRequest(t, port, plainRequest('/', { method: 'POST', body: 'all' }))).responseHead()).statusCode,
    504,
  )
  assert.equal(member?.failures, 1)
})

for (const [how, script, plainStatus, letters] of [
  ['is silent', silent(), 504, 'E'],
  ['resets the connection', raw('', 'reset'), 502, ''],
] as const) {
  test(`fails over from a member that has an upgrade request and ${how}, with failoverUnanswered only, and never with another request`, async t => {
    const mute = await startBackend(t, script)
    const backend = await startBackend(t, echo())
    const members = [{ url: `ws://${mute.address}/`, handshakeTimeout: 100 }, { url: `ws://${backend.address}/` }]
    const options = balanced(members, { failoverUnanswered: true, failOnTimeout: true })
    const { port, proxy } = await startGateway(t, options)
    await connectTunnel(t, port, '/')
    assert.deepEqual([mute.seen.length, backend.seen.length], [1, 1])
    assert.equal(proxy.balancers.get('b')?.members[0]?.status, letters)
    const other = await startGateway(t, options)
    assert.equal((await (await sendRequest(t, other, plainRequest('/'))).responseHead()).statusCode, plainStatus)
    assert.equal(backend.seen.length, 1)
  })
}

test('tries each member once for an upgrade if none responds', async t => {
  const mutes = [await startBackend(t, silent()), await startBackend(t, silent())]
  const members = mutes.map(({ address }) => ({ url: `ws://${address}/`, handshakeTimeout: 300 }))
  const { port } = await startGateway(t, balanced(members, { failoverUnanswered: true, maxAttempts: 5 }))
  assert.equal((await (await sendRequest(t, port, upgradeRequest('/'))).responseHead()).statusCode, 503)
  assert.deepEqual(
    mutes.map(({ seen }) => seen.length),
    [1, 1],
  )
})

test('fails over from a member that has maxTunnels open', async t => {
  const [first, second] = [await startBackend(t, echo()), await startBackend(t, echo())]
  const members = [
    { url: `ws://${first.address}/`, maxTunnels: 1, loadFactor: 100 },
    { url: `ws://${second.address}/`, maxTunnels: 1 },
  ]
  const { port, proxy } = await startGateway(t, balanced(members))
  const clients = [await openTunnel(port, '/'), await openTunnel(port, '/')]
  for (const { client } of clients) t.after(() => client.destroy())
  assert.equal((await (await sendRequest(t, port, upgradeRequest('/'))).responseHead()).statusCode, 503)
  const all = proxy.balancers.get('b')?.members ?? []
  assert.deepEqual(
    all.map(({ busy, status }) => [busy, status]),
    [
      [1, ''],
      [1, ''],
    ],
  )
})

test('applies upgrade and timeouts of each member', async t => {
  const backend = await startBackend(t, echo())
  const plain = await startBackend(t, responding({ body: 'plain' }))
  const members = [{ url: `http://${backend.address}/`, upgrade: 'chat' }, { url: `http://${plain.address}/` }]
  const { port } = await startGateway(t, { ...balanced(members), upgrade: false } as WsTunnelOptions)
  const statuses: number[] = []
  for (let i = 0; i < 4; i++) {
    const client = await sendRequest(t, port, upgradeRequest('/', { token: 'chat' }))
    statuses.push((await client.responseHead()).statusCode)
  }
  assert.deepEqual(statuses, [101, 200, 101, 200])
})

test('explains which members would be tried, in order', async () => {
  const members = [{ url: 'ws://a.test/x' }, { url: 'ws://b.test/' }]
  const { outcome } = await explain(balanced(members), { url: '/y', headers: { host: 'h.test' } })
  assert.ok(outcome.kind === 'http')
  assert.deepEqual(outcome.backend.balancer, { name: 'b', members: ['ws://a.test/x', 'ws://b.test/'] })
  assert.equal(outcome.backend.requestLine, 'GET /x/y HTTP/1.1')
})

test('names a balancer that does not exist, and a member that is not a URL', async () => {
  const balancers = { b: { members: [{ url: 'ws://a.test/' }] } }
  await assert.rejects(explain({ target: 'balancer://c/', balancers }, { url: '/' }), {
    code: 'WST_ERR_OPTION',
    message: /Expected `target` to name one of `balancers` \(balancer:\/\/b\), got balancer:\/\/c/,
  })
  for (const [member, message] of [
    [{ url: 'nonsense' }, /`balancers.b.members\[0\].url`/],
    [{}, /`balancers.b.members\[0\].url` to be given/],
    [{ url: 'ws://a/', loadFactor: 0.5 }, /loadFactor` to be a number from 1 to 100/],
    [{ url: 'ws://a/', status: 'X' }, /status` to be made of the letters/],
    [{ url: 'ws://a/', lbset: 1 }, /Unknown option `balancers.b.members\[0\].lbset`.*`.*lbSet`/],
  ] as const) {
    await assert.rejects(explain(balanced([member as MemberOptions]), { url: '/' }), {
      code: 'WST_ERR_OPTION',
      message,
    })
  }
})

test('maps the Location of every member back to the public path', async t => {
  const backend = await startBackend(t, connection =>
    responding({ statusCode: 302, headers: [`Location: http://127.0.0.1:${connection.socket.localPort}/base/y`] })(
      connection,
      undefined as never,
    ),
  )
  const options: WsTunnelOptions = {
    routes: [{ path: '/pub', target: 'balancer://b/', passReverse: { 'balancer://b': '/pub' } }],
    balancers: { b: { members: [{ url: `http://${backend.address}/base` }] } },
  }
  const { port } = await startGateway(t, options)
  const client = await sendRequest(t, port, plainRequest('/pub/x', { host: 'h.test' }))
  const head = await client.responseHead()
  assert.match(JSON.stringify(head), /http:\/\/h\.test\/pub\/y/)
})

test('requires names of balancers in lower case, because a target is read in lower case', () => {
  const options = { target: 'balancer://Chat/', balancers: { Chat: { members: [] } } }
  assert.throws(() => createTunnelProxy(options), /Expected `balancers\.Chat` to be named in lower case, got "Chat"/)
})

test('does not fail over to a member that does not allow the upgrade', async t => {
  const dead: MemberOptions = { url: `ws://${await deadAddress()}/` }
  const backend = await startBackend(t, responding({ body: 'plain' }))
  const { port } = await startGateway(t, balanced([dead, { url: `http://${backend.address}/`, upgrade: false }]))
  assert.equal((await (await sendRequest(t, port, upgradeRequest('/'))).responseHead()).statusCode, 200)
  assert.deepEqual(backend.seen[0]?.headers('upgrade'), [])
  const eager = await startBackend(t, echo())
  const rash = await startGateway(t, balanced([dead, { url: `ws://${eager.address}/`, upgrade: false }]))
  assert.equal((await (await sendRequest(t, rash, upgradeRequest('/'))).responseHead()).statusCode, 502)
  const strict = await startGateway(t, {
    ...balanced([dead, { url: `http://${backend.address}/`, upgrade: false }]),
    fallback: false,
  })
  assert.equal((await (await sendRequest(t, strict, upgradeRequest('/'))).responseHead()).statusCode, 426)
  assert.equal(backend.seen.length, 1)
})

const disabled: MemberOptions[] = [{ url: 'ws://127.0.0.1:1/', status: 'D' }]

test('refuses a wrong Origin while its balancer waits, and ignores the later failure of the balancer', async t => {
  const gateway = await startGateway(t, {
    routes: [{ path: '/', target: 'balancer://b/', allowedOrigins: ['https://app.test'] }],
    balancers: { b: { members: disabled, timeout: 50 } },
  })
  const request = upgradeRequest('/', { headers: { Origin: 'https://evil.test' } })
  assert.equal((await (await sendRequest(t, gateway, request)).responseHead()).statusCode, 403)
  // An unhandled rejection fails the test. It would occur before this response, which waits as long.
  const other = upgradeRequest('/', { headers: { Origin: 'https://app.test' } })
  assert.equal((await (await sendRequest(t, gateway, other)).responseHead()).statusCode, 503)
})

test('selects no member for a client that left while it waited', async t => {
  const gateway = await startGateway(t, balanced(disabled, { timeout: 3_000 }))
  const client = await sendRequest(t, gateway, upgradeRequest('/'))
  const other = await sendRequest(t, gateway, upgradeRequest('/'))
  client.destroy()
  await eventually(() => gateway.errors.length === 1)
  const [member] = gateway.proxy.balancers.get('b')?.members ?? []
  assert.ok(member)
  member.status = '-D'
  await other.responseHead()
  assert.equal(member.selected, 1)
})

test('leaves no listener of a failed attempt on request and response, however many members fail', async t => {
  const backend = await startBackend(t, responding({ body: 'well' }))
  const dead = await Promise.all(Array.from({ length: 12 }, deadAddress))
  const members = [...dead, backend.address].map(address => ({ url: `http://${address}/` }))
  const gateway = await startGateway(t, balanced(members))
  const warnings: Error[] = []
  const listener = (warning: Error): void => void warnings.push(warning)
  process.on('warning', listener)
  t.after(() => process.off('warning', listener))
  const client = await sendRequest(t, gateway, plainRequest('/', { method: 'POST', body: 'x' }))
  assert.equal((await client.body(await client.responseHead())).toString(), 'well')
  await new Promise(resolve => setImmediate(resolve))
  assert.deepEqual(warnings, [])
})
