import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { type TestContext, test } from 'node:test'
import { WsTunnelError } from '../../../packages/core/src/errors.ts'
import type { MemberOptions } from '../../../packages/core/src/options/balancer-options.ts'
import type { RouteDefaults } from '../../../packages/core/src/options/route-options.ts'
import type { Exchange } from '../../../packages/core/src/proxy/exchange.ts'
import { isSwitched, type Reply, roundTrip } from '../../../packages/core/src/proxy/round-trip.ts'
import type { Candidate } from '../../../packages/core/src/routing/candidates.ts'
import { type Backend, raw, responding, type Script, silent, switching } from '../../support/backend.ts'
import { plainRequest, type RawClient, upgradeRequest } from '../../support/client.ts'
import { eventually } from '../../support/gate.ts'
import { connectClient, startBackend } from '../../support/harness.ts'
import { native } from '../../support/pump.ts'
import { candidatesOf, startExchanges } from './exchanges.ts'

interface Made {
  backend: Backend
  client: RawClient
  exchange: Exchange
  candidate: Candidate
  reply: Promise<Reply>
}

/** Makes one round trip to the only member of a balancer, which has the script. */
async function make(
  t: TestContext,
  text: string,
  script: Script,
  member: Partial<MemberOptions> = {},
  more: RouteDefaults = { async: false },
): Promise<Made> {
  const backend = await startBackend(t, script)
  const made = Promise.withResolvers<Omit<Made, 'backend' | 'client'>>()
  const options = {
    ...more,
    target: 'balancer://x/',
    balancers: { x: { members: [{ url: `http://${backend.address}`, ...member }] } },
  }
  const { port } = await startExchanges(t, options, async exchange => {
    const candidate = candidatesOf(await exchange.decide()).first
    const reply = roundTrip(exchange, candidate)
    reply.catch(() => {})
    made.resolve({ exchange, candidate, reply })
    await new Promise(resolve => exchange.res.once('close', resolve))
  })
  const client = (await connectClient(t, port)).send(text)
  return { backend, client, ...(await made.promise) }
}

const busyOf = ({ candidate }: Made): number | undefined => candidate.selection?.member.busy

test('an upgrade: gives the 101 with the candidate and the token that was sent', async t => {
  const made = await make(t, upgradeRequest('/', { token: 'WebSocket' }), switching())
  const reply = await made.reply
  assert.ok(isSwitched(reply))
  assert.equal(reply.token, 'WebSocket')
  assert.equal(reply.candidate, made.candidate)
  assert.equal((await made.backend.request()).header('upgrade'), 'WebSocket')
})

test('an upgrade: connects by a thread where that is possible', native, async t => {
  const made = await make(t, upgradeRequest('/'), switching(), {}, { async: true })
  const reply = await made.reply
  assert.ok('connection' in reply)
  reply.connection.destroy()
})

test('a plain request: gives the response, which the pool of the worker brought', async t => {
  const made = await make(t, plainRequest('/a'), responding())
  const reply = await made.reply
  assert.ok(!isSwitched(reply))
  assert.equal(reply.statusCode, 200)
  assert.ok(await eventually(() => made.candidate.worker.pool.take(new EventEmitter())))
  const request = await made.backend.request()
  assert.deepEqual([request.path, request.header('upgrade')], ['/a', undefined])
})

test('an upgrade to a member that allows another token goes to it as a plain request', async t => {
  const made = await make(
    t,
    upgradeRequest('/'),
    responding(),
    { upgrade: 'other' },
    { upgrade: 'websocket', async: false },
  )
  assert.equal(isSwitched(await made.reply), false)
  assert.equal((await made.backend.request()).header('upgrade'), undefined)
})

for (const [kind, text] of [
  ['an upgrade', upgradeRequest('/')],
  ['a plain request', plainRequest('/')],
] as const) {
  test(`${kind}: counts at its member until the exchange is released`, async t => {
    const made = await make(t, text, kind === 'an upgrade' ? switching() : responding())
    await made.reply
    assert.equal(busyOf(made), 1)
    made.exchange.release()
    assert.equal(busyOf(made), 0)
  })

  test(`${kind}: counts at its member no longer once it has failed and is left`, async t => {
    const made = await make(t, text, raw('', 'reset'))
    await assert.rejects(made.reply, { code: 'WST_ERR_NO_RESPONSE' })
    made.exchange.leave()
    assert.equal(busyOf(made), 0)
  })

  test(`${kind}: ends with the signal of its exchange`, async t => {
    const made = await make(t, text, silent())
    await made.backend.request()
    const reason = new WsTunnelError('WST_ERR_CLOSING')
    made.exchange.abort(reason)
    await assert.rejects(made.reply, error => error === reason)
    const [connection] = made.backend.connections
    await eventually(() => connection?.ended || connection?.socket.destroyed)
  })

  test(`${kind}: relays interim responses without their hop-by-hop fields`, async t => {
    const interim = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nKeep-Alive: timeout=5\r\n\r\n'
    const made = await make(t, text, raw(`${interim}HTTP/1.1 204 None\r\n\r\n`, 'keep'))
    const head = await made.client.responseHead()
    assert.deepEqual([head.statusCode, head.rawHeaders], [103, [['Link', '</a>']]])
  })
}

test('ends the wait for a slot with the signal of its exchange', async t => {
  const backend = await startBackend(t, silent())
  const begun = Promise.withResolvers<[Exchange, Candidate]>()
  const members = [{ url: `http://${backend.address}`, maxTunnels: 1, acquireTimeout: 60_000 }]
  const { port } = await startExchanges(
    t,
    { target: 'balancer://x/', balancers: { x: { members } } },
    async exchange => {
      begun.resolve([exchange, candidatesOf(await exchange.decide()).first])
      await new Promise(resolve => exchange.res.once('close', resolve))
    },
  )
  ;(await connectClient(t, port)).send(upgradeRequest('/'))
  const [exchange, candidate] = await begun.promise
  const release = await candidate.acquire(new AbortController().signal)
  const waiting = roundTrip(exchange, candidate)
  const reason = new WsTunnelError('WST_ERR_CLOSING')
  exchange.abort(reason)
  await assert.rejects(waiting, error => error === reason)
  release()
  assert.equal(backend.connections.length, 0)
})
