import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { discardRest, RequestBody } from '../../../packages/core/src/backend/request-body.ts'
import { plainRequest } from '../../support/client.ts'
import { sendRequest } from '../../support/harness.ts'
import { startServer } from '../../support/server.ts'

const JSON_TYPE = 'Content-Type: application/json; charset=utf-8'
const FORM_TYPE = 'Content-Type: application/x-www-form-urlencoded'

/** Sends a POST and gives the request to the function; the client gets its error. */
async function receive(
  t: TestContext,
  { headers = [], body = '' }: { headers?: string[]; body?: string },
  look: (req: IncomingMessage) => unknown,
): Promise<void> {
  const { port } = await startServer(t, async (req, res) => {
    try {
      await look(req)
      res.end('fine')
    } catch (error) {
      res.end(String(error))
    }
  })
  const client = await sendRequest(t, port, plainRequest('/', { method: 'POST', headers, body }))
  assert.equal((await client.whole()).body, 'fine')
}

test('streams a body that was not read before, and notes that it has begun', async t => {
  await receive(t, { body: 'hello' }, async req => {
    const body = new RequestBody(req, undefined)
    assert.deepEqual([body.begun, body.parsed], [false, undefined])
    assert.equal(body.isStreamed, true)
    assert.equal(String(await buffer(req)), 'hello')
    assert.deepEqual([body.begun, body.whole], [true, true])
  })
})

test('streams nothing for a request without a body', async t => {
  await receive(t, {}, req => {
    const body = new RequestBody(req, undefined)
    assert.deepEqual([body.isStreamed, body.begun, body.whole], [false, false, true])
  })
})

test('is not whole until the client has sent all of it', async t => {
  const whole = Promise.withResolvers<boolean>()
  const { port } = await startServer(t, req => whole.resolve(new RequestBody(req, undefined).whole))
  await sendRequest(t, port, plainRequest('/', { method: 'POST', headers: ['Content-Length: 5'], body: 'hel' }))
  assert.equal(await whole.promise, false)
})

const PARSED: [what: string, headers: string[], sent: string, parsed: unknown, bytes: string, rewritten: boolean][] = [
  ['JSON', [JSON_TYPE], '{ "a": 1 }', { a: 1 }, '{"a":1}', true],
  ['a JSON value that is no object', [JSON_TYPE], 'null', null, 'null', true],
  ['another JSON type', ['Content-Type: application/vnd.api+json'], '[]', [], '[]', true],
  ['a form', [FORM_TYPE], 'a=1&b=2', { a: '1', b: '2' }, 'a=1&b=2', true],
  ['a repeated field of a form', [FORM_TYPE], 'a=1&a=2', { a: ['1', '2'] }, 'a=1&a=2', true],
  ['a list of a form', [FORM_TYPE], 'a[]=1', { a: ['1'] }, 'a%5B%5D=1', true],
  ['text', ['Content-Type: text/plain'], 'text', 'text', 'text', true],
  ['bytes', ['Content-Type: x/y'], 'bytes', Buffer.from('bytes'), 'bytes', false],
  ['bytes that were decompressed', ['Content-Encoding: gzip'], 'zip', Buffer.from('bytes'), 'bytes', true],
]

for (const [what, headers, sent, parsed, bytes, rewritten] of PARSED) {
  test(`writes ${what} that a parser has read again`, async t => {
    await receive(t, { headers, body: sent }, async req => {
      await buffer(req)
      const body = new RequestBody(req, parsed)
      assert.deepEqual([String(body.parsed?.bytes), body.parsed?.rewritten], [bytes, rewritten])
      assert.equal(body.isStreamed, false)
    })
  })
}

test('has begun once the parsed body is given to a backend, and not when the parser reads it', async t => {
  await receive(t, { headers: [JSON_TYPE], body: '{}' }, async req => {
    await buffer(req)
    const body = new RequestBody(req, {})
    assert.equal(body.begun, false)
    body.markParsedSent()
    assert.equal(body.begun, true)
  })
})

test('refuses a body that a parser has read in part, or that it cannot write again', async t => {
  await receive(t, { headers: ['Content-Type: x/y'], body: 'hello' }, async req => {
    const refused = { code: 'WST_ERR_BODY_CONSUMED' }
    await new Promise(resolve => req.once('data', resolve).resume())
    assert.throws(() => new RequestBody(req, undefined), { ...refused, message: /in part/ })
    await new Promise(resolve => req.once('end', resolve))
    assert.throws(() => new RequestBody(req, { a: 1 }), { ...refused, message: /of the type x\/y/ })
  })
})

test('discards the rest of a body, so that the connection can carry the next request', async t => {
  await receive(t, { body: 'x'.repeat(200_000) }, async req => {
    discardRest(req)
    await new Promise(resolve => req.once('end', resolve))
  })
})
