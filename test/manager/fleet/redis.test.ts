import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { afterEach, beforeEach, suite, test } from 'node:test'
import { createTunnelProxy, type TunnelProxy } from '@ws-tunnel/core'
import { type Fleet, joinFleet, type MemberChange, type State } from '@ws-tunnel/manager'
import { type RedisStoreOptions, redisStore } from '@ws-tunnel/manager/redis'
import { Program } from '../../docs/program.ts'
import { type Backend, echo, openBackend } from '../../support/backend.ts'
import { openTunnel, type RawClient } from '../../support/client.ts'
import { eventually, openHandles, within } from '../../support/gate.ts'
import { peer } from '../../support/peers.ts'
import { hasRedis, Redis } from '../../support/redis.ts'
import { changeAt, stateAt } from '../harness.ts'

const KEY = 'ws-tunnel'
/** The pipes of this process before the tests. The sockets of Redis are pipes too. */
const pipes = openHandles()['PipeWrap']
const A = 'ws://a.test'
const keyOf = (name: string): string => JSON.stringify(['main', 'chat', A, name])

suite('a fleet with a real Redis', peer('Redis', hasRedis), () => {
  let redis: Redis
  let undos: (() => unknown)[]

  beforeEach(async () => {
    undos = []
    redis = await Redis.start()
    undos.unshift(() => redis.remove())
  })
  afterEach(async () => {
    for (const step of undos.splice(0)) await step()
  })

  const gateway = (): TunnelProxy =>
    createTunnelProxy({ balancers: { chat: { members: [{ url: A }] } }, target: 'balancer://chat/' })
  const status = (proxy: TunnelProxy): string | undefined => proxy.balancers.get('chat')?.members[0]?.status
  const set = (settings: object, member = A): MemberChange => ({
    action: 'set-member',
    proxy: 'main',
    balancer: 'chat',
    member,
    settings,
  })
  const join = async (
    proxy: TunnelProxy,
    options: Omit<RedisStoreOptions, 'socket'> = {},
    problems: string[] = [],
  ): Promise<Fleet> => {
    const store = redisStore({ socket: { path: redis.path, tls: false }, ...options })
    const fleet = joinFleet(proxy, { store, onProblem: ({ message }) => problems.push(message) })
    undos.unshift(() => fleet.close())
    await within(10_000, 'a response of the store', fleet.ready)
    return fleet
  }
  const backends = async (...names: string[]): Promise<Backend[]> => {
    const started = await Promise.all(names.map(name => openBackend(echo({ early: name }))))
    undos.push(...started.map(backend => () => backend.close()))
    return started
  }
  const start = async (members: Backend[]): Promise<Program> => {
    const args = [redis.path, ...members.map(({ address }) => `ws://${address}`)]
    const program = await Program.start('test/manager/fleet/fleet-gateway.ts', { args })
    undos.unshift(() => program.kill())
    return program
  }
  const open = async (program: Program): Promise<{ client: RawClient; name: string }> => {
    const { client } = await openTunnel(Number(new URL(program.url).port), '/')
    undos.unshift(() => client.destroy())
    return { client, name: (await client.readExact(3)).toString() }
  }
  const fleetAt = async (program: Program): Promise<State['fleet']> => (await stateAt(program.url)).fleet

  test('a member that one gateway drains is drained in the other within a second, and in one that starts later', async () => {
    const [one, two] = (await backends('one', 'two')) as [Backend, Backend]
    const [here, there] = (await Promise.all([start([one, two]), start([one, two])])) as [Program, Program]
    const before = await open(there)
    const settings = { status: '+N' }
    await changeAt(here.url, set(settings, `ws://${one.address}`))
    await eventually(async () => {
      const [proxy] = (await stateAt(there.url)).proxies
      return proxy?.balancers[0]?.members[0]?.status === 'N'
    }, 1_000)
    const later = await start([one, two])
    for (const program of [there, there, there, later, later, later]) assert.equal((await open(program)).name, 'two')
    before.client.send('still here')
    assert.equal((await before.client.readExact(10)).toString(), 'still here')
    const { store, connected, reason, waiting, ignored } = await fleetAt(there)
    assert.deepEqual([store, connected, reason, waiting, ignored], ['redis', true, '', 0, 0])
    for (const program of [here, there, later]) {
      program.signal('SIGTERM')
      await program.endsCleanly()
    }
  })

  test('tunnels survive the end of Redis, and a change made meanwhile reaches all processes when Redis is back', async () => {
    const [one, two] = (await backends('one', 'two')) as [Backend, Backend]
    const [here, there] = (await Promise.all([start([one, two]), start([one, two])])) as [Program, Program]
    const clients = await Promise.all([here, here, there, there].map(open))
    const talk = async (): Promise<void> => {
      for (const { client } of clients) {
        client.send('hello')
        assert.equal((await client.readExact(5)).toString(), 'hello')
      }
    }
    const change = async (program: Program, backend: Backend, settings: object): Promise<void> => {
      await changeAt(program.url, set(settings, `ws://${backend.address}`))
    }
    const settingsAt = async (program: Program): Promise<string> => {
      const [proxy] = (await stateAt(program.url)).proxies
      const members = proxy?.balancers[0]?.members ?? []
      return members.map(({ status, loadFactor, lbSet }) => `${status} ${loadFactor} ${lbSet}`).join(', ')
    }
    await change(here, one, { loadFactor: 2 })
    await eventually(async () => (await settingsAt(there)) === ' 2 0,  1 0')

    const before = Date.now()
    await redis.kill()
    for (const program of [here, there]) await eventually(async () => !(await fleetAt(program)).connected)
    const { since, reason } = await fleetAt(here)
    assert.ok(since >= before && since <= Date.now())
    assert.match(reason, /^(?:ECONNREFUSED|ENOENT|SocketClosedUnexpectedlyError)$/)
    await talk()
    await change(here, one, { status: '+N' })
    await change(here, two, { lbSet: 1 })
    await change(there, two, { lbSet: 2, loadFactor: 5 })
    assert.equal((await fleetAt(here)).waiting, 2)
    assert.equal(await settingsAt(here), 'N 2 0,  1 1')
    assert.equal(await settingsAt(there), ' 2 0,  5 2')
    assert.equal((await open(here)).name, 'two')

    await redis.run()
    for (const program of [here, there]) {
      await eventually(async () => (await settingsAt(program)) === 'N 2 0,  5 2', 15_000)
      await eventually(async () => {
        const { connected, waiting } = await fleetAt(program)
        return connected && waiting === 0
      }, 15_000)
    }
    await talk()
    assert.match(here.output, /^The store of settings \(redis\) is away: \w+\. The last known settings stay in force$/m)
    // Redis came back empty, and got every setting again.
    assert.ok((await redis.client(client => client.hLen(KEY))) >= 4)
  })

  test('a Redis that loses every setting while it runs gets them again', async () => {
    const proxy = gateway()
    const fleet = await join(proxy, { interval: 100 })
    fleet.change(set({ status: '+H', loadFactor: 4 }))
    await eventually(async () => (await redis.client(client => client.hLen(KEY))) === 2)
    await redis.client(client => client.flushAll())
    await eventually(async () => (await redis.client(client => client.hLen(KEY))) === 2)
    assert.equal(status(proxy), 'H')
  })

  test('DEL means forgotten: settings are undone in every process, also in one that was away, and stay so', async () => {
    const [here, there] = [gateway(), gateway()]
    const fleet = await join(here, { interval: 100 })
    const away = await join(there, { interval: 100 })
    const B = 'ws://b.test'
    fleet.change(set({ status: '+D', loadFactor: 4 }))
    fleet.change({ action: 'add-member', proxy: 'main', balancer: 'chat', member: { url: B } })
    const shown = (proxy: TunnelProxy): string =>
      (proxy.balancers.get('chat')?.members ?? []).map(m => `${m.url} ${m.status} ${m.loadFactor}`).join(', ')
    const changed = `${A} D 4, ${B}  1`
    await eventually(() => shown(there) === changed)
    await redis.client(client => client.del(KEY))
    await eventually(() => shown(here) === `${A}  1` && shown(there) === `${A}  1`)
    assert.equal(shown(gateway()), `${A}  1`)

    fleet.change({ action: 'remove-member', proxy: 'main', balancer: 'chat', member: A })
    await eventually(() => shown(there) === '')
    redis.signal('SIGSTOP')
    await eventually(() => !away.view.connected && !fleet.view.connected, 20_000)
    redis.signal('SIGCONT')
    await redis.client(client => client.del(KEY))
    await eventually(() => shown(here) === `${A}  1` && shown(there) === `${A}  1`, 20_000)
    fleet.change(set({ lbSet: 3 }))
    await eventually(() => there.balancers.get('chat')?.members[0]?.lbSet === 3, 20_000)
    assert.equal(await redis.client(client => client.hLen(KEY)), 1)
  })

  test('reads any number of settings in pages, so that a new process never serves a disabled member', async () => {
    const time = String(Date.now()).padStart(15, '0')
    const urls = Array.from({ length: 12_000 }, (_, i) => `ws://10.0.0.1:${i + 1}`)
    const many = urls.map(url => [JSON.stringify(['main', 'chat', url, 'D']), `${time} ffffffff true`])
    await redis.client(client => client.hSet(KEY, Object.fromEntries([...many, [keyOf('D'), `${time} ffffffff true`]])))
    const proxy = createTunnelProxy({
      balancers: { chat: { members: [A, ...urls.slice(-3)].map(url => ({ url })) } },
      target: 'balancer://chat/',
    })
    const fleet = await join(proxy)
    assert.equal(await fleet.ready, true)
    assert.deepEqual(
      proxy.balancers.get('chat')?.members.map(member => member.status),
      ['D', 'D', 'D', 'D'],
    )
    assert.equal(await redis.client(client => client.hLen(KEY)), 12_001)
  })

  test('ready is false while the store is away, because settings may then be unknown', async () => {
    await redis.kill()
    assert.equal(await (await join(gateway())).ready, false)
  })

  test('removes from Redis what a removed member has left, and old removals of added members', async () => {
    const fleet = await join(gateway(), { interval: 100 })
    const chat = { proxy: 'main', balancer: 'chat' } as const
    const B = 'ws://b.test'
    fleet.change({ action: 'add-member', ...chat, member: { url: B } })
    fleet.change(set({ loadFactor: 3, lbSet: 1 }, B))
    await eventually(async () => (await redis.client(client => client.hLen(KEY))) === 3)
    fleet.change({ action: 'remove-member', ...chat, member: B })
    const key = JSON.stringify(['main', 'chat', B, 'member'])
    await eventually(async () => (await redis.client(client => client.hLen(KEY))) === 1)
    const text = (await redis.client(client => client.hGet(KEY, key))) ?? ''
    assert.match(text, / null$/)
    await fleet.close()
    const old = String(Date.now() - 8 * 24 * 3_600_000).padStart(15, '0')
    await redis.client(client =>
      client.hSet(KEY, { [key]: old + text.slice(15), [keyOf('member')]: `${old} ffffffff false` }),
    )
    await join(gateway(), { interval: 100 })
    // The removal of a member of the configuration stays.
    await eventually(async () => {
      const left = await redis.client(client => client.hKeys(KEY))
      return left.length === 1 && left[0] === keyOf('member')
    })
  })

  test('wrong settings in Redis are reported and ignored, and replaced when an operator sets them', async () => {
    const long = 'x'.repeat(1_000_000)
    const later = `${String(Date.now() + 1e9).padStart(15, '0')} ffffffff true`
    const wrong: Record<string, string> = {
      [keyOf('N')]: 'garbage',
      [keyOf('D')]: later,
      [keyOf('H')]: long,
      [keyOf('S')]: `${String(Date.now()).padStart(15, '0')} ffffffff ${long}`,
      [keyOf('loadFactor')]: `${String(Date.now()).padStart(15, '0')} ffffffff 1e400`,
      [long]: 'x',
      '\0\u{1f600}': '\xff',
    }
    await redis.client(client => client.hSet(KEY, wrong))
    const [here, there] = [gateway(), gateway()]
    const problems: string[] = []
    const fleet = await join(here, {}, problems)
    await join(there)
    assert.deepEqual([fleet.view.connected, fleet.view.ignored, problems.length], [true, 7, 7])
    assert.ok(problems.every(problem => problem.length < 700))
    assert.equal(status(here), '')
    fleet.change(set({ status: '+N+D+H+S', loadFactor: 3 }))
    await eventually(() => status(there) === 'DSHN')
    await eventually(() => fleet.view.waiting === 0)
    const stored = await redis.client(client => client.hGetAll(KEY))
    assert.match(stored[keyOf('D')] ?? '', /^\d{15} [0-9a-f]{8} true$/)
    // What no operator sets stays wrong, until somebody deletes it.
    assert.equal(fleet.view.ignored, 2)
    await redis.client(client => client.hDel(KEY, [long, '\0\u{1f600}']))
    fleet.change(set({ status: '-N' }))
    await eventually(() => fleet.view.ignored === 0)
  })

  test('a store whose key has another type is away until the key is right', async () => {
    await redis.client(client => client.set(KEY, 'mine'))
    const proxy = gateway()
    const fleet = await join(proxy)
    assert.deepEqual([fleet.view.connected, fleet.view.reason], [false, 'WRONGTYPE'])
    fleet.change(set({ status: '+N' }))
    assert.deepEqual([status(proxy), fleet.view.waiting], ['N', 1])
    assert.equal(await redis.client(client => client.get(KEY)), 'mine')
    await redis.client(client => client.del(KEY))
    await eventually(() => fleet.view.connected && fleet.view.waiting === 0, 15_000)
    assert.equal(await redis.client(client => client.hLen(KEY)), 1)
  })

  test('fleets with different keys are separate', async () => {
    const [here, there] = [gateway(), gateway()]
    const fleet = await join(here, { key: 'blue' })
    await join(there, { key: 'green' })
    fleet.change(set({ status: '+N' }))
    await eventually(async () => (await redis.client(client => client.hLen('blue'))) === 1)
    assert.deepEqual((await redis.client(client => client.keys('*'))).sort(), ['blue', '{blue}:generation'])
    assert.equal(status(there), '')
  })

  test('reports a refused login without a password', async () => {
    const guarded = await Redis.start('--requirepass', 'right-secret')
    undos.unshift(() => guarded.remove())
    const guardedJoin = async (password: string, problems: string[]): Promise<Fleet> => {
      const store = redisStore({ socket: { path: guarded.path, tls: false }, password })
      const fleet = joinFleet(gateway(), { store, onProblem: problem => problems.push(String(problem.stack)) })
      undos.unshift(() => fleet.close())
      await fleet.ready
      return fleet
    }
    const problems: string[] = []
    assert.equal((await guardedJoin('right-secret', problems)).view.connected, true)
    const refused = await guardedJoin('wrong-secret', problems)
    assert.deepEqual([refused.view.connected, refused.view.reason], [false, 'WRONGPASS'])
    assert.doesNotMatch(JSON.stringify([refused.view, problems]), /secret/)
    assert.throws(
      () => redisStore({ url: 'redis//user:my-secret@nowhere' }),
      ({ message, name }: Error) => {
        assert.equal(name, 'TypeError')
        assert.doesNotMatch(message, /secret/)
        return true
      },
    )
  })

  test('needs only the rights that the documentation names', async () => {
    const acl =
      /^ACL (SETUSER fleet .*)$/m.exec(
        await readFile(new URL('../../../docs/fleet.md', import.meta.url), 'utf8'),
      )?.[1] ?? ''
    await redis.client(client => client.sendCommand(['ACL', ...acl.split(' ')]))
    const [here, there] = [gateway(), gateway()]
    const user = { username: 'fleet', password: 'password' }
    const fleet = await join(here, user)
    await join(there, user)
    fleet.change(set({ status: '+N' }))
    await eventually(() => status(there) === 'N')
    assert.deepEqual([fleet.view.connected, fleet.view.reason], [true, ''])
  })

  test('notices a Redis that does not respond, and connects again', async () => {
    const proxy = gateway()
    const fleet = await join(proxy, { interval: 100 })
    redis.signal('SIGSTOP')
    await eventually(() => fleet.view.reason === 'ETIMEDOUT', 20_000)
    fleet.change(set({ status: '+D' }))
    redis.signal('SIGCONT')
    await eventually(() => fleet.view.connected && fleet.view.waiting === 0, 20_000)
    assert.equal(await redis.client(client => client.hLen(KEY)), 1)
  })

  test('close() sends the remaining changes, and ends every handle, with Redis connected or away', async () => {
    await eventually(() => openHandles()['PipeWrap'] === pipes)
    const idle = openHandles()
    const fleet = await join(gateway(), { interval: 100 })
    fleet.change(set({ status: '+D' }))
    await fleet.close()
    await eventually(() => assert.deepEqual(openHandles(), idle))
    assert.equal(await redis.client(client => client.hLen(KEY)), 1)

    const other = await join(gateway())
    await redis.kill()
    await eventually(() => !other.view.connected)
    other.change(set({ status: '+D' }))
    await other.close()
    await (await join(gateway())).close()
    const { ProcessWrap: _redis, ...before } = idle
    await eventually(() => assert.deepEqual(openHandles(), before))
  })

  test('redisStore throws for wrong options', () => {
    const wrong: [options: object, message: RegExp][] = [
      [{ key: '' }, /`key`/],
      [{ key: 1 }, /`key`/],
      [{ key: 'a}b{' }, /`key`/],
      [{ client: 1 }, /`client`/],
      [{ client: { duplicate: () => {} }, url: 'redis://localhost' }, /`url`/],
      [{ interval: 5 }, /`interval`.*100 to 3600000.*5/],
      [{ url: 'http://localhost' }, /`url`.*redis:/],
    ]
    for (const [options, message] of wrong) assert.throws(() => redisStore(options), { name: 'TypeError', message })
  })
})
