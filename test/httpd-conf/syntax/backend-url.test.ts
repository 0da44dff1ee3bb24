import assert from 'node:assert/strict'
import { test } from 'node:test'
import { balancerName, isSecure, isWebsocket, schemeOf } from '../../../packages/httpd-conf/src/syntax/backend-url.ts'

const rows: [url: string, scheme: string, websocket: boolean, secure: boolean][] = [
  ['ws://b.test/', 'ws', true, false],
  ['WSS://b.test/', 'wss', true, true],
  ['https://b.test', 'https', false, true],
  ['unix:/run/s|wss://b.test', 'wss', true, true],
  ['h2://b.test', 'h2', false, true],
  ['h2c://b.test', 'h2c', false, false],
  ['unix:/run/s', 'unix', false, false],
  ['balancer://c/', 'balancer', false, false],
  ['/a', '', false, false],
  ['b.test', '', false, false],
]

test('reads the scheme of a backend URL', () => {
  for (const [url, scheme, websocket, secure] of rows)
    assert.deepEqual([schemeOf(url), isWebsocket(url), isSecure(url)], [scheme, websocket, secure], url)
})

test('reads the name of a balancer without regard to case', () => {
  assert.equal(balancerName('BALANCER://Name/x'), 'name')
  assert.equal(balancerName('http://name/'), undefined)
  assert.equal(balancerName('balancer:///'), undefined)
})
