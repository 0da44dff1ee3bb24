import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { echo, raw, record, responding, silent, switching, switchingHead } from '../support/backend.ts'
import { KEY, plainRequest, upgradeRequest } from '../support/client.ts'
import type { Middleware } from '../support/frameworks.ts'
import { eventually } from '../support/gate.ts'
import { assertFailure } from '../support/harness.ts'
import type { Theme } from './theme.ts'

const describing = responding({ body: (request, body) => `${request.method} ${request.header('upgrade')} ${body}` })

/** Which requests are upgrades, and how the others are served. */
export const upgradeTheme: Theme = setUp => {
  test('tunnels an upgrade to websocket', async t => {
    const setup = await setUp(t, echo())
    const client = await setup.upgrade('/')
    const head = await client.responseHead()
    assert.equal(head.statusCode, 101)
    assert.equal(head.header('upgrade'), 'websocket')
    assert.equal(head.header('connection')?.toLowerCase(), 'upgrade')
    assert.equal(head.header('sec-websocket-accept'), 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=')
    assert.equal((await client.send('hello').readExact(5)).toString(), 'hello')
  })

  test('forwards the allowed token of a list, in the spelling of the client', async t => {
    const setup = await setUp(t, echo())
    await setup.tunnel('/', { headers: { Upgrade: 'foo, WebSocket' } })
    await setup.tunnel('/', { headers: { Upgrade: ['foo', 'WEBSOCKET'] } })
    assert.deepEqual(
      setup.backend.seen.map(request => request.headers('upgrade')),
      [['WebSocket'], ['WEBSOCKET']],
    )
    assert.deepEqual((await setup.backend.request()).headers('connection'), ['Upgrade'])
  })

  test('finds upgrade among the options of Connection, in any case', async t => {
    const setup = await setUp(t, echo())
    await setup.tunnel('/', { headers: { Connection: 'keep-alive, Upgrade' } })
    await setup.tunnel('/', { headers: { Connection: ['keep-alive', 'UPGRADE'] } })
  })

  test('compares whole tokens, neither prefixes nor tokens with a version', async t => {
    const setup = await setUp(t, describing)
    for (const Upgrade of ['websocketX', 'web', 'websocket/13', 'foo']) {
      const { statusCode, body } = await setup.refused('/', { headers: { Upgrade } })
      assert.equal(`${statusCode} ${body}`, '200 GET undefined ', Upgrade)
    }
  })

  test('serves an upgrade to a protocol that the route does not allow as HTTP, without its Upgrade', async t => {
    const setup = await setUp(t, describing)
    assert.equal((await setup.refused('/', { token: 'foo' })).body, 'GET undefined ')
    assert.doesNotMatch(String(setup.backend.seen[0]?.header('connection')), /upgrade/i)
  })

  test('426s an upgrade to a protocol that the route does not allow, if there is no fallback', async t => {
    const setup = await setUp(t, describing, { fallback: false })
    const refused = await setup.refused('/', { token: 'foo' })
    assertFailure(setup.gateway, refused, 426, 'WST_ERR_UPGRADE_REQUIRED')
    assert.equal(refused.header('upgrade'), 'websocket')
    assert.equal(setup.backend.connections.length, 0)
  })

  test('names all allowed tokens in the 426', async t => {
    const setup = await setUp(t, describing, { fallback: false, upgrade: ['websocket', 'foo'] })
    const refused = await setup.refused('/', { token: 'bar' })
    assert.equal(`${refused.statusCode} ${refused.header('upgrade')}`, '426 websocket, foo')
  })

  test('never forwards h2c, even if the route allows any token', async t => {
    for (const upgrade of ['websocket', 'ANY']) {
      const setup = await setUp(t, describing, { upgrade })
      const headers = { Connection: 'Upgrade, HTTP2-Settings', 'HTTP2-Settings': 'AAMAAABkAAQAAP__' }
      assert.equal((await setup.refused('/', { token: 'h2c', headers })).body, 'GET undefined ')
      assert.equal(setup.backend.seen[0]?.header('http2-settings'), undefined)
    }
  })

  test('forwards h2c if the route names it', async t => {
    const setup = await setUp(t, echo(), { upgrade: 'h2c' })
    await setup.tunnel('/', { token: 'h2c' })
    assert.equal((await setup.backend.request()).header('upgrade'), 'h2c')
  })

  test('allows websocket in a list with h2c', async t => {
    const setup = await setUp(t, echo(), { upgrade: 'ANY' })
    const headers = { Connection: 'Upgrade, HTTP2-Settings', 'HTTP2-Settings': 'AAMAAABkAAQAAP__' }
    await setup.tunnel('/', { headers: { ...headers, Upgrade: 'h2c, websocket' } })
    const request = await setup.backend.request()
    assert.equal(request.header('upgrade'), 'websocket')
    assert.equal(request.header('http2-settings'), undefined)
  })

  test('tunnels custom tokens, lists of them and, with ANY, the first token of the client', async t => {
    const custom = await setUp(t, echo(), { upgrade: 'foo' })
    await custom.tunnel('/', { token: 'Foo' })
    assert.equal((await custom.backend.request()).header('upgrade'), 'Foo')
    const list = await setUp(t, echo(), { upgrade: ['foo', 'websocket'] })
    await list.tunnel('/', { token: 'foo' })
    await list.tunnel('/')
    const any = await setUp(t, echo(), { upgrade: 'ANY' })
    await any.tunnel('/', { headers: { Upgrade: 'bar, foo' } })
    assert.equal((await any.backend.request()).header('upgrade'), 'bar')
  })

  test('does not allow websocket if the route names another token only', async t => {
    const setup = await setUp(t, describing, { upgrade: 'foo' })
    assert.equal((await setup.refused('/')).body, 'GET undefined ')
  })

  test('tunnels a custom token over POST, because only websocket requires GET', async t => {
    const setup = await setUp(t, echo(), { upgrade: 'foo' })
    await setup.tunnel('/', { token: 'foo', method: 'POST', headers: { 'Content-Length': '0' } })
    assert.equal((await setup.backend.request()).method, 'POST')
  })

  test('serves a request without Upgrade as HTTP', async t => {
    const setup = await setUp(t, describing)
    assert.equal((await setup.get('/')).body, 'GET undefined ')
  })

  test('passes a request without Upgrade by a route without fallback, to the next route and then to the app', async t => {
    const setup = await setUp(t, describing, ({ address }) => ({
      routes: [
        { path: '/a', target: `ws://${address}/first`, fallback: false },
        { path: '/a/b', target: `ws://${address}/second` },
      ],
    }))
    assert.equal((await setup.get('/a/b')).statusCode, 200)
    assert.equal(setup.backend.seen[0]?.path, '/second')
    const own = await setup.get('/a/c')
    assert.equal(`${own.statusCode} ${own.body}`, '404 own 404: GET /a/c')
  })

  const notUpgrades: [what: string, text: string, seen: string][] = [
    ['without Connection: upgrade', upgradeRequest('/', { headers: { Connection: 'keep-alive' } }), 'GET undefined '],
    ['of HTTP/1.0', upgradeRequest('/', { httpVersion: '1.0' }), 'GET undefined '],
    [
      'with a Content-Length',
      `${upgradeRequest('/', { headers: { 'Content-Length': '4' } })}body`,
      'GET undefined body',
    ],
    [
      'with a chunked body',
      `${upgradeRequest('/', { headers: { 'Transfer-Encoding': 'chunked' } })}4\r\nbody\r\n0\r\n\r\n`,
      'GET undefined body',
    ],
    [
      'to websocket with POST',
      upgradeRequest('/', { method: 'POST', headers: { 'Content-Length': '0' } }),
      'POST undefined ',
    ],
  ]
  for (const [what, text, seen] of notUpgrades) {
    test(`serves an upgrade ${what} as HTTP, body included`, async t => {
      const setup = await setUp(t, describing)
      const { statusCode, body } = await setup.request(text)
      assert.equal(`${statusCode} ${body}`, `200 ${seen}`)
    })

    test(`400s an upgrade ${what} if there is no fallback`, async t => {
      const setup = await setUp(t, describing, { fallback: false })
      assertFailure(setup.gateway, await setup.request(text), 400, 'WST_ERR_BAD_HANDSHAKE')
      assert.equal(setup.backend.connections.length, 0)
    })
  }

  test('forwards a body that arrives slowly after the head of an upgrade request', async t => {
    const setup = await setUp(t, describing)
    const client = await setup.upgrade('/', { headers: { 'Content-Length': '8' } })
    await setup.backend.request()
    client.send('slow')
    client.send('body')
    assert.equal((await client.whole()).body, 'GET undefined slowbody')
  })

  test('forwards a handshake without key or version, and relays the refusal of the backend', async t => {
    const setup = await setUp(t, async connection => {
      const request = await connection.request()
      const missing = request.header('sec-websocket-version') === undefined
      connection.end(
        missing
          ? 'HTTP/1.1 426 Old\r\nSec-WebSocket-Version: 13\r\nContent-Length: 3\r\n\r\nold'
          : 'HTTP/1.1 400 No Key\r\nContent-Length: 6\r\n\r\nno key',
      )
    })
    const old = await setup.refused('/', { headers: { 'Sec-WebSocket-Version': undefined } })
    assert.equal(`${old.startLine} ${old.header('sec-websocket-version')} ${old.body}`, 'HTTP/1.1 426 Old 13 old')
    const keyless = await setup.refused('/', { headers: { 'Sec-WebSocket-Key': undefined } })
    assert.equal(`${keyless.startLine} ${keyless.body}`, 'HTTP/1.1 400 No Key no key')
  })

  const invalid: [what: string, headers: Record<string, string | undefined>][] = [
    ['without a key', { 'Sec-WebSocket-Key': undefined }],
    ['with a key of the wrong length', { 'Sec-WebSocket-Key': 'c2hvcnQ=' }],
    ['without a version', { 'Sec-WebSocket-Version': undefined }],
    ['of another version', { 'Sec-WebSocket-Version': '8' }],
  ]
  for (const [what, headers] of invalid) {
    test(`400s a handshake ${what} under strictHandshake`, async t => {
      const setup = await setUp(t, echo(), { strictHandshake: true })
      assertFailure(setup.gateway, await setup.refused('/', { headers }), 400, 'WST_ERR_BAD_HANDSHAKE')
      assert.equal(setup.backend.connections.length, 0)
    })
  }

  test('checks Sec-WebSocket-Accept under strictHandshake only', async t => {
    const wrong = raw(
      'HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: bm8=\r\n\r\n',
      'keep',
    )
    const strict = await setUp(t, wrong, { strictHandshake: true })
    assertFailure(strict.gateway, await strict.refused('/'), 502, 'WST_ERR_BAD_SWITCH')
    const lax = await setUp(t, wrong)
    await lax.tunnel('/')
    const right = await setUp(t, echo(), { strictHandshake: true })
    await right.tunnel('/')
  })

  const malformed: [what: string, headers: Record<string, string | string[] | undefined>][] = [
    ['two Host lines', { Host: ['front.example', 'other.example'] }],
    ['no Host', { Host: undefined }],
    ['a malformed Host', { Host: 'front.example/../x' }],
    ['a Host with credentials', { Host: 'user@front.example' }],
    ['a list for Host', { Host: 'front.example, other.example' }],
    ['two keys', { 'Sec-WebSocket-Key': [KEY, KEY] }],
  ]
  for (const [what, headers] of malformed) {
    test(`400s an upgrade with ${what}, and closes`, async t => {
      const setup = await setUp(t, echo())
      const client = await setup.upgrade('/', { headers })
      assert.equal((await client.whole()).statusCode, 400)
      client.end()
      assert.equal((await client.readAll()).length, 0)
      assert.equal(setup.backend.connections.length, 0)
    })
  }

  for (const Host of ['front.example/../x', 'user@front.example', 'front.example, other.example']) {
    test(`400s a plain request with the Host ${Host}`, async t => {
      const setup = await setUp(t, describing)
      assert.equal((await setup.get('/', { host: Host })).statusCode, 400)
      assert.equal(setup.backend.connections.length, 0)
    })
  }

  const holding = (): { middleware: Middleware; held: Promise<ServerResponse> } => {
    const { promise: held, resolve } = Promise.withResolvers<ServerResponse>()
    return { held, middleware: (req, res, next) => (req.url === '/held' ? resolve(res) : next()) }
  }
  for (const packets of ['the same packet', 'a separate packet']) {
    test(`keeps the order if an upgrade in ${packets} arrives before a response is finished`, async t => {
      const { held, middleware } = holding()
      const setup = await setUp(t, switching({ early: 'early' }), {}, { mount: '/live', before: [middleware] })
      const client = await setup.connect()
      if (packets === 'the same packet') client.send(plainRequest('/held') + upgradeRequest('/live'))
      else client.send(plainRequest('/held'))
      const res = await held
      if (packets !== 'the same packet') client.send(upgradeRequest('/live'))
      res.write('first ')
      await eventually(() => client.pending.includes('first '))
      res.end('last')
      const first = await client.whole()
      assert.equal(`${first.statusCode} ${first.body}`, '200 first last')
      const second = await client.responseHead()
      if (second.statusCode === 101) assert.equal((await client.readExact(5)).toString(), 'early')
      else {
        assert.equal(second.statusCode, 400)
        await client.body(second)
        assert.equal((await client.readAll()).length, 0)
      }
    })
  }

  test('upgrades on a connection that has served HTTP before', async t => {
    const setup = await setUp(t, echo(), {}, { mount: '/live' })
    const client = await setup.connect()
    for (let i = 0; i < 3; i++) assert.equal((await client.send(plainRequest('/own')).whole()).body, 'own')
    assert.equal((await client.send(upgradeRequest('/live')).responseHead()).statusCode, 101)
    assert.equal((await client.send('hello').readExact(5)).toString(), 'hello')
  })

  test('keeps early bytes of the client, in the packet of the head and after', async t => {
    const setup = await setUp(t, record())
    const client = await setup.upgrade('/', { early: 'one ' })
    client.send('two ')
    assert.equal((await client.responseHead()).statusCode, 101)
    client.end('three')
    assert.equal((await (await setup.backend.connection()).readAll()).toString(), 'one two three')
  })

  test('keeps a million early bytes until the backend responds', async t => {
    const early = randomBytes(1_000_000)
    const setup = await setUp(t, async connection => {
      const request = await connection.request()
      await connection.write('HTTP/1.1 103 Early Hints\r\n\r\n')
      await hinted
      await connection.write(switchingHead(request))
    })
    const { promise: hinted, resolve: hint } = Promise.withResolvers<void>()
    const client = (await setup.upgrade('/')).send(early)
    assert.equal((await client.responseHead()).statusCode, 103)
    hint()
    assert.equal((await client.responseHead()).statusCode, 101)
    client.end()
    assert.ok((await (await setup.backend.connection()).readAll()).equals(early))
  })

  test('stops reading from a client that sends too many bytes before the 101', async t => {
    const setup = await setUp(t, silent())
    const client = await setup.upgrade('/')
    await setup.backend.request()
    const chunk = Buffer.alloc(100_000)
    let taken = 0
    const offer = (error?: unknown): void => {
      if (error || taken > 30_000_000) return
      taken += chunk.length
      client.socket.write(chunk, offer)
    }
    offer()
    await eventually(async () => {
      const before = taken
      await sleep(100)
      return taken === before
    })
    assert.ok(taken < 20_000_000, `${taken} bytes were taken ahead of the 101`)
  })

  test('never passes early bytes to a backend that has not switched', async t => {
    const early = 'GET /secret HTTP/1.1\r\nHost: inside\r\n\r\n'
    const refusing = await setUp(t, raw('HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno'))
    const client = await refusing.upgrade('/', { early })
    assert.equal((await client.whole()).body, 'no')
    assert.equal((await (await refusing.backend.connection()).readAll()).length, 0)
    assert.doesNotMatch((await client.readAll()).toString(), /^HTTP\/1.1 2/)
    assert.equal(refusing.backend.seen.length, 1)
  })

  test('delivers bytes that the backend sends in the packet of its 101', async t => {
    const setup = await setUp(t, echo({ early: 'hello from behind' }))
    const client = await setup.tunnel('/')
    assert.equal((await client.readExact(17)).toString(), 'hello from behind')
  })

  test('tunnels every request under NONE, and requests websocket if the client names no protocol', async t => {
    const setup = await setUp(t, echo(), { upgrade: 'NONE' })
    const client = await setup.connect()
    const head = await client.send(plainRequest('/x')).responseHead()
    assert.equal(`${head.statusCode} ${head.header('upgrade')}`, '101 websocket')
    assert.equal((await setup.backend.request()).header('upgrade'), 'websocket')
    assert.equal((await client.send('hello').readExact(5)).toString(), 'hello')
    client.end('bye')
    assert.equal((await client.readAll()).toString(), 'bye')
  })

  test('tunnels any protocol that the client names under NONE', async t => {
    const setup = await setUp(t, echo(), { upgrade: 'NONE' })
    const client = await setup.tunnel('/', { token: 'foo' })
    assert.equal((await setup.backend.request()).header('upgrade'), 'foo')
    assert.equal((await client.send('hello').readExact(5)).toString(), 'hello')
  })

  test('503s an upgrade past maxPendingUpgrades with a status line, and serves plain requests and open tunnels', async t => {
    const held = Promise.withResolvers<void>()
    const setup = await setUp(
      t,
      async connection => {
        const request = await connection.request()
        if (request.path === '/held') await held.promise
        const isUpgrade = request.header('upgrade') !== undefined
        await connection.write(isUpgrade ? switchingHead(request) : 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain')
      },
      { maxPendingUpgrades: 3 },
    )
    const open = await setup.tunnel('/')
    const pending = await Promise.all([1, 2, 3].map(() => setup.upgrade('/held', { early: 'early' })))
    await eventually(() => assert.equal(setup.backend.connections.length, 4))
    for (const path of ['/held', '/']) {
      const refused = await setup.refused(path, { early: 'early' })
      assert.equal(`${refused.statusCode} ${refused.body}`, '503 {"code":"WST_ERR_PENDING_LIMIT"}')
    }
    assert.equal(setup.backend.connections.length, 4)
    assert.equal((await setup.get('/')).body, 'plain')
    pending[0]?.destroy()
    await eventually(() => assert.equal(setup.gateway.errors.at(-1)?.code, 'WST_ERR_CLIENT_GONE'))
    const next = await setup.tunnel('/')
    held.resolve()
    for (const client of pending.slice(1)) assert.equal((await client.responseHead()).statusCode, 101)
    for (const client of [open, next]) client.end()
  })
}
