import assert from 'node:assert/strict'
import { METHODS } from 'node:http'
import { type TestContext, test } from 'node:test'
import type { Script } from '../support/backend.ts'
import { plainRequest } from '../support/client.ts'
import { eventually } from '../support/gate.ts'
import { connectClient, setUp } from '../support/harness.ts'

const OK = 'HTTP/1.1 200 Fine\r\nContent-Length: 2\r\n\r\nok'

/** Authenticates a connection as NTLM does: what was said on it once counts for every later request. */
const authenticating = (scheme: string): Script => {
  const challenge = `HTTP/1.1 401 Who\r\nWWW-Authenticate: Basic realm="x", ${scheme}\r\nContent-Length: 0\r\n\r\n`
  return async connection => {
    let user: string | undefined
    for (;;) {
      const { header } = await connection.request()
      user ??= header('authorization')
      const name = user ?? ''
      const body = `HTTP/1.1 200 Fine\r\nContent-Length: ${name.length}\r\n\r\n${name}`
      await connection.write(user === undefined ? challenge : body)
    }
  }
}

for (const scheme of ['NTLM', 'Negotiate', 'negotiate']) {
  test(`keeps a connection that ${scheme} has authenticated for the client's connection alone`, async t => {
    const { backend, connect } = await setUp(t, authenticating(scheme))
    const alice = await connect()
    assert.equal((await alice.send(plainRequest('/')).whole()).statusCode, 401)
    const credentials = { headers: [`Authorization: ${scheme} alice`] }
    assert.equal((await alice.send(plainRequest('/', credentials)).whole()).body, `${scheme} alice`)
    assert.equal(backend.connections.length, 1)
    // Another client, and the same one without credentials.
    assert.equal((await (await connect()).send(plainRequest('/')).whole()).statusCode, 401)
    assert.equal((await alice.send(plainRequest('/')).whole()).body, `${scheme} alice`)
    assert.equal(backend.connections.length, 2)
    alice.destroy()
    await eventually(() => assert.ok(backend.connections[0]?.ended))
  })
}

test('shares no connection that a request with such credentials was the first to use', async t => {
  const { backend, connect } = await setUp(t, authenticating('NTLM'))
  const credentials = { headers: ['Authorization: NTLM alice'] }
  assert.equal((await (await connect()).send(plainRequest('/', credentials)).whole()).body, 'NTLM alice')
  assert.equal((await (await connect()).send(plainRequest('/')).whole()).statusCode, 401)
  assert.equal(backend.connections.length, 2)
})

test('shares a connection with other credentials, which count for one request', async t => {
  const { backend, connect } = await setUp(t, async connection => {
    for (;;) {
      await connection.request()
      await connection.write(OK)
    }
  })
  for (const value of ['Basic eA==', 'Bearer NTLM', 'NTLMish x']) {
    const headers = [`Authorization: ${value}`]
    assert.equal((await (await connect()).send(plainRequest('/', { headers })).whole()).body, 'ok')
  }
  assert.equal(backend.connections.length, 1)
})

/** Responds to the first request of each connection, then to none. */
const silentAfterFirst: Script = async connection => {
  await connection.request()
  await connection.write(OK)
  await connection.request()
}

/** Opens connections to the backend that are idle then. */
async function idle(t: TestContext, port: number, count: number): Promise<void> {
  const clients = await Promise.all(Array.from({ length: count }, () => connectClient(t, port)))
  for (const client of clients) client.send(plainRequest('/'))
  for (const client of clients) assert.equal((await client.whole()).body, 'ok')
}

test('drops the idle connections of a worker when one of them has timed out: the next request gets a new one', async t => {
  const { backend, gateway, get } = await setUp(t, silentAfterFirst, { handshakeTimeout: 300 })
  await idle(t, gateway.port, 3)
  await eventually(() => backend.connections.length === 3)
  backend.play(async connection => {
    await connection.request()
    await connection.write(OK)
  })
  assert.equal((await get('/')).statusCode, 504)
  assert.equal((await get('/')).statusCode, 200)
  await eventually(() => assert.ok(backend.connections.slice(0, 3).every(({ ended }) => ended)))
})

test('keeps idle connections when a new connection has timed out', async t => {
  const { backend, gateway, get } = await setUp(
    t,
    async connection => {
      for (;;) {
        const { path } = await connection.request()
        if (path !== '/slow') await connection.write(OK)
      }
    },
    { handshakeTimeout: 300 },
  )
  const slow = (await connectClient(t, gateway.port)).send(plainRequest('/slow'))
  await backend.request()
  await idle(t, gateway.port, 1)
  assert.equal((await slow.whole()).statusCode, 504)
  assert.equal((await get('/')).statusCode, 200)
  assert.equal(backend.connections.length, 2)
})

/** Closes a kept connection as soon as a second request comes. */
const closesAtSecond =
  (how: 'end' | 'reset'): Script =>
  async connection => {
    await connection.request()
    await connection.write(OK)
    await connection.request()
    connection[how]()
  }

const IDEMPOTENT = ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE', 'PROPFIND', 'MKCOL', 'QUERY'].filter(method =>
  METHODS.includes(method),
)

for (const how of ['end', 'reset'] as const) {
  for (const method of IDEMPOTENT) {
    test(`repeats a ${method} on a new connection if a kept one closes as it is used again (${how})`, async t => {
      const { backend, get } = await setUp(t, closesAtSecond(how))
      await get('/')
      assert.equal((await get('/', { method })).statusCode, 200)
      assert.equal(backend.connections.length, 2)
    })
  }
  for (const [what, options] of [
    ['a POST', { method: 'POST' }],
    ['a PATCH', { method: 'PATCH' }],
    ['a PUT whose body has begun', { method: 'PUT', body: 'body' }],
  ] as const) {
    test(`does not repeat ${what} that may have had its effect (${how})`, async t => {
      const { backend, get } = await setUp(t, closesAtSecond(how))
      await get('/')
      assert.equal((await get('/', options)).statusCode, 502)
      assert.equal(backend.connections.length, 1)
    })
  }
}

test('repeats a request of which no body byte has come from the client', async t => {
  const { backend, connect, get } = await setUp(t, closesAtSecond('reset'))
  await get('/')
  const client = await connect()
  client.send('PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n')
  assert.equal((await client.whole()).statusCode, 200)
  const requests = backend.connections.map(connection => connection.requests.map(({ method }) => method))
  assert.deepEqual(requests, [['GET', 'PUT'], ['PUT']])
})

test('sends a POST on another connection if the kept one has closed before', async t => {
  const { backend, get } = await setUp(t, async connection => {
    await connection.request()
    await connection.write(OK)
    connection.end()
  })
  await get('/')
  assert.equal((await get('/', { method: 'POST', body: 'x' })).statusCode, 200)
  assert.equal(backend.connections.length, 2)
})
