import assert from 'node:assert/strict'
import { test } from 'node:test'
import { explain } from '@ws-tunnel/core'
import { messagesOf, optionsOf } from '../support.ts'

const PASS = 'ProxyPass / http://b.test/'

const rows: [
  lines: string,
  request: { url?: string; method?: string; headers?: Record<string, string> },
  status: number,
][] = [
  ['LimitRequestLine 20', { url: '/12345' }, 200],
  ['LimitRequestLine 20', { url: '/1234567890' }, 414],
  ['LimitRequestFields 2', { headers: { a: '1' } }, 200],
  ['LimitRequestFields 2', { headers: { a: '1', b: '2' } }, 400],
  ['LimitRequestFields 0', { headers: { a: '1', b: '2' } }, 200],
  ['LimitRequestFieldSize 12', { headers: { a: '1234567890' } }, 200],
  ['LimitRequestFieldSize 12', { headers: { a: '12345678901' } }, 400],
  ['TraceEnable off', { method: 'TRACE' }, 405],
  ['HttpProtocolOptions RegisteredMethods', { method: 'PROPFIND' }, 200],
  ['HttpProtocolOptions RegisteredMethods', { method: 'PURGE' }, 501],
  ['ServerName h.test\nStrictHostCheck On', {}, 200],
  ['ServerName other.test\nStrictHostCheck On', {}, 400],
  ['BrowserMatch evil no-proxy', { headers: { 'user-agent': 'evil' } }, 404],
]

test('refuses a request past the limits of the configuration', async () => {
  for (const [lines, { headers, ...request }, status] of rows) {
    const options = optionsOf(`${lines}\n${PASS}`)
    const { outcome } = await explain(options, { url: '/', ...request, headers: { host: 'h.test', ...headers } })
    const found = outcome.kind === 'refused' ? outcome.statusCode : outcome.kind === 'app' ? 404 : 200
    assert.equal(found, status, `${lines} ${JSON.stringify(request)}`)
  }
})

const wrong: [line: string, message: RegExp][] = [
  ['LimitRequestLine -1', /must be a non-negative integer/],
  ['TraceEnable maybe', /must be one of 'on', 'off', or 'extended'/],
  ['HttpProtocolOptions Nope', /HttpProtocolOptions accepts/],
  ['SSLVHostSNIPolicy nope', /Invalid argument 'nope'/],
  ['User', /takes one argument/],
  ['<Location /a>\nUser x\n</Location>', /not allowed in/],
]

test('refuses a wrong line', () => {
  for (const [line, message] of wrong) assert.match(messagesOf(`${line}\n${PASS}`, 'error').join(), message, line)
})
