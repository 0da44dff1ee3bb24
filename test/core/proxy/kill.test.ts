import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { BalancerOptions } from '@ws-tunnel/core'
import { eventually } from '../../support/gate.ts'
import { type BackendProcess, Cluster } from '../../support/kill/cluster.ts'
import { Crowd } from '../../support/kill/crowd.ts'
import { type Blow, type Figures, SIGKILL, SIGSTOP, strike } from '../../support/kill/strike.ts'

// `scripts/kill.ts` does the same on a larger scale.

const TUNNELS = 30

/** Three backends behind a gateway. The first one fails while tunnels are open and clients connect. */
async function struck(
  t: TestContext,
  blow: Blow,
  balancer: Omit<BalancerOptions, 'members'>,
  handshakeTimeout = 10_000,
): Promise<Figures> {
  const cluster = new Cluster(3)
  t.after(() => cluster.stop())
  // The healthy backends may be slow on a busy machine.
  await cluster.start(balancer, n => ({ retry: 500, handshakeTimeout: n === 0 ? handshakeTimeout : 10_000 }))
  const crowd = new Crowd(cluster.port)
  t.after(() => crowd.stop())
  crowd.stay(TUNNELS)
  await eventually(() => crowd.openAt() === TUNNELS, 20_000)
  crowd.passBy(20)
  const figures = await strike(cluster, crowd, cluster.backends[0] as BackendProcess, blow)
  await crowd.stop()
  assert.deepEqual(crowd.wrong, [])
  assert.equal(await cluster.stop(), 0)
  return figures
}

test('loses only the tunnels of a killed backend, fails no connect once it is taken out, and uses it again later', async t => {
  const { open, marked, failed, cut } = await struck(t, { ...SIGKILL, down: 700 }, {})
  assert.ok(open[1] > 0)
  assert.ok(marked !== undefined)
  assert.deepEqual(failed.marked, [])
  for (const { failure } of failed.unmarked) assert.match(failure?.code ?? '', /^WST_ERR_NO_RESPONSE$/)
  assert.equal(cut.others, 0)
  assert.ok(cut.own > 0)
})

test('loses no tunnel of a backend that stops for a while', async t => {
  const { marked, failed, cut } = await struck(t, { ...SIGSTOP, down: 2_000 }, { failOnTimeout: true }, 1_000)
  assert.ok(marked !== undefined)
  assert.deepEqual(failed.marked, [])
  for (const { failure } of failed.unmarked) assert.match(failure?.code ?? '', /^WST_ERR_HANDSHAKE_TIMEOUT$/)
  assert.deepEqual(cut, { own: 0, others: 0 })
})

test('fails no connect at all when a backend stops, with failoverUnanswered', async t => {
  const telling = { failOnTimeout: true, failoverUnanswered: true }
  const { marked, failed, cut } = await struck(t, { ...SIGSTOP, down: 2_000 }, telling, 1_000)
  assert.ok(marked !== undefined)
  assert.deepEqual(failed, { unmarked: [], marked: [] })
  assert.deepEqual(cut, { own: 0, others: 0 })
})
