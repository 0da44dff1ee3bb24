import assert from 'node:assert/strict'
import { createHook } from 'node:async_hooks'
import { test } from 'node:test'
import { checkOptions, createTunnelProxy, type WsTunnelOptions } from '@ws-tunnel/core'

const thrownBy = (call: () => unknown): unknown => {
  try {
    call()
  } catch (error) {
    return error
  }
  return undefined
}

const balancers = { b: { members: [{ url: 'ws://a.test/' }] } }

const wrongs: [what: string, options: unknown, message: RegExp][] = [
  ['no object', undefined, /`options` to be an object/],
  ['an unknown option', { target: 'ws://h/', idelTimeout: 1 }, /did you mean `idleTimeout`\?/],
  ['a malformed target', { target: 'ftp://h/' }, /`target` to be a ws:/],
  [
    'a capture in the host',
    { routes: [{ path: /^\/(.)/, target: 'ws://$1/' }] },
    /`routes\[0\]\.target` to be a URL whose host/,
  ],
  [
    'a capture without a RegExp',
    { routes: [{ path: '/a', target: 'ws://h/$1' }] },
    /`routes\[0\]\.target` to be free of \$1/,
  ],
  [
    'a malformed pattern',
    {
      routes: [
        { path: '/a/:', target: 'ws://h/' },
        { path: '/{a', target: false },
      ],
    },
    /`routes\[1\]\.path`/,
  ],
  [
    'an unknown balancer',
    { target: 'balancer://c/', balancers },
    /`target` to name one of `balancers` \(balancer:\/\/b\)/,
  ],
  ['a malformed member', { target: false, balancers: { b: { members: [{ url: 'nonsense' }] } } }, /members\[0\]\.url/],
  [
    'a malformed member to look up',
    { target: false, balancers: { b: { members: [{ url: 'ftp://name.test', resolve: {} }] } } },
    /members\[0\]\.url/,
  ],
]

test('refuses what createTunnelProxy refuses, with the same error', async t => {
  for (const [what, options, message] of wrongs) {
    await t.test(what, () => {
      const error = thrownBy(() => checkOptions(options as WsTunnelOptions)) as Error & { code: string }
      assert.equal(error.code, 'WST_ERR_OPTION')
      assert.match(error.message, message)
      const other = thrownBy(() => createTunnelProxy(options as WsTunnelOptions)) as Error
      assert.equal(error.message, other.message)
    })
  }
})

test('accepts options without starting anything', () => {
  const resources: string[] = []
  const hook = createHook({ init: (_id, type) => resources.push(type) })
  const options: WsTunnelOptions = {
    routes: [
      { path: '/a', target: 'balancer://b/' },
      { path: '/c', target: 'wss://h.test/' },
    ],
    balancers: {
      b: {
        members: [{ url: 'ws://a.test/' }, { url: 'ws://name.test/', resolve: { timeout: 0.5 } }],
        healthCheck: { method: 'TCP', interval: 100 },
      },
    },
  }
  hook.enable()
  const result = checkOptions(options)
  hook.disable()
  assert.equal(result, undefined)
  assert.deepEqual(
    resources.filter(type => /Timeout|TCP|DNS|QUERY|PIPE|ADDRINFO/i.test(type)),
    [],
  )
  hook.enable()
  const proxy = createTunnelProxy(options)
  hook.disable()
  assert.ok(resources.includes('Timeout'), 'the same hook sees the timers of a proxy')
  return proxy.close()
})
