import assert from 'node:assert/strict'
import { channel, subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { test } from 'node:test'
import { channels, notify } from '../../../packages/core/src/proxy/diagnostics.ts'

const CHANNEL = 'ws-tunnel-test:notify'

test('has a channel for each event of a proxy', () => {
  const names = Object.entries(channels).map(([name, { name: of }]) => [name, of])
  const expected = ['open', 'adopted', 'close', 'error', 'response', 'failover'].map(name => [
    name,
    `ws-tunnel:${name}`,
  ])
  assert.deepEqual(names, expected)
})

test('gives the same message to the subscribers, then to the callback', t => {
  const seen: unknown[] = []
  const subscriber = (message: unknown): void => void seen.push(['channel', message])
  subscribe(CHANNEL, subscriber)
  t.after(() => unsubscribe(CHANNEL, subscriber))
  const message = { tunnel: 1 }
  notify(channel(CHANNEL), each => seen.push(['callback', each]), message)
  assert.deepEqual(seen, [
    ['channel', message],
    ['callback', message],
  ])
})

const FAILING: Record<string, () => unknown> = {
  throws: () => {
    throw new Error('of the callback')
  },
  rejects: () => Promise.reject(new Error('of the callback')),
  'throws a text': () => {
    throw 'of the callback'
  },
}

for (const [what, callback] of Object.entries(FAILING)) {
  test(`warns about a callback that ${what}, and throws nothing`, async () => {
    const warned = once(process, 'warning')
    notify(channel(CHANNEL), callback, {})
    const [warning] = await warned
    assert.match(String(warning), /of the callback/)
  })
}
