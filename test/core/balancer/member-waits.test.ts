import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BalancerMember } from '../../../packages/core/src/balancer/balancer-member.ts'
import { type Excluded, LoadBalancer } from '../../../packages/core/src/balancer/load-balancer.ts'
import type { BalancerOptions, MemberOptions } from '../../../packages/core/src/options/balancer-options.ts'
import { resolveOptions } from '../../../packages/core/src/options/options.ts'
import { requestOf } from '../../support/request.ts'

const { signal } = new AbortController()

function balancerOf(members: readonly Partial<MemberOptions>[], options: Partial<BalancerOptions> = {}): LoadBalancer {
  const all = members.map((member, i) => ({ url: `http://${'abc'[i]}.test/`, ...member }))
  const { balancers } = resolveOptions({
    target: false,
    balancers: { x: { timeout: 60_000, forceRecovery: false, ...options, members: all } },
  })
  return new LoadBalancer('x', balancers['x'] as never)
}

const membersOf = (balancer: LoadBalancer): BalancerMember[] => balancer.members as BalancerMember[]

const waitFor = async (balancer: LoadBalancer, excluded: Excluded = new Map()): Promise<BalancerMember> =>
  balancer.select(requestOf([]), '/', { excluded, signal })

test('serves those who wait in their order, before one that comes when a member is usable again', async () => {
  const balancer = balancerOf([{ status: 'D' }])
  const served: number[] = []
  const wait = (i: number): Promise<number> => {
    const waiting = balancer.select(requestOf([]), '/', { excluded: new Map(), signal })
    assert.ok(waiting instanceof Promise, `request ${i} overtakes`)
    return waiting.then(() => served.push(i))
  }
  const all = [0, 1, 2].map(wait)
  membersOf(balancer)[0]?.enable()
  await Promise.all([...all, wait(3)])
  assert.deepEqual(served, [0, 1, 2, 3])
  assert.ok(!(balancer.select(requestOf([]), '/', { excluded: new Map(), signal }) instanceof Promise))
})

test('gives a free slot to the first of those who wait for one, and to no other', async () => {
  const balancer = balancerOf([{ maxTunnels: 1 }])
  const [member] = membersOf(balancer) as [BalancerMember]
  const release = member.enterTunnel(signal) as () => void
  const full = new Map([[member, 'full' as const]])
  const served: number[] = []
  const releases: (() => void)[] = []
  const all = [0, 1].map(async i => {
    releases.push((await waitFor(balancer, full)).enterTunnel(signal) as () => void)
    served.push(i)
  })
  release()
  await all[0]
  for (let i = 0; i < 5; i++) await new Promise(setImmediate)
  assert.deepEqual(served, [0])
  releases[0]?.()
  await all[1]
  assert.deepEqual(served, [0, 1])
})

test('is woken at the end of the retry time, also of one that an operator has made shorter', async () => {
  const balancer = balancerOf([{ retry: 30 }, { retry: 60_000 }])
  const [a, b] = membersOf(balancer) as [BalancerMember, BalancerMember]
  a.fail()
  b.fail()
  assert.equal(await waitFor(balancer), a)
  a.status = 'D'
  const waiting = waitFor(balancer)
  b.change({ retry: 10 })
  assert.equal(await waiting, b)
})

test('is woken when checks clear an error, when the error is cleared by hand, and when a member joins', async () => {
  const balancer = balancerOf([{ healthCheck: { method: 'TCP' } }])
  const [a] = membersOf(balancer) as [BalancerMember]
  a.recordCheck({ ok: false, detail: '', duration: 1 })
  const checked = waitFor(balancer)
  a.recordCheck({ ok: true, detail: '', duration: 1 })
  assert.equal(await checked, a)
  a.fail()
  const byHand = waitFor(balancer)
  a.status = '-E'
  assert.equal(await byHand, a)
  a.disable()
  const joined = waitFor(balancer)
  const b = balancer.add({ url: 'http://b.test/' })
  assert.equal(await joined, b)
})

test('asks a function again without an event, because its result may depend on anything', async () => {
  let ready = false
  const balancer = balancerOf([{}], { timeout: 1_000, lbMethod: ([first]) => (ready ? first : undefined) })
  const waiting = waitFor(balancer)
  ready = true
  assert.equal(await waiting, balancer.members[0])
})

test('refuses a request past maxWaiting, and takes one again when another has left', async () => {
  const balancer = balancerOf([{ status: 'D' }], { maxWaiting: 2 })
  const client = new AbortController()
  const leaving = (async () => balancer.select(requestOf([]), '/', { excluded: new Map(), signal: client.signal }))()
  const staying = waitFor(balancer)
  await assert.rejects(waitFor(balancer), { code: 'WST_ERR_WAITING_LIMIT', statusCode: 503 })
  client.abort(new Error('gone'))
  await assert.rejects(leaving, /gone/)
  const third = waitFor(balancer)
  membersOf(balancer)[0]?.enable()
  await Promise.all([staying, third])
})

test('ends the wait for the first members when the client leaves, and limits their number', async () => {
  const balancer = balancerOf([], { maxWaiting: 1 })
  const lookup = Promise.withResolvers<void>()
  balancer.expect(lookup.promise)
  const client = new AbortController()
  const leaving = (async () => balancer.select(requestOf([]), '/', { excluded: new Map(), signal: client.signal }))()
  await assert.rejects(waitFor(balancer), { code: 'WST_ERR_WAITING_LIMIT' })
  client.abort(new Error('gone'))
  await assert.rejects(leaving, /gone/)
  const staying = waitFor(balancer)
  const member = balancer.add({ url: 'http://a.test/' })
  assert.equal(await staying, member)
  const closing = balancerOf([])
  closing.expect(lookup.promise)
  const ended = waitFor(closing)
  closing.close()
  await assert.rejects(ended, { code: 'WST_ERR_CLOSING' })
})

test('asks for the state of its members no more often while thousands wait', async () => {
  const balancer = balancerOf([{ status: 'D' }], { timeout: 60_000, maxWaiting: 0 })
  const [member] = membersOf(balancer) as [BalancerMember]
  const all = Array.from({ length: 3_000 }, () => waitFor(balancer))
  await new Promise(setImmediate)
  let asked = 0
  const { is } = member
  member.is = letter => {
    asked++
    return is.call(member, letter)
  }
  // The time itself is the subject: each of them would look in this time if it polled.
  await new Promise(resolve => setTimeout(resolve, 650))
  assert.equal(asked, 0)
  member.enable()
  await Promise.all(all)
  assert.equal(member.selected, 3_000)
})
