import assert from 'node:assert/strict'
import { test } from 'node:test'
import { explain, type WsTunnelOptions } from '@ws-tunnel/core'
import { WorkerTable } from '../../../packages/core/src/backend/named-worker.ts'

const table = (...urls: string[]): WorkerTable =>
  new WorkerTable(urls.map(url => ({ url, overrides: {}, maxTunnels: 0, acquireTimeout: 0 })))

const rows: [what: string, names: string[], url: string, found: string | undefined][] = [
  ['a URL begins with the name', ['ws://h/a'], 'ws://h/a/b', 'ws://h/a'],
  ['the name is compared as text, not by segments', ['ws://h/chat'], 'ws://h/chatX', 'ws://h/chat'],
  ['the longest name is used', ['ws://h/', 'ws://h/a/', 'ws://h/a'], 'ws://h/a/b', 'ws://h/a/'],
  ['the first of two equal names is used', ['ws://h/a', 'WS://H/a'], 'ws://h/a', 'ws://h/a'],
  ['scheme and host are compared without case, the path with it', ['WS://H/A'], 'ws://h/A', 'WS://H/A'],
  ['a path in another case does not match', ['ws://h/A'], 'ws://h/a', undefined],
  ['another scheme does not match', ['http://h/'], 'ws://h/', undefined],
  ['the default port is removed', ['ws://h:80/a'], 'ws://h/a', 'ws://h:80/a'],
  ['a name must contain the whole host', ['ws://h'], 'ws://host/', undefined],
  ['a host alone matches all its paths', ['ws://h'], 'ws://h/a', 'ws://h'],
  ['"$1" stands for any text', ['ws://h/$1/x'], 'ws://h/aa/b/xy', 'ws://h/$1/x'],
  ['"$1" at the end stands for the rest', ['ws://h/r/$1'], 'ws://h/r/ab', 'ws://h/r/$1'],
  ['a name longer than the URL does not match', ['ws://h/r/$1'], 'ws://h/r/', undefined],
  ['two adjacent captures are one', ['ws://h/$1$2/x'], 'ws://h/abcd/x', 'ws://h/$1$2/x'],
  ['the text after a capture may occur in the capture', ['ws://h/$1/x/$2y'], 'ws://h/x/x/x/xxy', 'ws://h/$1/x/$2y'],
  ['all pieces must occur in order', ['ws://h/$1/x/$2/y'], 'ws://h/a/y/x/', undefined],
  [
    'a URL made for slow matching is matched fast',
    ['ws://h/$1/a/$2/b/$3/c'],
    `ws://h/${'/a/b'.repeat(50_000)}`,
    undefined,
  ],
  ['a unix socket is not part of the name', ['unix:/s|ws://h/a'], 'ws://h/a/b', 'unix:/s|ws://h/a'],
]

test('finds the worker of a URL as httpd does', async t => {
  for (const [what, names, url, found] of rows) {
    await t.test(what, () => assert.equal(table(...names).find(url)?.url, found))
  }
})

test('prefers the options of a worker to those of the route, for upgrades too', async () => {
  const options: WsTunnelOptions = {
    routes: [{ path: /^\/(.*)$/, target: 'http://h.test/$1', upgrade: false }],
    workers: [{ url: 'http://h.test/chat', upgrade: 'chat' }],
  }
  const kindOf = async (url: string): Promise<string> => {
    const headers = { host: 'x', connection: 'upgrade', upgrade: 'chat' }
    return (await explain(options, { url, headers })).outcome.kind
  }
  assert.equal(await kindOf('/chat/1'), 'upgrade')
  assert.equal(await kindOf('/other'), 'http')
})

test('names the worker whose options are wrong', async () => {
  for (const [worker, message] of [
    [{ url: 1 }, /`workers\[0\].url` to be a string/],
    [{ url: 'ws://h/', maxTunnels: -1 }, /`workers\[0\].maxTunnels` to be a whole number/],
    [{ url: 'ws://h/', idletimeout: 1 }, /Unknown option `workers\[0\].idletimeout`; did you mean `idleTimeout`\?/],
    ['ws://h/', /`workers\[0\]` to be an object/],
  ] as const) {
    const options = { target: 'ws://h/', workers: [worker] } as unknown as WsTunnelOptions
    await assert.rejects(explain(options, { url: '/' }), { code: 'WST_ERR_OPTION', message })
  }
})
