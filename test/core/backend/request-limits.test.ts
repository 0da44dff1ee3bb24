import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type ClientRequest, request } from 'node:http'
import type { LookupFunction } from 'node:net'
import { type TestContext, test } from 'node:test'
import { type Limits, watchRequest } from '../../../packages/core/src/backend/request-limits.ts'
import { raw, type Script, silent } from '../../support/backend.ts'
import { eventually } from '../../support/gate.ts'
import { startBackend } from '../../support/harness.ts'

const NONE: Limits = { connectTimeout: 0, handshakeTimeout: 0 }

interface Watched {
  sent: ClientRequest
  /** Statuses of the interim responses, and the code of the first failure, which is the one that counts. */
  events: (number | string)[]
  progress: () => void
}

/** A request with the limits, whose body is not ended. */
function watched(
  t: TestContext,
  port: number,
  limits: Partial<Limits>,
  lookup?: LookupFunction,
  prepare?: (sent: ClientRequest) => void,
): Watched {
  const sent = request({
    host: lookup ? 'b.test' : '127.0.0.1',
    port,
    method: 'POST',
    agent: false,
    ...(lookup && { lookup }),
  })
  t.after(() => sent.destroy())
  prepare?.(sent)
  const events: Watched['events'] = []
  const { progress } = watchRequest(
    sent,
    { ...NONE, ...limits },
    ({ statusCode }) => events.push(statusCode),
    ({ code }) => {
      if (!events.some(event => typeof event === 'string')) events.push(code)
    },
  )
  return { sent, events, progress }
}

const watching = async (t: TestContext, script: Script, limits: Partial<Limits> = {}): Promise<Watched> =>
  watched(t, (await startBackend(t, script)).port, limits)

const closed = ({ sent }: Watched): Promise<unknown> => new Promise(resolve => sent.once('close', resolve))

/** Calls back after a time: until then the request is not connected. */
const lookupIn =
  (ms: number): LookupFunction =>
  (_host, _options, done) =>
    void setTimeout(done, ms, null, [{ address: '127.0.0.1', family: 4 }])

// The first test: the timers of others would be counted too.
test('stops its timers with the response', async t => {
  const timers = (): number => process.getActiveResourcesInfo().filter(name => name === 'Timeout').length
  const before = timers()
  const watch = await watching(t, raw('HTTP/1.1 204 None\r\n\r\n', 'keep'), {
    connectTimeout: 60_000,
    handshakeTimeout: 60_000,
  })
  assert.ok(timers() > before)
  watch.sent.end()
  await once(watch.sent, 'response')
  await eventually(() => assert.equal(timers(), before))
})

test('fails a request that is not connected after connectTimeout', async t => {
  const watch = watched(t, 1, { connectTimeout: 30 }, () => {})
  watch.sent.end()
  await closed(watch)
  assert.deepEqual(watch.events, ['WST_ERR_CONNECT_TIMEOUT'])
})

test('fails a request that is not connected after handshakeTimeout with the code of the connect', async t => {
  const watch = watched(t, 1, { handshakeTimeout: 30 }, () => {})
  watch.sent.end()
  await closed(watch)
  assert.deepEqual(watch.events, ['WST_ERR_CONNECT_TIMEOUT'])
})

test('counts connectTimeout no longer once it is connected', async t => {
  const { port } = await startBackend(t, async connection => {
    await connection.request()
    await new Promise(resolve => setTimeout(resolve, 150))
    await connection.write('HTTP/1.1 204 None\r\n\r\n')
  })
  const watch = watched(t, port, { connectTimeout: 100 }, lookupIn(20))
  watch.sent.end()
  const [response] = await once(watch.sent, 'response')
  assert.equal(response.statusCode, 204)
  assert.deepEqual(watch.events, [])
})

test('fails a request without a response after handshakeTimeout', async t => {
  const watch = await watching(t, silent(), { handshakeTimeout: 50 })
  watch.sent.end()
  await closed(watch)
  assert.deepEqual(watch.events, ['WST_ERR_HANDSHAKE_TIMEOUT'])
})

test('subtracts the time that was spent before', async t => {
  const watch = await watching(t, silent(), { handshakeTimeout: 60_000, spent: 59_950 })
  watch.sent.end()
  await closed(watch)
  assert.deepEqual(watch.events, ['WST_ERR_HANDSHAKE_TIMEOUT'])
})

test('counts handshakeTimeout from the last progress of the body', async t => {
  const watch = await watching(t, silent(), { handshakeTimeout: 200 })
  const startedAt = performance.now()
  watch.sent.flushHeaders()
  for (let i = 0; i < 5; i++) {
    await new Promise(resolve => setTimeout(resolve, 60))
    watch.progress()
  }
  assert.deepEqual(watch.events, [])
  await closed(watch)
  assert.ok(performance.now() - startedAt >= 490)
  assert.deepEqual(watch.events, ['WST_ERR_HANDSHAKE_TIMEOUT'])
})

test('reports up to ten interim responses, in order, and fails at the eleventh', async t => {
  const responses = Array.from({ length: 12 }, (_, i) => `HTTP/1.1 ${102 + i} x\r\n\r\n`)
  const watch = await watching(t, raw(`${responses.join('')}HTTP/1.1 204 None\r\n\r\n`, 'keep'))
  watch.sent.end()
  await closed(watch)
  assert.deepEqual(watch.events, [...Array.from({ length: 10 }, (_, i) => 102 + i), 'WST_ERR_BAD_RESPONSE'])
})

test('reports no failure after the response', async t => {
  const watch = await watching(t, raw('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart', 'reset'), {
    handshakeTimeout: 1_000,
  })
  watch.sent.on('response', response => response.on('error', () => {}).resume())
  watch.sent.end()
  await closed(watch)
  assert.deepEqual(watch.events, [])
})

test('reports a failure before the other listeners of the error run', async t => {
  const { port } = await startBackend(t, raw('', 'reset'))
  const order: unknown[] = []
  const watch = watched(t, port, {}, undefined, sent => sent.on('error', () => order.push([...watch.events])))
  watch.sent.end()
  await closed(watch)
  assert.deepEqual(order, [['WST_ERR_NO_RESPONSE']])
})

test('fails a request that is destroyed without an error', async t => {
  const watch = await watching(t, silent())
  watch.sent.end()
  await once(watch.sent, 'finish')
  watch.sent.destroy()
  await closed(watch)
  assert.equal(watch.events[0], 'WST_ERR_NO_RESPONSE')
})
