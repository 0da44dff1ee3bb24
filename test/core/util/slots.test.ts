import assert from 'node:assert/strict'
import { test } from 'node:test'
import { WsTunnelError } from '../../../packages/core/src/errors.ts'
import { type Leave, Places, type WhenAborted } from '../../../packages/core/src/util/slots.ts'

const never: WhenAborted = () => {}

test('refuses at once where nobody waits, and has no limit at 0', () => {
  const places = new Places(1, 0, 'ws://h/')
  const leave = places.take(never) as Leave
  assert.throws(() => places.take(never), { code: 'WST_ERR_TUNNEL_LIMIT', message: /maxTunnels of ws:\/\/h\/ is 1/ })
  leave()
  leave()
  assert.deepEqual([places.taken, places.full], [0, false])
  const endless = new Places(0, 0, 'ws://h/')
  for (let i = 0; i < 100; i++) endless.take(never)
  assert.deepEqual([endless.taken, endless.full], [100, false])
})

test('gives places to those who wait, in the order in which they came', async () => {
  const places = new Places(2, 60_000, 'ws://h/')
  const [first, second] = [places.take(never) as Leave, places.take(never) as Leave]
  const order: string[] = []
  const waiting = ['a', 'b', 'c'].map(async name => {
    const leave = await places.take(never)
    order.push(name)
    return leave
  })
  assert.equal(places.taken, 2)
  second()
  first()
  const [a] = await Promise.all(waiting.slice(0, 2))
  assert.deepEqual(order, ['a', 'b'])
  assert.equal(places.taken, 2)
  a?.()
  await waiting[2]
  assert.deepEqual(order, ['a', 'b', 'c'])
})

test('waits no longer than its patience, and no longer than whoever wanted it', async () => {
  const places = new Places(1, 50, 'ws://h/')
  const leave = places.take(never) as Leave
  await assert.rejects(async () => places.take(never), { code: 'WST_ERR_TUNNEL_LIMIT' })
  let abort: ((error: WsTunnelError) => void) | undefined
  const waiting = places.take(callback => {
    abort = callback
  }) as Promise<Leave>
  const gone = new WsTunnelError('WST_ERR_CLIENT_GONE')
  abort?.(gone)
  await assert.rejects(waiting, gone)
  leave()
  assert.equal(places.taken, 0, 'a place goes to nobody who has given up')
  places.take(never)
  assert.equal(places.taken, 1)
})
