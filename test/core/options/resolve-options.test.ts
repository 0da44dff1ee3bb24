import assert from 'node:assert/strict'
import { Resolver } from 'node:dns/promises'
import { test } from 'node:test'
import { createTunnelProxy } from '@ws-tunnel/core'
import type { MemberOptions } from '../../../packages/core/src/options/balancer-options.ts'
import { resolveOptions } from '../../../packages/core/src/options/options.ts'
import type { ResolvedBackend } from '../../../packages/core/src/options/resolve-options.ts'

const read = (member: object, more: object = {}) =>
  resolveOptions({ target: false, balancers: { x: { members: [member as MemberOptions], ...more } } }).balancers['x']

test('separates host names to look up from members', () => {
  const resolver = new Resolver()
  const settings = read({
    url: 'wss://name.test:9000/base',
    loadFactor: 2,
    resolve: { type: 'A', interval: 100, resolver },
  })
  assert.deepEqual(settings?.members, [])
  const [named] = settings?.named ?? []
  assert.equal(named?.settings.loadFactor, 2)
  const { urlOf, ...rest } = named?.resolve ?? {}
  assert.deepEqual(rest, { type: 'A', interval: 100, timeout: 5_000, resolver, hostname: 'name.test' })
  const { type, interval, resolver: none } = read({ url: 'ws://name.test', resolve: {} })?.named[0]?.resolve ?? {}
  assert.deepEqual([type, interval, none], ['A+AAAA', 30_000, undefined])
})

test('replaces the name in the URL by the backend', () => {
  const cases: [url: string, type: string, backend: ResolvedBackend, expected: string][] = [
    ['ws://name.test', 'A', { address: '10.0.0.1' }, 'ws://10.0.0.1'],
    ['wss://name.test:9000/a/b', 'A', { address: '10.0.0.1', port: 7 }, 'wss://10.0.0.1:9000/a/b'],
    ['http://name.test:9000/', 'AAAA', { address: '2001:db8::1' }, 'http://[2001:db8::1]:9000/'],
    ['ws://_ws._tcp.name.test/a', 'SRV', { address: 'pod-1.test', port: 9001 }, 'ws://pod-1.test:9001/a'],
  ]
  for (const [url, type, backend, expected] of cases)
    assert.equal(read({ url, resolve: { type } })?.named[0]?.resolve.urlOf(backend), expected)
})

test('requires no routeId of discovered members with stickySession.set', () => {
  const stickySession = { cookie: 'ROUTE', set: true }
  assert.equal(read({ url: 'ws://name.test', resolve: {} }, { stickySession })?.named.length, 1)
  assert.throws(() => read({ url: 'ws://name.test' }, { stickySession }), { code: 'WST_ERR_OPTION' })
})

const wrongs: [member: object, message: RegExp][] = [
  [{ url: 'ws://name.test', resolve: true }, /members\[0\]\.resolve` to be \{ type, interval, timeout, resolver \}/],
  [{ url: 'ws://name.test', resolve: { kind: 'A' } }, /Unknown option `balancers\.x\.members\[0\]\.resolve\.kind`/],
  [{ url: 'ws://name.test', resolve: { type: 'MX' } }, /resolve\.type` to be 'A\+AAAA' or/],
  [{ url: 'ws://name.test', resolve: { interval: 10 } }, /resolve\.interval` to be at least 100 ms/],
  [{ url: 'ws://name.test', resolve: { timeout: 0 } }, /resolve\.timeout` to be more than 0 ms/],
  [{ url: 'ws://name.test', resolve: { resolver: {} } }, /resolve\.resolver` to be a Resolver/],
  [{ url: 'ws://name.test', resolve: { resolver: null } }, /resolve\.resolver` to be a Resolver/],
  [{ url: 'ws://10.0.0.1', resolve: {} }, /members\[0\]\.url` to be a URL with a host name/],
  [{ url: 'ws://[::1]:80', resolve: {} }, /members\[0\]\.url` to be a URL with a host name/],
  [{ url: 'unix:/s|ws://name.test', resolve: {} }, /members\[0\]\.url` to be a URL with a host name/],
  [{ url: 'ws://name.test:80', resolve: { type: 'SRV' } }, /members\[0\]\.url` to be a URL without port/],
  [{ url: 'ws://name.test', routeId: 'a', resolve: {} }, /members\[0\]\.routeId` to be absent/],
  [{ url: 'ftp://name.test', resolve: {} }, /members\[0\]\.url` to be a ws:/],
  [{ url: 'ws://name.test/#x', resolve: {} }, /members\[0\]\.url` to be a ws:/],
]

test('names the option that is wrong for a DNS lookup', () => {
  for (const [member, message] of wrongs) {
    const members = [member as MemberOptions]
    assert.throws(() => createTunnelProxy({ target: false, balancers: { x: { members } } }), {
      code: 'WST_ERR_OPTION',
      message,
    })
  }
})

test('refuses `resolve` for a member that is added at run time', () => {
  const proxy = createTunnelProxy({ target: false, balancers: { x: { members: [] } } })
  const add = (): unknown => proxy.balancers.get('x')?.add({ url: 'ws://name.test', resolve: {} })
  assert.throws(add, { code: 'WST_ERR_OPTION', message: /members\[0\]\.resolve` to be absent/ })
})
