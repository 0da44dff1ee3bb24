import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { test } from 'node:test'
import { Balancer } from '../../packages/core/src/balancer.ts'
import type { Member, MemberMessage } from '../../packages/core/src/member.ts'
import { type BalancerOptions, type MemberOptions, resolveOptions } from '../../packages/core/src/options.ts'
import { requestOf } from './request.ts'

const NAMES = [...'abcdefgh']

/** Members named a, b, c ..., each with its letter as `routeId`. */
function balancerOf(members: readonly Partial<MemberOptions>[], options: Partial<BalancerOptions> = {}): Balancer {
  const all = members.map((member, i) => ({ url: `http://${NAMES[i]}.test/`, routeId: NAMES[i] as string, ...member }))
  const { balancers } = resolveOptions({ target: false, balancers: { x: { ...options, members: all } } })
  return new Balancer('x', balancers['x'] as never)
}

const nameOf = (member: Member): string => member.url.charAt('http://'.length)

const elect = (balancer: Balancer, url = '/', lines: string[] = []): string => {
  const elected = balancer.elect(requestOf(lines, { url }), url)
  assert.ok(!(elected instanceof Promise))
  return nameOf(elected)
}

const sequence = (balancer: Balancer, length: number): string => Array.from({ length }, () => elect(balancer)).join(' ')

// As taken from httpd 2.4.71.
const sequences: [what: string, members: Partial<MemberOptions>[], chosen: string][] = [
  ['equals take turns', [{}, {}, {}, {}], 'a b c d a b c d'],
  ['a factor is a share', [{}, {}, {}, { loadFactor: 2 }], 'd a b c d d a b c d d a'],
  ['three to one', [{ loadFactor: 3 }, {}], 'a a b a a a b a'],
  ['factors have two decimals', [{}, { loadFactor: 2.5 }], 'b a b b b a b b a b b b'],
  ['a disabled one is left out', [{}, { status: 'D' }, {}, {}], 'a c d a c d'],
  ['hot standbys serve when nobody else can', [{ status: 'D' }, { status: 'H' }, { status: 'H' }], 'b c b c'],
  ['a hot standby waits', [{}, { status: 'H' }], 'a a a'],
  ['a spare stands in for each that is missing', [{}, { status: 'S' }, { status: 'R' }, { status: 'R' }], 'a c a c'],
  ['a spare waits', [{}, { status: 'R' }], 'a a a'],
  ['a set of a lower number goes first', [{ lbSet: 1 }, { lbSet: 0, status: 'D' }, { lbSet: 2 }], 'a a a'],
  ['a standby of a lower set goes before a regular one of a higher', [{ lbSet: 1 }, { status: 'H' }], 'b b'],
  ['one that drains gets nothing new', [{ status: 'N' }, {}], 'b b'],
  ['a spare stands in for one that drains', [{ status: 'N' }, {}, { status: 'R' }], 'b c b c'],
]

test('elects by requests as httpd does', async t => {
  for (const [what, members, chosen] of sequences) {
    await t.test(what, () => assert.equal(sequence(balancerOf(members), chosen.split(' ').length), chosen))
  }
})

test('elects the least busy, and by requests among equals', () => {
  const balancer = balancerOf([{}, {}], { lbMethod: 'bybusyness' })
  const leaves: (() => void)[] = []
  const chosen: string[] = []
  const take = (): void => {
    const member = balancer.elect(requestOf([]), '/') as Member
    chosen.push(nameOf(member))
    if (member === balancer.members[0]) leaves.push(member.enter(true))
    else member.enter(true)
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

test('elects who moved the fewest bytes for its factor', () => {
  const balancer = balancerOf([{}, { loadFactor: 3 }], { lbMethod: 'bytraffic' })
  const chosen = Array.from({ length: 12 }, () => {
    const member = balancer.elect(requestOf([]), '/') as Member
    member.count(1_000, 9_000)
    return nameOf(member)
  })
  assert.equal(chosen.join(' '), 'a b b b a b b b a b b b')
})

test('asks a function of the user, which is given the usable members', () => {
  const seen: string[] = []
  const balancer = balancerOf([{}, { status: 'D' }, { status: 'N' }, {}], {
    lbMethod: (members, req) => {
      seen.push(members.map(nameOf).join())
      return members.find(member => nameOf(member) === req.headers['x-to'])
    },
  })
  assert.equal(elect(balancer, '/', ['X-To: d']), 'd')
  assert.throws(() => elect(balancer, '/', ['X-To: b']), { code: 'WST_ERR_NO_MEMBER' })
  assert.deepEqual(seen, ['a,d', 'a,d'])
  const wrong = balancerOf([{}], { lbMethod: () => balancer.members[1] })
  assert.throws(() => elect(wrong), { code: 'WST_ERR_CALLBACK' })
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
  ['a name that only ends alike is none', COOKIE, '/', 'XSID=zz.c', 'a'],
  ['a value without separator names nobody', COOKIE, '/', 'SID=c', 'a'],
  ['a semicolon belongs to the value', COOKIE, '/;sid=zz.c;foo=1', '', 'a'],
  [
    'a semicolon ends it where told',
    { stickySession: { cookie: 'SID', path: 'sid', semicolonEnds: true } },
    '/;sid=zz.c;foo=1',
    '',
    'c',
  ],
  ['another separator', { stickySession: { cookie: 'SID', separator: '!' } }, '/', 'SID=zz!c', 'c'],
  ['no separator', { stickySession: { cookie: 'SID', separator: false } }, '/', 'SID=c', 'c'],
  ['a member that drains keeps its sessions', COOKIE, '/', 'SID=z.c', 'c', [{}, {}, { status: 'N' }]],
  ['a standby may be named', COOKIE, '/', 'SID=z.c', 'c', [{}, {}, { status: 'H' }]],
  ['a disabled one hands its sessions on', COOKIE, '/', 'SID=z.b', 'c', [{}, { status: 'D', redirect: 'c' }, {}]],
  ['redirects in a circle end', COOKIE, '/', 'SID=z.b', 'a', [{}, { status: 'D', redirect: 'b' }, {}]],
  ['without another it is elected', COOKIE, '/', 'SID=z.b', 'a', [{}, { status: 'D' }, {}]],
]

test('keeps a session with its member', async t => {
  for (const [what, options, url, cookie, chosen, members = [{}, {}, {}]] of sessions) {
    await t.test(what, () => {
      const lines = cookie === '' ? [] : [`Cookie: ${cookie}`]
      assert.equal(elect(balancerOf(members, options), url, lines), chosen)
    })
  }
})

test('lets no session go to another member under noFailover, unless nobody knows it', () => {
  const options = { stickySession: { cookie: 'SID', noFailover: true } }
  const balancer = balancerOf([{}, { status: 'D' }], options)
  assert.throws(() => elect(balancer, '/', ['Cookie: SID=z.b']), { code: 'WST_ERR_NO_MEMBER', statusCode: 503 })
  assert.equal(elect(balancer, '/', ['Cookie: SID=z.unknown']), 'a')
})

test('counts a session as a turn of its member', () => {
  const balancer = balancerOf([{}, {}], COOKIE)
  assert.equal(elect(balancer, '/?sid=z.a'), 'a')
  assert.equal(sequence(balancer, 3), 'b a b')
})

test('takes a failed member out until its time is over', t => {
  t.mock.timers.enable({ apis: ['Date'] })
  const balancer = balancerOf([{ retry: 1_000 }, { status: 'I' }])
  const [a, b] = balancer.members as [Member, Member]
  a.fail()
  b.fail()
  assert.deepEqual([a.status, a.usable, a.failures, b.status, b.usable], ['E', false, 1, 'I', true])
  assert.equal(sequence(balancer, 2), 'b b')
  t.mock.timers.tick(1_001)
  assert.ok(sequence(balancer, 2).includes('a'))
  assert.equal(a.status, '')
})

test('brings back all when all are in error, unless told otherwise', () => {
  const forced = balancerOf([{ status: 'E' }, { status: 'E' }])
  assert.equal(sequence(forced, 2), 'a b')
  const strict = balancerOf([{ status: 'E' }, { status: 'E' }], { forceRecovery: false })
  assert.throws(() => elect(strict), { code: 'WST_ERR_NO_MEMBER' })
  const stopped = balancerOf([{ status: 'SE' }])
  assert.throws(() => elect(stopped), { code: 'WST_ERR_NO_MEMBER' })
  assert.throws(() => elect(balancerOf([])), { code: 'WST_ERR_NO_MEMBER' })
})

test('waits for a usable member as long as it may', async () => {
  const balancer = balancerOf([{ status: 'D' }], { timeout: 10_000 })
  const waiting = balancer.elect(requestOf([]), '/')
  assert.ok(waiting instanceof Promise)
  const [a] = balancer.members as [Member]
  a.status = '-D'
  assert.equal(nameOf(await waiting), 'a')
  assert.equal(a.elected, 1)
  await assert.rejects(async () => balancerOf([{ status: 'D' }], { timeout: 100 }).elect(requestOf([]), '/'), {
    code: 'WST_ERR_NO_MEMBER',
  })
})

test('takes a member out for the statuses and silences that it is told of', () => {
  const balancer = balancerOf([{}, {}], { failOnStatus: [503], failOnTimeout: true })
  const [a, b] = balancer.members as [Member, Member]
  balancer.judge(a, 502)
  assert.equal(a.status, '')
  balancer.judge(a, 503)
  balancer.judge(b, 'timeout')
  assert.deepEqual([a.status, b.status], ['E', 'E'])
  const patient = balancerOf([{}])
  patient.judge(patient.members[0] as Member, 'timeout')
  assert.equal(patient.members[0]?.status, '')
})

test('reads and shows letters as Apache does', () => {
  const balancer = balancerOf([{ status: '+d-D+hS' }])
  const [a] = balancer.members as [Member]
  assert.equal(a.status, 'SH')
  a.status = '-S+N'
  assert.equal(a.status, 'HN')
})

test('adds and removes members while it serves', () => {
  const balancer = balancerOf([{}, {}])
  const [a, b] = balancer.members as [Member, Member]
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
})

test('changes a member, or nothing of it where something is wrong', () => {
  const [member] = balancerOf([{}]).members as [Member]
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
    { routeId: '' },
    { retry: -1 },
    { url: 'http://x/' },
  ])
    assert.throws(() => member.change({ loadFactor: 9, ...wrong } as never), { code: 'WST_ERR_OPTION' })
  assert.deepEqual(look(), [2.5, 3, 'r', 's', 500, 'H'])
})

test('publishes each change of the state of a member, whoever makes it', t => {
  const heard: [string, string][] = []
  const hear = (message: unknown): void => {
    const { before, after } = message as MemberMessage
    heard.push([before, after])
  }
  subscribe('ws-tunnel:member', hear)
  t.after(() => unsubscribe('ws-tunnel:member', hear))
  const [member] = balancerOf([{}]).members as [Member]
  member.fail()
  member.fail()
  member.recover(true)
  member.status = '+D'
  member.status = '+D'
  member.change({ status: '-D' })
  assert.deepEqual(heard, [
    ['', 'E'],
    ['E', ''],
    ['', 'D'],
    ['D', ''],
  ])
})

test('names its method', () => {
  assert.equal(balancerOf([{}]).lbMethod, 'byrequests')
  assert.equal(balancerOf([{}], { lbMethod: ([first]) => first }).lbMethod, 'custom')
})
