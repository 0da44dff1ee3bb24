import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { createTunnelProxy, type Member, type MemberOptions, type TunnelProxy } from '@ws-tunnel/core'
import {
  type Entry,
  type Fleet,
  joinFleet,
  type MemberChange,
  memoryStore,
  type OpenStore,
  type Store,
  type StoreEvents,
} from '@ws-tunnel/manager'
import fc from 'fast-check'
import type { BalancerMember } from '../../../packages/core/dist/balancer/balancer-member.js'

type Balancer = NonNullable<ReturnType<TunnelProxy['balancers']['get']>>

const A = 'ws://a.test'
const B = 'ws://b.test'

function gateway(...members: MemberOptions[]): TunnelProxy {
  const all = members.length === 0 ? [{ url: A }, { url: B }] : members
  return createTunnelProxy({ balancers: { chat: { members: all } }, target: 'balancer://chat/' })
}

const chatOf = (proxy: TunnelProxy): Balancer => proxy.balancers.get('chat') as Balancer

/** The settings of every member. */
const settingsIn = (proxy: TunnelProxy): string =>
  chatOf(proxy)
    .members.map(({ url, status, loadFactor, lbSet, routeId, redirect, retry }) =>
      [url, status, loadFactor, lbSet, routeId ?? '', redirect ?? '', retry].join(' '),
    )
    .join('\n')

const chat = { proxy: 'main', balancer: 'chat' } as const
const set = (member: string, settings: object): MemberChange => ({ action: 'set-member', ...chat, member, settings })
const add = (member: MemberOptions): MemberChange => ({ action: 'add-member', ...chat, member })
const remove = (member: string): MemberChange => ({ action: 'remove-member', ...chat, member })

const silent = (): void => {}

/** Fleets of these proxies, with one store. */
async function fleetOf(
  t: { after: (undo: () => Promise<void>) => void },
  proxies: TunnelProxy[],
  store = memoryStore(),
  onProblem: (problem: Error) => void = silent,
): Promise<Fleet[]> {
  const fleets = proxies.map(proxy => joinFleet(proxy, { store, onProblem }))
  t.after(async () => void (await Promise.all(fleets.map(fleet => fleet.close()))))
  await Promise.all(fleets.map(({ ready }) => ready))
  return fleets
}

/** Saves entries in a store, without a fleet. */
async function put(store: Store, ...entries: Entry[]): Promise<void> {
  const open = store.open({ all: silent, some: silent, away: silent })
  await open.save(entries)
  await open.close()
}

const stamp = (time = Date.now(), writer = 'ffffffff'): string => `${String(time).padStart(15, '0')} ${writer}`

/** The view that one process has of a store. The test may cut its connection. */
class Connection implements Store {
  readonly name = 'connection'
  readonly #store: Store
  #events: StoreEvents | undefined
  #open: OpenStore | undefined

  constructor(store: Store) {
    this.#store = store
  }

  open(events: StoreEvents): OpenStore {
    this.#events = events
    this.reconnect()
    return {
      save: entries => this.#open?.save(entries) ?? Promise.reject(new Error('cut off')),
      close: async () => this.#open?.close(),
    }
  }

  async cut(): Promise<void> {
    await this.#open?.close()
    this.#open = undefined
    this.#events?.away(new Error('CUTOFF by a test'))
  }

  reconnect(): void {
    this.#open ??= this.#store.open(this.#events as StoreEvents)
  }
}

suite('shared settings', () => {
  test('all processes end with the same settings, whatever operators change and whichever process is disconnected meanwhile', async () => {
    const urls = fc.constantFrom(A, B, 'ws://c.test')
    const settings = fc.record(
      {
        status: fc.constantFrom('+N', '-N', '+D-H', '+H', '-D+R', '-R+I', '+E'),
        loadFactor: fc.constantFrom(1, 2, 3),
        lbSet: fc.constantFrom(0, 1),
        routeId: fc.constantFrom('', 'r', 's'),
        retry: fc.constantFrom(60_000, 5),
      },
      { requiredKeys: [] },
    )
    const changes = fc.oneof(
      { weight: 3, arbitrary: fc.tuple(urls, settings).map(([url, settings]) => set(url, settings)) },
      fc.tuple(urls, settings).map(([url, { routeId, ...rest }]) => add({ url, ...rest, ...(routeId && { routeId }) })),
      urls.map(remove),
    )
    const step = fc.record({
      at: fc.nat(2),
      what: fc.oneof({ weight: 4, arbitrary: changes }, fc.constant('cut or reconnect')),
    })
    const run = async (steps: { at: number; what: MemberChange | string }[]): Promise<void> => {
      const store = memoryStore()
      const proxies = [gateway(), gateway({ url: A, status: 'H' }), gateway({ url: B, loadFactor: 9 })]
      const connections = proxies.map(() => new Connection(store))
      const fleets = proxies.map((proxy, i) =>
        joinFleet(proxy, { store: connections[i] as Connection, onProblem: silent }),
      )
      await Promise.all(fleets.map(({ ready }) => ready))
      // Differences of the configurations remain until an operator sets the members.
      for (const url of [A, B]) {
        fleets[0]?.change(remove(url))
        fleets[0]?.change(add({ url }))
      }
      const cut = new Set<number>()
      for (const { at, what } of steps) {
        if (typeof what !== 'string') {
          try {
            fleets[at]?.change(what)
          } catch {
            // The member does not exist, or exists already.
          }
        } else if (cut.delete(at)) connections[at]?.reconnect()
        else {
          cut.add(at)
          await connections[at]?.cut()
        }
      }
      for (const connection of connections) connection.reconnect()
      await new Promise(setImmediate)
      const late = gateway()
      const lateFleet = joinFleet(late, { store, onProblem: silent })
      await lateFleet.ready
      const seen = [...proxies, late].map(proxy => settingsIn(proxy).replaceAll('E', '').split('\n').toSorted())
      await Promise.all([...fleets, lateFleet].map(fleet => fleet.close()))
      for (const one of seen) assert.deepEqual(one, seen[0])
      assert.deepEqual(
        fleets.map(({ view }) => view.waiting),
        [0, 0, 0],
      )
    }
    await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 25 }), run), { numRuns: 300 })
  })

  test('each change in one process is made in all others', async t => {
    const [here, there] = [gateway(), gateway()]
    const [fleet] = (await fleetOf(t, [here, there])) as [Fleet]
    const changes: [change: MemberChange, expected: string][] = [
      [set(A, { status: '+N' }), `${A} N 1 0   60000\n${B}  1 0   60000`],
      [set(A, { status: '-N+dS', loadFactor: 2.5 }), `${A} DS 2.5 0   60000\n${B}  1 0   60000`],
      [
        set(A, { status: '-D-S', lbSet: 3, routeId: 'r', redirect: 's', retry: 5 }),
        `${A}  2.5 3 r s 5\n${B}  1 0   60000`,
      ],
      [
        add({ url: 'ws://c.test', routeId: 'c', status: 'H' }),
        `${A}  2.5 3 r s 5\n${B}  1 0   60000\nws://c.test H 1 0 c  60000`,
      ],
      [set('ws://c.test', { status: '-H+R' }), `${A}  2.5 3 r s 5\n${B}  1 0   60000\nws://c.test R 1 0 c  60000`],
      [remove(B), `${A}  2.5 3 r s 5\nws://c.test R 1 0 c  60000`],
    ]
    for (const [change, expected] of changes) {
      fleet.change(change)
      assert.equal(settingsIn(here), expected)
      assert.equal(settingsIn(there), expected)
    }
  })

  test('a process that starts later gets the settings, and so does a proxy that is added later', async t => {
    const store = memoryStore()
    const [fleet] = (await fleetOf(t, [gateway()], store)) as [Fleet]
    fleet.change(set(A, { status: '+D', loadFactor: 7 }))
    fleet.change(remove(B))
    fleet.change(add({ url: 'ws://c.test' }))
    const expected = `${A} D 7 0   60000\nws://c.test  1 0   60000`
    const later = gateway()
    await fleetOf(t, [later], store)
    assert.equal(settingsIn(later), expected)

    t.mock.timers.enable({ apis: ['setInterval'] })
    const proxies: Record<string, TunnelProxy> = {}
    const growing = joinFleet(proxies, { store })
    t.after(() => growing.close())
    await growing.ready
    proxies['main'] = gateway()
    t.mock.timers.tick(1_000)
    assert.equal(settingsIn(proxies['main']), expected)
  })

  test('a member that is removed and added again loses its settings, and a later setting of a removed member has no effect', async t => {
    const [here, there] = [gateway({ url: A }), gateway({ url: A })]
    const store = memoryStore()
    const [fleet] = (await fleetOf(t, [here, there], store)) as [Fleet]
    fleet.change(set(A, { status: '+N+H', loadFactor: 9, lbSet: 2 }))
    fleet.change(remove(A))
    fleet.change(add({ url: A, loadFactor: 3 }))
    assert.equal(settingsIn(there), `${A}  3 0   60000`)
    const later = gateway({ url: A, lbSet: 5, status: 'D' })
    await fleetOf(t, [later], store)
    assert.equal(settingsIn(later), `${A}  3 0   60000`)

    fleet.change(remove(A))
    await put(store, [JSON.stringify(['main', 'chat', A, 'N']), `${stamp(Date.now() + 60_000)} true`])
    assert.deepEqual([settingsIn(here), settingsIn(there)], ['', ''])
  })

  test('a member that code adds again gets its settings, or is removed again if an operator removed it', async t => {
    const [here, there] = [gateway(), gateway()]
    const [fleet] = (await fleetOf(t, [here, there])) as [Fleet]
    fleet.change(set(A, { status: '+N', lbSet: 2 }))
    const [a, b] = chatOf(there).members as [Member, Member]
    fleet.change(remove(B))
    chatOf(there).remove(a)
    for (const { url } of [a, b]) chatOf(there).add({ url })
    await Promise.resolve()
    assert.equal(settingsIn(there), `${A} N 1 2   60000`)
  })

  test('a setting that was cleared is cleared in a process that starts later', async t => {
    const store = memoryStore()
    const [fleet] = (await fleetOf(t, [gateway({ url: A, routeId: 'a' })], store)) as [Fleet]
    fleet.change(add({ url: B, routeId: 'b', redirect: 'a', status: 'R' }))
    fleet.change(set(B, { routeId: '', status: '-R' }))
    fleet.change(set(A, { routeId: '' }))
    const later = gateway({ url: A, routeId: 'a' })
    await fleetOf(t, [later], store)
    assert.equal(settingsIn(later), `${A}  1 0   60000\n${B}  1 0  a 60000`)
  })

  test('of two changes of one setting the later one counts, in any order of arrival; other settings are untouched', async t => {
    const store = memoryStore()
    const proxy = gateway({ url: A })
    const now = Date.now()
    const entry = (name: string, value: unknown, time: number, writer?: string): Entry => [
      JSON.stringify(['main', 'chat', A, name]),
      `${stamp(time, writer)} ${JSON.stringify(value)}`,
    ]
    const [fleet] = (await fleetOf(t, [proxy], store)) as [Fleet]
    await put(store, entry('loadFactor', 2, now + 2_000), entry('lbSet', 4, now), entry('N', true, now))
    await put(store, entry('loadFactor', 3, now + 1_000), entry('lbSet', 5, now, '00000000'))
    assert.equal(settingsIn(proxy), `${A} N 2 4   60000`)
    // The clock of this process is behind, and its later change counts all the same.
    fleet.change(set(A, { loadFactor: 8 }))
    const other = gateway({ url: A })
    await fleetOf(t, [other], store)
    assert.equal(settingsIn(other), `${A} N 8 4   60000`)
  })

  test('the letter E is not shared: a member is in error in one process only', async t => {
    const [here, there] = [gateway(), gateway()]
    const [fleet] = (await fleetOf(t, [here, there])) as [Fleet]
    const [failing] = chatOf(there).members as readonly [BalancerMember]
    failing.fail()
    fleet.change(set(A, { status: '+D+E' }))
    fleet.change(set(A, { status: '-E' }))
    assert.equal(failing.status, 'DE')
    assert.equal(chatOf(here).members[0]?.status, 'D')
    assert.equal(failing.failures, 1)
  })

  test('a process ignores settings of balancers and members that it does not have', async t => {
    const other = createTunnelProxy({ balancers: { other: { members: [{ url: A }] } }, target: 'balancer://other/' })
    const one = gateway({ url: A })
    const problems: Error[] = []
    const store = memoryStore()
    const [fleet] = (await fleetOf(t, [gateway(), other, one], store, problem => problems.push(problem))) as [Fleet]
    fleet.change(set(B, { status: '+N' }))
    fleet.change(set(A, { status: '+N' }))
    assert.equal(other.balancers.get('other')?.members[0]?.status, '')
    assert.equal(settingsIn(one), `${A} N 1 0   60000`)
    assert.deepEqual(problems, [])
  })

  test('a change that the balancer refuses is made in no process', async t => {
    const [here, there] = [gateway(), gateway()]
    const [fleet] = (await fleetOf(t, [here, there])) as [Fleet]
    const before = settingsIn(there)
    const long = `ws://z.test/${'x'.repeat(5_000)}`
    const wrongs = [set(A, { loadFactor: 500 }), set('ws://z.test', {}), remove('ws://z.test'), add({ url: 'z' })]
    for (const wrong of [...wrongs, add({ url: long })]) assert.throws(() => fleet.change(wrong))
    assert.deepEqual([settingsIn(here), settingsIn(there), fleet.view.waiting], [before, before, 0])
  })

  test('wrong settings in a store are reported and ignored, and a right one that replaces them is applied', async t => {
    const key = (name: string, url = A): string => JSON.stringify(['main', 'chat', url, name])
    const good = (value: unknown): string => `${stamp()} ${JSON.stringify(value)}`
    const wrong: Entry[] = [
      ['', good(1)],
      ['nonsense', good(1)],
      ['[]', good(1)],
      ['["main","chat","x",{}]', good(1)],
      ['["main","chat","x","N","y"]', good(1)],
      ['{"__proto__":{"polluted":1}}', good(1)],
      [key('password'), good('x')],
      [key('__proto__'), good({ polluted: 1 })],
      [key('E'), good(true)],
      [key(''), good(true)],
      [key('IDS'), good(true)],
      [key('N'), good('yes')],
      [key('D'), ''],
      [key('H'), 'true'],
      [key('S'), `${stamp(Date.now() + 7_200_000)} true`],
      [key('R'), `${stamp()}true`],
      [key('I'), `${stamp()} tru`],
      [key('loadFactor'), good(1e9)],
      [key('lbSet'), good('1')],
      [key('routeId'), good('a b\r\nX: y')],
      [key('redirect'), good(null)],
      [key('retry'), good(-1)],
      [key('member', 'ws://m.test/1'), good(true)],
      [key('member', 'ws://m.test/2'), good([])],
      [key('member', 'ws://m.test/3'), good({ url: 'ws://evil.test' })],
      [key('member', 'ws://m.test/4'), good({ status: '+X' })],
      [key('member', 'no url at all'), good({})],
      [key('member', 'ws://m.test/5'), `${stamp()} {"__proto__":{"loadFactor":5}}`],
      [key('loadFactor', 'x'.repeat(5_000)), good(2)],
    ]
    const problems: string[] = []
    const store = memoryStore()
    const proxy = gateway({ url: A })
    const [fleet] = (await fleetOf(t, [proxy], store, ({ message }) => problems.push(message))) as [Fleet]
    await put(store, ...wrong)
    assert.equal(settingsIn(proxy), `${A}  1 0   60000`)
    // The store keeps an empty text out, because it is not greater than no text.
    assert.equal(fleet.view.ignored, wrong.length - 1)
    assert.equal(problems.length, wrong.length - 1)
    assert.equal(fleet.view.ignoredSettings.length, 20)
    for (const problem of problems) assert.match(problem, /^A setting is ignored, .*: .*\b(?:[Ee]xpected|option)\b/s)

    await put(store, [key('N'), `${stamp(Date.now() + 1_000)} true`])
    assert.equal(settingsIn(proxy), `${A} N 1 0   60000`)
    assert.equal(fleet.view.ignored, wrong.length - 2)
  })

  test('a closed fleet neither sends nor applies settings, and close() may be called again', async t => {
    const store = memoryStore()
    const [here, there] = [gateway(), gateway()]
    const [fleet, other] = (await fleetOf(t, [here, there], store)) as [Fleet, Fleet]
    await other.close()
    await other.close()
    fleet.change(set(A, { status: '+N' }))
    assert.equal(chatOf(there).members[0]?.status, '')
  })
})
