import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Balancer } from '@ws-tunnel/core'
import type { State } from '@ws-tunnel/manager'
import { closedPort, eventually } from '../../support/gate.ts'
import { EventStream, firstBalancer, startManaged } from '../harness.ts'

test('keeps the last changes of a member, and streams them', async t => {
  const nowhere = `ws://127.0.0.1:${await closedPort()}`
  const managed = await startManaged(t, { unsafeOpen: true, interval: 100 }, backend => ({
    balancers: { chat: { members: [{ url: nowhere }, { url: `ws://${backend}` }] } },
    target: 'balancer://chat/',
  }))
  const stream = new EventStream(await managed.request('events'))
  await stream.next('state')
  await managed.tunnel()
  const state = await stream.next<State>('state', ({ proxies }) => proxies[0]?.balancers[0]?.members[0]?.status === 'E')
  const [failed] = state?.proxies[0]?.balancers[0]?.members ?? []
  assert.deepEqual([failed?.failures, failed?.changes.map(({ status }) => status)], [1, ['', 'E']])
  const [member] = (managed.proxy.balancers.get('chat') as Balancer).members
  for (let i = 0; i < 30; i++) member?.change({ status: i % 2 ? '+D' : '-D' })
  assert.equal((await firstBalancer(managed)).members[0]?.changes.length, 20)
})

test('shows the results of health checks', async t => {
  const managed = await startManaged(t, { unsafeOpen: true }, backend => ({
    balancers: {
      chat: {
        members: [{ url: `ws://${backend}` }, { url: 'ws://127.0.0.1:1' }],
        healthCheck: { method: 'WEBSOCKET', interval: 100 },
      },
    },
    target: 'balancer://chat/',
  }))
  const [good, bad] = await eventually(async () => {
    const { members } = await firstBalancer(managed)
    assert.ok(members.every(({ checks }) => checks.length >= 2))
    return members
  })
  assert.deepEqual([good?.status, good?.health?.ok, good?.health?.detail], ['', true, 'WebSocket opened'])
  assert.deepEqual([bad?.status, bad?.health?.ok], ['C', false])
  assert.match(bad?.health?.detail ?? '', /WST_ERR_CONNECT/)
  assert.ok(good?.checks.every(({ ok, time }) => ok && Math.abs(Date.now() - time) < 5_000))
  assert.ok(bad?.checks.every(({ ok }) => !ok))
  await eventually(async () => (await firstBalancer(managed)).members[0]?.checks.length === 30, 10_000)
})
