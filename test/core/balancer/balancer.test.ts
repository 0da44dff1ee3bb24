import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { IncomingMessage } from 'node:http'
import { test } from 'node:test'
import { Balancer } from '../../../packages/core/src/balancer/balancer.ts'
import type { Member, MemberMessage } from '../../../packages/core/src/balancer/balancer-member.ts'
import type {
  BalancerOptions,
  BalancerSettings,
  MemberOptions,
  SessionCookieOptions,
} from '../../../packages/core/src/options/balancer-options.ts'
import { resolveOptions } from '../../../packages/core/src/options/options.ts'
import { requestOf } from '../../support/request.ts'

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

test('elects who moved the fewest bytes for its factor', () => {
  const balancer = balancerOf([{}, { loadFactor: 3 }], { lbMethod: 'bytraffic' })
  const chosen = Array.from({ length: 12 }, () => {
    const member = balancer.elect(requestOf([]), '/') as Member
    member.count(1_000, 9_000)
    return nameOf(member)
  })
  assert.equal(chosen.join(' '), 'a b b b a b b b a b b b')
})

/** One more open tunnel at a member. */
const tunnelAt = (member: Member): void => void member.enterTunnel(() => {})

test('elects who has the fewest tunnels for its factor, and by requests among equals', () => {
  const balancer = balancerOf([{}, { loadFactor: 2 }, { maxTunnels: 1 }], { lbMethod: 'leasttunnels' })
  const [a, b] = balancer.members as [Member, Member]
  const full = new Map(balancer.members.map(member => [member, 'full' as const]))
  const chosen = Array.from({ length: 8 }, () => {
    const member = balancer.elect(requestOf([]), '/', full) as Member
    tunnelAt(member)
    return nameOf(member)
  })
  assert.equal(chosen.join(' '), 'b a c b b a b b')
  a.enter()
  assert.deepEqual([a.places.taken, b.places.taken], [2, 5])
  const idle = balancerOf([{}, {}, {}], { lbMethod: 'leasttunnels' })
  assert.equal(sequence(idle, 6), 'a b c a b c')
})

test('gives a member that came back its share little by little', t => {
  let now = 0
  t.mock.method(performance, 'now', () => now)
  const balancer = balancerOf([{}, {}], { lbMethod: 'leasttunnels', slowStart: 10_000 })
  const [a, b] = balancer.members as [Member, Member]
  assert.deepEqual([a.warmth, b.warmth], [1, 1], 'all are new when the process is')
  b.status = 'D'
  for (let i = 0; i < 100; i++) tunnelAt(a)
  b.status = '-D'
  const fill = (): number => {
    for (let i = 0; i < 400; i++) {
      const member = balancer.elect(requestOf([]), '/') as Member
      if (member === a) break
      tunnelAt(member)
    }
    return b.places.taken
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

test('elects by a hash: a key its member, a member its share, and only its own keys move when one goes', () => {
  const balancer = balancerOf([{}, { loadFactor: 2 }, {}], { lbMethod: { hash: 'header', name: 'x-id' } })
  const places = (): Map<string, string> =>
    new Map(KEYS.map(key => [key, nameOf(balancer.elect(keyed(key), '/') as Member)]))
  const before = places()
  assert.deepEqual(places(), before)
  const shares = ['a', 'b', 'c'].map(name => [...before.values()].filter(value => value === name).length / KEYS.length)
  for (const [i, due] of [0.25, 0.5, 0.25].entries())
    assert.ok(Math.abs((shares[i] as number) - due) < 0.03, `${i}: ${shares[i]}`)
  const [, b] = balancer.members as [Member, Member]
  b.status = 'D'
  const moved = places()
  const wrongly = KEYS.filter(key => before.get(key) !== 'b' && moved.get(key) !== before.get(key))
  assert.deepEqual(wrongly, [])
  const spread = KEYS.filter(key => before.get(key) === 'b' && moved.get(key) === 'a').length
  assert.ok(spread > 0.2 * KEYS.length && spread < 0.3 * KEYS.length, `${spread} of b's went to a`)
  b.status = '-D'
  assert.deepEqual(places(), before)
  const turned = balancerOf([{}, {}, {}].reverse(), { lbMethod: { hash: 'header', name: 'X-Id' } })
  assert.equal(turned.lbMethod, 'hash of header X-Id')
})

test('hashes the path, a cookie and the address of the client, and goes by requests without', () => {
  const one = (lbMethod: BalancerOptions['lbMethod'], req: IncomingMessage, url = '/', times = 3): string => {
    const balancer = balancerOf([{}, {}, {}, {}], { lbMethod })
    return Array.from({ length: times }, () => nameOf(balancer.elect(req, url) as Member)).join(' ')
  }
  const cookie = { hash: 'cookie', name: 'id' } as const
  assert.match(one(cookie, keyed('7')), /^(\w) \1 \1$/)
  for (const none of ['other=7', 'id=; id=7']) assert.equal(one(cookie, requestOf([`Cookie: ${none}`])), 'a b c')
  assert.equal(one({ hash: 'path' }, requestOf([]), '/room/1?a=1'), one({ hash: 'path' }, requestOf([]), '/room/1?b=2'))
  const rooms = new Set(Array.from({ length: 50 }, (_, i) => one({ hash: 'path' }, requestOf([]), `/room/${i}`, 1)))
  assert.equal(rooms.size, 4)
})

test('hashes the address for which a trusted proxy speaks', () => {
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
    const balancer = new Balancer('b', settings, trusts)
    return new Set(Array.from({ length: 40 }, (_, i) => (balancer.elect(from(`192.0.2.${i}`), '/') as Member).url))
  }
  assert.equal(chosen(address => address === '10.0.0.1').size, NAMES.length)
  assert.equal(chosen(() => false).size, 1, 'a client says what it likes')
})

test('sets the cookie of a session, where the request does not name the member', () => {
  const cookieOf = (
    set: boolean | SessionCookieOptions,
    { encrypted = false, cookie = '', more = {} }: { encrypted?: boolean; cookie?: string; more?: object } = {},
  ): string | undefined => {
    const balancer = balancerOf([{}], { stickySession: { cookie: 'SID', set, ...more } })
    const req = requestOf(cookie === '' ? [] : [`Cookie: ${cookie}`])
    const member = balancer.elect(req, '/') as Member
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
      message: /`balancers.x.stickySession.separator` to be a character that a cookie may hold/,
    })
  const noId = balancerOf([{}], { stickySession: { cookie: 'SID', set: true } })
  assert.throws(() => noId.add({ url: 'ws://new.test/' }), {
    code: 'WST_ERR_OPTION',
    message: /`balancers.x.members\[1\].routeId` to be given, as stickySession.set needs it/,
  })
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

test('gives a function of the user those alone who come into question, and asks it for nobody', () => {
  const asked: string[] = []
  const firstOf = (members: Partial<MemberOptions>[]): string =>
    sequence(
      balancerOf(members, {
        lbMethod: given => {
          asked.push(given.map(nameOf).join(''))
          return given.at(-1)
        },
      }),
      1,
    )
  firstOf([{}, {}, { status: 'H' }, { status: 'R' }, { lbSet: 1 }])
  firstOf([{ status: 'D' }, {}, { status: 'H' }, { status: 'R' }])
  firstOf([{ status: 'D' }, { lbSet: 1 }, { status: 'H' }])
  assert.throws(() => firstOf([{ status: 'D' }]), { code: 'WST_ERR_NO_MEMBER' })
  assert.deepEqual(asked, ['ab', 'bd', 'c'])
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
  ['an empty cookie names nobody, though another follows', COOKIE, '/', 'SID=; SID=zz.c', 'a'],
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

test('looks once for each name that sessions are handed on to, however many members share it', () => {
  const away = Array.from({ length: 40 }, (_, i): Partial<MemberOptions> => {
    const [routeId, redirect] = i % 2 === 0 ? ['one', 'two'] : ['two', 'one']
    return { url: `http://${i}.test/`, routeId, redirect, status: 'D' }
  })
  assert.equal(elect(balancerOf([{}, ...away], COOKIE), '/', ['Cookie: SID=z.one']), 'a')
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
  let now = 0
  t.mock.method(performance, 'now', () => now)
  t.mock.timers.enable({ apis: ['Date'], now: 1_000_000 })
  const balancer = balancerOf([{ retry: 1_000 }, { status: 'I' }])
  const [a, b] = balancer.members as [Member, Member]
  a.fail()
  b.fail()
  assert.deepEqual([a.status, a.usable, a.failures, b.status, b.usable], ['E', false, 1, 'I', true])
  assert.equal(sequence(balancer, 2), 'b b')
  now = 1_001
  // The clock on the wall may be set back.
  t.mock.timers.setTime(1)
  assert.ok(sequence(balancer, 2).includes('a'))
  assert.equal(a.status, '')
})

test('brings back all when all are in error, unless told otherwise', () => {
  const failed = (options: Partial<BalancerOptions> = {}): Balancer => {
    const balancer = balancerOf([{}, {}], options)
    for (const member of balancer.members) member.fail()
    return balancer
  }
  assert.equal(sequence(failed(), 2), 'a b')
  assert.throws(() => elect(failed({ forceRecovery: false })), { code: 'WST_ERR_NO_MEMBER' })
  const stopped = balancerOf([{ status: 'SE' }])
  assert.throws(() => elect(stopped), { code: 'WST_ERR_NO_MEMBER' })
  assert.throws(() => elect(balancerOf([])), { code: 'WST_ERR_NO_MEMBER' })
})

test('tries at once who was in error from the start, or whose errors are ignored, and nobody before it is needed', () => {
  assert.equal(sequence(balancerOf([{ status: 'E' }, {}], { forceRecovery: false }), 2), 'a b')
  const balancer = balancerOf([{}, { lbSet: 1, retry: 0 }, { status: 'N', retry: 0 }])
  const [a, later, draining] = balancer.members as [Member, Member, Member]
  for (const member of balancer.members) member.fail()
  a.status = '+I'
  assert.equal(elect(balancer), 'a')
  assert.deepEqual([a.status, later.status, draining.status], ['I', 'E', 'EN'])
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
    { routeId: ' ' },
    { retry: -1 },
    { url: 'http://x/' },
  ])
    assert.throws(() => member.change({ loadFactor: 9, ...wrong } as never), { code: 'WST_ERR_OPTION' })
  assert.deepEqual(look(), [2.5, 3, 'r', 's', 500, 'H'])
  member.change({ routeId: '', redirect: '' })
  assert.deepEqual([member.routeId, member.redirect], [undefined, undefined])
})

test('publishes each change of a member, whoever makes it', t => {
  const heard: string[] = []
  const hear = (message: unknown): void => {
    const { change, before, after } = message as MemberMessage
    heard.push(`${change}: ${before} -> ${after}`)
  }
  subscribe('ws-tunnel:member', hear)
  t.after(() => unsubscribe('ws-tunnel:member', hear))
  const balancer = balancerOf([{}])
  const [member] = balancer.members as [Member]
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
  assert.deepEqual(heard, [
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
