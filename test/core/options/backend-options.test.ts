import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readWorker, SHARED_CHECKS } from '../../../packages/core/src/options/backend-options.ts'

const url = 'ws://b.test'

test('reads a worker that sets nothing of a route', () => {
  assert.deepEqual(readWorker('workers[0]', { url }), { url, overrides: {}, maxTunnels: 0, acquireTimeout: 0 })
})

test('keeps only the settings that the worker sets apart from its own, with upgrade in the form of a route', () => {
  const options = { url, maxTunnels: 5, acquireTimeout: 100, idleTimeout: 7, keepAlive: undefined, upgrade: 'Foo' }
  assert.deepEqual(readWorker('workers[0]', options), {
    url,
    overrides: { idleTimeout: 7, upgrade: { always: false, any: false, tokens: ['foo'] } },
    maxTunnels: 5,
    acquireTimeout: 100,
  })
})

test('lets a worker override each of the options that it shares with a route', () => {
  for (const name of Object.keys(SHARED_CHECKS)) {
    const value = name === 'upgrade' || name === 'http2' ? false : name === 'localAddress' ? '127.0.0.2' : 3
    assert.deepEqual(Object.keys(readWorker('workers[0]', { url, [name]: value }).overrides), [name])
  }
})

const WRONG: [options: unknown, message: RegExp][] = [
  [undefined, /`workers\[2\]` to be an object with a url, got undefined/],
  ['ws://b.test', /`workers\[2\]` to be an object with a url, got "ws/],
  [{}, /`workers\[2\]\.url` to be given/],
  [{ url: '' }, /`workers\[2\]\.url` to be a string that is not empty/],
  [{ url, maxTunnels: -1 }, /`workers\[2\]\.maxTunnels` to be a whole number/],
  [{ url, idleTimeout: '5s' }, /`workers\[2\]\.idleTimeout` to be a number of ms/],
  [{ url, loadFactor: 2 }, /Unknown option `workers\[2\]\.loadFactor`/],
]

for (const [options, message] of WRONG) {
  test(`refuses ${JSON.stringify(options)}`, () => {
    assert.throws(() => readWorker('workers[2]', options), { code: 'WST_ERR_OPTION', message })
  })
}
