import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { WsTunnelError } from '@ws-tunnel/core'
import { answer, startBackend } from '../../support/backend.ts'
import { connect, plainRequest, upgradeRequest } from '../../support/client.ts'
import { startGateway } from '../gateway.ts'

for (const [what, status, override, ours] of [
  ['an error of the backend', 503, true, true],
  ['an error of the list', 404, [404, 410], true],
  ['no error that the list does not name', 503, [404], false],
  ['no answer below 400', 302, true, false],
  ['nothing by default', 503, undefined, false],
] as const) {
  for (const [kind, request] of [
    ['plain', plainRequest('/x', { headers: ['Connection: close'] })],
    ['upgrade', upgradeRequest('/x')],
  ] as const) {
    test(`gives ${what} to the app's error handler (${kind})`, async t => {
      const backend = await startBackend(answer({ statusCode: status, headers: ['X-Own: 1'] }))
      t.after(backend.close)
      const options = { target: `http://${backend.address}/`, upgrade: 'websocket' }
      const gateway = await startGateway(t, {
        ...options,
        ...(override !== undefined && { errorOverride: override }),
      })
      const client = await connect(gateway.port)
      t.after(() => client.destroy())
      const head = await client.send(request).answer()
      assert.equal(head.statusCode, status)
      assert.equal(head.header('x-own') === undefined, ours)
      const codes = gateway.errors.map(error => (error as WsTunnelError).code)
      assert.deepEqual(codes, ours ? ['WST_ERR_BACKEND_STATUS'] : [])
    })
  }
}

test('keeps the challenge of a 401 that the app answers', async t => {
  const challenge = 'Basic realm="x"'
  const backend = await startBackend(answer({ statusCode: 401, headers: [`WWW-Authenticate: ${challenge}`] }))
  t.after(backend.close)
  const { port } = await startGateway(t, { target: `http://${backend.address}/`, errorOverride: true })
  const client = await connect(port)
  t.after(() => client.destroy())
  assert.equal((await client.send(plainRequest('/')).answer()).header('www-authenticate'), challenge)
})
