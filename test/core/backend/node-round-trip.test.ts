import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { test } from 'node:test'
import { alreadySent, nodeRoundTrip } from '../../../packages/core/src/backend/node-round-trip.ts'
import { raw } from '../../support/backend.ts'
import { startBackend } from '../../support/harness.ts'
import * as certificates from '../../support/tls.ts'
import { optionsOf, REQUEST, workerBefore, workerOf } from './workers.ts'

const optionsOnly = (): ReturnType<typeof optionsOf>['options'] => optionsOf(new AbortController().signal).options

test('sends method, path and fields as they are, and no field of its own', async t => {
  const { backend, worker } = await workerBefore(t, raw('HTTP/1.1 204 None\r\n\r\n'))
  const headers = ['host', 'b.test', 'X-A', '1', 'x-a', '\xe9', 'Connection', 'close']
  await nodeRoundTrip(worker, { method: 'DELETE', path: '/%7e/\xe9?', headers }, optionsOnly())
  const { startLine, rawHeaders } = await backend.request()
  assert.deepEqual([startLine, rawHeaders.flat()], ['DELETE /%7e/\xe9? HTTP/1.1', headers])
})

test('connects with the options in place of those of the worker', async t => {
  const backend = await startBackend(t, raw('HTTP/1.1 204 None\r\n\r\n'))
  const worker = workerOf(t, 'ws://b.test:1/')
  const response = await nodeRoundTrip(worker, REQUEST, optionsOnly(), { host: '127.0.0.1', port: backend.port })
  assert.equal(response.response.statusMessage, 'None')
})

test('calls a function with the request of Node before anything is sent', async t => {
  const { worker } = await workerBefore(t, raw('HTTP/1.1 204 None\r\n\r\n'))
  const sent: unknown[] = []
  await nodeRoundTrip(worker, REQUEST, optionsOnly(), worker.connectOptions, ({ path, writableEnded }) =>
    sent.push(path, writableEnded),
  )
  assert.deepEqual(sent, ['/a?b', false])
})

test('rejects with WST_ERR_TLS for an option that tls.connect refuses', async t => {
  const worker = workerOf(t, 'wss://127.0.0.1/', { tls: { minVersion: 'nonsense' as never } })
  await assert.rejects(nodeRoundTrip(worker, REQUEST, optionsOnly()), { code: 'WST_ERR_TLS' })
})

test('rejects with WST_ERR_TLS for a certificate of another host', async t => {
  const backend = await startBackend(t, raw(''), { tls: certificates.wrongName })
  const worker = workerOf(t, backend.url, { tls: { ca: certificates.ca } })
  await assert.rejects(nodeRoundTrip(worker, REQUEST, optionsOnly()), { code: 'WST_ERR_TLS' })
})

test('reads the response on a connection that has sent the request already, and sends it no second time', async t => {
  const { backend, worker } = await workerBefore(t, raw('HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno', 'keep'))
  const socket = connect({ port: backend.port, host: '127.0.0.1' })
  t.after(() => socket.destroy())
  await new Promise<void>(resolve => socket.write('GET /own HTTP/1.1\r\n\r\n', () => resolve()))
  const { response } = await nodeRoundTrip(worker, REQUEST, optionsOnly(), () => alreadySent(socket))
  assert.equal(response.statusMessage, 'No')
  const connection = await backend.connection()
  assert.equal(connection.requests[0]?.path, '/own')
  await new Promise<void>(resolve => socket.write('later', () => resolve()))
  assert.equal(String(await connection.readExact(5)), 'later')
})
