import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { IncomingMessage } from 'node:http'
import { test } from 'node:test'
import type { BalancerMember } from '../../../packages/core/src/balancer/balancer-member.ts'
import { type Excluded, LoadBalancer } from '../../../packages/core/src/balancer/load-balancer.ts'
import { WsTunnelError } from '../../../packages/core/src/errors.ts'
import type {
  BalancerOptions,
  BalancerSettings,
  MemberOptions,
  MemberState,
  SessionCookieOptions,
} from '../../../packages/core/src/options/balancer-options.ts'
import type { MemberMessage } from '../../../packages/core/src/options/events.ts'
import { resolveOptions } from '../../../packages/core/src/options/options.ts'
import { requestOf } from '../../support/request.ts'

const NAMES = [...'abcdefgh']

/** Members named a, b, c ..., each with its letter as `routeId`. */
function balancerOf(members: readonly Partial<MemberOptions>[], options: Partial<BalancerOptions> = {}): LoadBalancer {
  const all = members.map((member, i) => ({ url: `http://${NAMES[i]}.test/`, routeId: NAMES[i] as string, ...member }))
  const { balancers } = resolveOptions({ target: false, balancers: { x: { ...options, members: all } } })
  return new LoadBalancer('x', balancers['x'] as never)
}

const nameOf = (member: { readonly url: string }): string => member.url.charAt('http://'.length)

/** The signal of a request whose client stays. */
const { signal } = new AbortController()

/** Selects a member that is there without a wait. */
function selected(
  balancer: LoadBalancer,
  req: IncomingMessage = requestOf([]),
  url = '/',
  excluded: Excluded = new Map(),
): BalancerMember {
  const member = balancer.select(req, url, { excluded, signal })
  assert.ok(!(member instanceof Promise))
  return member
}

const select = (balancer: LoadBalancer, url = '/', lines: string[] = []): string =>
  nameOf(selected(balancer, requestOf(lines, { url }), url))

const sequence = (balancer: LoadBalancer, length: number): string =>
  Array.from({ length }, () => select(balancer)).join(' ')

// As taken from httpd 2.4.71.
const sequences: [what: string, members: Partial<MemberOptions>[], chosen: string][] = [
  ['equal members take turns', [{}, {}, {}, {}], 'a b c d a b c d'],
  ['a load factor is a share', [{}, {}, {}, { loadFactor: 2 }], 'd a b c d d a b c d d a'],
  ['three to one', [{ loadFactor: 3 }, {}], 'a a b a a a b a'],
  ['load factors have two decimals', [{}, { loadFactor: 2.5 }], 'b a b b b a b b a b b b'],
  ['a disabled member is skipped', [{}, { status: 'D' }, {}, {}], 'a c d a c d'],
  ['hot standbys serve if no other member can', [{ status: 'D' }, { status: 'H' }, { status: 'H' }], 'b c b c'],
  ['a hot standby gets nothing while others serve', [{}, { status: 'H' }], 'a a a'],
  ['one spare replaces each missing member', [{}, { status: 'S' }, { status: 'R' }, { status: 'R' }], 'a c a c'],
  ['a spare gets nothing while no member is missing', [{}, { status: 'R' }], 'a a a'],
  ['a set of a lower number is used first', [{ lbSet: 1 }, { lbSet: 0, status: 'D' }, { lbSet: 2 }], 'a a a'],
  ['a standby of a lower set is preferred to a regular member of a higher set', [{ lbSet: 1 }, { status: 'H' }], 'b b'],
  ['a draining member gets no new requests', [{ status: 'N' }, {}], 'b b'],
  ['a spare replaces a draining member', [{ status: 'N' }, {}, { status: 'R' }], 'b c b c'],
]

test('selects by requests as httpd does', async t => {
  for (const [what, members, chosen] of sequences) {
    await t.test(what, () => assert.equal(sequence(balancerOf(members), chosen.split(' ').length), chosen))
  }
})

test('selects the least busy member, and by requests among equal ones', () => {
  const balancer = balancerOf([{}, {}], { lbMethod: 'bybusyness' })
  const leaves: (() => void)[] = []
  const chosen: string[] = []
  const take = (): void => {
    const member = selected(balancer)
    chosen.push(nameOf(member))
    if (member === balancer.members[0]) leaves.push(member.enter())
    else member.enter()
  }
  for (let i = 0; i < 6; i++) take()
  assert.equal(chosen.splice(0).join(' '), 'a b a b a b')
  for (const leave of leaves) leave()
  for (const leave of leaves) leave()
  assert.deepEqual(
    balancer.members.map(({ busy }) => busy),
    [0, 3],
  )
  for (let i = 0; i < 4; i++) take()
  assert.equal(chosen.join(' '), 'a a a b')
})

test('selects the member with the fewest bytes relative to its load factor', () => {
  const balancer = balancerOf([{}, { loadFactor: 3 }], { lbMethod: 'bytraffic' })
  const chosen = Array.from({ length: 12 }, () => {
    const member = selected(balancer)
    member.count(1_000, 9_000)
    return nameOf(member)
  })
  assert.equal(chosen.join(' '), 'a b b b a b b b a b b b')
})

/** One more open tunnel at a member. */
const tunnelAt = (member: BalancerMember): void => void member.enterTunnel(signal)

test('selects the member with the fewest tunnels relative to its load factor, and by requests among equal ones', () => {
  const balancer = balancerOf([{}, { loadFactor: 2 }, { maxTunnels: 1 }], { lbMethod: 'leasttunnels' })
  const [a, b] = balancer.members as [BalancerMember, BalancerMember]
  const full = new Map(balancer.members.map(member => [member, 'full' as const]))
  const chosen = Array.from({ length: 8 }, () => {
    const member = selected(balancer, requestOf([]), '/', full)
    tunnelAt(member)
    return nameOf(member)
  })
  assert.equal(chosen.join(' '), 'b a c b b a b b')
  a.enter()
  assert.deepEqual([a.slots.inUse, b.slots.inUse], [2, 5])
  const idle = balancerOf([{}, {}, {}], { lbMethod: 'leasttunnels' })
  assert.equal(sequence(idle, 6), 'a b c a b c')
})

test('raises the share of a recovered member step by step', t => {
  let now = 0
  t.mock.method(performance, 'now', () => now)
  const balancer = balancerOf([{}, {}], { lbMethod: 'leasttunnels', slowStart: 10_000 })
  const [a, b] = balancer.members as [BalancerMember, BalancerMember]
  assert.deepEqual([a.warmth, b.warmth], [1, 1], 'members of the options start without a slow start')
  b.status = 'D'
  for (let i = 0; i < 100; i++) tunnelAt(a)
  b.status = '-D'
  const fill = (): number => {
    for (let i = 0; i < 400; i++) {
      const member = selected(balancer)
      if (member === a) break
      tunnelAt(member)
    }
    return b.slots.inUse
  }
  const levels = [1_000, 5_000, 9_000, 10_000].map(time => {
    now = time
    return fill()
  })
  assert.deepEqual(levels, [10, 50, 90, 100])
  assert.equal(b.warmth, 1)
  b.status = 'N'
  b.status = '-N'
  assert.equal(b.warmth, 1 / 10_000)
  b.fail()
  now = 30_000
  assert.equal(b.warmth, 1)
  b.recover(true)
  assert.equal(b.warmth, 1 / 10_000)
  assert.equal(balancer.add({ url: 'ws://new.test/' }).warmth, 1 / 10_000)
})

const keyed = (id: string): IncomingMessage => requestOf([`X-Id: ${id}`, `Cookie: other=1; id=${id}`])
const KEYS = Array.from({ length: 4_000 }, (_, i) => `user-${i}`)

test('selects by a hash: each key keeps its member, shares follow load factors, and only the keys of a removed member move', () => {
  const balancer = balancerOf([{}, { loadFactor: 2 }, {}], { lbMethod: { hash: 'header', name: 'x-id' } })
  const places = (): Map<string, string> => new Map(KEYS.map(key => [key, nameOf(selected(balancer, keyed(key)))]))
  const before = places()
  assert.deepEqual(places(), before)
  const shares = ['a', 'b', 'c'].map(name => [...before.values()].filter(value => value === name).length / KEYS.length)
  for (const [i, due] of [0.25, 0.5, 0.25].entries())
    assert.ok(Math.abs((shares[i] as number) - due) < 0.03, `${i}: ${shares[i]}`)
  const [, b] = balancer.members as [BalancerMember, BalancerMember]
  b.status = 'D'
  const moved = places()
  const wrongly = KEYS.filter(key => before.get(key) !== 'b' && moved.get(key) !== before.get(key))
  assert.deepEqual(wrongly, [])
  const spread = KEYS.filter(key => before.get(key) === 'b' && moved.get(key) === 'a').length
  assert.ok(spread > 0.2 * KEYS.length && spread < 0.3 * KEYS.length, `${spread} keys of b moved to a`)
  b.status = '-D'
  assert.deepEqual(places(), before)
  const turned = balancerOf([{}, {}, {}].reverse(), { lbMethod: { hash: 'header', name: 'X-Id' } })
  assert.equal(turned.lbMethod, 'hash of header X-Id')
})

test('hashes the path, a cookie or the address of the client, and selects by requests if there is nothing to hash', () => {
  const one = (lbMethod: BalancerOptions['lbMethod'], req: IncomingMessage, url = '/', times = 3): string => {
    const balancer = balancerOf([{}, {}, {}, {}], { lbMethod })
    return Array.from({ length: times }, () => nameOf(selected(balancer, req, url))).join(' ')
  }
  const cookie = { hash: 'cookie', name: 'id' } as const
  assert.match(one(cookie, keyed('7')), /^(\w) \1 \1$/)
  for (const none of ['other=7', 'id=; id=7']) assert.equal(one(cookie, requestOf([`Cookie: ${none}`])), 'a b c')
  assert.equal(one({ hash: 'path' }, requestOf([]), '/room/1?a=1'), one({ hash: 'path' }, requestOf([]), '/room/1?b=2'))
  const rooms = new Set(Array.from({ length: 50 }, (_, i) => one({ hash: 'path' }, requestOf([]), `/room/${i}`, 1)))
  assert.equal(rooms.size, 4)
})

test('hashes the client address that a trusted proxy names', () => {
  const from = (forwarded: string): IncomingMessage => {
    const req = requestOf([`X-Forwarded-For: ${forwarded}`])
    Object.defineProperty(req.socket, 'remoteAddress', { value: '10.0.0.1' })
    return req
  }
  const settings = resolveOptions({
    target: 'balancer://b/',
    balancers: { b: { members: NAMES.map(name => ({ url: `ws://${name}.test/` })), lbMethod: { hash: 'client' } } },
  }).balancers['b'] as BalancerSettings
  const chosen = (trusts: (address: string) => boolean): Set<string> => {
    const balancer = new LoadBalancer('b', settings, trusts)
    return new Set(Array.from({ length: 40 }, (_, i) => selected(balancer, from(`192.0.2.${i}`)).url))
  }
  assert.equal(chosen(address => address === '10.0.0.1').size, NAMES.length)
  assert.equal(chosen(() => false).size, 1, 'the field of a client is not trusted')
})

test('sets the session cookie if the request does not name the member', () => {
  const cookieOf = (
    set: boolean | SessionCookieOptions,
    { encrypted = false, cookie = '', more = {} }: { encrypted?: boolean; cookie?: string; more?: object } = {},
  ): string | undefined => {
    const balancer = balancerOf([{}], { stickySession: { cookie: 'SID', set, ...more } })
    const req = requestOf(cookie === '' ? [] : [`Cookie: ${cookie}`])
    const member = selected(balancer, req)
    return balancer.cookie({ balancer: 'b', member, session: balancer.session(req, '/') }, encrypted)
  }
  assert.equal(cookieOf(true), 'SID=.a; Path=/; HttpOnly; SameSite=Lax')
  assert.equal(cookieOf(true, { encrypted: true }), 'SID=.a; Path=/; Secure; HttpOnly; SameSite=Lax')
  assert.equal(cookieOf(true, { more: { separator: false } }), 'SID=a; Path=/; HttpOnly; SameSite=Lax')
  assert.equal(
    cookieOf({ path: '/chat', domain: 'app.test', maxAge: 3600, secure: true, httpOnly: false, sameSite: 'none' }),
    'SID=.a; Path=/chat; Domain=app.test; Max-Age=3600; Secure; SameSite=None',
  )
  assert.equal(cookieOf({ secure: false }, { encrypted: true }), 'SID=.a; Path=/; HttpOnly; SameSite=Lax')
  assert.equal(cookieOf(true, { cookie: 'SID=x.a' }), undefined)
  assert.match(cookieOf(true, { cookie: 'SID=x.gone' }) ?? '', /^SID=.a;/)
  assert.equal(cookieOf(false), undefined)
  for (const separator of [';', ',', ' ', '"', '\n', 'é'])
    assert.throws(() => cookieOf(true, { more: { separator } }), {
      code: 'WST_ERR_OPTION',
      message: /`balancers.x.stickySession.separator` to be a character that a cookie may contain/,
    })
  const noId = balancerOf([{}], { stickySession: { cookie: 'SID', set: true } })
  assert.throws(() => noId.add({ url: 'ws://new.test/' }), {
    code: 'WST_ERR_OPTION',
    message: /`balancers.x.members\[1\].routeId` to be given, because stickySession.set needs it/,
  })
})

test('calls a function of the options with the usable members', () => {
  const seen: string[] = []
  const balancer = balancerOf([{}, { status: 'D' }, { status: 'N' }, {}], {
    lbMethod: (members, req) => {
      seen.push(members.map(nameOf).join())
      return members.find(member => nameOf(member) === req.headers['x-to'])
    },
  })
  assert.equal(select(balancer, '/', ['X-To: d']), 'd')
  assert.throws(() => select(balancer, '/', ['X-To: b']), { code: 'WST_ERR_NO_MEMBER' })
  assert.deepEqual(seen, ['a,d', 'a,d'])
  const wrong = balancerOf([{}], { lbMethod: () => balancer.members[1] })
  assert.throws(() => select(wrong), { code: 'WST_ERR_CALLBACK' })
})

test('calls a function only with the candidates, and not at all if there are none', () => {
  const calls: string[] = []
  const firstOf = (members: Partial<MemberOptions>[]): string =>
    sequence(
      balancerOf(members, {
        lbMethod: given => {
          calls.push(given.map(nameOf).join(''))
          return given.at(-1)
        },
      }),
      1,
    )
  firstOf([{}, {}, { status: 'H' }, { status: 'R' }, { lbSet: 1 }])
  firstOf([{ status: 'D' }, {}, { status: 'H' }, { status: 'R' }])
  firstOf([{ status: 'D' }, { lbSet: 1 }, { status: 'H' }])
  assert.throws(() => firstOf([{ status: 'D' }]), { code: 'WST_ERR_NO_MEMBER' })
  assert.deepEqual(calls, ['ab', 'bd', 'c'])
})

const COOKIE = { stickySession: 'SID|sid' } as const
const sessions: [
  what: string,
  options: Partial<BalancerOptions>,
  url: string,
  cookie: string,
  chosen: string,
  members?: Partial<MemberOptions>[],
][] = [
  ['a parameter of the path', COOKIE, '/x;sid=zz.c', '', 'c'],
  ['a parameter of the query', COOKIE, '/x?q=1&sid=zz.c&x=1', '', 'c'],
  ['a cookie', COOKIE, '/', 'o=1; SID=zz.c', 'c'],
  ['path before cookie', COOKIE, '/?sid=zz.b', 'SID=zz.c', 'b'],
  ['space before the equals sign', COOKIE, '/', 'SID =zz.c', 'c'],
  ['the first separator counts', COOKIE, '/', 'SID=a.b.c', 'a'],
  ['a cookie whose name only ends the same is ignored', COOKIE, '/', 'XSID=zz.c', 'a'],
  ['an empty cookie names no member, even if another one follows', COOKIE, '/', 'SID=; SID=zz.c', 'a'],
  ['a value without separator names no member', COOKIE, '/', 'SID=c', 'a'],
  ['a semicolon belongs to the value', COOKIE, '/;sid=zz.c;foo=1', '', 'a'],
  [
    'a semicolon ends the value with semicolonEnds',
    { stickySession: { cookie: 'SID', path: 'sid', semicolonEnds: true } },
    '/;sid=zz.c;foo=1',
    '',
    'c',
  ],
  ['another separator', { stickySession: { cookie: 'SID', separator: '!' } }, '/', 'SID=zz!c', 'c'],
  ['no separator', { stickySession: { cookie: 'SID', separator: false } }, '/', 'SID=c', 'c'],
  ['a draining member keeps its sessions', COOKIE, '/', 'SID=z.c', 'c', [{}, {}, { status: 'N' }]],
  ['a standby may be named', COOKIE, '/', 'SID=z.c', 'c', [{}, {}, { status: 'H' }]],
  ['a disabled member redirects its sessions', COOKIE, '/', 'SID=z.b', 'c', [{}, { status: 'D', redirect: 'c' }, {}]],
  ['redirects in a circle end', COOKIE, '/', 'SID=z.b', 'a', [{}, { status: 'D', redirect: 'b' }, {}]],
  ['without a redirect another member is selected', COOKIE, '/', 'SID=z.b', 'a', [{}, { status: 'D' }, {}]],
]

test('keeps a session on its member', async t => {
  for (const [what, options, url, cookie, chosen, members = [{}, {}, {}]] of sessions) {
    await t.test(what, () => {
      const lines = cookie === '' ? [] : [`Cookie: ${cookie}`]
      assert.equal(select(balancerOf(members, options), url, lines), chosen)
    })
  }
})

test('follows each redirect once, however many members share it', () => {
  const away = Array.from({ length: 40 }, (_, i): Partial<MemberOptions> => {
    const [routeId, redirect] = i % 2 === 0 ? ['one', 'two'] : ['two', 'one']
    return { url: `http://${i}.test/`, routeId, redirect, status: 'D' }
  })
  assert.equal(select(balancerOf([{}, ...away], COOKIE), '/', ['Cookie: SID=z.one']), 'a')
})

test('moves no session to another member with noFailover, unless no member has its routeId', () => {
  const options = { stickySession: { cookie: 'SID', noFailover: true } }
  const balancer = balancerOf([{}, { status: 'D' }], options)
  assert.throws(() => select(balancer, '/', ['Cookie: SID=z.b']), { code: 'WST_ERR_NO_MEMBER', statusCode: 503 })
  assert.equal(select(balancer, '/', ['Cookie: SID=z.unknown']), 'a')
})

test('counts a request of a session as a selection of its member', () => {
  const balancer = balancerOf([{}, {}], COOKIE)
  assert.equal(select(balancer, '/?sid=z.a'), 'a')
  assert.equal(sequence(balancer, 3), 'b a b')
})

test('takes a failed member out until its retry time is over', t => {
  let now = 0
  t.mock.method(performance, 'now', () => now)
  t.mock.timers.enable({ apis: ['Date'], now: 1_000_000 })
  const balancer = balancerOf([{ retry: 1_000 }, { status: 'I' }])
  const [a, b] = balancer.members as [BalancerMember, BalancerMember]
  a.fail()
  b.fail()
  assert.deepEqual([a.status, a.usable, a.failures, b.status, b.usable], ['E', false, 1, 'I', true])
  assert.equal(sequence(balancer, 2), 'b b')
  now = 1_001
  // The wall clock may be set back.
  t.mock.timers.setTime(1)
  assert.ok(sequence(balancer, 2).includes('a'))
  assert.equal(a.status, '')
})

test('recovers all members if all are in error, unless forceRecovery is false', () => {
  const failed = (options: Partial<BalancerOptions> = {}): LoadBalancer => {
    const balancer = balancerOf([{}, {}], options)
    for (const member of balancer.members) member.fail()
    return balancer
  }
  assert.equal(sequence(failed(), 2), 'a b')
  assert.throws(() => select(failed({ forceRecovery: false })), { code: 'WST_ERR_NO_MEMBER' })
  const stopped = balancerOf([{ status: 'SE' }])
  assert.throws(() => select(stopped), { code: 'WST_ERR_NO_MEMBER' })
  assert.throws(() => select(balancerOf([])), { code: 'WST_ERR_NO_MEMBER' })
})

test('tries a member in error from the options, or with ignored errors, at once, and recovers no member before it is needed', () => {
  assert.equal(sequence(balancerOf([{ status: 'E' }, {}], { forceRecovery: false }), 2), 'a b')
  const balancer = balancerOf([{}, { lbSet: 1, retry: 0 }, { status: 'N', retry: 0 }])
  const [a, later, draining] = balancer.members as [BalancerMember, BalancerMember, BalancerMember]
  for (const member of balancer.members) member.fail()
  a.status = '+I'
  assert.equal(select(balancer), 'a')
  assert.deepEqual([a.status, later.status, draining.status], ['I', 'E', 'EN'])
})

test('waits for a usable member until the timeout', async () => {
  const balancer = balancerOf([{ status: 'D' }], { timeout: 10_000 })
  const waiting = balancer.select(requestOf([]), '/', { excluded: new Map(), signal })
  assert.ok(waiting instanceof Promise)
  const [a] = balancer.members as [BalancerMember]
  a.status = '-D'
  assert.equal(nameOf(await waiting), 'a')
  assert.equal(a.selected, 1)
  const empty = balancerOf([{ status: 'D' }], { timeout: 100 })
  await assert.rejects(async () => empty.select(requestOf([]), '/', { excluded: new Map(), signal }), {
    code: 'WST_ERR_NO_MEMBER',
  })
})

test('takes a member out for the statuses of failOnStatus, and for a timeout with failOnTimeout', () => {
  const balancer = balancerOf([{}, {}], { failOnStatus: [503], failOnTimeout: true })
  const [a, b] = balancer.members as [BalancerMember, BalancerMember]
  balancer.judge(a, 502)
  assert.equal(a.status, '')
  balancer.judge(a, 503)
  balancer.judge(b, 'timeout')
  assert.deepEqual([a.status, b.status], ['E', 'E'])
  const tolerant = balancerOf([{}])
  tolerant.judge(tolerant.members[0] as BalancerMember, 'timeout')
  assert.equal(tolerant.members[0]?.status, '')
})

test('reads and shows letters as Apache does', () => {
  const balancer = balancerOf([{ status: '+d-D+hS' }])
  const [a] = balancer.members as [BalancerMember]
  assert.equal(a.status, 'SH')
  a.status = '-S+N'
  assert.equal(a.status, 'HN')
})

const states: [status: string, state: MemberState][] = [
  ['', 'usable'],
  ['I', 'usable'],
  ['R', 'spare'],
  ['HR', 'standby'],
  ['NH', 'draining'],
  ['CN', 'failing'],
  ['EC', 'error'],
  ['DE', 'disabled'],
  ['SDECNHR', 'stopped'],
]

test('has a state in one word, the most severe of its letters', () => {
  for (const [status, state] of states) assert.equal(balancerOf([{ status }]).members[0]?.state, state, status)
  const [member] = balancerOf([{}]).members as [BalancerMember]
  member.fail()
  assert.equal(member.state, 'error')
  member.recover(true)
  member.recordCheck({ ok: false, detail: '', duration: 1 })
  assert.deepEqual([member.state, member.usable, member.available], ['failing', false, false])
})

test('drains, disables and enables a member, and makes it a standby', () => {
  const balancer = balancerOf([{}, {}], COOKIE)
  const [a] = balancer.members as [BalancerMember, BalancerMember]
  a.drain()
  assert.deepEqual([a.state, a.usable, a.available], ['draining', true, false])
  assert.equal(`${sequence(balancer, 2)} ${select(balancer, '/?sid=z.a')}`, 'b b a')
  a.disable()
  assert.deepEqual([a.state, a.usable, a.available], ['disabled', false, false])
  assert.equal(`${sequence(balancer, 2)} ${select(balancer, '/?sid=z.a')}`, 'b b b')
  a.drain()
  assert.equal(a.status, 'N')
  a.standby()
  assert.equal(`${a.state} ${sequence(balancer, 2)}`, 'standby b b')
  a.enable()
  assert.equal(`${a.state} ${[...sequence(balancer, 2)].toSorted().join('').trim()}`, 'usable ab')
  a.status = '+S+E+C'
  a.enable()
  assert.equal(a.status, 'EC', 'an error and failed checks stay')
})

test('ends a wait for a member when the signal of the request is aborted, and when it closes', async () => {
  const balancer = balancerOf([{ status: 'D' }], { timeout: 60_000 })
  const wait = async (signal: AbortSignal): Promise<unknown> =>
    balancer.select(requestOf([]), '/', { excluded: new Map(), signal })
  const client = new AbortController()
  const gone = new WsTunnelError('WST_ERR_CLIENT_GONE')
  const waiting = wait(client.signal)
  client.abort(gone)
  await assert.rejects(waiting, gone)
  await assert.rejects(wait(client.signal), gone)
  const other = wait(signal)
  balancer.close()
  await assert.rejects(other, { code: 'WST_ERR_CLOSING' })
  await assert.rejects(wait(signal), { code: 'WST_ERR_CLOSING' })
})

test('adds and removes members at run time', () => {
  const balancer = balancerOf([{}, {}])
  const [a, b] = balancer.members as [BalancerMember, BalancerMember]
  assert.equal(balancer.remove(a), true)
  assert.equal(balancer.remove(a), false)
  assert.equal(sequence(balancer, 2), 'b b')
  const c = balancer.add({ url: 'http://c.test/', loadFactor: 2 })
  assert.deepEqual(balancer.members, [b, c])
  assert.equal(sequence(balancer, 3).split(' ').toSorted().join(' '), 'b c c')
  const wrongs: [object, RegExp][] = [
    [{}, /`balancers\.x\.members\[2\]\.url`/],
    [{ url: 'http://c.test/' }, /already/],
    [{ url: 'http://d.test/', loadFactor: 0 }, /`balancers\.x\.members\[2\]\.loadFactor`.*1 to 100/],
    [{ url: 'nonsense' }, /members\[2\]\.url/],
  ]
  for (const [options, message] of wrongs)
    assert.throws(() => balancer.add(options as MemberOptions), { code: 'WST_ERR_OPTION', message })
  assert.equal(balancer.members.length, 2)
  assert.equal(balancer.add(a), a)
  assert.deepEqual(balancer.members, [b, c, a])
  assert.throws(() => balancer.add(a), { code: 'WST_ERR_OPTION', message: /already/ })
})

test('changes a member, or nothing at all if one change is wrong', () => {
  const [member] = balancerOf([{}]).members as [BalancerMember]
  member.change({ loadFactor: 2.5, lbSet: 3, routeId: 'r', redirect: 's', retry: 500, status: '+N' })
  const look = (): unknown[] => {
    const { loadFactor, lbSet, routeId, redirect, retry, status } = member
    return [loadFactor, lbSet, routeId, redirect, retry, status]
  }
  assert.deepEqual(look(), [2.5, 3, 'r', 's', 500, 'N'])
  member.change({ status: '-N+H' })
  assert.deepEqual(look(), [2.5, 3, 'r', 's', 500, 'H'])
  for (const wrong of [
    { lbSet: 100 },
    { loadFactor: 0.5 },
    { status: 'Q' },
    { routeId: ' ' },
    { retry: -1 },
    { url: 'http://x/' },
  ])
    assert.throws(() => member.change({ loadFactor: 9, ...wrong } as never), { code: 'WST_ERR_OPTION' })
  assert.deepEqual(look(), [2.5, 3, 'r', 's', 500, 'H'])
  member.change({ routeId: '', redirect: '' })
  assert.deepEqual([member.routeId, member.redirect], [undefined, undefined])
})

test('publishes each change of a member', t => {
  const published: string[] = []
  const listener = (message: unknown): void => {
    const { change, before, after } = message as MemberMessage
    published.push(`${change}: ${before} -> ${after}`)
  }
  subscribe('ws-tunnel:member', listener)
  t.after(() => unsubscribe('ws-tunnel:member', listener))
  const balancer = balancerOf([{}])
  const [member] = balancer.members as [BalancerMember]
  member.fail()
  member.fail()
  member.recover(true)
  member.status = '+D'
  member.status = '+D'
  member.change({ status: '-D', loadFactor: 2 })
  member.change({ loadFactor: 2 })
  const added = balancer.add({ url: 'ws://new.test/', status: 'H' })
  balancer.remove(added)
  balancer.remove(added)
  assert.deepEqual(published, [
    'status:  -> E',
    'status: E -> ',
    'status:  -> D',
    'settings: D -> D',
    'status: D -> ',
    'added: H -> H',
    'removed: H -> H',
  ])
  assert.throws(
    () => {
      member.status = 'Q'
    },
    { code: 'WST_ERR_OPTION' },
  )
})

test('names its method', () => {
  assert.equal(balancerOf([{}]).lbMethod, 'byrequests')
  assert.equal(balancerOf([{}], { lbMethod: ([first]) => first }).lbMethod, 'custom')
})
