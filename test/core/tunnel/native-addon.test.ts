import assert from 'node:assert/strict'
import { constants } from 'node:os'
import { test } from 'node:test'
import { TLSSocket } from 'node:tls'
import { descriptor, loadNativeAddon, nextThread, systemError } from '../../../packages/core/src/tunnel/native-addon.ts'
import { connectedPair } from '../../support/pair.ts'
import { native } from '../../support/pump.ts'

test('loads the addon once', native, () => {
  const loaded = loadNativeAddon()
  assert.ok(loaded)
  assert.equal(loadNativeAddon(), loaded)
})

test('gives out all threads in turn', () => {
  const first = nextThread(3)
  assert.deepEqual([nextThread(3), nextThread(3), nextThread(3)], [(first + 1) % 3, (first + 2) % 3, first])
  assert.equal(nextThread(1), 0)
})

test('knows the descriptor of a TCP connection, and none of TLS or a closed one', async t => {
  const [near, far] = await connectedPair(t)
  const fd = descriptor(near)
  assert.ok(typeof fd === 'number' && fd > 2)
  assert.notEqual(descriptor(far), fd)
  assert.equal(descriptor(new TLSSocket(far)), undefined)
  near.destroy()
  assert.equal(descriptor(near), undefined)
})

test('makes the error that Node makes for the number of a system call', () => {
  const { ECONNREFUSED } = constants.errno
  const { message, code, errno, syscall } = systemError('connect', ECONNREFUSED)
  assert.deepEqual([message, code, errno, syscall], ['connect ECONNREFUSED', 'ECONNREFUSED', -ECONNREFUSED, 'connect'])
})
