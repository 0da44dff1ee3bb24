import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { test } from 'node:test'
import { clientAddress, peerAddress, trustsPeer } from '../../../packages/core/src/http/client-address.ts'
import { resolveOptions } from '../../../packages/core/src/options/options.ts'
import { plainRequest } from '../../support/client.ts'
import { socketPath } from '../../support/gate.ts'
import { requestOf } from '../../support/request.ts'

const { trusts: LOCAL } = resolveOptions({
  target: 'ws://h/',
  trustProxy: ['loopback', '10.0.0.0/8', '2001:db8::/32'],
})

const CHAINS: [forwardedFor: string[], address: string][] = [
  [[], '127.0.0.1'],
  [[''], '127.0.0.1'],
  [['203.0.113.9'], '203.0.113.9'],
  [['198.51.100.1, 203.0.113.9'], '203.0.113.9'],
  [['198.51.100.1', '203.0.113.9, 10.0.0.1'], '203.0.113.9'],
  [['10.0.0.2,10.0.0.1'], '10.0.0.2'],
  [['203.0.113.9:4711'], '203.0.113.9'],
  [['198.51.100.1, 203.0.113.9:4711, 10.0.0.1:80'], '203.0.113.9'],
  [['[2001:DB9::1]:4711'], '2001:DB9::1'],
  [['203.0.113.9, [2001:db8::1]:4711'], '203.0.113.9'],
  [['[2001:db9::1]'], '2001:db9::1'],
  [['2001:db9::1'], '2001:db9::1'],
  [['::ffff:203.0.113.9'], '203.0.113.9'],
  [['203.0.113.9\t ,  '], '203.0.113.9'],
  [['198.51.100.1, unknown'], 'unknown'],
]

for (const [forwardedFor, address] of CHAINS) {
  test(`the client of ${JSON.stringify(forwardedFor)} behind trusted proxies is ${address}`, () => {
    const lines = forwardedFor.map(value => `X-Forwarded-For: ${value}`)
    assert.equal(clientAddress(requestOf(lines, { remoteAddress: '::ffff:127.0.0.1' }), LOCAL), address)
    assert.equal(
      clientAddress(requestOf(lines, { remoteAddress: '192.0.2.7' }), LOCAL),
      '192.0.2.7',
      'an untrusted peer names no client',
    )
  })
}

test('counts hops from the peer', () => {
  const req = requestOf(['X-Forwarded-For: 192.0.2.3, 192.0.2.2'], { remoteAddress: '192.0.2.1' })
  const addresses = [0, 1, 2, 3].map(hops => clientAddress(req, (_, hop) => hop < hops))
  assert.deepEqual(addresses, ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.3'])
})

test('takes the peer of a unix socket for 127.0.0.1, until its connection closes', async t => {
  const { path, remove } = await socketPath()
  t.after(remove)
  const server = createServer((_req, res) => res.end())
  await new Promise<void>(resolve => server.listen(path, resolve))
  t.after(() => server.close())
  const requested = once(server, 'request')
  const client = connect(path)
  t.after(() => client.destroy())
  client.write(plainRequest('/', { headers: ['X-Forwarded-For: 203.0.113.9'] }))
  const [req] = (await requested) as [IncomingMessage]
  assert.equal(peerAddress(req), '')
  assert.equal(trustsPeer(req, LOCAL), true)
  assert.equal(
    trustsPeer(req, address => address === '10.0.0.1'),
    false,
  )
  assert.equal(clientAddress(req, LOCAL), '203.0.113.9')
  assert.equal(
    clientAddress(req, () => false),
    '',
  )
  req.socket.destroy()
  assert.equal(trustsPeer(req, LOCAL), false)
})

test('does not take a TCP peer without an address for one of a unix socket', () => {
  const req = requestOf([])
  Object.defineProperty(req.socket, 'localAddress', { value: '127.0.0.1' })
  assert.equal(trustsPeer(req, LOCAL), false)
})
