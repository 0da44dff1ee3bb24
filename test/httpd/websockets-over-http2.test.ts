import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { type ClientHttp2Session, connect } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { after, before, suite, type TestContext, test } from 'node:test'
import { type WebSocket, WebSocketServer } from 'ws'
import { folder, Program } from '../cli/program.ts'
import { connectStream } from '../http2/gateways.ts'
import { eventually, within } from '../support/gate.ts'
import { FRAME, FrameClient, frame, headerBlock } from '../support/http2-frames.ts'
import { peer } from '../support/peers.ts'
import { type Apache, hasApache, startApache } from './apache.ts'

/** The frames of a WebSocket server, which are not masked (RFC 6455 5.2). */
function framesOf(bytes: Buffer): { opcode: number; data: Buffer }[] {
  const frames: { opcode: number; data: Buffer }[] = []
  for (let at = 0; at < bytes.length; ) {
    const opcode = (bytes[at] as number) & 15
    let length = bytes[at + 1] as number
    at += 2
    if (length === 126) {
      length = bytes.readUInt16BE(at)
      at += 2
    } else if (length === 127) {
      length = Number(bytes.readBigUInt64BE(at))
      at += 8
    }
    frames.push({ opcode, data: bytes.subarray(at, at + length) })
    at += length
  }
  return frames
}

const TEXT = 1
const BINARY = 2
const CLOSE = 8
const PONG = 10

/** A frame of a client, with a mask of zeros. */
const clientFrame = (opcode: number, data: Buffer): Buffer =>
  Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | data.length, 0, 0, 0, 0]), data])

const CLOSE_1000 = clientFrame(CLOSE, Buffer.from([3, 232]))

/** Sends a file in frames of a length, with a delay after each, several times, and then closes. */
async function sendFile(socket: WebSocket, path: string): Promise<void> {
  const [, , size = '', frameLength = '2000', delay = '0', count = '1'] = path.split('/')
  for (let n = 0; n < Number(count); n++) {
    for (let left = Number(size); left > 0; left -= Number(frameLength)) {
      const data = Buffer.alloc(Math.min(left, Number(frameLength)), 'x')
      await new Promise<void>(resolve => socket.send(data, () => resolve()))
      if (Number(delay) > 0) await new Promise(resolve => setTimeout(resolve, Number(delay)))
    }
  }
  socket.close()
}

/** The backend: WebSockets by path, and plain responses to what is none. */
async function startWebSockets(): Promise<{ port: number; close: () => void }> {
  const plain: RequestListener = (_req, res) => res.end('{}')
  const server = createServer(plain)
  const sockets = new WebSocketServer({ noServer: true })
  server.on('upgrade', (req, socket, head) => {
    const path = req.url ?? ''
    if (path === '/plain') socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}')
    else if (path === '/late') {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n')
      setTimeout(() => socket.end('{}'), 100)
    } else
      sockets.handleUpgrade(req, socket, head, opened => {
        opened.on('error', () => {})
        if (path.startsWith('/echo')) opened.on('message', (data, isBinary) => opened.send(data, { binary: isBinary }))
        else if (path.startsWith('/text')) opened.send('hello!', () => opened.close())
        else if (path.startsWith('/file')) void sendFile(opened, path)
        else opened.close(4999, 'path unknown')
      })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, close: () => server.close() }
}

const cgi = (port: number): string => `H2WebSockets On
ProxyPass /ws/ http://127.0.0.1:${port}/ upgrade=websocket timeout=10`

let backend: { port: number; close: () => void }
let apache: Apache | undefined

/** Whatever the httpd of this machine knows: H2WebSockets is there since 2.4.58. */
const { skip } = peer('httpd', hasApache)

/** The port of each gateway. */
const ports = new Map<string, number>()

async function openSession(t: TestContext, port: number): Promise<ClientHttp2Session> {
  const session = connect(`http://127.0.0.1:${port}`)
  t.after(() => session.destroy())
  session.on('error', () => {})
  await within(5_000, 'the settings', once(session, 'remoteSettings'))
  return session
}

interface Tunnelled {
  status: number
  body: Buffer
  frames: ReturnType<typeof framesOf>
}

/** Whether bytes end with a CLOSE of the server. */
const endsWithClose = (bytes: Buffer): boolean =>
  bytes.some((byte, at) => byte === 0x88 && bytes[at + 1] === bytes.length - at - 2)

/** Opens a WebSocket, sends the bytes, and reads until the end of the stream. */
async function run(
  t: TestContext,
  port: number,
  path: string,
  { send = [CLOSE_1000], delay = 0, fields = {} }: { send?: Buffer[]; delay?: number; fields?: object } = {},
): Promise<Tunnelled> {
  const session = await openSession(t, port)
  const stream = connectStream(session, path, { ':authority': 'cgi.test', ':scheme': 'http', ...fields })
  const { stream: own } = stream
  let tail = Buffer.alloc(0)
  let isClosing = send.includes(CLOSE_1000)
  own.on('data', (chunk: Buffer) => {
    tail = Buffer.concat([tail, chunk]).subarray(-127)
    if (!endsWithClose(tail) || own.writableEnded) return
    own.end(isClosing ? undefined : CLOSE_1000)
    isClosing = true
  })
  const { ':status': status } = await stream.head()
  for (const bytes of send) {
    if (!own.closed) own.write(bytes)
    if (delay > 0) await new Promise(resolve => setTimeout(resolve, delay))
  }
  const body = await within(20_000, 'the end of the stream', stream.readAll())
  if (!own.closed) own.end()
  session.close()
  return { status, body, frames: status === 200 ? framesOf(body) : [] }
}

/** A CONNECT without one of its pseudo-header fields, which Node's client cannot send, is a reset stream. */
async function assertReset(t: TestContext, port: number, missing: string): Promise<void> {
  const client = new FrameClient(port)
  t.after(() => client.socket.destroy())
  const fields: Record<string, string> = {
    ':method': 'CONNECT',
    ':protocol': 'websocket',
    ':scheme': 'http',
    ':path': '/ws/echo/',
    ':authority': 'cgi.test',
    'sec-websocket-version': '13',
  }
  delete fields[missing]
  // A peer refuses `:protocol` before its own SETTINGS have left.
  await eventually(() => assert.ok((client.received.get(FRAME.settings) ?? 0) > 0))
  client.send(frame(FRAME.settings, 1, 0), frame(FRAME.headers, 4, 1, headerBlock(fields)))
  await eventually(() => assert.equal(client.received.get(FRAME.resetStream), 1, `without ${missing}`))
  assert.equal(client.received.get(FRAME.headers), undefined)
}

type Case = [name: string, check: (t: TestContext, port: number) => Promise<void>]

const refused = (name: string, path: string, status: number, fields: object = {}): Case => [
  name,
  async (t, port) => {
    const got = await run(t, port, path, { send: [], fields })
    assert.equal(got.status, status)
  },
]

/** The body of what a tunnel would need is not sent. */
const bodiless = (name: string, path: string): Case => [
  name,
  async (t, port) => {
    const got = await run(t, port, path, { send: [] })
    assert.equal(got.status, 502)
    assert.doesNotMatch(String(got.body), /\{\}/)
  },
]

const file = (name: string, path: string, size: number): Case => [
  name,
  async (t, port) => {
    const { status, frames } = await run(t, port, path, { send: [] })
    assert.equal(status, 200)
    const data = frames.filter(({ opcode }) => opcode === BINARY)
    assert.equal(
      data.reduce((sum, each) => sum + each.data.length, 0),
      size,
    )
    assert.equal(frames.at(-1)?.opcode, CLOSE)
  },
]

const PING = Buffer.from('12345')

const pings =
  (count: number, delay: number): Case[1] =>
  async (t, port) => {
    const send = [...Array.from({ length: count }, () => clientFrame(9, PING)), CLOSE_1000]
    const { status, frames } = await run(t, port, '/ws/echo/', { send, delay })
    assert.equal(status, 200)
    assert.deepEqual(
      frames.map(({ opcode }) => opcode),
      [...Array.from({ length: count }, () => PONG), CLOSE],
    )
    for (const { opcode, data } of frames) if (opcode === PONG) assert.deepEqual(data, PING)
  }

async function inTries(tries: number, check: () => Promise<void>): Promise<void> {
  for (let left = tries - 1; ; left--) {
    try {
      await check()
      return
    } catch (error) {
      if (left === 0) throw error
    }
  }
}

/** The cases of httpd's own suite, test/modules/http2/test_800_websockets.py, by their numbers. */
const CASES: Case[] = [
  refused('01 another :protocol is a 501', '/ws/echo/', 501, { ':protocol': 'websockets' }),
  [
    '02 a CLOSE is answered by a CLOSE',
    async (t, port) => {
      const { status, frames } = await run(t, port, '/ws/echo/')
      assert.deepEqual([status, frames.map(({ opcode }) => opcode)], [200, [CLOSE]])
    },
  ],
  refused('03 a path that is not there is a 404', '/does-not-exist', 404),
  bodiless('04 a 200 of the backend is a 502 without its body', '/ws/plain'),
  bodiless('05 the same with a late body', '/ws/late'),
  refused('06 no sec-websocket-version is a 400', '/ws/echo/', 400, { 'sec-websocket-version': [] }),
  ['07 no :path is a reset', (t, port) => assertReset(t, port, ':path')],
  ['08 no :scheme is a reset', (t, port) => assertReset(t, port, ':scheme')],
  ['09a no :authority is a reset', (t, port) => assertReset(t, port, ':authority')],
  refused('09b a host without H2WebSockets is a 501', '/ws/echo/', 501, { ':authority': 'test1.test' }),
  ['10 a PING is answered by a PONG', pings(1, 0)],
  ['11 so is each of several that come slowly', pings(5, 200)],
  [
    '12 a backend that closes at once',
    async (t, port) => {
      const { status, frames } = await run(t, port, '/ws/unknown')
      assert.deepEqual([status, frames.length, frames[0]?.opcode], [200, 1, CLOSE])
      assert.equal(String(frames[0]?.data.subarray(2)), 'path unknown')
    },
  ],
  [
    '13 a text and a CLOSE of the backend',
    async (t, port) => {
      const { status, frames } = await run(t, port, '/ws/text/', { send: [] })
      assert.deepEqual([status, frames.map(({ opcode }) => opcode)], [200, [TEXT, CLOSE]])
      assert.equal(String(frames[0]?.data), 'hello!')
    },
  ],
  ...[1_000, 10_000, 100_000, 1_000_000].map(size => file(`14 a file of ${size} bytes`, `/ws/file/${size}`, size)),
  ...[1_024_000, 102_400, 10_240, 1_024, 512].map(length =>
    file(`15 a file in frames of ${length} bytes`, `/ws/file/1000000/${length}`, 1_000_000),
  ),
  ...[1, 10, 50, 100].map(ms =>
    file(`16 a file with ${ms} ms between its frames`, `/ws/file/1000000/${ms * 1_000}/${ms}`, 1_000_000),
  ),
  ...[65_536, 16_384, 1_024].map(length =>
    file(`17 a file five times, in frames of ${length} bytes`, `/ws/file/1000000/${length}/0/5`, 5_000_000),
  ),
  file('18 the timeout of the worker counts, not the shorter one of the server', '/ws/file/10000/8192/1500', 10_000),
]

suite('WebSockets over HTTP/2, as the suite of httpd checks them', { timeout: 120_000 }, () => {
  before(async () => {
    backend = await startWebSockets()
    if (!skip) {
      const modules = '/usr/lib/apache2/modules'
      apache = await startApache(
        new Map([
          ['cgi.test', cgi(backend.port)],
          ['test1.test', 'H2WebSockets Off'],
        ]),
        `LoadModule http2_module ${modules}/mod_http2.so\nProtocols h2c http/1.1\nTimeout 1`,
      )
      ports.set('httpd', apache.port)
    }
  })

  after(async () => {
    backend.close()
    await apache?.close()
  })

  test('has all cases of that suite', () => {
    assert.equal(CASES.length, 31)
  })

  for (const gateway of ['httpd', 'ws-tunnel run']) {
    test(gateway, { concurrency: 4, skip: gateway === 'httpd' ? skip : false }, async t => {
      if (gateway !== 'httpd') ports.set(gateway, await startOurs(t))
      const port = ports.get(gateway) as number
      // The real httpd sometimes does not end a stream, on a busy machine, so it has more than one try. We have one.
      const tries = gateway === 'httpd' ? 3 : 1
      await Promise.all(CASES.map(([name, check]) => t.test(name, each => inTries(tries, () => check(each, port)))))
    })
  }
})

async function startOurs(t: TestContext): Promise<number> {
  const host = (name: string, lines: string): string =>
    `<VirtualHost *:80>\nServerName ${name}\n${lines}\n</VirtualHost>\n`
  const conf = `Protocols h2c http/1.1\nTimeout 1\n${host('cgi.test', cgi(backend.port))}${host('test1.test', 'H2WebSockets Off')}`
  const at = await folder(t, { 'a.conf': conf })
  const [port = 0] = await new Program(t, ['run', at('a.conf'), '--listen', '127.0.0.1:0=80']).ports()
  return port
}
