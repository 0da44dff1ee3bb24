import assert from 'node:assert/strict'
import { test } from 'node:test'
import { explain, type WsTunnelOptions } from '@ws-tunnel/core'
import { WorkerTable } from '../../../packages/core/src/backend/named-worker.ts'

const table = (...urls: string[]): WorkerTable =>
  new WorkerTable(urls.map(url => ({ url, overrides: {}, maxTunnels: 0, acquireTimeout: 0 })))

const rows: [what: string, names: string[], url: string, found: string | undefined][] = [
  ['a URL begins with its name', ['ws://h/a'], 'ws://h/a/b', 'ws://h/a'],
  ['as text, not by segments', ['ws://h/chat'], 'ws://h/chatX', 'ws://h/chat'],
  ['the longest counts', ['ws://h/', 'ws://h/a/', 'ws://h/a'], 'ws://h/a/b', 'ws://h/a/'],
  ['of two alike the first counts', ['ws://h/a', 'WS://H/a'], 'ws://h/a', 'ws://h/a'],
  ['scheme and host know no case, a path does', ['WS://H/A'], 'ws://h/A', 'WS://H/A'],
  ['a path in another case is another', ['ws://h/A'], 'ws://h/a', undefined],
  ['another scheme is another', ['http://h/'], 'ws://h/', undefined],
  ['the default port is none', ['ws://h:80/a'], 'ws://h/a', 'ws://h:80/a'],
  ['a name must hold the whole host', ['ws://h'], 'ws://host/', undefined],
  ['a host alone holds all its paths', ['ws://h'], 'ws://h/a', 'ws://h'],
  ['"$1" stands for any text', ['ws://h/$1/x'], 'ws://h/aa/b/xy', 'ws://h/$1/x'],
  ['at the end for what is left', ['ws://h/r/$1'], 'ws://h/r/ab', 'ws://h/r/$1'],
  ['a name longer than the URL is none', ['ws://h/r/$1'], 'ws://h/r/', undefined],
  ['two captures side by side are one', ['ws://h/$1$2/x'], 'ws://h/abcd/x', 'ws://h/$1$2/x'],
  ['what stands behind a text may stand in it, too', ['ws://h/$1/x/$2y'], 'ws://h/x/x/x/xxy', 'ws://h/$1/x/$2y'],
  ['all of its pieces are there, in order', ['ws://h/$1/x/$2/y'], 'ws://h/a/y/x/', undefined],
  ['a URL as if made to be slow is not', ['ws://h/$1/a/$2/b/$3/c'], `ws://h/${'/a/b'.repeat(50_000)}`, undefined],
  ['a socket does not belong to the name', ['unix:/s|ws://h/a'], 'ws://h/a/b', 'unix:/s|ws://h/a'],
]

test('finds the worker of a URL as httpd does', async t => {
  for (const [what, names, url, found] of rows) {
    await t.test(what, () => assert.equal(table(...names).find(url)?.url, found))
  }
})

test('puts what a worker says over what the route says, for upgrades too', async () => {
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

test('names the worker that is wrong', async () => {
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
