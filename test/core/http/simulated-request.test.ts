import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { test } from 'node:test'
import { simulatedRequest } from '../../../packages/core/src/http/simulated-request.ts'
import { sendRequest } from '../../support/harness.ts'
import { startServer } from '../../support/server.ts'

const LINES = [
  'Host: one',
  'X-A: 1',
  'x-a: 2',
  'Cookie: a=1',
  'Cookie: b=2',
  'Set-Cookie: c=3',
  'Set-Cookie: d=4',
  'User-Agent: first',
  'user-agent: second',
  'Accept: text/html',
  'Accept: */*',
  'Authorization: Basic a',
  'Authorization: Basic b',
]

test("has the same properties as a request of Node's parser", async t => {
  const { server, port } = await startServer(t, (_req, res) => res.end())
  const requested = once(server, 'request')
  await sendRequest(t, port, `PUT /a?b HTTP/1.1\r\n${LINES.join('\r\n')}\r\n\r\n`)
  const [real] = (await requested) as [IncomingMessage]
  const rawHeaders = LINES.flatMap(line => line.split(': '))
  const simulated = simulatedRequest({
    method: 'PUT',
    url: '/a?b',
    rawHeaders,
    remoteAddress: real.socket.remoteAddress as string,
  })
  const properties = (req: IncomingMessage): unknown => [
    [req.method, req.url, req.httpVersion, req.httpVersionMajor, req.httpVersionMinor],
    [req.rawHeaders, req.headers, req.headersDistinct],
    [req.socket.remoteAddress, 'encrypted' in req.socket],
  ]
  assert.deepEqual(properties(simulated), properties(real))
})

test('comes over TLS if it is encrypted', () => {
  const { socket, httpVersionMajor } = simulatedRequest({ encrypted: true, httpVersion: '2.0' })
  assert.deepEqual(['encrypted' in socket, httpVersionMajor], [true, 2])
})
