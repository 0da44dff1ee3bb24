import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type ClientHttp2Session, type ClientHttp2Stream, constants } from 'node:http2'
import { suite, test } from 'node:test'
import { eventually, within } from '../support/gate.ts'
import { connectTunnel, sendRequest, startGateway } from '../support/harness.ts'
import { connectStream, GATEWAYS, openSession, requestStream } from './gateways.ts'
import { type Arrived, startHttp2Backend } from './http2-backend.ts'

const { NGHTTP2_CANCEL, NGHTTP2_INTERNAL_ERROR, NGHTTP2_NO_ERROR } = constants

const UPLOAD = { ':method': 'POST', ':path': '/live/', 'content-type': 'text/plain' }

/** Responds at once, whatever of the request is still to come. */
const respond = ({ stream, headers }: Arrived): void => {
  const isTunnel = headers[':method'] === 'CONNECT' && headers[':path'] !== '/refused'
  stream.respond({ ':status': headers[':path'] === '/refused' ? 403 : 200 }, { waitForTrailers: true })
  stream.on('wantTrailers', () => stream.closed || stream.sendTrailers({}))
  if (isTunnel) stream.write('response')
  else stream.end('response')
  stream.resume()
}

/** A request whose client sends nothing more. */
const OPENINGS: Record<string, (session: ClientHttp2Session) => ClientHttp2Stream> = {
  'an upload': session => session.request(UPLOAD, { endStream: false, waitForTrailers: true }),
  'a tunnel': session => connectStream(session, '/live/').stream,
  'a refused CONNECT': session => connectStream(session, '/live/refused').stream,
}

const RESETS: Record<string, (stream: ClientHttp2Stream) => void> = {
  cancels: stream => stream.close(NGHTTP2_CANCEL),
  'resets without an error': stream => stream.close(NGHTTP2_NO_ERROR),
  'resets with an error': stream => stream.close(NGHTTP2_INTERNAL_ERROR),
  'ends and cancels': stream => void stream.end(() => stream.close(NGHTTP2_CANCEL)),
  'closes the connection': stream => stream.session?.destroy(),
}

// A peer of Node that cancels in one of these events aborts by itself, so the peer waits for a turn of the event loop.
const MOMENTS: Record<string, (stream: ClientHttp2Stream, act: () => void) => unknown> = {
  'at once': (_stream, act) => act(),
  'when the request has left': (stream, act) => stream.once('ready', act),
  'at the head of the response': (stream, act) => stream.once('response', act),
  'at its bytes': (stream, act) => stream.once('data', act),
}

for (const [name, start] of GATEWAYS) {
  suite(`${name} over HTTP/2 to a backend of HTTP/2`, { timeout: 60_000 }, () => {
    for (const [opening, open] of Object.entries(OPENINGS)) {
      test(`${opening}: a client that resets at any moment ends its own stream alone`, async t => {
        const backend = await startHttp2Backend(t, respond)
        const gateway = await start(t, { target: `h2c://127.0.0.1:${backend.port}` })
        for (const reset of Object.values(RESETS))
          for (const at of Object.values(MOMENTS)) {
            const session = await openSession(t, gateway.port)
            const stream = open(session)
            stream.on('error', () => {})
            const closed = new Promise(resolve => stream.once('close', resolve))
            const act = (): void => void setImmediate(() => reset(stream))
            if (!stream.pending) act()
            else at(stream, act)
            stream.resume()
            await within(5_000, 'the close', closed)
            session.destroy()
          }
        const page = requestStream(await openSession(t, gateway.port), { ':path': '/live/' })
        assert.equal(String(await page.readAll()), 'response')
        await eventually(() => assert.equal(gateway.tunnels.size, 0))
        await eventually(() => {
          for (const { stream } of backend.arrived) assert.ok(stream.closed, 'a stream of the backend is open')
        })
      })
    }

    test('an upload that is not finished gets the early response, and the stream to the backend closes', async t => {
      const backend = await startHttp2Backend(t, respond)
      const gateway = await start(t, { target: `h2c://127.0.0.1:${backend.port}` })
      const session = await openSession(t, gateway.port)
      for (let i = 0; i < 3; i++) {
        const stream = session.request(UPLOAD, { endStream: false, waitForTrailers: true })
        stream.on('error', () => {})
        if (i > 0) stream.write('x'.repeat(i * 20_000))
        let text = ''
        stream.on('data', chunk => {
          text += chunk
        })
        await within(5_000, 'the response', once(stream, 'end'))
        assert.equal(text, 'response')
        setImmediate(() => stream.close(NGHTTP2_CANCEL))
        const arrived = await backend.request(i)
        await eventually(() => assert.ok(arrived.stream.closed))
      }
      assert.equal(backend.sessions.length, 1)
    })
  })
}

suite('a backend of HTTP/2 that ends streams as it likes', { timeout: 60_000 }, () => {
  const HOW: Record<string, (arrived: Arrived) => void> = {
    'cancels at once': ({ stream }) => stream.close(NGHTTP2_CANCEL),
    'ends with the head': ({ stream }) => stream.respond({ ':status': 200 }, { endStream: true }),
    'ends with a body': ({ stream }) => {
      stream.respond({ ':status': 200 })
      stream.end('response')
    },
    'resets without an error after the head': ({ stream }) => {
      stream.respond({ ':status': 200 }, { waitForTrailers: true })
      setImmediate(() => stream.close(NGHTTP2_NO_ERROR))
    },
    'cancels after a byte': ({ stream }) => {
      stream.respond({ ':status': 200 }, { waitForTrailers: true })
      stream.write('a')
      setImmediate(() => stream.close(NGHTTP2_CANCEL))
    },
    'sends more than the length that it has announced': ({ stream }) => {
      stream.respond({ ':status': 200, 'content-length': 1 })
      stream.end('more')
    },
    'closes the connection': ({ stream }) => stream.session?.destroy(),
  }
  for (const [how, act] of Object.entries(HOW)) {
    test(`a backend that ${how} fails its own request alone`, async t => {
      const backend = await startHttp2Backend(t, (arrived, n) => (n < 4 ? act(arrived) : respond(arrived)))
      const gateway = await startGateway(t, { target: `h2c://127.0.0.1:${backend.port}` })
      const client = await sendRequest(
        t,
        gateway,
        'POST / HTTP/1.1\r\nHost: front.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n',
      )
      await client.responseHead().catch(() => {})
      client.reset()
      const tunnel = await connectTunnel(t, gateway).catch(() => undefined)
      tunnel?.reset()
      await eventually(async () => {
        const page = await sendRequest(
          t,
          gateway,
          'POST / HTTP/1.1\r\nHost: front.example\r\nContent-Length: 0\r\n\r\n',
        )
        assert.equal((await page.whole()).body, 'response')
      })
    })
  }
})
