import assert from 'node:assert/strict'
import { test } from 'node:test'
import { plainAddress } from '../../../packages/core/src/util/plain-address.ts'

const addresses: [address: string | undefined, plain: string][] = [
  ['127.0.0.1', '127.0.0.1'],
  ['::ffff:192.0.2.7', '192.0.2.7'],
  ['::FFFF:192.0.2.7', '192.0.2.7'],
  ['::1', '::1'],
  ['2001:db8::ffff:1', '2001:db8::ffff:1'],
  ['::ffff:c000:207', '::ffff:c000:207'],
  [undefined, ''],
]

test('writes an IPv4 address of a dual-stack socket as IPv4', () => {
  for (const [address, plain] of addresses) assert.equal(plainAddress(address), plain, address)
})
