import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BalancerOptions, MemberOptions } from '../../../packages/core/src/options/balancer-options.ts'
import type { HealthCheckOptions } from '../../../packages/core/src/options/health-options.ts'
import { resolveOptions } from '../../../packages/core/src/options/options.ts'

const URL = 'ws://a.test/'

function read(shared: unknown, own?: unknown): unknown {
  const members = [{ url: URL, ...(own !== undefined && { healthCheck: own }) } as MemberOptions]
  const balancer = { members, ...(shared !== undefined && { healthCheck: shared }) } as BalancerOptions
  return resolveOptions({ target: false, balancers: { x: balancer } }).balancers['x']?.members[0]?.healthCheck
}

const expect: HealthCheckOptions['expect'] = () => true
const DEFAULTS = {
  interval: 30_000,
  timeout: 5_000,
  passes: 1,
  fails: 1,
  uri: '',
  port: undefined,
  headers: {},
  expect: undefined,
}

test('applies the defaults, and lets a member override its balancer', () => {
  assert.equal(read(undefined), undefined)
  assert.deepEqual(read({ method: 'TCP' }), { ...DEFAULTS, method: 'TCP' })
  assert.deepEqual(read(undefined, { method: 'GET' }), { ...DEFAULTS, method: 'GET' })
  assert.equal(read({ method: 'TCP' }, false), undefined)
  assert.deepEqual(read({ method: 'GET', uri: '/up', passes: 3, expect }, { uri: '/here', fails: 2 }), {
    ...DEFAULTS,
    method: 'GET',
    uri: '/here',
    passes: 3,
    fails: 2,
    expect,
  })
})

test('limits the default timeout to the interval', () => {
  assert.equal((read({ method: 'TCP', interval: 1_000 }) as HealthCheckOptions).timeout, 1_000)
  assert.equal((read({ method: 'TCP', interval: 1_000, timeout: 2_000 }) as HealthCheckOptions).timeout, 2_000)
})

const wrongs: [shared: unknown, own: unknown, message: RegExp][] = [
  [true, undefined, /`balancers\.x\.healthCheck` to be an object with a method/],
  [false, undefined, /`balancers\.x\.healthCheck` to be an object with a method/],
  [{}, undefined, /`balancers\.x\.healthCheck\.method` to be given/],
  [undefined, {}, /`balancers\.x\.members\[0\]\.healthCheck\.method` to be given/],
  [{ method: 'PING' }, undefined, /healthCheck\.method` to be 'TCP' or .*got "PING"/],
  [{ method: 'TCP', intervall: 1 }, undefined, /Unknown option.*did you mean `interval`\?/],
  [{ method: 'TCP', interval: 99 }, undefined, /healthCheck\.interval` to be at least 100 ms, got 99/],
  [{ method: 'TCP', timeout: 0 }, undefined, /healthCheck\.timeout` to be more than 0 ms/],
  [{ method: 'TCP', passes: 0 }, undefined, /healthCheck\.passes` to be a whole number >= 1/],
  [{ method: 'TCP' }, { fails: 1.5 }, /members\[0\]\.healthCheck\.fails` to be a whole number >= 1/],
  [{ method: 'GET', uri: 'up' }, undefined, /healthCheck\.uri` to be a path/],
  [{ method: 'GET', uri: '/a b' }, undefined, /healthCheck\.uri` to be a path/],
  [{ method: 'GET', expect: 200 }, undefined, /healthCheck\.expect` to be a function/],
  [{ method: 'TCP', uri: '/up' }, undefined, /healthCheck\.uri` to be absent, because the method TCP sends no path/],
  [
    { method: 'OPTIONS11', uri: '/up' },
    undefined,
    /healthCheck\.uri` to be absent, because the method OPTIONS11 sends no path/,
  ],
  [{ method: 'GET', port: 65_536 }, undefined, /healthCheck\.port` to be a port from 1 to 65535/],
  [
    { method: 'TCP', headers: { A: 'b' } },
    undefined,
    /healthCheck\.headers` to be absent, because the method TCP sends/,
  ],
  [{ method: 'GET', headers: { 'a b': 'c' } }, undefined, /healthCheck\.headers\["a b"\]` to be a header field/],
  [{ method: 'GET', headers: { A: 'b\nc' } }, undefined, /healthCheck\.headers\["A"\]` to be a header field/],
  [
    { method: 'GET', headers: { Upgrade: 'x' } },
    undefined,
    /headers\["Upgrade"\]` to be absent, because the check writes/,
  ],
  [undefined, { method: 'WEBSOCKET', expect }, /healthCheck\.expect` to be absent, because the method WEBSOCKET has/],
]

test('names the option that is wrong for a health check', () => {
  for (const [shared, own, message] of wrongs)
    assert.throws(() => read(shared, own), { code: 'WST_ERR_OPTION', message }, JSON.stringify([shared, own]))
})

test('refuses a port for the check of a member behind a unix socket', () => {
  const members = [{ url: 'unix:/run/a.sock|ws://a.test/', healthCheck: { method: 'TCP', port: 9 } as const }]
  assert.throws(() => resolveOptions({ target: false, balancers: { x: { members } } }), {
    code: 'WST_ERR_OPTION',
    message: /members\[0\]\.healthCheck\.port` to be absent, because a unix socket has no port/,
  })
})
