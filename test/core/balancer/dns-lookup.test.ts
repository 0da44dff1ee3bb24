import assert from 'node:assert/strict'
import { Resolver } from 'node:dns/promises'
import { type TestContext, test } from 'node:test'
import { DnsLookup } from '../../../packages/core/src/balancer/dns-lookup.ts'
import {
  type NameResolver,
  type ResolveOptions,
  readResolve,
} from '../../../packages/core/src/options/resolve-options.ts'
import { noteNoDescriptors } from '../../../packages/core/src/util/descriptors.ts'
import { type NameServer, startNameServer } from '../../support/dns.ts'

interface Stage {
  server: NameServer
  resolver: Resolver
  lookUp: (options?: ResolveOptions) => Promise<string[]>
}

async function stage(t: TestContext, shared: ResolveOptions = {}): Promise<Stage> {
  const server = await startNameServer()
  const resolver = new Resolver({ timeout: 1_000, tries: 1 })
  resolver.setServers([server.address])
  const lookups = new Map<string, DnsLookup>()
  t.after(async () => {
    resolver.cancel()
    await server.close()
  })
  const lookUp: Stage['lookUp'] = async options => {
    const all = { resolver, ...shared, ...options }
    const key = options?.resolver === undefined ? JSON.stringify(options) : String(lookups.size)
    const lookup = lookups.get(key) ?? new DnsLookup(readResolve('m', 'ws://name.test/', all))
    lookups.set(key, lookup)
    const backends = await lookup.run()
    return backends.map(({ address, port, priority, weight }) =>
      port === undefined ? address : `${address}:${port} ${priority} ${weight}`,
    )
  }
  return { server, resolver, lookUp }
}

test('looks up addresses of both families, or of one', async t => {
  const { server, lookUp } = await stage(t)
  server.zones.set('name.test', { A: ['10.0.0.2', '10.0.0.1'], AAAA: ['2001:db8::2', '2001:db8::1'] })
  assert.deepEqual(await lookUp(), ['10.0.0.1', '10.0.0.2', '2001:db8::1', '2001:db8::2'])
  assert.deepEqual(server.queries.splice(0).toSorted(), ['A name.test', 'AAAA name.test'])
  assert.deepEqual(await lookUp({ type: 'A' }), ['10.0.0.1', '10.0.0.2'])
  assert.deepEqual(await lookUp({ type: 'AAAA' }), ['2001:db8::1', '2001:db8::2'])
  assert.deepEqual(server.queries, ['A name.test', 'AAAA name.test'])
})

test('looks up services, with port, priority and weight', async t => {
  const { server, lookUp } = await stage(t, { type: 'SRV' })
  server.zones.set('name.test', {
    SRV: [
      { name: 'Pod-1.Test', port: 9001, priority: 10, weight: 5 },
      { name: 'pod-2.test', port: 9002, priority: 20 },
    ],
  })
  const found = await lookUp()
  assert.deepEqual(found.toSorted(), ['pod-1.test:9001 10 5', 'pod-2.test:9002 20 0'])
  server.zones.set('name.test', { SRV: [{ name: '', port: 0 }] })
  await assert.rejects(lookUp(), /name\.test has no backends/)
})

test('keeps the addresses of a family while their lookup fails', async t => {
  const { server, lookUp } = await stage(t)
  server.zones.set('name.test', { A: ['10.0.0.1'], AAAA: ['2001:db8::1'] })
  assert.deepEqual(await lookUp(), ['10.0.0.1', '2001:db8::1'])
  server.zones.set('name.test', { A: ['10.0.0.2'], AAAA: 'SERVFAIL' })
  assert.deepEqual(await lookUp(), ['10.0.0.2', '2001:db8::1'])
  server.zones.set('name.test', { A: ['10.0.0.2'] })
  assert.deepEqual(await lookUp(), ['10.0.0.2'])
})

test('reports why a lookup failed', async t => {
  const { server, lookUp } = await stage(t, { timeout: 300 })
  await assert.rejects(lookUp(), { code: 'ENOTFOUND' })
  server.zones.set('name.test', {})
  await assert.rejects(lookUp(), { code: 'ENODATA' })
  server.zones.set('name.test', { A: 'SERVFAIL' })
  await assert.rejects(lookUp(), { code: 'ESERVFAIL' })
  server.zones.set('name.test', { A: 'silence', AAAA: 'silence' })
  await assert.rejects(lookUp(), /^Error: no result for name\.test in 300 ms$/)
})

const functions: [what: string, resolver: unknown, expected: string[] | RegExp][] = [
  ['a result', async () => [{ address: '10.0.0.1' }], ['10.0.0.1']],
  ['a result without a promise', () => [{ address: '::1' }], ['::1']],
  ['no backends', async () => [], /name\.test has no backends/],
  ['no list', async () => undefined, /TypeError/],
  ['a throw', () => JSON.parse('{'), /SyntaxError/],
  ['a promise that never settles', () => new Promise(() => {}), /no result for name\.test in 100 ms/],
  ['a host', async () => [{ address: 'other.test' }], /is not a backend: \{"address":"other\.test"\}/],
  ['a path', async () => [{ address: '10.0.0.1/x' }], /is not a backend/],
  ['a user', async () => [{ address: 'a@10.0.0.1' }], /is not a backend/],
]

test('calls a function, and accepts only addresses', async t => {
  const { lookUp } = await stage(t)
  for (const [what, resolver, expected] of functions) {
    const result = lookUp({ resolver: resolver as NameResolver, timeout: 100 })
    if (Array.isArray(expected)) assert.deepEqual(await result, expected, what)
    else await assert.rejects(result, error => expected.test(String(error)), what)
  }
})

test('refuses a service without a valid host and port', async t => {
  const { lookUp } = await stage(t, { type: 'SRV' })
  const wrongs = [
    { address: 'pod.test' },
    { address: 'pod.test', port: 0 },
    { address: 'pod.test', port: 65_536 },
    { address: 'pod.test/x', port: 80 },
    { address: 'pod test', port: 80 },
    { address: '', port: 80 },
  ]
  for (const backend of wrongs) await assert.rejects(lookUp({ resolver: async () => [backend] }), /is not a backend/)
})

test('ignores all backends after the first 256', async t => {
  const { lookUp } = await stage(t)
  const many = Array.from({ length: 300 }, (_, i) => ({ address: `10.0.${i >> 8}.${i & 255}` }))
  assert.equal((await lookUp({ resolver: async () => many })).length, 256)
})

test('says that this process has run out of descriptors, where the resolver says that it was refused', async t => {
  const { lookUp } = await stage(t)
  noteNoDescriptors()
  const refused = Object.assign(new Error('queryA ECONNREFUSED name.test'), { code: 'ECONNREFUSED' })
  await assert.rejects(lookUp({ resolver: () => Promise.reject(refused) }), {
    code: 'WST_ERR_EXHAUSTED',
    cause: refused,
  })
})
