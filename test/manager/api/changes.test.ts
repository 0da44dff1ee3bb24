import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readChange } from '../../../packages/manager/src/api/changes.ts'
import { Refusal } from '../../../packages/manager/src/util/refusal.ts'

test('a change of tunnels has a proxy and the numbers of tunnels', () => {
  for (const action of ['close-tunnels', 'drain-tunnels']) {
    const body = { proxy: 'main', ids: [1, 2] }
    assert.deepEqual(readChange(action, body), { action, ...body })
  }
})

test('a wrong change is refused with what was expected', () => {
  const proxy = 'main'
  const wrong: [action: string, body: Record<string, unknown>, statusCode: number, message: RegExp][] = [
    ['', {}, 404, /no such action/],
    ['toString', {}, 404, /no such action/],
    ['close-tunnels', {}, 400, /`proxy`/],
    ['close-tunnels', { proxy: 1, ids: [] }, 400, /`proxy`/],
    ['close-tunnels', { proxy }, 400, /`ids`/],
    ['close-tunnels', { proxy, ids: 7 }, 400, /`ids`/],
    ['close-tunnels', { proxy, ids: [1.5] }, 400, /`ids`/],
    ['close-tunnels', { proxy, ids: Array(1_001).fill(1) }, 400, /at most 1000/],
    ['drain-tunnels', { proxy, ids: [], settings: {} }, 400, /"settings"/],
  ]
  for (const [action, body, statusCode, message] of wrong)
    assert.throws(
      () => readChange(action, body),
      (error: Refusal) => {
        assert.ok(error instanceof Refusal)
        assert.equal(error.statusCode, statusCode, action)
        assert.match(error.message, message)
        return true
      },
    )
})
