import assert from 'node:assert/strict'
import { test } from 'node:test'
import { WsTunnelError } from '../../../packages/core/src/errors.ts'
import { type Release, Slots } from '../../../packages/core/src/util/slots.ts'

/** A signal that is never aborted. */
const never = new AbortController().signal

test('refuses at once without a timeout, and has no limit with a maximum of 0', () => {
  const slots = new Slots(1, 0, 'ws://h/')
  const release = slots.acquire(never) as Release
  assert.throws(() => slots.acquire(never), { code: 'WST_ERR_TUNNEL_LIMIT', message: /maxTunnels of ws:\/\/h\/ is 1/ })
  release()
  release()
  assert.deepEqual([slots.inUse, slots.full], [0, false])
  const unlimited = new Slots(0, 0, 'ws://h/')
  for (let i = 0; i < 100; i++) unlimited.acquire(never)
  assert.deepEqual([unlimited.inUse, unlimited.full], [100, false])
})

test('gives free slots to waiting callers in order', async () => {
  const slots = new Slots(2, 60_000, 'ws://h/')
  const [first, second] = [slots.acquire(never) as Release, slots.acquire(never) as Release]
  const order: string[] = []
  const waiting = ['a', 'b', 'c'].map(async name => {
    const release = await slots.acquire(never)
    order.push(name)
    return release
  })
  assert.equal(slots.inUse, 2)
  second()
  first()
  const [a] = await Promise.all(waiting.slice(0, 2))
  assert.deepEqual(order, ['a', 'b'])
  assert.equal(slots.inUse, 2)
  a?.()
  await waiting[2]
  assert.deepEqual(order, ['a', 'b', 'c'])
})

test('ends a wait at the timeout, or when its signal is aborted', async () => {
  const slots = new Slots(1, 50, 'ws://h/')
  const release = slots.acquire(never) as Release
  await assert.rejects(async () => slots.acquire(never), { code: 'WST_ERR_TUNNEL_LIMIT' })
  const client = new AbortController()
  const waiting = slots.acquire(client.signal) as Promise<Release>
  const gone = new WsTunnelError('WST_ERR_CLIENT_GONE')
  client.abort(gone)
  await assert.rejects(waiting, gone)
  await assert.rejects(async () => slots.acquire(client.signal), gone, 'the signal was aborted before')
  release()
  assert.equal(slots.inUse, 0, 'an aborted wait gets no slot')
  slots.acquire(never)
  assert.equal(slots.inUse, 1)
})
