import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ExplainRequest, explainedRequest } from '../../../packages/core/src/proxy/explain-request.ts'

const HEADERS: [what: string, headers: ExplainRequest['headers'], rawHeaders: string[]][] = [
  ['no fields', undefined, []],
  ['fields by name', { Host: 'h.test', 'X-A': '1' }, ['Host', 'h.test', 'X-A', '1']],
  ['a field with several lines', { 'X-A': ['1', '2'] }, ['X-A', '1', 'X-A', '2']],
  [
    'pairs in their order',
    [
      ['X-A', '1'],
      ['Host', 'h.test'],
      ['x-a', '2'],
    ],
    ['X-A', '1', 'Host', 'h.test', 'x-a', '2'],
  ],
]

for (const [what, headers, rawHeaders] of HEADERS) {
  test(`makes a request with ${what}`, () => {
    assert.deepEqual(explainedRequest({ url: '/', ...(headers && { headers }) }).rawHeaders, rawHeaders)
  })
}

test('is by default a GET of HTTP/1.1 from 127.0.0.1 without TLS', () => {
  const shape = ({ url, ...more }: ExplainRequest): unknown[] => {
    const { method, httpVersion, socket } = explainedRequest({ url, ...more })
    return [method, httpVersion, socket.remoteAddress, 'encrypted' in socket]
  }
  assert.deepEqual(shape({ url: '/' }), ['GET', '1.1', '127.0.0.1', false])
  const other = { method: 'PUT', httpVersion: '1.0', remoteAddress: '::1', encrypted: true } as const
  assert.deepEqual(shape({ url: '/', ...other }), ['PUT', '1.0', '::1', true])
})

const IMPOSSIBLE: [what: string, request: ExplainRequest, message: RegExp][] = [
  ['a method with a space', { url: '/', method: 'GET /' }, /`method`/],
  ['an empty method', { url: '/', method: '' }, /`method`/],
  ['a space in the URL', { url: '/a b' }, /`url`/],
  ['an empty URL', { url: '' }, /`url`/],
  ['a field name with a colon', { url: '/', headers: { 'X:': '1' } }, /X:/],
  ['a line break in a value', { url: '/', headers: { 'X-A': '1\r\n2' } }, /X-A/],
]

for (const [what, request, message] of IMPOSSIBLE) {
  test(`refuses ${what}, which no client can send`, () => {
    assert.throws(() => explainedRequest(request), { name: 'TypeError', message })
  })
}
