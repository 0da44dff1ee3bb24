import assert from 'node:assert/strict'
import { test } from 'node:test'
import { metricsPage } from '@ws-tunnel/manager/metrics'
import { startMeasured } from '../harness.ts'

test('sends metrics only if authorize allows the visit', async t => {
  assert.throws(() => metricsPage([], {}), { message: /`authorize`/ })
  let access: unknown = false
  const m = await startMeasured(t, () => ({ target: false }), { authorize: () => access as boolean })
  const statusOf = async (method = 'GET'): Promise<number> => (await fetch(m.metricsUrl, { method })).status
  assert.equal(await statusOf(), 403)
  access = { challenge: 'Bearer' }
  assert.equal(await statusOf(), 401)
  access = 'view'
  assert.deepEqual([await statusOf(), await statusOf('HEAD'), await statusOf('POST')], [200, 200, 405])
})
