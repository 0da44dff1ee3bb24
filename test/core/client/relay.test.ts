import assert from 'node:assert/strict'
import { type IncomingMessage, request, type ServerResponse } from 'node:http'
import { type TestContext, test } from 'node:test'
import { IncomingResponse } from '../../../packages/core/src/backend/incoming-response.ts'
import { relay, relayInterim, respond } from '../../../packages/core/src/client/relay.ts'
import { HeaderList } from '../../../packages/core/src/http/header-list.ts'
import { type BackendConnection, raw, responding, type Script } from '../../support/backend.ts'
import { plainRequest, type RawClient } from '../../support/client.ts'
import { eventually } from '../../support/gate.ts'
import { sendRequest, startBackend } from '../../support/harness.ts'
import { startServer } from '../../support/server.ts'

interface Relaying {
  client: RawClient
  connection: () => Promise<BackendConnection>
  /** `sent` when the response is closed, and what `relay` resolved or rejected with. */
  results: unknown[]
}

/** A client whose request is relayed the response of the backend. */
async function relaying(t: TestContext, script: Script): Promise<Relaying> {
  const backend = await startBackend(t, script)
  const results: unknown[] = []
  const { port } = await startServer(t, (_req, res) => {
    res.on('close', () => results.push('sent'))
    const backendRequest = request({ port: backend.port, host: '127.0.0.1', agent: false })
    backendRequest.on('error', () => {})
    backendRequest.on('response', (response: IncomingMessage) => {
      const options = { rewriting: { trailers: () => [] }, stallTimeout: 0 }
      relay(new IncomingResponse(response), res, { headers: HeaderList.from(response.rawHeaders), ...options }).then(
        () => results.push('resolved'),
        error => results.push(error),
      )
    })
    backendRequest.end()
  })
  const client = await sendRequest(t, port, plainRequest('/'))
  return { client, connection: () => backend.connection(), results }
}

test('copies status, reason, fields and body, and resolves when they are sent', async t => {
  const { client, results } = await relaying(t, responding({ statusCode: 299, reason: 'Well', headers: ['X-A: b'] }))
  const { startLine, body, ...head } = await client.whole()
  assert.deepEqual([startLine, head.header('x-a'), body], ['HTTP/1.1 299 Well', 'b', 'from the backend'])
  await eventually(() => results.length === 2)
  assert.deepEqual(results, ['sent', 'resolved'])
})

for (const then of ['end', 'reset'] as const) {
  test(`closes the connection of the client if the response breaks off by ${then === 'end' ? 'FIN' : 'RST'}`, async t => {
    const { client, results } = await relaying(t, async connection => {
      await raw('HTTP/1.1 200 Fine\r\nContent-Length: 100\r\n\r\npart', 'keep')(connection, undefined as never)
      await eventually(() => client.pending.includes('part'))
      connection[then]()
    })
    const head = await client.responseHead()
    await assert.rejects(client.body(head), /peer ended|ECONNRESET/)
    await eventually(() => results[1] === 'resolved')
  })
}

test('ends the connection to the backend when the client leaves', async t => {
  const { client, connection, results } = await relaying(
    t,
    raw('HTTP/1.1 200 Fine\r\nContent-Length: 100\r\n\r\npart', 'keep'),
  )
  await client.responseHead()
  client.destroy()
  const { closed } = await connection()
  ;(await connection()).socket.on('end', () => connection().then(({ socket }) => socket.end()))
  await closed
  await eventually(() => results[1] === 'resolved')
})

/** The text that a client of HTTP/1.1 or 1.0 reads until the end. */
async function written(t: TestContext, write: (res: ServerResponse) => unknown, version = '1.1'): Promise<string> {
  const { port } = await startServer(t, (_req, res) => void write(res))
  const client = await sendRequest(t, port, `GET / HTTP/${version}\r\nHost: h.test\r\nConnection: close\r\n\r\n`)
  return (await client.readAll()).toString('latin1')
}

const hints = { statusCode: 103, statusMessage: 'Early Hints' } as never

test('writes an interim response before the final one', async t => {
  const text = await written(t, res => {
    relayInterim(res, hints, HeaderList.from(['Link', '</a>', 'X-A', 'b']))
    res.end()
  })
  assert.match(text, /^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a>\r\nX-A: b\r\n\r\nHTTP\/1\.1 200 OK\r\n/)
})

test('writes no interim response after the final head, nor to HTTP/1.0', async t => {
  const late = await written(t, res => {
    res.write('body')
    relayInterim(res, hints, new HeaderList())
    res.end()
  })
  assert.doesNotMatch(late, /103/)
  const old = await written(
    t,
    res => {
      relayInterim(res, hints, new HeaderList())
      res.end()
    },
    '1.0',
  )
  assert.match(old, /^HTTP\/1\.1 200 OK/)
})

for (const [response, head] of [
  [{ status: 302, location: '/x' }, /^HTTP\/1\.1 302 Found\r\nLocation: \/x\r\nContent-Length: 0\r\n/],
  [{ status: 410 }, /^HTTP\/1\.1 410 Gone\r\nContent-Length: 0\r\n/],
] as const) {
  test(`responds with ${JSON.stringify(response)} by itself, and resolves`, async t => {
    let resolved = false
    const text = await written(t, async res => {
      await respond(res, response)
      resolved = true
    })
    assert.match(text, head)
    await eventually(() => resolved)
  })
}
