import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TrustProxy } from '@ws-tunnel/core'
import { answer, startBackend } from '../../support/backend.ts'
import { connect, plainRequest } from '../../support/client.ts'
import { startGateway } from '../gateway.ts'

for (const [trustProxy, scheme] of [
  [true, 'https'],
  ['append', 'http'],
  [false, 'http'],
] as [TrustProxy, string][]) {
  test(`rewrites a Location to ${scheme}: for a client that says https, with trustProxy ${trustProxy}`, async t => {
    const backend = await startBackend(answer({ headers: ['Location: http://internal/x'] }))
    t.after(backend.close)
    const { port } = await startGateway(t, {
      target: `http://${backend.address}/`,
      trustProxy,
      passReverse: { 'http://internal': '/' },
    })
    const client = await connect(port)
    t.after(() => client.destroy())
    client.send(plainRequest('/', { headers: ['X-Forwarded-Proto: https', 'Connection: close'] }))
    assert.match(
      (await client.readAll()).toString(),
      new RegExp(`\\r\\nlocation: ${scheme}://front.example/+x\\r\\n`, 'i'),
    )
  })
}
