import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect, plainRequest } from '../../support/client.ts'
import { within } from '../../support/gate.ts'
import { FRAMEWORKS, startManaged } from '../harness.ts'

test('serves further requests on a connection after a change that was too long', async t => {
  const managed = await startManaged(t, { unsafeOpen: true })
  const { token } = await managed.json<{ token: string }>('api/token')
  const client = await connect(managed.port)
  t.after(() => client.destroy())
  const headers = ['Content-Type: application/json', 'Sec-Fetch-Site: same-origin', `X-WS-Tunnel-Token: ${token}`]
  const path = '/admin/manager/api/close-tunnels'
  client.send(plainRequest(path, { method: 'POST', headers, body: 'x'.repeat(1_000_000), host: 'localhost' }))
  const refusal = await client.responseHead()
  assert.equal(refusal.statusCode, 413)
  await client.body(refusal)
  client.send(plainRequest('/admin/manager/api/state', { host: 'localhost' }))
  assert.equal((await within(3_000, 'the next response', client.responseHead())).statusCode, 200)
})

test('refuses a body of another type or content, and reads one that middleware has parsed', async t => {
  for (const framework of ['Express 5', 'Express 5 with parsed bodies'] as const) {
    const managed = await startManaged(t, { unsafeOpen: true }, undefined, FRAMEWORKS[framework])
    const { token } = await managed.json<{ token: string }>('api/token')
    const statusOf = async (type: string, body: string): Promise<number> => {
      const headers = { 'Content-Type': type, 'Sec-Fetch-Site': 'same-origin', 'X-WS-Tunnel-Token': token }
      return (await managed.request('api/close-tunnels', { method: 'POST', headers, body })).status
    }
    const change = JSON.stringify({ proxy: 'main', ids: [] })
    assert.equal(await statusOf('application/json', change), 200, framework)
    assert.equal(await statusOf('Application/JSON; charset=utf-8', change), 200, framework)
    assert.equal(await statusOf('text/plain', change), 415, framework)
    assert.equal(await statusOf('application/x-www-form-urlencoded', change), 415, framework)
    assert.equal(await statusOf('application/json', '[1]'), 400, framework)
    if (framework === 'Express 5') assert.equal(await statusOf('application/json', '{'), 400)
  }
})
