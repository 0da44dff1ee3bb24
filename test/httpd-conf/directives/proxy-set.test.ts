import assert from 'node:assert/strict'
import { test } from 'node:test'
import { diagnosticsOf, messagesOf, optionsOf } from '../support.ts'

const PASS = 'ProxyPass /x balancer://c/'
const BALANCER = '<Proxy balancer://c>\n</Proxy>'

const wrong: [text: string, httpd: string][] = [
  ['ProxySet balancer://c lbmethod=byrequests', "ProxySet can not find 'balancer://c' Balancer."],
  [
    `${BALANCER}\nProxySet balancer://c lbmethod`,
    "Invalid ProxySet parameter. Parameter must be in the form 'key=value'",
  ],
  [`${BALANCER}\nProxySet balancer://c lbmethod=x`, 'ProxySet: unknown lbmethod lbmethod=x; balancer://c'],
  ['ProxySet ws://b.test/ max=-1', 'ProxySet: Max must be a positive number max=-1; ws://b.test/'],
  ['<Proxy ws://b.test/ max=-1>\n</Proxy>', 'Max must be a positive number'],
  ['ProxyPass / balancer://c/ max=1', 'ProxyPass unknown Balancer parameter'],
]

test('refuses a wrong parameter with the text of httpd', () => {
  for (const [text, httpd] of wrong) assert.equal(diagnosticsOf(text, 'error')[0]?.httpd, httpd, text)
})

test('sets the parameters of a balancer from every line that names it', () => {
  const text = `${BALANCER}\nProxySet balancer://C lbmethod=bytraffic\n${PASS} timeout=3`
  const { lbMethod, timeout } = optionsOf(text).balancers?.['c'] ?? {}
  assert.deepEqual([lbMethod, timeout], ['bytraffic', 3_000])
})

test('sets the parameters of a worker by ProxySet and by <Proxy>', () => {
  const text =
    'ProxyPass / ws://b.test/\nProxySet ws://b.test/ max=1\n<Proxy ws://b.test/ keepalive=On>\nProxySet acquire=5\n</Proxy>'
  assert.deepEqual(optionsOf(text).workers, [
    { url: 'ws://b.test/', maxTunnels: 1, keepAlive: 7_200_000, acquireTimeout: 5 },
  ])
})

test('reports a parameter without an effect', () => {
  assert.deepEqual(messagesOf('ProxyPass / ws://b.test/ min=1 ttl=5s', 'ignored'), [
    'ProxyPass: min=: the connection pool of plain requests grows on demand',
    'ProxyPass: ttl=: the connection pool of plain requests closes idle connections',
  ])
  assert.deepEqual(messagesOf('ProxyPass / ws://b.test/ timeout=500ms', 'warning'), [
    'ProxyPass: httpd reads timeout=500ms as 500 seconds: a unit has no effect here',
  ])
  assert.match(messagesOf(`${PASS} nonce=x`, 'ignored').join(), /only the balancer-manager of httpd uses it/)
  assert.match(messagesOf('ProxyPass / ws://b.test/ status=D', 'error').join(), /outside a balancer is not supported/)
})
