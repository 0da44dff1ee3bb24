import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { nodeRoundTrip } from '../../../packages/core/src/backend/node-round-trip.ts'
import { socketRoundTrip } from '../../../packages/core/src/backend/socket-round-trip.ts'
import { raw } from '../../support/backend.ts'
import { startBackend } from '../../support/harness.ts'
import * as certificates from '../../support/tls.ts'
import { optionsOf, REQUEST, workerBefore, workerOf } from './workers.ts'

const SWITCH = 'HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n'

test('reads the 101 of a backend with TLS', async t => {
  const backend = await startBackend(t, raw(`${SWITCH}early`, 'keep'), { tls: certificates.server })
  const { options } = optionsOf(new AbortController().signal)
  const response = await socketRoundTrip(workerOf(t, backend.url, { tls: { ca: certificates.ca } }), REQUEST, options)
  assert.ok(response.switched && 'head' in response)
  assert.deepEqual([response.response.statusMessage, String(response.head)], ['Switching', 'early'])
  response.socket.destroy()
})

for (const roundTrip of [socketRoundTrip, nodeRoundTrip]) {
  test(`${roundTrip.name} checks the certificate at each connect to one worker, and resumes no session`, async t => {
    const backend = await startBackend(t, raw(SWITCH, 'keep'), { tls: certificates.server })
    const checked: string[] = []
    const checkServerIdentity = (host: string): undefined => void checked.push(host)
    const worker = workerOf(t, backend.url, { tls: { ca: certificates.ca, checkServerIdentity } })
    for (let i = 0; i < 3; i++) {
      const response = await roundTrip(worker, REQUEST, optionsOf(new AbortController().signal).options)
      assert.ok(response.switched && 'head' in response)
      const socket = response.socket as TLSSocket
      assert.deepEqual([socket.authorized, socket.isSessionReused(), socket.alpnProtocol], [true, false, false])
      socket.destroy()
    }
    assert.deepEqual(checked, ['localhost', 'localhost', 'localhost'])
  })
}

for (const [what, tls] of [
  ['a certificate that is not trusted', {}],
  ['an option that tls.connect refuses', { minVersion: 'nonsense' as never }],
] as const) {
  test(`rejects with WST_ERR_TLS for ${what}`, async t => {
    const backend = await startBackend(t, raw(SWITCH), { tls: certificates.server })
    const { options } = optionsOf(new AbortController().signal)
    await assert.rejects(socketRoundTrip(workerOf(t, backend.url, { tls }), REQUEST, options), { code: 'WST_ERR_TLS' })
  })
}

test('leaves a request that is not a GET to the HTTP client of Node', async t => {
  const { backend, worker } = await workerBefore(t, raw(SWITCH, 'keep'))
  const { options } = optionsOf(new AbortController().signal)
  const response = await socketRoundTrip(worker, { ...REQUEST, method: 'POST' }, options)
  assert.ok(response.switched && 'socket' in response)
  assert.equal((await backend.request()).method, 'POST')
  response.socket.destroy()
})

test('gives a socket that is paused, so that no byte is lost, and has no listener of its own', async t => {
  const { backend, worker } = await workerBefore(t, raw(SWITCH, 'keep'))
  const { options } = optionsOf(new AbortController().signal)
  const response = await socketRoundTrip(worker, REQUEST, options)
  assert.ok(response.switched && 'socket' in response)
  const { socket } = response
  assert.equal(socket.isPaused(), true)
  await (await backend.connection()).write('later')
  for (let i = 0; i < 5; i++) await new Promise(resolve => setImmediate(resolve))
  assert.equal(String((await once(socket.resume(), 'data'))[0]), 'later')
  const counts = ['connect', 'data', 'close'].map(name => socket.listenerCount(name))
  assert.deepEqual(counts, [0, 0, 0])
  assert.doesNotThrow(() => socket.emit('error', new Error('of a socket without an owner')))
  socket.destroy()
})

test('counts handshakeTimeout from the start, also when the HTTP client of Node reads on', async t => {
  const { worker } = await workerBefore(t, async connection => {
    await connection.request()
    await new Promise(resolve => setTimeout(resolve, 150))
    // No 101 begins so: Node reads it.
    await connection.write('HTTP/1.1 2')
  })
  const startedAt = performance.now()
  const { options } = optionsOf(new AbortController().signal, { handshakeTimeout: 300 })
  await assert.rejects(socketRoundTrip(worker, REQUEST, options), { code: 'WST_ERR_HANDSHAKE_TIMEOUT' })
  const took = performance.now() - startedAt
  assert.ok(took >= 290 && took < 440, `${took} ms`)
})
