import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TrustProxy } from '@ws-tunnel/core'
import { responding } from '../../support/backend.ts'
import { plainRequest } from '../../support/client.ts'
import { connectClient, startBackend, startGateway } from '../../support/harness.ts'

for (const [trustProxy, scheme] of [
  [true, 'https'],
  ['append', 'http'],
  [false, 'http'],
] as [TrustProxy, string][]) {
  test(`maps a Location to ${scheme}: for X-Forwarded-Proto: https, with trustProxy ${trustProxy}`, async t => {
    const backend = await startBackend(t, responding({ headers: ['Location: http://internal/x'] }))
    const { port } = await startGateway(t, {
      target: `http://${backend.address}/`,
      trustProxy,
      passReverse: { 'http://internal': '/' },
    })
    const client = await connectClient(t, port)
    client.send(plainRequest('/', { headers: ['X-Forwarded-Proto: https', 'Connection: close'] }))
    assert.match(
      (await client.readAll()).toString(),
      new RegExp(`\\r\\nlocation: ${scheme}://front.example/+x\\r\\n`, 'i'),
    )
  })
}
