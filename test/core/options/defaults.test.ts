import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BalancerOptions, MemberOptions } from '../../../packages/core/src/options/balancer-options.ts'
import { DEFAULTS } from '../../../packages/core/src/options/defaults.ts'
import { resolveOptions, type WsTunnelOptions } from '../../../packages/core/src/options/options.ts'

const url = 'ws://name.test'
const { path, when, ...beside } = DEFAULTS.route

/** Options with one object of each kind; each object has the given values beside what it must have. */
const optionsOf = (all: Partial<Record<keyof typeof DEFAULTS, object>>): WsTunnelOptions =>
  ({
    ...all.proxy,
    workers: [{ url, ...all.worker }],
    routes: [{ target: 'balancer://x/', ...all.route }],
    serverName: 'front',
    balancers: {
      x: {
        stickySession: { cookie: 'S', ...all.stickySession, set: { ...all.sessionCookie } },
        ...all.balancer,
        members: [
          { url, routeId: 'a', healthCheck: { method: 'GET', ...all.healthCheck }, ...all.member },
          { url, resolve: { ...all.resolve } },
        ] as MemberOptions[],
      } as BalancerOptions,
    },
  }) as WsTunnelOptions

test('an option with the value of its default is the same as the option left out', () => {
  const plain = (options: WsTunnelOptions): unknown =>
    JSON.parse(
      JSON.stringify(resolveOptions(options), (_key, value) => (typeof value === 'function' ? 'a function' : value)),
    )
  const { workers: _workers, balancers: _balancers, ...proxy } = DEFAULTS.proxy
  // `uri: ''` is the member's own path, which has no spelling of its own.
  const { uri: _uri, ...healthCheck } = DEFAULTS.healthCheck
  assert.deepEqual(plain(optionsOf({ ...DEFAULTS, proxy, healthCheck })), plain(optionsOf({})))
})

test('has no default that the options beside routes refuse', () => {
  assert.deepEqual(
    resolveOptions({ ...beside, routes: [{ target: false }] } as WsTunnelOptions).defaults.idleTimeout,
    0,
  )
  assert.deepEqual([path, when], ['/', []])
})
