import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { parseTarget } from '../../../packages/core/src/backend/target.ts'
import { type ConnectSettings, Worker } from '../../../packages/core/src/backend/worker.ts'
import { type Probe, probe } from '../../../packages/core/src/balancer/health-probe.ts'
import type { HealthCheckOptions, HealthResponse } from '../../../packages/core/src/options/health-options.ts'
import { type Backend, raw, record, responding, type Script, silent, switchingHead } from '../../support/backend.ts'
import { closedPort, eventually, socketPath } from '../../support/gate.ts'
import { startBackend } from '../../support/harness.ts'
import * as certificates from '../../support/tls.ts'

function probeOf(url: string, check: HealthCheckOptions, settings: Partial<ConnectSettings> = {}, path = '/'): Probe {
  const { origin } = parseTarget(url, { groups: false, params: [] })
  const all = {
    timeout: 2_000,
    interval: 30_000,
    passes: 1,
    fails: 1,
    uri: '',
    port: undefined,
    headers: {},
    expect: undefined,
    ...check,
  }
  const worker = new Worker(origin, { tls: {}, lookup: undefined, keepAlive: 0, ...settings })
  return { worker, check: all, path, connectTimeout: 1_000 }
}

const run = (job: Probe, signal = new AbortController().signal): Promise<string> => probe(job, signal)

/** Resolves when every connection has ended. */
const left = (backend: Backend): Promise<unknown> =>
  eventually(
    () => backend.connections.length > 0 && backend.connections.every(({ ended, socket }) => ended || socket.destroyed),
  )

const methods: [method: HealthCheckOptions['method'], requestLine: string][] = [
  ['OPTIONS', 'OPTIONS * HTTP/1.0'],
  ['HEAD', 'HEAD /up?x=1 HTTP/1.0'],
  ['GET', 'GET /up?x=1 HTTP/1.0'],
  ['OPTIONS11', 'OPTIONS * HTTP/1.1'],
  ['HEAD11', 'HEAD /up?x=1 HTTP/1.1'],
  ['GET11', 'GET /up?x=1 HTTP/1.1'],
]

for (const [method, requestLine] of methods) {
  test(`sends "${requestLine}" for ${method}, and keeps no connection`, async t => {
    const backend = await startBackend(t, responding())
    assert.equal(await run(probeOf(`ws://${backend.address}/`, { method }, {}, '/up?x=1')), 'status 200')
    const [request] = backend.seen
    assert.equal(request?.startLine, requestLine)
    assert.equal(request?.header('host'), backend.address)
    await left(backend)
  })
}

for (const method of ['GET', 'HEAD11', 'WEBSOCKET'] as const) {
  test(`sends the fields of the options for ${method}, and the Host among them in place of the member's`, async t => {
    const backend = await startBackend(t, responding({ statusCode: 204 }))
    const headers = { Authorization: 'Bearer abc', host: 'health.example' }
    await run(probeOf(`ws://${backend.address}/`, { method, headers })).catch(() => {})
    const [request] = backend.seen
    assert.equal(request?.header('authorization'), 'Bearer abc')
    assert.deepEqual(request?.headers('host'), ['health.example'])
    assert.equal(request?.header('upgrade'), method === 'WEBSOCKET' ? 'websocket' : undefined)
  })
}

test('only connects for TCP, also to a TLS server', async t => {
  const backend = await startBackend(t, () => {})
  assert.equal(await run(probeOf(`wss://${backend.address}/`, { method: 'TCP' })), 'connected')
  await left(backend)
  const refused = probeOf(`ws://127.0.0.1:${await closedPort()}/`, { method: 'TCP' })
  await assert.rejects(run(refused), { code: 'WST_ERR_CONNECT', message: /ECONNREFUSED/ })
})

test('passes with a status from 200 to 399', async t => {
  let statusCode = 200
  const backend = await startBackend(t, (connection, self) => responding({ statusCode })(connection, self))
  const outcome = (code: number): Promise<string> => {
    statusCode = code
    return run(probeOf(`http://${backend.address}/`, { method: 'GET' })).then(
      text => `good: ${text}`,
      (error: Error) => `bad: ${error.message}`,
    )
  }
  assert.equal(await outcome(200), 'good: status 200')
  assert.equal(await outcome(302), 'good: status 302')
  assert.equal(await outcome(400), 'bad: status 400')
  assert.equal(await outcome(503), 'bad: status 503')
})

test('calls `expect` with status, fields and the first 64 KiB of the body', async t => {
  const backend = await startBackend(
    t,
    responding({ statusCode: 503, headers: ['X-Load: 7'], body: 'é'.repeat(100_000) }),
  )
  const responses: HealthResponse[] = []
  const verdicts: [verdict: () => unknown, outcome: RegExp][] = [
    [() => true, /^status 503, as expected$/],
    [() => false, /^status 503, not as expected$/],
    [async () => true, /^expect returned an object, expected true or false$/],
    [() => JSON.parse('{'), /^expect threw SyntaxError/],
  ]
  for (const [verdict, outcome] of verdicts) {
    const expect = (response: HealthResponse): boolean => {
      responses.push(response)
      return verdict() as boolean
    }
    const result = run(probeOf(`ws://${backend.address}/`, { method: 'GET', expect }))
    assert.match(await result.catch((error: Error) => error.message), outcome)
  }
  assert.equal(responses[0]?.statusCode, 503)
  assert.equal(responses[0]?.headers['x-load'], '7')
  assert.equal(responses[0]?.body, 'é'.repeat(32_768))
  await left(backend)
})

test('opens a WebSocket, sends a Close frame and closes the connection', async t => {
  const frames: Buffer[] = []
  const backend = await startBackend(t, async connection => {
    await connection.write(switchingHead(await connection.request()))
    frames.push(await connection.readExact(8))
    connection.end(Buffer.from([0x88, 0x02, 0x03, 0xe8]))
  })
  assert.equal(await run(probeOf(`ws://${backend.address}/`, { method: 'WEBSOCKET' }, {}, '/ws')), 'WebSocket opened')
  const [request] = backend.seen
  assert.equal(request?.startLine, 'GET /ws HTTP/1.1')
  assert.equal(request?.header('sec-websocket-version'), '13')
  const [frame] = frames as [Buffer]
  assert.deepEqual([...frame.subarray(0, 2)], [0x88, 0x82])
  const status = (((frame[6] as number) ^ (frame[2] as number)) << 8) | ((frame[7] as number) ^ (frame[3] as number))
  assert.equal(status, 1000)
  await left(backend)
})

const wrongSwitches: [what: string, script: Script, message: RegExp][] = [
  ['another status', responding({ statusCode: 404 }), /^status 404 instead of 101$/],
  ['the wrong Sec-WebSocket-Accept', raw(wrongAccept(), 'keep'), /wrong Sec-WebSocket-Accept/],
  ['another protocol', async c => c.write(switchingHead(await c.request(), { token: 'other' })), /expected Upgrade/],
  ['nothing', silent(), /^not finished after 300 ms$/],
]

function wrongAccept(): string {
  return 'HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n'
}

for (const [what, script, message] of wrongSwitches) {
  test(`fails if the response to a WebSocket handshake is ${what}`, async t => {
    const backend = await startBackend(t, script)
    await assert.rejects(run(probeOf(`ws://${backend.address}/`, { method: 'WEBSOCKET', timeout: 300 })), { message })
    await left(backend)
  })
}

test('waits only a short time for the Close frame of the backend', async t => {
  const backend = await startBackend(t, record())
  assert.equal(
    await run(probeOf(`ws://${backend.address}/`, { method: 'WEBSOCKET', timeout: 200 })),
    'WebSocket opened',
  )
  await left(backend)
})

const endless: [what: string, script: Script][] = [
  ['does not respond', silent()],
  ['does not end its head', raw('HTTP/1.1 200 Fine\r\n', 'keep')],
  ['does not end its body', raw('HTTP/1.1 200 Fine\r\nContent-Length: 10\r\n\r\nshort', 'keep')],
]

for (const [what, script] of endless) {
  test(`fails after the timeout if a backend ${what}`, async t => {
    const backend = await startBackend(t, script)
    const result = run(probeOf(`ws://${backend.address}/`, { method: 'GET', timeout: 200 }))
    await assert.rejects(result, { message: 'not finished after 200 ms' })
    await left(backend)
  })
}

const broken: [what: string, script: Script, code: string][] = [
  ['garbage', raw('SSH-2.0\r\n'), 'WST_ERR_BAD_RESPONSE'],
  ['nothing but FIN', raw(''), 'WST_ERR_NO_RESPONSE'],
  ['half a body', raw('HTTP/1.1 200 Fine\r\nContent-Length: 10\r\n\r\nshort'), 'WST_ERR_NO_RESPONSE'],
]

for (const [what, script, code] of broken) {
  test(`fails if the response is ${what}`, async t => {
    const backend = await startBackend(t, script)
    await assert.rejects(run(probeOf(`ws://${backend.address}/`, { method: 'GET' })), { code })
  })
}

test('fails if the backend switches protocols without a request to do so', async t => {
  const backend = await startBackend(t, raw(wrongAccept(), 'keep'))
  await assert.rejects(run(probeOf(`ws://${backend.address}/`, { method: 'GET' })), /status 101/)
  await left(backend)
})

test('uses TLS for wss and https, with the trust settings of tunnels', async t => {
  const backend = await startBackend(t, responding(), { tls: certificates.server })
  const url = `wss://localhost:${backend.port}/`
  assert.equal(await run(probeOf(url, { method: 'GET' }, { tls: { ca: certificates.ca } })), 'status 200')
  await assert.rejects(run(probeOf(url, { method: 'GET' })), { code: 'WST_ERR_TLS' })
})

test('connects to a unix socket', async t => {
  const { path, remove } = await socketPath()
  t.after(remove)
  await startBackend(t, responding(), { path })
  assert.equal(await run(probeOf(`unix:${path}|ws://name/`, { method: 'HEAD' })), 'status 200')
  assert.equal(await run(probeOf(`unix:${path}|ws://name/`, { method: 'TCP' })), 'connected')
})

test('looks up host names as tunnels do', async t => {
  const backend = await startBackend(t, responding())
  const lookup: ConnectSettings['lookup'] = (_host, options, done) =>
    options.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4)
  for (const method of ['TCP', 'GET'] as const)
    assert.match(await run(probeOf(`ws://some.test:${backend.port}/`, { method }, { lookup })), /connected|status 200/)
  const nothing: ConnectSettings['lookup'] = (_host, _options, done) => done(null, [])
  for (const method of ['TCP', 'GET'] as const)
    await assert.rejects(run(probeOf(`ws://some.test:${backend.port}/`, { method }, { lookup: nothing })), {
      code: 'WST_ERR_DNS',
    })
})

test('ends at once when the signal is aborted, with its connection', async t => {
  const backend = await startBackend(t, silent())
  for (const method of ['GET', 'WEBSOCKET'] as const) {
    const stop = new AbortController()
    const result = run(probeOf(`ws://${backend.address}/`, { method }), stop.signal)
    await once(backend.server, 'connection')
    stop.abort()
    await assert.rejects(result)
    await left(backend)
  }
})
