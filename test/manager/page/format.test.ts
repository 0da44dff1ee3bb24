import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytes, count, duration, plural, rate, routeName } from '../../../packages/manager/src/page/format.ts'

test('counts, nouns and rates are written in English', () => {
  assert.deepEqual([0, 999, 1_234, 1_234_567].map(count), ['0', '999', '1,234', '1,234,567'])
  assert.deepEqual([0, 0.04, 9.94, 10, 12.4, 1_234].map(rate), ['0.0', '0.0', '9.9', '10', '12', '1,234'])
  assert.deepEqual(
    [0, 1, 2, 1_000].map(value => plural(value, 'tunnel')),
    ['0 tunnels', '1 tunnel', '2 tunnels', '1,000 tunnels'],
  )
})

test('bytes have three digits and the largest unit below a thousand', () => {
  const texts: [value: number, text: string][] = [
    [0, '0 B'],
    [999, '999 B'],
    [1_000, '1.00 KB'],
    [1_500, '1.50 KB'],
    [15_550, '15.6 KB'],
    [999_499, '999 KB'],
    [999_500, '1.00 MB'],
    [2e9, '2.00 GB'],
    [3e12, '3.00 TB'],
    [4e15, '4.00 PB'],
    [4e18, '4,000 PB'],
  ]
  for (const [value, text] of texts) assert.equal(bytes(value), text)
})

test('durations have the two largest units', () => {
  const [s, min, h, d] = [1_000, 60_000, 3_600_000, 86_400_000]
  const texts: [ms: number, text: string][] = [
    [-5, '0s'],
    [0, '0s'],
    [999, '0s'],
    [3 * s, '3s'],
    [59 * s, '59s'],
    [60 * s, '1m 0s'],
    [4 * min + 5 * s, '4m 5s'],
    [h, '1h 0m'],
    [2 * h + 3 * min + 59 * s, '2h 3m'],
    [47 * h + 59 * min, '47h 59m'],
    [48 * h, '2d 0h'],
    [5 * d + 6 * h, '5d 6h'],
  ]
  for (const [ms, text] of texts) assert.equal(duration(ms), text)
})

test('a route has the name of its proxy if there are several proxies', () => {
  assert.deepEqual([routeName('main', 3, false), routeName('chat', 3, true)], ['3', 'chat 3'])
})
