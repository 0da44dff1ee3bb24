import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type ClientHttp2Session, connect, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http2'

/** Sends one request over HTTP/2. @returns the head and the body of the response. */
export async function requestHttp2(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body = '',
): Promise<{ headers: IncomingHttpHeaders; status: number; body: string }> {
  const stream = session.request(headers, { endStream: false })
  if (headers[':method'] !== 'CONNECT') stream.end(body)
  const [responseHeaders] = (await once(stream, 'response')) as [IncomingHttpHeaders & { ':status': number }]
  let text = ''
  for await (const chunk of stream) text += chunk
  return { headers: responseHeaders, status: responseHeaders[':status'], body: text }
}

/** A gateway over HTTP/2 serves plain requests, and refuses extended CONNECT. */
export async function assertHttp2(port: number, seen: () => string[]): Promise<void> {
  const session = connect(`http://127.0.0.1:${port}`)
  try {
    await once(session, 'remoteSettings')
    const got = await requestHttp2(session, { ':method': 'GET', ':path': '/live/x?q' })
    assert.equal(`${got.status} ${got.body}`, '200 from the backend')
    assert.equal(got.headers['x-back'], '1')
    const posted = await requestHttp2(
      session,
      { ':method': 'POST', ':path': '/live/y', 'content-type': 'text/plain' },
      'a body',
    )
    assert.equal(posted.status, 200)
    assert.deepEqual(seen(), ['GET /x?q', 'POST /y a body'])
    if (session.remoteSettings.enableConnectProtocol) {
      const refused = await requestHttp2(session, {
        ':method': 'CONNECT',
        ':protocol': 'websocket',
        ':path': '/live',
        ':scheme': 'http',
        ':authority': 'front.example',
      })
      assert.equal(refused.status, 502, 'the backend responded with 200 instead of a 101')
    }
    assert.equal((await requestHttp2(session, { ':method': 'GET', ':path': '/live/z' })).status, 200)
  } finally {
    session.close()
  }
}
