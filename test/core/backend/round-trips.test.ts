import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import {
  type BackendResponse,
  nodeRoundTrip,
  type RoundTripOptions,
} from '../../../packages/core/src/backend/node-round-trip.ts'
import { socketRoundTrip } from '../../../packages/core/src/backend/socket-round-trip.ts'
import { parseTarget } from '../../../packages/core/src/backend/target.ts'
import { Worker } from '../../../packages/core/src/backend/worker.ts'
import { raw, responding, type Script, silent, switching } from '../../support/backend.ts'
import { closedPort, openHandles } from '../../support/gate.ts'
import { gatewayLeft, startBackend } from '../../support/harness.ts'
import * as certificates from '../../support/tls.ts'

const workerOf = (url: string): Worker =>
  new Worker(parseTarget(url, { groups: false, params: [] }).origin, {
    tls: { ca: certificates.ca },
    lookup: undefined,
    keepAlive: 0,
  })

const REQUEST = { method: 'GET', path: '/x', headers: ['Host', 'b.test', 'Connection', 'Upgrade', 'Upgrade', 'foo'] }

const optionsOf = ({ limits, ...more }: Partial<RoundTripOptions> = {}): RoundTripOptions => ({
  limits: { connectTimeout: 2_000, handshakeTimeout: 2_000, ...limits },
  signal: new AbortController().signal,
  onInterim: () => {},
  ...more,
})

const SWITCH = 'HTTP/1.1 101 Switched\r\nUpgrade: foo\r\nConnection: upgrade\r\nX-A: b\r\n\r\n'

for (const [name, roundTrip] of [
  ["Node's HTTP client", nodeRoundTrip],
  ['a socket', socketRoundTrip],
] as const) {
  /** The result of one round trip; its sockets are destroyed when the test has ended. */
  const send = async (t: TestContext, url: string, options?: Partial<RoundTripOptions>): Promise<BackendResponse> => {
    const result = await roundTrip(workerOf(url), REQUEST, optionsOf(options))
    t.after(() => (result.switched ? result.socket.destroy() : result.response.destroy()))
    return result
  }

  const urlOf = async (t: TestContext, script: Script, tls = false): Promise<string> =>
    (await startBackend(t, script, tls ? { tls: certificates.server } : {})).url

  for (const tls of [false, true]) {
    test(`${name} sends the request, and gives the 101 and the bytes after it, ${tls ? 'over TLS' : 'in the clear'}`, async t => {
      const backend = await startBackend(t, raw(`${SWITCH}early`, 'keep'), tls ? { tls: certificates.server } : {})
      const result = await send(t, backend.url)
      assert.ok(result.switched)
      assert.deepEqual(result.response.rawHeaders, ['Upgrade', 'foo', 'Connection', 'upgrade', 'X-A', 'b'])
      assert.equal(String(result.head), 'early')
      assert.equal((await backend.request()).raw.toLowerCase().split('\r\n')[0], 'get /x http/1.1')
      result.socket.write('later')
      assert.equal(String(await (await backend.connection()).readExact(5)), 'later')
    })
  }

  test(`${name} gives a response that is not a 101, with its body`, async t => {
    const result = await send(t, await urlOf(t, responding({ statusCode: 403, body: 'no' })))
    assert.ok(!result.switched)
    assert.equal(result.response.statusCode, 403)
    let body = ''
    for await (const chunk of result.response) body += chunk
    assert.equal(body, 'no')
  })

  test(`${name} reports interim responses, and at most ten of them`, async t => {
    const interim: unknown[] = []
    const onInterim = ({ statusCode }: { statusCode: number }): void => void interim.push(statusCode)
    const hint = 'HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n'
    const result = await send(t, await urlOf(t, raw(`${hint}${hint}${SWITCH}`, 'keep')), { onInterim })
    assert.deepEqual([interim, result.switched], [[103, 103], true])
    await assert.rejects(send(t, await urlOf(t, raw(hint.repeat(11), 'keep')), { onInterim }), {
      code: 'WST_ERR_BAD_RESPONSE',
    })
  })

  const FAILURES: [what: string, script: Script, code: string, limits?: object][] = [
    ['FIN', raw(''), 'WST_ERR_NO_RESPONSE'],
    ['RST', raw('', 'reset'), 'WST_ERR_NO_RESPONSE'],
    ['a part of a head, then FIN', raw('HTTP/1.1 101 Sw'), 'WST_ERR_NO_RESPONSE'],
    ['bytes that are not HTTP', raw('garbage\r\n\r\n', 'keep'), 'WST_ERR_BAD_RESPONSE'],
    ['no response', silent(), 'WST_ERR_HANDSHAKE_TIMEOUT', { connectTimeout: 2_000, handshakeTimeout: 50 }],
  ]
  for (const [what, script, code, limits] of FAILURES) {
    test(`${name} rejects with ${code} for ${what}, and ends the connection`, async t => {
      const backend = await startBackend(t, script)
      await assert.rejects(send(t, backend.url, limits && { limits: limits as never }), { code })
      await gatewayLeft(await backend.connection())
    })
  }

  test(`${name} rejects if nothing listens, or if the certificate is not trusted`, async t => {
    await assert.rejects(send(t, `ws://127.0.0.1:${await closedPort()}/`), { code: 'WST_ERR_CONNECT' })
    const wrong = await startBackend(t, silent(), { tls: certificates.wrongName })
    await assert.rejects(send(t, wrong.url), { code: 'WST_ERR_TLS' })
  })

  test(`${name} rejects with the reason of the signal, and ends the connection`, async t => {
    const backend = await startBackend(t, silent())
    const controller = new AbortController()
    const result = send(t, backend.url, { signal: controller.signal })
    await backend.request()
    const reason = Object.assign(new Error('of the test'), { code: 'X' })
    controller.abort(reason)
    await assert.rejects(result, error => error === reason || (error as Error).cause === reason)
    await gatewayLeft(await backend.connection())
  })

  test(`${name} stops its timers with the response`, async t => {
    const url = await urlOf(t, switching({ token: 'foo' }))
    const timers = (): number => openHandles()['Timeout'] ?? 0
    const before = timers()
    const result = await send(t, url, { limits: { connectTimeout: 60_000, handshakeTimeout: 60_000 } })
    assert.ok(result.switched)
    assert.equal(timers(), before)
  })
}
