import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Engine, EngineLimits, EngineListener, TunnelEnds } from '../../../packages/core/src/tunnel/engine.ts'
import { HandOverEngine } from '../../../packages/core/src/tunnel/hand-over-engine.ts'
import { JsEngine } from '../../../packages/core/src/tunnel/js-engine.ts'
import { NativeConnection } from '../../../packages/core/src/tunnel/native-connection.ts'
import { NativeEngine } from '../../../packages/core/src/tunnel/native-engine.ts'
import { openEngine } from '../../../packages/core/src/tunnel/open-engine.ts'
import { raw } from '../../support/backend.ts'
import { eventually } from '../../support/gate.ts'
import { startBackend } from '../../support/harness.ts'
import { connectedPair } from '../../support/pair.ts'
import { native } from '../../support/pump.ts'
import { Reader } from '../../support/reader.ts'

const LIMITS: EngineLimits = { async: true, asyncDelay: 0, threads: 1, keepAlive: 0 }
const listener: EngineListener = { onFin: () => {}, onBroken: () => {}, onClosed: () => {} }

interface Pairs {
  ends: TunnelEnds
  /** The peers of the two sockets. */
  client: Reader
  backend: Reader
}

async function pairs(t: TestContext, more: Partial<TunnelEnds> = {}): Promise<Pairs> {
  const [client, clientEnd] = await connectedPair(t)
  const [backend, backendEnd] = await connectedPair(t)
  const ends = {
    client: clientEnd,
    clientHead: [],
    backend: backendEnd,
    backendHead: [],
    response: { detach: () => {}, close: () => {} },
    ...more,
  }
  return { ends, client: new Reader(client), backend: new Reader(backend) }
}

function open(t: TestContext, ends: Parameters<typeof openEngine>[0], limits: Partial<EngineLimits> = {}): Engine {
  const engine = openEngine(ends, { ...LIMITS, ...limits }, listener)
  engine.start()
  t.after(() => engine.destroy())
  return engine
}

const CHOICES: [
  what: string,
  limits: Partial<EngineLimits>,
  change: (pairs: Pairs) => Partial<TunnelEnds>,
  kind: unknown,
][] = [
  ['a thread for two plain connections', {}, () => ({}), NativeEngine],
  ['JavaScript with async: false', { async: false }, () => ({}), JsEngine],
  ['JavaScript for a client that cannot be detached', {}, () => ({ response: undefined }), JsEngine],
  ['JavaScript first with asyncDelay', { asyncDelay: 60_000 }, () => ({}), HandOverEngine],
  [
    'JavaScript first while bytes wait to be written',
    {},
    ({ ends }) => {
      ends.client.write(Buffer.alloc(20_000_000))
      return {}
    },
    HandOverEngine,
  ],
]

for (const [what, limits, change, kind] of CHOICES) {
  test(`opens ${what}`, native, async t => {
    const both = await pairs(t)
    const engine = open(t, { ...both.ends, ...change(both) }, limits)
    assert.equal(engine.constructor, kind)
    assert.equal(engine.offloaded, kind === NativeEngine)
  })
}

for (const async of [true, false]) {
  test(
    `delivers the bytes of the heads, then those that the sockets hold unread (async: ${async})`,
    native,
    async t => {
      const { ends, client, backend } = await pairs(t, {
        clientHead: [Buffer.from('up ')],
        backendHead: [Buffer.from('down ')],
      })
      client.socket.write('more')
      backend.socket.write('more')
      for (const socket of [ends.client, ends.backend]) {
        const readable = (): void => {}
        socket.on('readable', readable)
        await eventually(() => socket.readableLength === 4)
        socket.off('readable', readable)
      }
      open(t, ends, { async })
      assert.equal(String(await backend.readExact(7)), 'up more')
      assert.equal(String(await client.readExact(9)), 'down more')
    },
  )
}

const HEAD = 'HTTP/1.1 101 Switching\r\n\r\n'

/** A connection of a thread that has read the response, and the end of the client. */
async function attached(t: TestContext) {
  const backend = await startBackend(t, raw(`${HEAD}early`, 'keep'))
  const started = Promise.withResolvers<void>()
  const limits = { keepAlive: 0, threads: 1 }
  const connection = NativeConnection.start('127.0.0.1', backend.port, 'GET / HTTP/1.1\r\n\r\n', limits, {
    onResponse: () => started.resolve(),
    onFailed: started.reject,
  })
  assert.ok(connection)
  await started.promise
  const { ends, client } = await pairs(t)
  return {
    backend,
    client,
    ends: {
      client: ends.client,
      clientHead: [Buffer.from('ahead')],
      connection,
      headSize: HEAD.length,
      response: ends.response,
    },
  }
}

for (const [what, detachable] of [
  ['attaches the client to the connection of a thread', true],
  ['makes the connection of a thread a socket for a client that cannot be detached', false],
] as const) {
  test(`${what}, and loses no byte`, native, async t => {
    const { backend, client, ends } = await attached(t)
    const engine = open(t, detachable ? ends : { ...ends, response: undefined })
    assert.equal(engine.constructor, detachable ? NativeEngine : JsEngine)
    assert.equal(String(await client.readExact(5)), 'early')
    assert.equal(String(await (await backend.connection()).readExact(5)), 'ahead')
  })
}
