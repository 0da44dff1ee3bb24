import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { WsTunnelOptions } from '@ws-tunnel/core'
import type { Change, ManagerOptions, Sample, State } from '@ws-tunnel/manager'
import { echo, openBackend } from '../../support/backend.ts'
import { eventually } from '../../support/gate.ts'
import { type Cleanup, FRAMEWORKS, firstBalancer, proxyName, startManaged } from '../harness.ts'

const balanced =
  (...others: string[]) =>
  (backend: string): WsTunnelOptions => ({
    balancers: {
      chat: {
        stickySession: { cookie: 'SID', path: 'sid', noFailover: true },
        timeout: 2_000,
        members: [{ url: `ws://${backend}`, routeId: 'a' }, ...others.map(url => ({ url, status: 'H' }))],
      },
    },
    target: 'balancer://chat/',
  })

for (const framework of ['Express 5', 'Connect', 'Fastify 5', 'node:http'] as const) {
  const start = FRAMEWORKS[framework]
  suite(`members of balancers in the manager on ${framework}`, () => {
    const startHere = (t: Cleanup, options: ManagerOptions, optionsOf?: (backend: string) => WsTunnelOptions) =>
      startManaged(t, options, optionsOf, start)

    test('shows a balancer with its members, their states and counters', async t => {
      const managed = await startHere(t, { unsafeOpen: true, interval: 100 }, balanced('ws://127.0.0.1:1'))
      const client = await managed.tunnel()
      client.send('hello')
      await client.readExact(5)
      const { members, ...balancer } = await firstBalancer(managed)
      const terms = { stickySession: 'SID|sid', noFailover: true, attempts: 2, timeout: 2_000 }
      assert.deepEqual(balancer, { name: 'chat', lbMethod: 'byrequests', ...terms })
      const shown = members.map(({ changes, id, ...member }) => {
        assert.ok(id > 0 && changes.length > 0)
        return member
      })
      const common = {
        redirect: '',
        lbSet: 0,
        loadFactor: 1,
        retry: 60_000,
        failures: 0,
        health: null,
        checks: [],
        usable: true,
      }
      const nothing = { selected: 0, load: 0, busy: 0, open: 0, bytesFromClient: 0, bytesFromBackend: 0 }
      const something = { selected: 1, load: 0, busy: 1, open: 1, bytesFromClient: 5, bytesFromBackend: 5 }
      const url = `ws://${managed.backend.address}`
      assert.deepEqual(shown, [
        { url, routeId: 'a', status: '', ...common, ...something },
        { url: 'ws://127.0.0.1:1', routeId: '', status: 'H', ...common, ...nothing },
      ])
      const [tunnel] = (await managed.json<State>('api/state')).tunnels.list
      assert.equal(tunnel?.member, url)
      const id = String(members[0]?.id)
      await eventually(async () => {
        client.send('x'.repeat(1_000))
        const samples = await managed.json<Sample[]>('api/history')
        return samples.some(sample => (sample.members[id] ?? 0) > 0)
      })
    })

    test('drains, changes, adds and removes members, with effect on the next request', async t => {
      const changes: Change[] = []
      const onChange = (change: Change): void => void changes.push(change)
      const managed = await startHere(t, { unsafeOpen: true, onChange }, balanced())
      const other = await openBackend(echo({ early: 'other' }))
      t.after(() => other.close())
      const chat = { proxy: proxyName(framework), balancer: 'chat' }
      const first = `ws://${managed.backend.address}`
      const second = `ws://${other.address}`
      const change = async (action: string, body: object): Promise<number> =>
        (await managed.change(action, { ...chat, ...body })).status
      assert.equal(await change('add-member', { member: { url: second, routeId: 'b', loadFactor: 2.5 } }), 200)
      assert.equal(await change('set-member', { member: first, settings: { status: '+N' } }), 200)
      assert.equal((await (await managed.tunnel()).readExact(5)).toString(), 'other')
      const settings = { status: '-N', loadFactor: 3, lbSet: 1, routeId: 'x', redirect: 'b' }
      assert.equal(await change('set-member', { member: first, settings }), 200)
      const { members } = await firstBalancer(managed)
      assert.deepEqual(
        members.map(({ url, status, loadFactor, lbSet, routeId, redirect }) => {
          return [url, status, loadFactor, lbSet, routeId, redirect]
        }),
        [
          [first, '', 3, 1, 'x', 'b'],
          [second, '', 2.5, 0, 'b', ''],
        ],
      )
      assert.deepEqual(
        members[0]?.changes.map(({ status }) => status),
        ['', 'N', ''].slice(-(members[0]?.changes.length ?? 0)),
      )
      assert.equal(await change('remove-member', { member: second }), 200)
      assert.deepEqual(
        (await firstBalancer(managed)).members.map(({ url }) => url),
        [first],
      )
      assert.equal(managed.proxy.tunnels.size, 1)
      assert.deepEqual(
        changes.map(({ action }) => action),
        ['add-member', 'set-member', 'set-member', 'remove-member'],
      )
    })

    test('names what is wrong with a change, and changes nothing', async t => {
      const managed = await startHere(t, { unsafeOpen: true }, balanced())
      const chat = { proxy: proxyName(framework), balancer: 'chat' }
      const member = `ws://${managed.backend.address}`
      const set = (settings: unknown): [string, object] => ['set-member', { ...chat, member, settings }]
      type Row = [action: string, body: object, status: number, message: RegExp]
      const wrong: Row[] = [
        ['set-member', { ...chat, proxy: 'other', member, settings: {} }, 404, /no such balancer/],
        ['set-member', { ...chat, balancer: 'other', member, settings: {} }, 404, /no such balancer/],
        ['set-member', { ...chat, member: 'ws://other', settings: {} }, 404, /no such member/],
        ['set-member', { ...chat, member }, 400, /`settings`/],
        ['set-member', { ...chat, member, settings: {}, more: 1 }, 400, /"more"/],
        [...set({ url: 'ws://other' }), 400, /got "url"/],
        [...set({ status: 'X' }), 400, /letters/],
        [...set({ status: 1 }), 400, /letters/],
        [...set({ lbSet: 5, loadFactor: 0 }), 400, /1 to 100/],
        [...set({ lbSet: -1 }), 400, /0 to 99/],
        ...['1.5junk', '1.5', '', ' 2', '1e1', true, [2], null].flatMap(value => [
          [...set({ loadFactor: value }), 400, /1 to 100/] as Row,
          [...set({ lbSet: value }), 400, /0 to 99/] as Row,
          [...set({ retry: value }), 400, /number of ms/] as Row,
        ]),
        [...set({ lbSet: 1.5 }), 400, /0 to 99/],
        ['close-tunnels', { proxy: chat.proxy, ids: ['1'] }, 400, /numbers of tunnels/],
        ['close-tunnels', { proxy: chat.proxy, ids: [1.5] }, 400, /numbers of tunnels/],
        [...set({ routeId: 'a b' }), 400, /without space/],
        ['add-member', { ...chat, member: { url: 'nonsense' } }, 400, /./],
        ['add-member', { ...chat, member: { url: member } }, 400, /already/],
        ['add-member', { ...chat, member: { loadFactor: 1 } }, 400, /`url`/],
        ['remove-member', { ...chat, member: 'ws://other' }, 404, /no such member/],
      ]
      const before = await firstBalancer(managed)
      for (const [action, body, status, message] of wrong) {
        const response = await managed.change(action, body)
        const { error } = (await response.json()) as { error: string }
        assert.equal(response.status, status, JSON.stringify(body))
        assert.match(error, message)
      }
      assert.deepEqual(await firstBalancer(managed), before)
    })
  })
}
