import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MemberChange, State } from '@ws-tunnel/manager'
import { clusterStore } from '@ws-tunnel/manager/cluster'
import { Program } from '../../docs/program.ts'
import { eventually } from '../../support/gate.ts'
import { changeAt, stateAt } from '../harness.ts'

const A = 'ws://127.0.0.1:1'
const set = (settings: object): MemberChange => ({
  action: 'set-member',
  proxy: 'main',
  balancer: 'chat',
  member: A,
  settings,
})
const status = ({ proxies }: State): string | undefined => proxies[0]?.balancers[0]?.members[0]?.status

test('workers share the settings of each, and a replacement starts with them', async t => {
  const program = await Program.start('test/manager/fleet/fleet-gateway.ts', { args: ['cluster', A] })
  t.after(() => program.kill())
  const urls = (): string[] => Array.from(program.output.matchAll(/http:\S+/g), ([url]) => url)
  await eventually(() => urls().length === 2, 15_000)
  const [here, there] = urls() as [string, string]
  const { pid, fleet } = await stateAt(there)
  assert.notEqual(pid, (await stateAt(here)).pid)
  assert.deepEqual([fleet.store, fleet.connected, fleet.reason], ['cluster', true, ''])
  await changeAt(here, set({ status: '+N' }))
  await eventually(async () => status(await stateAt(there)) === 'N')
  await changeAt(there, set({ status: '+D' }))
  await eventually(async () => status(await stateAt(here)) === 'DN')

  process.kill(pid, 'SIGKILL')
  await eventually(() => urls().length === 3, 15_000)
  const replacement = urls()[2] as string
  assert.equal(status(await stateAt(replacement)), 'DN')
  await changeAt(replacement, set({ status: '-N' }))
  await eventually(async () => status(await stateAt(here)) === 'D')
  assert.equal((await stateAt(here)).fleet.waiting, 0)
  program.signal('SIGTERM')
  await program.endsCleanly()
})

test('workers go on without a store in the primary, and send it their settings when there is one', async t => {
  const program = await Program.start('test/manager/fleet/fleet-gateway.ts', { args: ['cluster', A] })
  t.after(() => program.kill())
  const urls = (): string[] => Array.from(program.output.matchAll(/http:\S+/g), ([url]) => url)
  await eventually(() => urls().length === 2, 15_000)
  const [here, there] = urls() as [string, string]
  const fleetAt = async (url: string): Promise<State['fleet']> => (await stateAt(url)).fleet
  program.signal('SIGUSR2')
  await changeAt(here, set({ status: '+N', loadFactor: 2 }))
  await eventually(async () => {
    const { connected, reason, waiting } = await fleetAt(here)
    return !connected && reason === 'NO_RESPONSE' && waiting === 2
  }, 10_000)
  assert.equal(status(await stateAt(here)), 'N')
  program.signal('SIGUSR2')
  await eventually(async () => {
    const { connected, waiting } = await fleetAt(here)
    return connected && waiting === 0
  }, 10_000)
  assert.match(program.output, /^The store of settings \(cluster\) is away: NO_RESPONSE/m)
  // The other worker sent nothing in between, and did not notice.
  await eventually(async () => status(await stateAt(there)) === 'N')
  await changeAt(there, set({ status: '+D' }))
  await eventually(async () => status(await stateAt(here)) === 'DN')
  program.signal('SIGTERM')
  await program.endsCleanly()
})

test('clusterStore() throws outside a worker', () => {
  assert.throws(() => clusterStore(), /Expected to be in a worker.*serveClusterStore/)
})
