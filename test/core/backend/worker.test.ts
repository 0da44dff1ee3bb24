import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { connect, type LookupFunction } from 'node:net'
import { test } from 'node:test'
import { createSecureContext } from 'node:tls'
import { parseTarget } from '../../../packages/core/src/backend/target.ts'
import { Worker } from '../../../packages/core/src/backend/worker.ts'
import { responding } from '../../support/backend.ts'
import { eventually } from '../../support/gate.ts'
import { startBackend } from '../../support/harness.ts'

type Settings = ConstructorParameters<typeof Worker>[1]

function workerOf(url: string, settings: Partial<Settings> = {}): Worker {
  const { origin } = parseTarget(url, { groups: false, params: [] })
  return new Worker(origin, { tls: {}, lookup: undefined, keepAlive: 0, ...settings })
}

const OPTIONS: [url: string, options: object][] = [
  ['ws://b.test/', { host: 'b.test', port: 80 }],
  ['http://[::1]:8080/', { host: '::1', port: 8080 }],
  ['wss://b.test/', { host: 'b.test', port: 443, servername: 'b.test', ALPNProtocols: ['http/1.1'] }],
  ['https://192.0.2.1/', { host: '192.0.2.1', port: 443, servername: '', ALPNProtocols: ['http/1.1'] }],
  ['unix:/run/b.sock|ws://b.test/', { host: 'b.test', port: 80, socketPath: '/run/b.sock' }],
]

for (const [url, options] of OPTIONS) {
  test(`connects to ${url} with ${JSON.stringify(options)}`, () => {
    const { connectOptions, socketOptions } = workerOf(url)
    assert.deepEqual(connectOptions, options)
    const { socketPath: path } = connectOptions
    const half = { allowHalfOpen: true, noDelay: true }
    assert.deepEqual(socketOptions, { ...options, ...half, ...(path === undefined ? {} : { path }) })
  })
}

test('gives TLS options to TLS backends only, and they take precedence', () => {
  const tls = { ca: 'ca', servername: 'other.test' }
  assert.deepEqual(workerOf('ws://b.test/', { tls }).connectOptions, { host: 'b.test', port: 80 })
  const { ca, servername, ALPNProtocols } = workerOf('wss://b.test/', { tls }).connectOptions
  assert.deepEqual([ca, servername, ALPNProtocols], ['ca', 'other.test', ['http/1.1']])
})

test('makes one secure context at the first connect, unless the TLS options have one', () => {
  const worker = workerOf('wss://b.test/')
  assert.equal(worker.secureContext, worker.secureContext)
  const secureContext = createSecureContext()
  assert.equal(workerOf('wss://b.test/', { tls: { secureContext } }).secureContext, secureContext)
  const faulty = workerOf('wss://b.test/', { tls: { minVersion: 'nonsense' as never } })
  assert.throws(() => faulty.secureContext, { code: 'ERR_TLS_INVALID_PROTOCOL_VERSION' })
})

const LOOKUPS: [what: string, lookup: LookupFunction, code: string][] = [
  ['a list without addresses', (_host, _options, done) => done(null, []), 'ENOTFOUND'],
  ['an empty address', (_host, _options, done) => done(null, '', 4), 'ENOTFOUND'],
  [
    'a throw',
    () => {
      throw new Error('no')
    },
    'ENOTFOUND',
  ],
  ['a rejection', (() => Promise.reject(new Error('no'))) as never, 'ENOTFOUND'],
  [
    'an error of its own',
    (_host, _options, done) => done(Object.assign(new Error(), { code: 'EAI_AGAIN' }), ''),
    'EAI_AGAIN',
  ],
]

for (const [what, lookup, code] of LOOKUPS) {
  test(`fails to connect with ${code} for ${what} of lookup`, async () => {
    const [error] = await once(connect(workerOf('ws://b.test/', { lookup }).socketOptions), 'error').catch(error => [
      error,
    ])
    assert.equal(error.code, code)
  })
}

test('ignores a second result of lookup', async t => {
  const backend = await startBackend(t, responding())
  const lookup: LookupFunction = (_host, _options, done) => {
    done(null, [{ address: '127.0.0.1', family: 4 }])
    done(new Error('too late'), '')
  }
  const socket = connect(workerOf(`ws://b.test:${backend.port}/`, { lookup }).socketOptions)
  await once(socket, 'connect')
  socket.destroy()
})

/** Sends a request by the pool of the worker and reads the whole response. */
async function get({ agent }: Worker, port: number): Promise<void> {
  const [response] = (await once(request({ agent, port, host: '127.0.0.1' }).end(), 'response')) as [IncomingMessage]
  await once(response.resume(), 'end')
}

test('keeps connections of plain HTTP for the next request until dropIdle', async t => {
  const backend = await startBackend(t, responding())
  const worker = workerOf(`http://${backend.address}/`)
  t.after(() => worker.close())
  for (let i = 0; i < 2; i++) await get(worker, backend.port)
  assert.equal(backend.connections.length, 1)
  worker.dropIdle()
  await backend.connections[0]?.readAll()
  await get(worker, backend.port)
  assert.equal(backend.connections.length, 2)
})

test('closes the connections in use when their requests end, once it is closed', async t => {
  const held = Promise.withResolvers<void>()
  const backend = await startBackend(t, async connection => {
    await connection.request()
    await held.promise
    await connection.write('HTTP/1.1 200 Fine\r\nContent-Length: 0\r\n\r\n')
  })
  const worker = workerOf(`http://${backend.address}/`)
  const response = get(worker, backend.port)
  const connection = await backend.connection()
  await backend.request()
  worker.close()
  assert.equal(connection.ended, false)
  held.resolve()
  await response
  await eventually(() => connection.ended)
})
