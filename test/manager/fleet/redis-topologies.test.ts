import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, type TestContext, test } from 'node:test'
import { createTunnelProxy, type TunnelProxy } from '@ws-tunnel/core'
import { type Fleet, joinFleet, type MemberChange } from '@ws-tunnel/manager'
import { type RedisStoreClient, redisStore } from '@ws-tunnel/manager/redis'
import { createClient, createCluster, createSentinel } from 'redis'
import { eventually, within } from '../../support/gate.ts'
import { peer } from '../../support/peers.ts'
import { hasRedis } from '../../support/redis.ts'

const A = 'ws://a.test'

/** A port that is free now. Redis cannot choose one. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

/** Starts redis-server, and sends commands to it until they succeed. */
async function start(t: TestContext, port: number, args: string[], ...commands: string[][]): Promise<ChildProcess> {
  const folder = await mkdtemp(join(tmpdir(), 'ws-tunnel-redis-'))
  if (args.includes('--sentinel')) {
    const file = join(folder, 'sentinel.conf')
    await writeFile(file, `port ${port}\nbind 127.0.0.1\n`)
    args.unshift(file)
  } else args.push('--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', '')
  const child = spawn('redis-server', args, { stdio: 'ignore' })
  t.after(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    await rm(folder, { recursive: true, force: true })
  })
  await eventually(async () => {
    const client = createClient({ socket: { port, reconnectStrategy: false } })
    client.on('error', () => {})
    try {
      await client.connect()
      for (const command of commands) await client.sendCommand(command)
      return true
    } finally {
      if (client.isOpen) client.destroy()
    }
  }, 15_000)
  return child
}

async function fleetOf(t: TestContext, client: RedisStoreClient): Promise<{ proxy: TunnelProxy; fleet: Fleet }> {
  const proxy = createTunnelProxy({ balancers: { chat: { members: [{ url: A }] } }, target: 'balancer://chat/' })
  const fleet = joinFleet(proxy, { store: redisStore({ client, interval: 200 }), onProblem: () => {} })
  t.after(() => fleet.close())
  assert.equal(await within(15_000, 'a response of the store', fleet.ready), true)
  return { proxy, fleet }
}

const set = (settings: object): MemberChange => ({
  action: 'set-member',
  proxy: 'main',
  balancer: 'chat',
  member: A,
  settings,
})

const status = (proxy: TunnelProxy): string | undefined => proxy.balancers.get('chat')?.members[0]?.status

suite('a fleet with a Redis of several servers', peer('Redis', hasRedis), () => {
  test('shares settings through a Redis Cluster', async t => {
    const [port, bus] = [await freePort(), await freePort()]
    const args = ['--cluster-enabled', 'yes', '--cluster-port', String(bus), '--cluster-announce-ip', '127.0.0.1']
    await start(t, port, args, ['CLUSTER', 'ADDSLOTSRANGE', '0', '16383'])
    const client = createCluster({ rootNodes: [{ socket: { host: '127.0.0.1', port } }] })
    await eventually(async () => {
      const node = createClient({ socket: { port, reconnectStrategy: false } })
      await node.connect()
      const info = String(await node.sendCommand(['CLUSTER', 'INFO']))
      node.destroy()
      return info.includes('cluster_state:ok')
    }, 15_000)
    const here = await fleetOf(t, client)
    const there = await fleetOf(t, client)
    here.fleet.change(set({ status: '+D' }))
    await eventually(() => status(there.proxy) === 'D')
    const later = await fleetOf(t, client)
    assert.equal(status(later.proxy), 'D')
  })

  test('shares settings through the master that Sentinel names, also after a failover', async t => {
    const [port, second, sentinelPort] = [await freePort(), await freePort(), await freePort()]
    const master = await start(t, port, ['--repl-diskless-sync-delay', '0'])
    await start(t, second, ['--replicaof', '127.0.0.1', String(port)])
    const settings = ['down-after-milliseconds', '500', 'failover-timeout', '2000']
    await start(
      t,
      sentinelPort,
      ['--sentinel'],
      ['SENTINEL', 'MONITOR', 'fleet', '127.0.0.1', String(port), '1'],
      ['SENTINEL', 'SET', 'fleet', ...settings],
    )
    const client = createSentinel({
      name: 'fleet',
      sentinelRootNodes: [{ host: '127.0.0.1', port: sentinelPort }],
    })
    const here = await fleetOf(t, client)
    const there = await fleetOf(t, client)
    here.fleet.change(set({ status: '+N' }))
    await eventually(() => status(there.proxy) === 'N')
    await eventually(async () => {
      const replica = createClient({ socket: { port: second, reconnectStrategy: false } })
      await replica.connect()
      const { length } = await replica.hKeys('ws-tunnel')
      replica.destroy()
      return length === 1
    }, 15_000)
    await eventually(async () => {
      const sentinel = createClient({ socket: { port: sentinelPort, reconnectStrategy: false } })
      await sentinel.connect()
      const replicas = (await sentinel.sendCommand(['SENTINEL', 'REPLICAS', 'fleet'])) as unknown as unknown[]
      sentinel.destroy()
      return replicas.length === 1
    }, 15_000)
    master.kill('SIGKILL')
    here.fleet.change(set({ status: '+H' }))
    await eventually(() => status(there.proxy)?.includes('H') === true, 30_000)
    await eventually(() => here.fleet.view.connected && here.fleet.view.waiting === 0, 30_000)
    assert.equal(status((await fleetOf(t, client)).proxy), 'HN')
  })
})
