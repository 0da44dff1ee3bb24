import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { LookupFunction, Socket } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { test } from 'node:test'
import {
  type NativeLimits,
  type NativeSwitched,
  nativeRoundTrip,
} from '../../../packages/core/src/backend/native-round-trip.ts'
import {
  type BackendResponse,
  nodeRoundTrip,
  type RoundTripOptions,
} from '../../../packages/core/src/backend/node-round-trip.ts'
import { socketRoundTrip } from '../../../packages/core/src/backend/socket-round-trip.ts'
import type { Worker } from '../../../packages/core/src/backend/worker.ts'
import { WsTunnelError } from '../../../packages/core/src/errors.ts'
import type { RequestHead } from '../../../packages/core/src/http/request-head.ts'
import { raw, type Script, silent } from '../../support/backend.ts'
import { closedPort, eventually } from '../../support/gate.ts'
import { native } from '../../support/pump.ts'
import { listenersOf, optionsOf, REQUEST, workerBefore, workerOf } from './workers.ts'

type RoundTrip = (
  worker: Worker,
  request: RequestHead,
  options: RoundTripOptions<NativeLimits>,
) => Promise<BackendResponse | NativeSwitched>

/** The response with everything that the backend sends after its head, until FIN. */
async function read(
  response: BackendResponse | NativeSwitched,
): Promise<[status: string, raw: readonly string[], body: string]> {
  const { switched, response: head } = response
  if (!switched) {
    const status = `${head.statusCode} ${head.statusMessage}`
    return [status, head.rawHeaders, await buffer(head).then(String, error => error.code)]
  }
  const status = `101 ${head.statusMessage}`
  if ('connection' in response)
    return [status, head.rawHeaders, String(await readSocket(response.connection.toSocket(response.headSize)))]
  return [status, head.rawHeaders, String(await readSocket(response.socket, response.head))]
}

async function readSocket(socket: Socket, head: Uint8Array = Buffer.alloc(0)): Promise<Buffer> {
  const bytes = await buffer(socket)
  socket.destroy()
  return Buffer.concat([head, bytes])
}

const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
const SWITCHED = ['101 Switching Protocols', ['Upgrade', 'websocket', 'Connection', 'Upgrade']] as const

/** Sends a text in pieces, each in a packet of its own, then FIN. */
const inPieces =
  (text: string, length: number): Script =>
  async connection => {
    await connection.request()
    for (let at = 0; at < text.length; at += length) {
      await connection.write(text.slice(at, at + length))
      await new Promise(resolve => setImmediate(resolve))
    }
    connection.end()
  }

interface Row {
  what: string
  script: Script
  /** Status line, header fields and what follows; or the code of the error. */
  expected: readonly [status: string, rawHeaders: readonly string[], body: string] | string
  interim?: number[]
  limits?: Partial<NativeLimits>
}

/** What a backend can send, and the result of a round trip, whichever function makes it. */
const ROWS: Row[] = [
  { what: 'a 101', script: raw(`${SWITCH}\r\n`), expected: [...SWITCHED, ''] },
  { what: 'bytes in the packet of the 101', script: raw(`${SWITCH}\r\nearly`), expected: [...SWITCHED, 'early'] },
  { what: 'a 101 in pieces', script: inPieces(`${SWITCH}\r\nearly`, 7), expected: [...SWITCHED, 'early'] },
  {
    what: 'a 101 without a reason, with spaces around a value',
    script: raw('HTTP/1.1 101 \r\nUpgrade: \t websocket \r\nConnection:upgrade\r\n\r\n'),
    expected: ['101 ', ['Upgrade', 'websocket', 'Connection', 'upgrade'], ''],
  },
  {
    what: 'an interim response before the 101',
    script: raw(`HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${SWITCH}\r\nearly`),
    expected: [...SWITCHED, 'early'],
    interim: [103],
  },
  {
    what: 'a response with a length',
    script: raw('HTTP/1.1 403 No\r\nContent-Length: 2\r\nX-A: \xe9\r\n\r\nno'),
    expected: ['403 No', ['Content-Length', '2', 'X-A', '\xe9'], 'no'],
  },
  {
    what: 'a response in chunks',
    script: inPieces('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n', 9),
    expected: ['200 OK', ['Transfer-Encoding', 'chunked'], 'abc'],
  },
  {
    what: 'a response until FIN',
    script: raw('HTTP/1.0 200 OK\r\n\r\nuntil the end'),
    expected: ['200 OK', [], 'until the end'],
  },
  {
    what: 'a response that breaks off',
    script: raw('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc'),
    expected: ['200 OK', ['Content-Length', '10'], 'ECONNRESET'],
  },
  { what: 'FIN', script: raw(''), expected: 'WST_ERR_NO_RESPONSE' },
  { what: 'RST', script: raw('', 'reset'), expected: 'WST_ERR_NO_RESPONSE' },
  { what: 'FIN within the head', script: raw(SWITCH), expected: 'WST_ERR_NO_RESPONSE' },
  { what: 'bytes that are not HTTP', script: raw('SSH-2.0-x\r\n', 'keep'), expected: 'WST_ERR_BAD_RESPONSE' },
  { what: 'a line without a colon', script: raw(`${SWITCH}x\r\n\r\n`, 'keep'), expected: 'WST_ERR_BAD_RESPONSE' },
  {
    what: 'more than ten interim responses',
    script: raw(`${'HTTP/1.1 103 Early\r\n\r\n'.repeat(11)}${SWITCH}\r\n`, 'keep'),
    expected: 'WST_ERR_BAD_RESPONSE',
    interim: Array(10).fill(103),
  },
  { what: 'nothing', script: silent(), expected: 'WST_ERR_HANDSHAKE_TIMEOUT', limits: { handshakeTimeout: 100 } },
  {
    what: 'a head that does not end',
    script: raw('HTTP/1.1 101 Switch', 'keep'),
    expected: 'WST_ERR_HANDSHAKE_TIMEOUT',
    limits: { handshakeTimeout: 100 },
  },
]

/** A DNS lookup that never ends. */
const noLookup: LookupFunction = () => {}

/** The tests that hold for each function that makes a round trip. */
function testRoundTrip(roundTrip: RoundTrip, options: { skip?: string | false } = {}): void {
  for (const { what, script, expected, interim = [], limits } of ROWS) {
    test(`${roundTrip.name}: a backend that sends ${what}`, options, async t => {
      const { backend, worker } = await workerBefore(t, script)
      const { signal } = new AbortController()
      const { options, interim: seen } = optionsOf(signal, limits)
      const result = await roundTrip(worker, REQUEST, options).then(read, error => {
        assert.ok(error instanceof WsTunnelError)
        return error.code
      })
      assert.deepEqual(result, expected)
      assert.deepEqual(seen, interim)
      assert.equal(listenersOf(signal), 0)
      const { method, path, rawHeaders } = await backend.request()
      assert.deepEqual([method, path, rawHeaders.flat()], ['GET', '/a?b', REQUEST.headers])
      const [connection] = backend.connections
      await eventually(() => connection?.ended || connection?.socket.destroyed)
    })
  }

  test(`${roundTrip.name}: rejects with the code of a connection that is refused`, options, async t => {
    const { signal } = new AbortController()
    const attempt = roundTrip(workerOf(t, `ws://127.0.0.1:${await closedPort()}/`), REQUEST, optionsOf(signal).options)
    await assert.rejects(attempt, (error: WsTunnelError) => {
      const { code, syscall } = error.cause as NodeJS.ErrnoException
      assert.deepEqual([error.code, code, syscall], ['WST_ERR_CONNECT', 'ECONNREFUSED', 'connect'])
      return true
    })
    assert.equal(listenersOf(signal), 0)
  })

  test(`${roundTrip.name}: ends a DNS lookup after connectTimeout`, options, async t => {
    const worker = workerOf(t, 'ws://b.test/', { lookup: noLookup })
    const { options } = optionsOf(new AbortController().signal, { connectTimeout: 50 })
    await assert.rejects(roundTrip(worker, REQUEST, options), { code: 'WST_ERR_CONNECT_TIMEOUT', message: /50 ms/ })
  })

  for (const when of ['before it starts', 'during the DNS lookup', 'before the response', 'within its head'] as const) {
    test(
      `${roundTrip.name}: rejects with the reason of an abort ${when}, and closes the connection`,
      options,
      async t => {
        const { backend, worker: reachable } = await workerBefore(
          t,
          when === 'within its head' ? raw('HTTP/1.1 101 Switch', 'keep') : silent(),
        )
        const named = workerOf(t, `ws://b.test:${backend.port}/`, { lookup: noLookup })
        const controller = new AbortController()
        const reason = new WsTunnelError('WST_ERR_CLIENT_GONE')
        if (when === 'before it starts') controller.abort(reason)
        const { signal } = controller
        const attempt = roundTrip(
          when === 'during the DNS lookup' ? named : reachable,
          REQUEST,
          optionsOf(signal).options,
        )
        const rejected = assert.rejects(attempt, error => error === reason)
        if (when === 'before the response' || when === 'within its head') {
          await backend.request()
          assert.ok(listenersOf(signal) > 0)
        } else await new Promise(resolve => setImmediate(resolve))
        controller.abort(reason)
        await rejected
        assert.equal(listenersOf(signal), 0)
        // A connection that was accepted before the abort ends; without one, none is opened.
        await eventually(() => backend.connections.every(({ ended, socket }) => ended || socket.destroyed))
      },
    )
  }

  test(`${roundTrip.name}: an abort after the 101 leaves the connection open`, options, async t => {
    const { backend, worker } = await workerBefore(t, raw(`${SWITCH}\r\n`, 'keep'))
    const controller = new AbortController()
    const response = await roundTrip(worker, REQUEST, optionsOf(controller.signal).options)
    assert.ok(response.switched)
    controller.abort(new WsTunnelError('WST_ERR_CLOSING'))
    const socket = 'connection' in response ? response.connection.toSocket(response.headSize) : response.socket
    t.after(() => socket.destroy())
    const connection = await backend.connection()
    await connection.write('open')
    assert.equal(String((await once(socket.resume(), 'data'))[0]), 'open')
  })
}

testRoundTrip(nodeRoundTrip)
testRoundTrip(socketRoundTrip)
testRoundTrip(nativeRoundTrip, native)
