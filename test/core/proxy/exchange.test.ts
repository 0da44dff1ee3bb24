import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { PendingUpgrade } from '../../../packages/core/src/client/pending-upgrade.ts'
import { WsTunnelError } from '../../../packages/core/src/errors.ts'
import { HeaderList } from '../../../packages/core/src/http/header-list.ts'
import type { WsTunnelOptions } from '../../../packages/core/src/options/options.ts'
import type { Decision } from '../../../packages/core/src/proxy/decide.ts'
import type { Exchange } from '../../../packages/core/src/proxy/exchange.ts'
import { plainRequest, type RawClient, upgradeRequest } from '../../support/client.ts'
import { eventually } from '../../support/gate.ts'
import { connectClient } from '../../support/harness.ts'
import { candidatesOf, type Exchanges, startExchanges } from './exchanges.ts'

const TARGET = 'http://b.test/'
const UPGRADE = upgradeRequest('/a?b')
const PLAIN = plainRequest('/a?b')
const KINDS = { 'an upgrade': UPGRADE, 'a plain request': PLAIN }

interface Begun extends Exchanges {
  client: RawClient
  exchange: Exchange
  /** The decision, once it is made. */
  decision: Promise<Decision>
  /** Ends the request: the exchange is released. */
  finish: () => void
}

/** The decision, which the exchange gives at once unless it has to wait. */
const decided = async (exchange: Exchange): Promise<Decision> => exchange.decide()

/** Sends a request and begins its exchange. */
async function begin(t: TestContext, text: string, options: WsTunnelOptions = { target: TARGET }): Promise<Begun> {
  const begun = Promise.withResolvers<Pick<Begun, 'exchange' | 'decision'>>()
  const end = Promise.withResolvers<void>()
  const exchanges = await startExchanges(t, options, exchange => {
    const decision = decided(exchange)
    decision.catch(() => {})
    begun.resolve({ exchange, decision })
    return end.promise
  })
  const client = (await connectClient(t, exchanges.port)).send(text)
  return { ...exchanges, client, ...(await begun.promise), finish: end.resolve }
}

test('knows an upgrade: its token, its connection, and no body', async t => {
  const { exchange, decision } = await begin(t, UPGRADE)
  assert.equal((await decision).kind, 'upgrade')
  assert.deepEqual([exchange.token, exchange.url], ['websocket', '/a?b'])
  assert.ok(exchange.upgrade)
  assert.deepEqual([exchange.body, exchange.bodySent], [undefined, undefined])
})

test('knows a plain request: no token, no connection of an upgrade, and a body', async t => {
  const { exchange, decision } = await begin(t, PLAIN)
  assert.equal((await decision).kind, 'http')
  assert.deepEqual([exchange.token, exchange.upgrade], [undefined, undefined])
  assert.deepEqual([exchange.bodySent?.begun, exchange.bodySent?.whole], [false, true])
})

test('reads no body for a response without a backend', async t => {
  const { exchange, decision } = await begin(t, PLAIN, { target: () => ({ status: 410 }) })
  assert.equal((await decision).kind, 'respond')
  assert.equal(exchange.body, undefined)
})

test('takes the connection of an upgrade at once, so that no byte is lost while the decision waits', async t => {
  const target = Promise.withResolvers<string>()
  const { client, exchange, decision } = await begin(t, `${UPGRADE}early `, { target: () => target.promise })
  assert.ok(exchange.upgrade)
  client.send('bird')
  await eventually(() => exchange.upgrade?.socket.bytesRead === UPGRADE.length + 10)
  target.resolve(TARGET)
  await decision
  const head = exchange.upgrade.switch('Switching', new HeaderList()).clientHead
  assert.equal(String(Buffer.concat([...head])), 'early bird')
})

for (const [kind, text] of Object.entries(KINDS)) {
  test(`${kind}: rejects with WST_ERR_CLIENT_GONE if the client leaves while the decision waits`, async t => {
    const { client, exchange, decision } = await begin(t, text, { target: () => new Promise<string>(() => {}) })
    assert.equal(exchange.signal.aborted, false)
    client.destroy()
    await assert.rejects(decision, { code: 'WST_ERR_CLIENT_GONE' })
    assert.equal(exchange.signal.reason.code, 'WST_ERR_CLIENT_GONE')
  })

  test(`${kind}: aborts its signal if the client leaves later`, async t => {
    const { client, exchange, decision } = await begin(t, text)
    await decision
    client.destroy()
    await eventually(() => exchange.signal.aborted)
    assert.equal(exchange.signal.reason.code, 'WST_ERR_CLIENT_GONE')
    if (text === UPGRADE) assert.equal(exchange.isAbandoned, false)
  })

  test(`${kind}: abort before the head cancels, and leaves the response to the app`, async t => {
    const { client, exchange, decision, finish } = await begin(t, text)
    await decision
    const reason = new WsTunnelError('WST_ERR_CLOSING')
    exchange.abort(reason)
    assert.equal(exchange.signal.reason, reason)
    assert.deepEqual([exchange.res.destroyed, exchange.isAbandoned], [false, false])
    exchange.res.writeHead(503).end('closing')
    finish()
    const { statusCode, body } = await client.whole()
    assert.deepEqual([statusCode, body], [503, 'closing'])
  })

  test(`${kind}: abort after the head aborts the response`, async t => {
    const { client, exchange, decision } = await begin(t, text)
    await decision
    exchange.upgrade?.refuse()
    exchange.res.writeHead(200, { 'Content-Length': 100 }).write('part')
    await client.readThrough('part')
    exchange.abort(new WsTunnelError('WST_ERR_CLOSING'))
    await eventually(() => client.ended || client.error !== undefined)
    assert.equal(exchange.signal.aborted, true)
  })

  test(`${kind}: release leaves the candidate once`, async t => {
    const { exchange, decision } = await begin(t, text)
    const { first } = candidatesOf(await decision)
    const calls: string[] = []
    exchange.enter(first, () => calls.push('a'))
    exchange.release()
    exchange.release()
    assert.deepEqual(calls, ['a'])
    assert.equal(exchange.upgrade, undefined)
  })

  test(`${kind}: a round trip that fails leaves its candidate before the next one is entered`, async t => {
    const { exchange, decision } = await begin(t, text)
    const { first } = candidatesOf(await decision)
    const calls: string[] = []
    exchange.enter(first, () => calls.push('a'))
    exchange.leave()
    assert.deepEqual(calls, ['a'])
    exchange.enter(first, () => calls.push('b'))
    exchange.release()
    assert.deepEqual(calls, ['a', 'b'])
  })

  test(`${kind}: a client that leaves after release aborts nothing`, async t => {
    const { client, exchange, decision } = await begin(t, text)
    await decision
    exchange.release()
    client.destroy()
    await new Promise(resolve => exchange.req.socket.once('close', resolve))
    assert.equal(exchange.signal.aborted, false)
  })

  test(`${kind}: handOver gives the candidate to the tunnel: release does not leave it`, async t => {
    const { exchange, decision } = await begin(t, text)
    const { first } = candidatesOf(await decision)
    let calls = 0
    exchange.enter(first, () => calls++)
    const release = exchange.handOver()
    exchange.release()
    assert.equal(calls, 0)
    assert.equal(exchange.upgrade, undefined)
    release()
    assert.equal(calls, 1)
  })
}

test('holds a slot of its route from the decision until it is released', async t => {
  const { exchange, decision } = await begin(t, UPGRADE, { target: TARGET, maxTunnels: 1 })
  await decision
  const { route } = exchange.match
  assert.equal(route.open, 1)
  exchange.release()
  assert.equal(route.open, 0)
})

test('refuses an upgrade for which its route has no slot', async t => {
  const decisions: Promise<Decision>[] = []
  const { port } = await startExchanges(t, { target: TARGET, maxTunnels: 1 }, exchange => {
    decisions.push(decided(exchange))
    return decisions.length === 1 ? new Promise(() => {}) : decisions[1]
  })
  for (let i = 0; i < 2; i++) {
    ;(await connectClient(t, port)).send(UPGRADE)
    await eventually(() => decisions.length > i)
  }
  await decisions[0]
  await assert.rejects(decisions[1] as Promise<Decision>, { code: 'WST_ERR_TUNNEL_LIMIT' })
})

test('handBack leaves the request untouched: the next handler may switch, and release does nothing', async t => {
  const { client, exchange, decision } = await begin(t, `${UPGRADE}early`, { target: () => false })
  assert.equal((await decision).kind, 'app')
  client.send(' bird')
  await eventually(() => exchange.upgrade?.socket.bytesRead === UPGRADE.length + 10)
  exchange.handBack()
  exchange.release()
  const next = new PendingUpgrade(exchange.req, exchange.res, () => {})
  assert.equal(String(Buffer.concat([...next.switch('Switching', new HeaderList()).clientHead])), 'early bird')
  assert.equal((await client.responseHead()).statusCode, 101)
})

test('reads the rest of a body when it is released, so that the connection serves the next request', async t => {
  const { client, exchange, decision, finish } = await begin(
    t,
    plainRequest('/', { method: 'POST', body: 'x'.repeat(300_000) }),
  )
  await decision
  const { req } = exchange
  assert.equal(req.readableDidRead, false)
  finish()
  await eventually(() => req.complete)
  exchange.res.end('done')
  assert.equal((await client.whole()).body, 'done')
})

test('closes the connection after the response to an upgrade that is served as plain HTTP', async t => {
  const { client, exchange, decision } = await begin(t, upgradeRequest('/', { token: 'h2c' }))
  assert.equal((await decision).kind, 'http')
  exchange.res.end('plain')
  assert.equal((await client.whole()).header('connection'), 'close')
})

test('aborts at once for a client that left before the decision', async t => {
  const [arrived, outcome] = [Promise.withResolvers<void>(), Promise.withResolvers<WsTunnelError>()]
  const { port } = await startExchanges(t, { target: TARGET }, async exchange => {
    arrived.resolve()
    await new Promise(resolve => exchange.res.once('close', resolve))
    await decided(exchange).then(() => outcome.reject(new Error('decided')), outcome.resolve)
  })
  const client = (await connectClient(t, port)).send(PLAIN)
  await arrived.promise
  client.destroy()
  assert.equal((await outcome.promise).code, 'WST_ERR_CLIENT_GONE')
})
