import assert from 'node:assert/strict'
import { suite, type TestContext, test } from 'node:test'
import { createTunnelProxy, type TunnelProxy, type WsTunnelError } from '@ws-tunnel/core'
import { type Fleet, joinFleet, type MemberChange, memoryStore } from '@ws-tunnel/manager'
import { EventStream, FRAMEWORKS, proxyName, startManaged } from '../manager/harness.ts'
import { echo } from '../support/backend.ts'
import { plainRequest } from '../support/client.ts'
import { connectTunnel, sendRequest, startBackend, startGateway } from '../support/harness.ts'

const PATHS = ['', 'page.js', 'api/token', 'api/state', 'events']

for (const [framework, start] of Object.entries(FRAMEWORKS))
  suite(`the manager on ${framework}`, () => {
    test('421s every request for a host that it does not know, before authorize runs', async t => {
      let asked = 0
      const authorize = () => {
        asked++
        return true
      }
      const managed = await startManaged(t, { authorize, hosts: ['admin.example'] }, undefined, start)
      const statusOf = async (path: string, host: string, method = 'GET'): Promise<number> => {
        const request = plainRequest(`/admin/manager/${path}`, { host, method, headers: ['Connection: close'] })
        const client = await sendRequest(t, managed.port, request)
        return (await client.responseHead()).statusCode
      }
      for (const path of PATHS)
        for (const host of [
          `rebound.example:${managed.port}`,
          'localhost.rebound.example',
          'admin.example.org',
          '2130706433',
        ])
          assert.equal(await statusOf(path, host), 421, `${path} of ${host}`)
      assert.equal(await statusOf('api/add-member', 'rebound.example', 'POST'), 421)
      assert.equal(asked, 0)
      for (const host of [
        'localhost',
        `LocalHost:${managed.port}`,
        '127.0.0.1',
        '[::1]:80',
        'admin.example',
        'Admin.Example:443',
      ])
        assert.equal(await statusOf('api/state', host), 200, host)
    })

    test('refuses members that reach into the machine or its cloud, and too many members', async t => {
      const managed = await startManaged(
        t,
        { unsafeOpen: true, addedMembers: { max: 2 } },
        backend => ({ balancers: { chat: { members: [{ url: `ws://${backend}` }] } }, target: 'balancer://chat/' }),
        start,
      )
      const chat = { proxy: proxyName(framework), balancer: 'chat' }
      const change = async (action: string, member: unknown): Promise<[status: number, error: string]> => {
        const response = await managed.change(action, { ...chat, member })
        return [response.status, ((await response.json()) as { error?: string }).error ?? '']
      }
      const wrong: [url: string, message: RegExp][] = [
        ['unix:/var/run/docker.sock', /no unix: socket/],
        ['UNIX:/var/run/docker.sock|http://localhost/', /no unix: socket/],
        ['http://169.254.169.254/latest', /acceptAddress/],
        ['ws://[fe80::1]:80', /acceptAddress/],
        ['ws://[::ffff:169.254.169.254]', /acceptAddress/],
        ['ws://[::ffff:a9fe:a9fe]', /acceptAddress/],
        ['ws://[64:ff9b::169.254.169.254]', /acceptAddress/],
        ['ws://[fd00:ec2::254]', /acceptAddress/],
        ['http://100.100.100.200', /acceptAddress/],
      ]
      for (const [url, message] of wrong) {
        const [status, error] = await change('add-member', { url })
        assert.equal(status, 400, url)
        assert.match(error, message)
      }
      assert.equal((await change('add-member', { url: 'ws://b.test' }))[0], 200)
      assert.equal((await change('add-member', { url: 'ws://10.0.0.1' }))[0], 200)
      assert.deepEqual(await change('add-member', { url: 'ws://d.test' }), [
        409,
        'Expected at most 2 added members; remove one first',
      ])
      assert.equal((await change('remove-member', 'ws://b.test'))[0], 200)
      assert.equal((await change('add-member', { url: 'ws://d.test' }))[0], 200)
    })
  })

test('visitors who may only view do not take the live pages of operators', async t => {
  const managed = await startManaged(t, {
    authorize: req => (req.headers['x-operator'] === 'yes' ? true : 'view'),
    maxClients: 3,
  })
  const operator = { headers: { 'X-Operator': 'yes' } }
  const streams: EventStream[] = []
  for (let i = 0; i < 3; i++) streams.push(new EventStream(await managed.request('events')))
  assert.equal((await managed.request('events')).status, 503)
  for (let i = 0; i < 3; i++) {
    const response = await managed.request('events', operator)
    assert.equal(response.status, 200)
    streams.push(new EventStream(response))
  }
  assert.equal((await managed.request('events', operator)).status, 503)
  for (const stream of streams) assert.ok(await stream.next('state'))
})

const chat = { proxy: 'main', balancer: 'chat' } as const

async function fleetOf(t: TestContext, proxy: TunnelProxy, options: object = {}): Promise<[Fleet, string[]]> {
  const problems: string[] = []
  const fleet = joinFleet(proxy, { onProblem: ({ message }) => problems.push(message), ...options })
  t.after(() => fleet.close())
  await fleet.ready
  return [fleet, problems]
}

const add = (url: string): MemberChange => ({ action: 'add-member', ...chat, member: { url } })

test('a name of an added member that resolves to a link-local address is not connected to', async t => {
  const backend = await startBackend(t, echo())
  const port = Number(backend.address.split(':')[1])
  const addresses: Record<string, string[]> = {
    'only.test': ['169.254.169.254'],
    'mixed.test': ['169.254.169.254', '127.0.0.1'],
  }
  const gateway = await startGateway(t, {
    balancers: { chat: { members: [] } },
    target: 'balancer://chat/',
    lookup: (host, { all }, callback) => {
      const found = addresses[host] ?? []
      if (all)
        callback(
          null,
          found.map(address => ({ address, family: 4 })),
        )
      else callback(null, found[0] ?? '', 4)
    },
  })
  const [fleet] = await fleetOf(t, gateway.proxy)
  fleet.change(add(`ws://only.test:${port}`))
  const refused = await sendRequest(t, gateway, plainRequest('/'))
  assert.equal((await refused.whole()).statusCode, 502)
  assert.equal(gateway.errors[0]?.code, 'WST_ERR_DNS')
  fleet.change({ action: 'remove-member', ...chat, member: `ws://only.test:${port}` })
  fleet.change(add(`ws://mixed.test:${port}`))
  await connectTunnel(t, gateway)
})

test('filters what other processes have added, by the options of this one', async t => {
  const store = memoryStore()
  const [one, two, three] = [1, 2, 3].map(() =>
    createTunnelProxy({ balancers: { chat: { members: [] } }, target: 'balancer://chat/' }),
  ) as [TunnelProxy, TunnelProxy, TunnelProxy]
  const all = { unix: true, linkLocal: true }
  const [fleet] = await fleetOf(t, one, { store, addedMembers: all })
  await fleetOf(t, three, { store, addedMembers: all })
  const [strict, problems] = await fleetOf(t, two, { store })
  const urls = ['unix:/run/x.sock', 'http://169.254.169.254', 'ws://b.test']
  for (const url of urls) fleet.change(add(url))
  const membersOf = (proxy: TunnelProxy): string[] => (proxy.balancers.get('chat')?.members ?? []).map(({ url }) => url)
  assert.deepEqual([membersOf(one), membersOf(three), membersOf(two)], [urls, urls, ['ws://b.test']])
  assert.equal(strict.view.ignored, 2)
  await new Promise(setImmediate)
  assert.match(problems.join('\n'), /no unix: socket[\s\S]*acceptAddress/)
})

test('refuses wrong options for added members', () => {
  const proxy = createTunnelProxy({ target: false })
  for (const addedMembers of [null, { unix: 1 }, { linkLocal: 'no' }, { max: -1 }, { max: 1.5 }, { maximum: 1 }])
    assert.throws(() => joinFleet(proxy, { addedMembers: addedMembers as never }), {
      name: 'TypeError',
      message: /addedMembers/,
    })
  assert.throws(
    () =>
      createTunnelProxy({
        balancers: { chat: { members: [{ url: 'ws://10.0.0.1', acceptAddress: address => address !== '10.0.0.1' }] } },
        target: 'balancer://chat/',
      }),
    (error: WsTunnelError) => error.code === 'WST_ERR_OPTION' && /acceptAddress/.test(error.message),
  )
})
