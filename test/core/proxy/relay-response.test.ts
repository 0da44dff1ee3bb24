import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { WsTunnelError } from '@ws-tunnel/core'
import { raw, responding } from '../../support/backend.ts'
import { plainRequest, upgradeRequest } from '../../support/client.ts'
import { eventually } from '../../support/gate.ts'
import { connectClient, startBackend, startGateway } from '../../support/harness.ts'

for (const [what, status, override, ours] of [
  ['an error of the backend', 503, true, true],
  ['an error whose status is listed', 404, [404, 410], true],
  ['no error whose status is not listed', 503, [404], false],
  ['no response with a status below 400', 302, true, false],
  ['no response by default', 503, undefined, false],
] as const) {
  for (const [kind, request] of [
    ['plain', plainRequest('/x', { headers: ['Connection: close'] })],
    ['upgrade', upgradeRequest('/x')],
  ] as const) {
    test(`passes ${what} to the app's error handler (${kind})`, async t => {
      const backend = await startBackend(t, responding({ statusCode: status, headers: ['X-Own: 1'] }))
      const options = { target: `http://${backend.address}/`, upgrade: 'websocket' }
      const gateway = await startGateway(t, {
        ...options,
        ...(override !== undefined && { errorOverride: override }),
      })
      const client = await connectClient(t, gateway)
      const head = await client.send(request).responseHead()
      assert.equal(head.statusCode, status)
      assert.equal(head.header('x-own') === undefined, ours)
      const codes = gateway.errors.map(error => (error as WsTunnelError).code)
      assert.deepEqual(codes, ours ? ['WST_ERR_BACKEND_STATUS'] : [])
    })
  }
}

test('keeps the challenge of a 401 that the app responds to', async t => {
  const challenge = 'Basic realm="x"'
  const backend = await startBackend(t, responding({ statusCode: 401, headers: [`WWW-Authenticate: ${challenge}`] }))
  const { port } = await startGateway(t, { target: `http://${backend.address}/`, errorOverride: true })
  const client = await connectClient(t, port)
  assert.equal((await client.send(plainRequest('/')).responseHead()).header('www-authenticate'), challenge)
})

test('ends the connection to the backend if the fields for the client cannot be made', async t => {
  const backend = await startBackend(t, raw('HTTP/1.1 200 Fine\r\nContent-Length: 100\r\n\r\npart', 'keep'))
  const responseHeaders = (): never => {
    throw new Error('of the callback')
  }
  const gateway = await startGateway(t, { target: `http://${backend.address}/`, responseHeaders })
  const client = await connectClient(t, gateway)
  assert.equal((await client.send(plainRequest('/')).whole()).statusCode, 500)
  const codes = gateway.errors.map(error => (error as WsTunnelError).code)
  assert.deepEqual(codes, ['WST_ERR_CALLBACK'])
  const connection = await backend.connection()
  await eventually(() => connection.ended || connection.socket.destroyed)
})

test('judges a member by the status of its response', async t => {
  const backend = await startBackend(t, responding({ statusCode: 503 }))
  const members = [{ url: `http://${backend.address}` }]
  const gateway = await startGateway(t, { target: 'balancer://x/', balancers: { x: { members, failOnStatus: [503] } } })
  const client = await connectClient(t, gateway)
  assert.equal((await client.send(plainRequest('/')).whole()).statusCode, 503)
  assert.equal(gateway.proxy.balancers.get('x')?.members[0]?.usable, false)
})

for (const [what, script] of [
  ['the response of a backend', responding({ statusCode: 403 })],
  ['a response without a backend', undefined],
] as const) {
  test(`drops what the client sends after an upgrade request that got ${what}`, async t => {
    const backend = await startBackend(t, script ?? responding())
    const target = script === undefined ? () => ({ status: 403 }) : `http://${backend.address}/`
    const client = await connectClient(t, await startGateway(t, { target }))
    client.send(upgradeRequest('/') + 'x'.repeat(300_000))
    assert.equal((await client.whole()).statusCode, 403)
    assert.equal(await client.readAll().then(String), '')
  })
}
