import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { Resolver } from 'node:dns/promises'
import { type TestContext, test } from 'node:test'
import type { BalancerOptions, Member, ResolveMessage, ResolveOptions, WsTunnelOptions } from '@ws-tunnel/core'
import type { BalancerMember } from '../../../packages/core/dist/balancer/balancer-member.js'
import { type Backend, type BackendOptions, echo } from '../../support/backend.ts'
import { openTunnel, plainRequest, type RawClient } from '../../support/client.ts'
import { type NameServer, startNameServer } from '../../support/dns.ts'
import type { CoreGateway } from '../../support/frameworks.ts'
import { eventually } from '../../support/gate.ts'
import { connectClient, connectTunnel, startBackend, startGateway } from '../../support/harness.ts'
import * as certificates from '../../support/tls.ts'

interface Stage {
  names: NameServer
  resolver: Resolver
  /** A backend at each address, all at one port. */
  backends: Backend[]
  port: number
}

async function stage(t: TestContext, hosts: string[], options: BackendOptions = {}): Promise<Stage> {
  const names = await startNameServer()
  const resolver = new Resolver({ timeout: 1_000, tries: 1 })
  resolver.setServers([names.address])
  const backends: Backend[] = []
  for (const host of hosts)
    backends.push(await startBackend(t, echo(), { ...options, host, port: backends[0]?.port ?? 0 }))
  t.after(async () => {
    resolver.cancel()
    await names.close()
    for (const backend of backends) await backend.close()
  })
  return { names, resolver, backends, port: backends[0]?.port ?? 0 }
}

interface Discovered {
  gateway: CoreGateway
  members: () => readonly Member[]
  /** URLs of the members, each with its letters. */
  look: () => string[]
  open: () => Promise<RawClient>
}

async function gatewayTo(
  t: TestContext,
  { resolver }: Stage,
  url: string,
  {
    resolve = {},
    balancer = {},
    options = {},
  }: {
    resolve?: ResolveOptions
    balancer?: Partial<BalancerOptions>
    options?: Partial<WsTunnelOptions>
  } = {},
): Promise<Discovered> {
  const members = [{ url, resolve: { interval: 100, type: 'A', resolver, ...resolve } as const }]
  const gateway = await startGateway(t, {
    balancers: { x: { members, ...balancer } },
    target: 'balancer://x/',
    ...options,
  } as WsTunnelOptions)
  const all = (): readonly Member[] => gateway.proxy.balancers.get('x')?.members ?? []
  return {
    gateway,
    members: all,
    look: () => all().map(({ url, status }) => `${url} ${status}`.trim()),
    open: async () => {
      const client = await connectTunnel(t, gateway, '/x')
      return client
    },
  }
}

const ONE = '127.0.0.1'
const TWO = '127.0.0.2'
const THREE = '127.0.0.3'

test('makes each address of a name a member, and sends it the name in Host', async t => {
  const set = await stage(t, [ONE, TWO])
  set.names.zones.set('chat.test', { A: [TWO, ONE] })
  const { look, open, gateway } = await gatewayTo(t, set, `ws://chat.test:${set.port}/base`)
  // The first request waits for the first lookup.
  await open()
  await open()
  assert.deepEqual(look(), [`ws://${ONE}:${set.port}/base`, `ws://${TWO}:${set.port}/base`])
  for (const backend of set.backends) {
    const request = await backend.request()
    assert.equal(request.path, '/base/x')
    assert.equal(request.header('host'), `chat.test:${set.port}`)
  }
  const client = await connectClient(t, gateway)
  for (let i = 0; i < 2; i++) client.send(plainRequest('/plain'))
  await Promise.all(set.backends.map(backend => backend.request(1)))
})

test('adds a new address, and drains and removes one that is gone', async t => {
  const set = await stage(t, [ONE, TWO, THREE])
  const url = (host: string): string => `ws://${host}:${set.port}/`
  set.names.zones.set('chat.test', { A: [ONE, TWO] })
  const { look, open, members } = await gatewayTo(t, set, url('chat.test'))
  const clients = [await open(), await open()]
  const [, two] = members()
  set.names.zones.set('chat.test', { A: [ONE, THREE] })
  await eventually(() => assert.deepEqual(look(), [url(ONE), `${url(TWO)} DN`, url(THREE)]))
  for (let i = 0; i < 4; i++) (await open()).destroy()
  assert.equal(two?.selected, 1)
  const old = clients[1] as RawClient
  old.send('still here')
  assert.equal((await old.readExact(10)).toString(), 'still here')
  old.destroy()
  await eventually(() => assert.deepEqual(look(), [url(ONE), url(THREE)]))
})

test('restores the state of an address that was gone for a while', async t => {
  const set = await stage(t, [ONE, TWO])
  set.names.zones.set('chat.test', { A: [ONE, TWO] })
  const { open, members } = await gatewayTo(t, set, `ws://chat.test:${set.port}/`)
  await open()
  await open()
  const [, two] = members() as [Member, Member]
  two.status = '+D'
  set.names.zones.set('chat.test', { A: [ONE] })
  await eventually(() => two.status === 'DN')
  set.names.zones.set('chat.test', { A: [ONE, TWO] })
  await eventually(() => two.status === 'D')
  assert.equal(members()[1], two)
})

test('keeps its members while lookups fail, and publishes the failures', async t => {
  const set = await stage(t, [ONE])
  const published: ResolveMessage[] = []
  const listener = (message: unknown): void => void published.push(message as ResolveMessage)
  subscribe('ws-tunnel:resolve', listener)
  t.after(() => unsubscribe('ws-tunnel:resolve', listener))
  set.names.zones.set('chat.test', { A: [ONE] })
  const { look, open, gateway } = await gatewayTo(t, set, `ws://chat.test:${set.port}/`, { resolve: { timeout: 200 } })
  const url = `ws://${ONE}:${set.port}/`
  await eventually(() => look().length === 1)
  for (const failure of ['SERVFAIL', 'silence', undefined] as const) {
    published.length = 0
    if (failure === undefined) set.names.zones.delete('chat.test')
    else set.names.zones.set('chat.test', { A: failure })
    await eventually(() => published.some(({ error }) => error !== undefined))
    const { balancer, hostname, urls } = published.find(({ error }) => error !== undefined) as ResolveMessage
    assert.equal(balancer, gateway.proxy.balancers.get('x'))
    assert.deepEqual([hostname, urls], ['chat.test', [url]])
    ;(await open()).destroy()
    assert.deepEqual(look(), [url])
  }
  published.length = 0
  set.names.zones.set('chat.test', { A: [ONE] })
  await eventually(() => published.some(({ error, urls }) => error === undefined && urls.length === 1))
})

test('503s while a name has no backends, and finds them later', async t => {
  const set = await stage(t, [ONE])
  const { gateway, open } = await gatewayTo(t, set, `ws://chat.test:${set.port}/`)
  await assert.rejects(openTunnel(gateway.port, '/'), /503 .*WST_ERR_NO_MEMBER/s)
  set.names.zones.set('chat.test', { A: [ONE] })
  await eventually(() => gateway.proxy.balancers.get('x')?.members.length === 1)
  await open()
})

test('derives sets from priorities and load factors from weights, and follows changes', async t => {
  const set = await stage(t, [ONE])
  const service = (name: string, priority: number, weight: number): object => ({
    name,
    port: set.port,
    priority,
    weight,
  })
  const zone = (...services: object[]): void =>
    void set.names.zones.set('_ws._tcp.chat.test', { SRV: services as never })
  zone(service('a.test', 10, 20), service('b.test', 10, 50), service('c.test', 30, 0))
  const { members } = await gatewayTo(t, set, 'ws://_ws._tcp.chat.test/base', { resolve: { type: 'SRV' } })
  const settings = (): Record<string, number[]> =>
    Object.fromEntries(members().map(({ url, lbSet, loadFactor }) => [url.slice(5, 11), [lbSet, loadFactor]]))
  await eventually(() => assert.deepEqual(settings(), { 'a.test': [0, 1], 'b.test': [0, 2.5], 'c.test': [1, 1] }))
  const atA = members().find(({ url }) => url === `ws://a.test:${set.port}/base`) as BalancerMember
  assert.equal(atA.template.origin.port, set.port)
  const a = members().find(({ url }) => url.includes('a.test')) as Member
  a.change({ loadFactor: 7 })
  zone(service('a.test', 10, 20), service('b.test', 10, 20), service('c.test', 5, 0))
  await eventually(() => assert.deepEqual(settings(), { 'a.test': [1, 7], 'b.test': [1, 1], 'c.test': [0, 1] }))
})

test('verifies the certificate for the name, not for the address', async t => {
  const set = await stage(t, [TWO], { tls: certificates.server })
  set.names.zones.set('localhost', { A: [TWO] })
  set.names.zones.set('other.test', { A: [TWO] })
  const options = { tls: { ca: certificates.ca } }
  const good = await gatewayTo(t, set, `wss://localhost:${set.port}/`, { options })
  const client = await good.open()
  client.send('x')
  assert.equal((await client.readExact(1)).toString(), 'x')
  const bad = await gatewayTo(t, set, `wss://other.test:${set.port}/`, { options })
  await assert.rejects(openTunnel(bad.gateway.port, '/'), /502 .*WST_ERR_TLS/s)
})

test('derives a routeId for each member, the same in every process', async t => {
  const set = await stage(t, [ONE, TWO])
  set.names.zones.set('chat.test', { A: [ONE, TWO] })
  const routes: string[][] = []
  for (let i = 0; i < 2; i++) {
    const balancer = { stickySession: { cookie: 'ROUTE', set: true } }
    const { members } = await gatewayTo(t, set, `ws://chat.test:${set.port}/`, { balancer })
    await eventually(() => members().length === 2)
    routes.push(members().map(({ routeId = '' }) => routeId))
  }
  assert.deepEqual(routes[0], routes[1])
  assert.equal(new Set(routes[0]).size, 2)
})

test('checks the health of discovered members', async t => {
  const set = await stage(t, [ONE])
  set.names.zones.set('chat.test', { A: [ONE, TWO] })
  const balancer = { healthCheck: { method: 'TCP', interval: 100 } } as const
  const { look } = await gatewayTo(t, set, `ws://chat.test:${set.port}/`, { balancer })
  await eventually(() => assert.deepEqual(look(), [`ws://${ONE}:${set.port}/`, `ws://${TWO}:${set.port}/ C`]))
})

test('does not add a member again that an operator has removed, until its record was gone', async t => {
  const set = await stage(t, [ONE, TWO])
  set.names.zones.set('chat.test', { A: [ONE, TWO] })
  const { members, gateway, look } = await gatewayTo(t, set, `ws://chat.test:${set.port}/`)
  await eventually(() => members().length === 2)
  const url = (host: string): string => `ws://${host}:${set.port}/`
  gateway.proxy.balancers.get('x')?.remove(members()[1] as Member)
  const { length } = set.names.queries
  await eventually(() => set.names.queries.length >= length + 3)
  assert.deepEqual(look(), [url(ONE)])
  set.names.zones.set('chat.test', { A: [ONE] })
  const before = set.names.queries.length
  await eventually(() => set.names.queries.length >= before + 3)
  set.names.zones.set('chat.test', { A: [ONE, TWO] })
  await eventually(() => assert.deepEqual(look(), [url(ONE), url(TWO)]))
})

test('ends lookups and waits when the proxy closes', async t => {
  const set = await stage(t, [ONE])
  set.names.zones.set('chat.test', { A: 'silence' })
  const { gateway } = await gatewayTo(t, set, `ws://chat.test:${set.port}/`, { resolve: { timeout: 60_000 } })
  const waiting = openTunnel(gateway.port, '/')
  await eventually(() => set.names.queries.length === 1)
  await gateway.proxy.close({ drainTimeout: 0 })
  await assert.rejects(waiting, /503/)
  set.names.zones.set('chat.test', { A: [ONE] })
  await new Promise(resolve => setTimeout(resolve, 300))
  assert.equal(set.names.queries.length, 1)
  assert.deepEqual(gateway.proxy.balancers.get('x')?.members, [])
})
