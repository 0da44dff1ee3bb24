import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { NativeConnection } from '../../../packages/core/src/tunnel/native-connection.ts'
import { type Backend, raw, type Script, silent } from '../../support/backend.ts'
import { closedPort, eventually } from '../../support/gate.ts'
import { startBackend } from '../../support/harness.ts'
import { native } from '../../support/pump.ts'

const HEAD = 'GET / HTTP/1.1\r\nHost: b.test\r\n\r\n'
const LIMITS = { keepAlive: 0, threads: 1 }

type Result = { response: string } | { error: NodeJS.ErrnoException }

/** A connection to 127.0.0.1, destroyed when the test has ended, and its result. */
function start(t: TestContext, port: number): { connection: NativeConnection; result: Promise<Result> } {
  const { promise: result, resolve } = Promise.withResolvers<Result>()
  const connection = NativeConnection.start('127.0.0.1', port, HEAD, LIMITS, {
    onResponse: response => resolve({ response }),
    onFailed: error => resolve({ error }),
  })
  assert.ok(connection)
  t.after(() => connection.destroy())
  return { connection, result }
}

async function startWith(t: TestContext, script: Script): Promise<ReturnType<typeof start> & { backend: Backend }> {
  const backend = await startBackend(t, script)
  return { backend, ...start(t, backend.port) }
}

test('sends the head of the request and gives the first bytes of the response', native, async t => {
  const { backend, result, connection } = await startWith(t, raw('HTTP/1.1 200 \xe9\r\n\r\nbody', 'keep'))
  assert.deepEqual(await result, { response: 'HTTP/1.1 200 \xe9\r\n\r\nbody' })
  assert.equal((await backend.request()).raw, HEAD)
  const socket = connection.toSocket(0)
  t.after(() => socket.destroy())
  assert.equal(String(socket.read()), String(Buffer.from('HTTP/1.1 200 \xe9\r\n\r\nbody', 'latin1')))
})

test(
  'becomes a socket of Node that has the bytes after the head unread, and counts those of the thread',
  native,
  async t => {
    const { connection, result, backend } = await startWith(t, raw('HTTP/1.1 200 Fine\r\n\r\nbody', 'keep'))
    await result
    const socket = connection.toSocket('HTTP/1.1 200 Fine\r\n\r\n'.length)
    t.after(() => socket.destroy())
    assert.equal(String(socket.read()), 'body')
    assert.deepEqual([socket.bytesRead, socket.bytesWritten], [25, HEAD.length])
    socket.write('more')
    assert.equal(String(await (await backend.connection()).readExact(4)), 'more')
    assert.equal(socket.bytesWritten, HEAD.length + 4)
  },
)

test('knows whether the backend has accepted while there is no response', native, async t => {
  const { connection, backend } = await startWith(t, silent())
  await backend.request()
  assert.equal(connection.connected, true)
})

test('looks for all who ask, and gives a response that it finds there first', native, async t => {
  const { connection, backend } = await startWith(t, silent())
  await backend.request()
  const calls: string[] = []
  await Promise.all([1, 2].map(() => new Promise<void>(resolve => connection.look(resolve))))
  assert.equal(connection.connected, true)
  const answered = await startWith(t, raw('HTTP/1.1 200 Fine\r\n\r\n', 'keep'))
  answered.connection.look(() => calls.push('looked'))
  void answered.result.then(() => calls.push('response'))
  await answered.result
  await new Promise<void>(resolve => connection.look(resolve))
  assert.equal(calls.at(-1), 'response')
  answered.connection.toSocket(0).destroy()
})

test('survives a look at a connection that fails, is taken or is closed in the same turn', native, async t => {
  const port = await closedPort()
  const { connection, result } = start(t, port)
  connection.look(() => {})
  assert.ok('error' in (await result))
  const closed = await startWith(t, silent())
  await closed.backend.request()
  closed.connection.look(() => assert.fail('looked after destroy()'))
  closed.connection.destroy()
  const taken = await startWith(t, raw('HTTP/1.1 200 Fine\r\n\r\n', 'keep'))
  await taken.result
  taken.connection.look(() => assert.fail('looked after the response'))
  const socket = taken.connection.toSocket(0)
  assert.equal(String(socket.read()), 'HTTP/1.1 200 Fine\r\n\r\n')
  socket.destroy()
  const [accepted] = closed.backend.connections
  await eventually(() => assert.ok(accepted?.ended || accepted?.socket.destroyed))
})

test('fails to connect with the error of Node', native, async t => {
  const port = await closedPort()
  const result = await start(t, port).result
  assert.ok('error' in result)
  const { message, code, syscall } = result.error
  assert.deepEqual([message, code, syscall], [`connect ECONNREFUSED 127.0.0.1:${port}`, 'ECONNREFUSED', 'connect'])
})

for (const [what, then, syscall] of [
  ['FIN', 'end', undefined],
  ['RST', 'reset', 'read'],
] as const) {
  test(`fails with ECONNRESET for ${what} before the response`, native, async t => {
    const { result } = await startWith(t, raw('', then))
    const got = await result
    assert.ok('error' in got)
    assert.deepEqual([got.error.code, got.error.syscall], ['ECONNRESET', syscall])
  })
}

test('gives no result after destroy(), and closes the connection', native, async t => {
  const { connection, result, backend } = await startWith(t, silent())
  await backend.request()
  void result.then(() => assert.fail('gave a result'))
  connection.destroy()
  const [accepted] = backend.connections
  await eventually(() => accepted?.ended === true || accepted?.socket.destroyed === true)
})

for (const [what, address, head] of [
  ['a name', 'localhost', HEAD],
  ['a head of more than 16 KiB', '127.0.0.1', 'x'.repeat(16_385)],
] as const) {
  test(`does not start for ${what}`, () => {
    const listener = { onResponse: () => assert.fail(), onFailed: () => assert.fail() }
    assert.equal(NativeConnection.start(address, 80, head, LIMITS, listener), undefined)
  })
}
