import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { WaitQueue, type WaitQueueOptions } from '../../../packages/core/src/util/wait-queue.ts'

const { signal } = new AbortController()

const full = (): Error => new Error('full')

const queueOf = (options: Partial<WaitQueueOptions> = {}): WaitQueue<string> =>
  new WaitQueue({ max: 0, full, isOpen: () => true, ...options })

/** Lets a queue look at its waiters. */
async function turns(count = 4): Promise<void> {
  for (let i = 0; i < count; i++) await turn()
}

test('looks at no waiter until it is woken, then at all in the order of their arrival', async () => {
  const queue = queueOf()
  const served: string[] = []
  let looks = 0
  const names = Array.from({ length: 200 }, (_, i) => `w${i}`)
  const all = names.map(async name => {
    served.push(
      await queue.wait(() => {
        looks++
        return name
      }, signal),
    )
  })
  await turns()
  assert.equal(looks, 0)
  queue.wake()
  assert.equal(queue.isServing, true)
  await Promise.all(all)
  assert.deepEqual(served, names)
  assert.equal(queue.size, 0)
  await turns()
  assert.equal(queue.isServing, false)
})

test('looks at a limited number in a turn of the event loop, and asks first whether a look is worthwhile', async () => {
  let open = true
  const queue = queueOf({ isOpen: () => open })
  let looks = 0
  const look = (): undefined => {
    looks++
    return undefined
  }
  for (let i = 0; i < 1_000; i++) void queue.wait(look, signal)
  queue.wake()
  await turn()
  assert.ok(looks > 0 && looks < 100, String(looks))
  open = false
  await turns()
  assert.ok(looks < 200, String(looks))
  assert.equal(queue.isServing, false)
})

test('looks at the first ones again if it is woken during the looks', async () => {
  const queue = queueOf()
  let ready = false
  const first = queue.wait(() => (ready ? 'first' : undefined), signal)
  const second = queue.wait(() => {
    ready = true
    queue.wake()
    return 'second'
  }, signal)
  queue.wake()
  assert.deepEqual(await Promise.all([first, second]), ['first', 'second'])
})

test('ends a wait at once when its signal is aborted, when its limit is reached, and when the look throws', async () => {
  const queue = queueOf()
  const client = new AbortController()
  const gone = new Error('gone')
  const waiting = queue.wait(() => 'never', client.signal)
  client.abort(gone)
  assert.equal(queue.size, 0)
  await assert.rejects(waiting, gone)
  await assert.rejects(
    queue.wait(() => 'never', client.signal),
    gone,
  )
  await assert.rejects(
    queue.wait(() => 'never', signal, { ms: 20, late: () => new Error('late') }),
    /late/,
  )
  const failing = queue.wait(() => {
    throw new Error('the look failed')
  }, signal)
  queue.wake()
  await assert.rejects(failing, /the look failed/)
  assert.equal(queue.size, 0)
})

test('refuses one more than its maximum, until one has left', async () => {
  const queue = queueOf({ max: 2 })
  const client = new AbortController()
  const leaving = queue.wait(() => undefined, client.signal)
  void queue.wait(() => undefined, signal)
  await assert.rejects(
    queue.wait(() => 'never', signal),
    /full/,
  )
  client.abort(new Error('gone'))
  await assert.rejects(leaving, /gone/)
  const third = queue.wait(() => 'third', signal)
  queue.wake()
  assert.equal(await third, 'third')
})

test('ends all waits when it closes, and later ones, each with its own error', async () => {
  const queue = queueOf()
  const waiting = [queue.wait(() => 'never', signal), queue.wait(() => 'never', signal)]
  queue.close(() => new Error('closing'))
  const errors = await Promise.all([...waiting, queue.wait(() => 'never', signal)].map(each => each.catch(e => e)))
  assert.deepEqual(
    errors.map(error => error.message),
    ['closing', 'closing', 'closing'],
  )
  assert.equal(new Set(errors).size, 3)
})
