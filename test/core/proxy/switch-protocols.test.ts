import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { WsTunnelError } from '../../../packages/core/src/errors.ts'
import type { WsTunnelOptions } from '../../../packages/core/src/options/options.ts'
import type { Exchange } from '../../../packages/core/src/proxy/exchange.ts'
import { type Reply, roundTrip } from '../../../packages/core/src/proxy/round-trip.ts'
import { switchProtocols } from '../../../packages/core/src/proxy/switch-protocols.ts'
import type { Tunnel } from '../../../packages/core/src/tunnel/tunnel.ts'
import { type Backend, raw, record, type Script } from '../../support/backend.ts'
import { type RawClient, upgradeRequest } from '../../support/client.ts'
import { eventually } from '../../support/gate.ts'
import { connectClient, startBackend } from '../../support/harness.ts'
import { async } from '../../support/pump.ts'
import { candidatesOf, startExchanges } from './exchanges.ts'

type Options = Exclude<WsTunnelOptions, { routes: unknown }>

interface Joined {
  backend: Backend
  client: RawClient
  tunnel: Promise<Tunnel>
}

/** Sends an upgrade, and switches with what the backend sends. */
async function join(
  t: TestContext,
  script: Script,
  options: Partial<Options> = {},
  before: (exchange: Exchange, reply: Reply) => Reply = (_, reply) => reply,
): Promise<Joined> {
  const backend = await startBackend(t, script)
  const { promise: tunnel, resolve, reject } = Promise.withResolvers<Tunnel>()
  tunnel.catch(() => {})
  const all = { async, target: `ws://${backend.address}/base`, ...options } as WsTunnelOptions
  const { port } = await startExchanges(t, all, async exchange => {
    const reply = await roundTrip(exchange, candidatesOf(await exchange.decide()).first)
    try {
      const joined = switchProtocols(exchange, before(exchange, reply) as Parameters<typeof switchProtocols>[1])
      resolve(joined)
      const release = exchange.handOver()
      void joined.ended.then(release)
    } catch (error) {
      reject(error)
      throw error
    }
  })
  t.after(async () => (await tunnel.catch(() => undefined))?.close())
  const client = (await connectClient(t, port)).send(`${upgradeRequest('/room?x')}early`)
  return { backend, client, tunnel }
}

test('writes the 101 with the fields and the reason of the backend, and joins the connections', async t => {
  const { backend, client, tunnel } = await join(t, record({ headers: ['X-Own: 1'], early: 'hello' }))
  const head = await client.responseHead()
  assert.deepEqual([head.statusCode, head.header('x-own'), head.header('upgrade')], [101, '1', 'websocket'])
  assert.equal(String(await client.readExact(5)), 'hello')
  assert.equal(String(await (await backend.connection()).readExact(5)), 'early')
  const { info, bytesFromClient, bytesFromBackend } = await tunnel
  const { handshakeTime, ...rest } = info
  assert.deepEqual(rest, {
    clientAddress: '127.0.0.1',
    url: '/room?x',
    route: 0,
    target: backend.address,
    member: undefined,
    protocol: 'websocket',
  })
  assert.ok(handshakeTime > 0 && handshakeTime < 60_000)
  assert.deepEqual([bytesFromClient, bytesFromBackend], [5, 5])
})

const head = (fields: string): Script => raw(`HTTP/1.1 101 Switching\r\n${fields}\r\n`, 'keep')

interface Failure {
  what: string
  script: Script
  options?: Partial<Options>
  before?: (exchange: Exchange, reply: Reply) => Reply
  code: string
}

const FAILURES: Failure[] = [
  {
    what: 'a 101 to another protocol',
    script: head('Upgrade: other\r\nConnection: Upgrade\r\n'),
    code: 'WST_ERR_BAD_SWITCH',
  },
  {
    what: 'a 101 without Upgrade',
    script: head('Connection: Upgrade\r\n'),
    options: { async: false },
    code: 'WST_ERR_BAD_SWITCH',
  },
  {
    what: 'the wrong Sec-WebSocket-Accept, under strictHandshake',
    script: head('Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n'),
    options: { strictHandshake: true },
    code: 'WST_ERR_BAD_SWITCH',
  },
  {
    what: 'a 101 that was not requested',
    script: record(),
    before: (_, reply) => ({ ...reply, token: undefined }),
    code: 'WST_ERR_BAD_SWITCH',
  },
  {
    what: 'an exchange that was cancelled meanwhile',
    script: record(),
    before: (exchange, reply) => {
      exchange.abort(new WsTunnelError('WST_ERR_CLOSING'))
      return reply
    },
    code: 'WST_ERR_CLOSING',
  },
  {
    what: 'a header function that throws',
    script: record(),
    options: {
      responseHeaders: () => {
        throw new Error('no')
      },
    },
    code: 'WST_ERR_CALLBACK',
  },
]

for (const { what, script, options, before, code } of FAILURES) {
  test(`refuses ${what}, closes the connection to the backend and leaves the response to the app`, async t => {
    const { backend, client, tunnel } = await join(t, script, options, before)
    await assert.rejects(tunnel, { code })
    const { statusCode } = await client.responseHead()
    assert.ok(statusCode >= 500, `${statusCode}`)
    const connection = await backend.connection()
    await eventually(() => connection.ended || connection.socket.destroyed)
  })
}
