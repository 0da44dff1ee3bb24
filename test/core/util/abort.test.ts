import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { test } from 'node:test'
import { Cancellation, onAbort, unlessAborted } from '../../../packages/core/src/util/abort.ts'

const listeners = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length

test('calls a listener once, with the reason', () => {
  const controller = new AbortController()
  const reasons: unknown[] = []
  onAbort(controller.signal, reason => reasons.push(reason))
  const reason = new Error('over')
  controller.abort(reason)
  controller.abort(new Error('again'))
  assert.deepEqual(reasons, [reason])
})

test('calls a listener at once on a signal that is aborted already', () => {
  const reason = new Error('over')
  const reasons: unknown[] = []
  onAbort(AbortSignal.abort(reason), reason => reasons.push(reason))
  assert.deepEqual(reasons, [reason])
})

test('does not call a listener that was removed', () => {
  const controller = new AbortController()
  let called = false
  const stop = onAbort(controller.signal, () => {
    called = true
  })
  stop()
  assert.equal(listeners(controller.signal), 0)
  controller.abort()
  assert.equal(called, false)
})

test('resolves with a value or that of a promise, and leaves no listener behind', async () => {
  const { signal } = new AbortController()
  assert.equal(await unlessAborted(signal, 1), 1)
  assert.equal(await unlessAborted(signal, Promise.resolve(2)), 2)
  await assert.rejects(unlessAborted(signal, Promise.reject(new Error('failed'))), { message: 'failed' })
  assert.equal(listeners(signal), 0)
})

test('rejects with the reason if the signal is aborted before the promise settles', async () => {
  const controller = new AbortController()
  const { promise, reject } = Promise.withResolvers<number>()
  const waiting = unlessAborted(controller.signal, promise)
  const reason = new Error('over')
  controller.abort(reason)
  await assert.rejects(waiting, reason)
  reject(new Error('a late rejection must not reach the process'))
  await assert.rejects(unlessAborted(controller.signal, 1), reason)
  await assert.rejects(unlessAborted(controller.signal, Promise.reject(new Error('nor this one'))), reason)
})

test('a Cancellation calls its listeners once, and those that were removed never', () => {
  const cancellation = new Cancellation()
  const calls: string[] = []
  const removed = (): number => calls.push('removed')
  cancellation.addEventListener('abort', () => calls.push('first'))
  cancellation.addEventListener('abort', removed)
  cancellation.removeEventListener('abort', removed)
  onAbort(cancellation, reason => calls.push(reason.message))
  cancellation.throwIfAborted()
  cancellation.abort(new Error('over'))
  cancellation.abort(new Error('again'))
  assert.deepEqual(calls, ['first', 'over'])
  assert.throws(() => cancellation.throwIfAborted(), /over/)
  assert.equal(cancellation.reason.message, 'over')
})
