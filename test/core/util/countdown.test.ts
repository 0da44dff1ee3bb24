import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Countdown, readWaiting } from '../../../packages/core/src/util/countdown.ts'
import { eventually } from '../../support/gate.ts'
import { connectedPair } from '../../support/pair.ts'

/** Blocks the event loop. */
const block = (ms: number): unknown => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)

/** Starts a countdown, and says when it was reached, in ms from its start. */
function start(ms: number, look?: (then: () => void) => void): { countdown: Countdown; reached: () => number[] } {
  const times: number[] = []
  const startedAt = performance.now()
  const countdown = new Countdown(ms, () => times.push(performance.now() - startedAt), { look })
  return { countdown, reached: () => times }
}

test('is reached once, not before its limit', async () => {
  const { reached } = start(600)
  await eventually(() => assert.equal(reached().length, 1))
  assert.ok((reached()[0] as number) >= 595, `reached after ${reached()[0]} ms`)
  await sleep(50)
  assert.equal(reached().length, 1)
})

test('is not reached after stop, neither before the limit nor during the look', async () => {
  const looks: (() => void)[] = []
  const early = start(20)
  const late = start(20, then => looks.push(then))
  early.countdown.stop()
  await eventually(() => assert.equal(looks.length, 1))
  late.countdown.stop()
  looks[0]?.()
  late.countdown.refresh()
  await sleep(50)
  assert.deepEqual([early.reached(), late.reached()], [[], []])
})

test('begins again with refresh, also during the look', async () => {
  const looks: (() => void)[] = []
  const { countdown, reached } = start(100, then => looks.push(then))
  await sleep(60)
  countdown.refresh()
  await sleep(60)
  assert.equal(looks.length, 0)
  await eventually(() => assert.equal(looks.length, 1))
  countdown.refresh()
  looks[0]?.()
  assert.deepEqual(reached(), [])
  await eventually(() => assert.equal(looks.length, 2))
  looks[1]?.()
  assert.equal(reached().length, 1)
})

test('is not reached while it rests, and begins again with restart: with its timer, and without', async () => {
  const { countdown, reached } = start(100)
  await sleep(60)
  countdown.rest()
  countdown.refresh()
  countdown.restart()
  await sleep(60)
  assert.deepEqual(reached(), [])
  countdown.rest()
  // The timer ends meanwhile.
  await sleep(150)
  assert.deepEqual(reached(), [])
  const restartedAt = performance.now()
  countdown.restart()
  await eventually(() => assert.equal(reached().length, 1))
  assert.ok(performance.now() - restartedAt >= 95)
})

test('does not count the part in which the event loop stood still', async () => {
  const { reached } = start(400)
  block(1_000)
  await eventually(() => assert.equal(reached().length, 1))
  assert.ok((reached()[0] as number) >= 1_390, `reached after ${reached()[0]} ms`)
})

test('is reached although the event loop is late in each part', async () => {
  const { reached } = start(400)
  const blocking = setInterval(() => block(200), 1)
  try {
    await eventually(() => assert.equal(reached().length, 1), 15_000)
  } finally {
    clearInterval(blocking)
  }
})

test('reads what waits in sockets before the limit is reached', async t => {
  const [near, far] = await connectedPair(t)
  let bytes = 0
  near.on('data', chunk => {
    bytes += chunk.length
  })
  const found = new Promise<number>(resolve => new Countdown(50, () => resolve(bytes)))
  await new Promise<void>(resolve => far.write('waiting', () => resolve()))
  block(100)
  assert.equal(await found, 7)
})

test('reads in a later turn what becomes readable in an earlier one', async t => {
  const [near, far] = await connectedPair(t)
  near.pause()
  await new Promise<void>(resolve => far.write('waiting', () => resolve()))
  const read = once(near, 'data')
  setImmediate(() => near.resume())
  await new Promise<void>(resolve => readWaiting(resolve))
  assert.equal(near.bytesRead, 7)
  await read
})
