import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readerOf } from '../../../packages/httpd-conf/src/rules/rewrite-variables.ts'
import { requestOf } from '../incoming-message.ts'

const state = {
  req: requestOf('/a%20b?q', ['Host', 'H.test:8080', 'Cookie', 'a=1', 'X-A', '1', 'X-A', '2'], 'PUT'),
  uri: '/a b',
  filename: '/rewritten',
  args: 'q=1',
  env: new Map([['V', 'v']]),
}

const rows: [name: string, value: string][] = [
  ['REQUEST_URI', '/a b'],
  ['request_filename', '/rewritten'],
  ['QUERY_STRING', 'q=1'],
  ['REQUEST_METHOD', 'PUT'],
  ['THE_REQUEST', 'PUT /a%20b?q HTTP/1.1'],
  ['HTTPS', 'off'],
  ['REQUEST_SCHEME', 'http'],
  ['HTTP_HOST', 'H.test:8080'],
  ['SERVER_NAME', 'h.test'],
  ['SERVER_PORT', '8080'],
  ['HTTP_COOKIE', 'a=1'],
  ['HTTP:X-A', '1, 2'],
  ['HTTP:X-B', ''],
  ['ENV:V', 'v'],
  ['ENV:U', ''],
  ['IS_SUBREQ', 'false'],
]

test('reads the variables of a request', () => {
  for (const [name, value] of rows) assert.equal(readerOf(name)?.(state), value, name)
})

test('writes each part of the time with a fixed number of digits', () => {
  for (const [name, digits] of [
    ['TIME', 14],
    ['TIME_YEAR', 4],
    ['TIME_MON', 2],
    ['TIME_HOUR', 2],
    ['TIME_WDAY', 1],
  ] as const)
    assert.match(readerOf(name)?.(state) ?? '', new RegExp(`^\\d{${digits}}$`), name)
})

test('knows no other variable', () => {
  for (const name of ['REMOTE_IDENT', 'LA-U:X', 'SSL:X', '']) assert.equal(readerOf(name), undefined, name)
})
