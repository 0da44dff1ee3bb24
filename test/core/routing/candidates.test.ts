import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import type { BalancerMember } from '../../../packages/core/src/balancer/balancer-member.ts'
import { WsTunnelError, type WsTunnelErrorCode } from '../../../packages/core/src/errors.ts'
import { RequestUrl } from '../../../packages/core/src/http/path.ts'
import type { BalancerOptions, MemberOptions } from '../../../packages/core/src/options/balancer-options.ts'
import { resolveOptions, type WsTunnelOptions } from '../../../packages/core/src/options/options.ts'
import {
  type BodySent,
  type Candidate,
  type Candidates,
  countBytes,
  type Selection,
} from '../../../packages/core/src/routing/candidates.ts'
import { RouteTable } from '../../../packages/core/src/routing/route-table.ts'
import { requestOf } from '../../support/request.ts'

const never = new AbortController().signal
const error = (code: WsTunnelErrorCode): WsTunnelError => new WsTunnelError(code)

/** The candidates of a request on the only route. */
function candidatesOf(options: WsTunnelOptions, req = requestOf([]), url = '/'): Candidates | Promise<Candidates> {
  const table = new RouteTable(resolveOptions(options), options.routes === undefined)
  const match = table.match(req, new RequestUrl(url))
  assert.ok(match)
  const routing = match.route.resolve(match, never)
  assert.ok(routing && (routing instanceof Promise || 'first' in routing))
  return routing as Candidates | Promise<Candidates>
}

const now = (candidates: Candidates | Promise<Candidates>): Candidates => {
  assert.ok('first' in candidates)
  return candidates
}

/** Candidates of a balancer with members named a, b, c. */
function balanced(
  members: Partial<MemberOptions>[],
  more: Partial<BalancerOptions> = {},
  req = requestOf([]),
): Candidates {
  const all = members.map((member, i) => ({ url: `ws://${'abc'[i]}.test/`, ...member }))
  return now(candidatesOf({ target: 'balancer://x/', balancers: { x: { ...more, members: all } } }, req))
}

const hostOf = (candidate: Candidate | Promise<Candidate> | undefined): string | undefined => {
  assert.ok(!(candidate instanceof Promise))
  return candidate?.worker.origin.host.charAt(0)
}

const memberOf = ({ selection }: Candidate): BalancerMember => (selection as Selection).member

/** The hosts that are tried while each of them fails with the code. */
function tried(candidates: Candidates, code: WsTunnelErrorCode, body?: BodySent): string {
  const hosts = [hostOf(candidates.first)]
  for (let i = 0; i < 9; i++) {
    let next: Candidate | Promise<Candidate> | undefined
    try {
      next = candidates.next(error(code), body)
    } catch {
      // No other member is left.
    }
    if (next === undefined) break
    hosts.push(hostOf(next))
  }
  return hosts.join(' ')
}

test('a target that names its backend has one candidate, whatever fails', () => {
  const candidates = now(candidatesOf({ target: 'ws://a.test/base' }, requestOf([]), '/x?y'))
  const { first } = candidates
  assert.deepEqual([hostOf(first), first.path, first.selection], ['a', '/base/x?y', undefined])
  assert.equal(candidates.next(error('WST_ERR_CONNECT')), undefined)
})

test("puts a member's own path before that of the target", () => {
  const { first } = balanced([{ url: 'ws://a.test/own/' }])
  assert.deepEqual([first.path, first.template.path.join('')], ['/own/', '/own/'])
})

test("replaces the route's settings by those of a member, and of a worker", () => {
  assert.equal(balanced([{ idleTimeout: 7 }]).first.settings.idleTimeout, 7)
  const workers = [{ url: 'ws://a.test', handshakeTimeout: 9 }]
  assert.equal(now(candidatesOf({ target: 'ws://a.test/', workers })).first.settings.handshakeTimeout, 9)
})

const FAILURES: [code: WsTunnelErrorCode, tried: string, isUsable: boolean][] = [
  ['WST_ERR_CONNECT', 'a b c', false],
  ['WST_ERR_CONNECT_TIMEOUT', 'a b c', false],
  ['WST_ERR_DNS', 'a b c', false],
  ['WST_ERR_TLS', 'a b c', false],
  ['WST_ERR_TUNNEL_LIMIT', 'a b c', true],
  ['WST_ERR_HANDSHAKE_TIMEOUT', 'a', true],
  ['WST_ERR_NO_RESPONSE', 'a', true],
  ['WST_ERR_BAD_RESPONSE', 'a', true],
  ['WST_ERR_CLIENT_GONE', 'a', true],
]

for (const [code, hosts, isUsable] of FAILURES) {
  test(`tries ${hosts} after ${code}, and ${isUsable ? 'keeps the member usable' : 'takes the member out'}`, () => {
    const candidates = balanced([{}, {}, {}], { forceRecovery: false })
    const member = memberOf(candidates.first)
    assert.equal(tried(candidates, code), hosts)
    assert.equal(member.usable, isUsable)
  })
}

test('tries no other member after a failure that is not an error of this package', () => {
  const failure = Object.assign(new Error('own'), { code: 'WST_ERR_CONNECT' })
  assert.equal(balanced([{}, {}]).next(failure), undefined)
})

test('tries at most maxAttempts members more', () => {
  const counts = [0, 1, 2].map(maxAttempts => tried(balanced([{}, {}, {}], { maxAttempts }), 'WST_ERR_CONNECT'))
  assert.deepEqual(counts, ['a', 'a b', 'a b c'])
})

for (const [what, method, body, hosts] of [
  ['an upgrade', 'GET', undefined, 'a b c'],
  ['a GET over HTTP', 'GET', { begun: false, whole: true }, 'a'],
  ['a POST', 'POST', undefined, 'a'],
] as const) {
  test(`with failoverUnanswered, tries ${hosts} for ${what} without a response, and excludes without an error`, () => {
    const candidates = balanced([{}, {}, {}], { failoverUnanswered: true }, requestOf([], { method }))
    const member = memberOf(candidates.first)
    assert.equal(tried(candidates, 'WST_ERR_NO_RESPONSE', body), hosts)
    assert.equal(member.usable, true)
  })
}

test('gives a request to no other member once its body has begun', () => {
  assert.equal(tried(balanced([{}, {}]), 'WST_ERR_CONNECT', { begun: true, whole: true }), 'a')
  assert.equal(tried(balanced([{}, {}]), 'WST_ERR_CONNECT', { begun: false, whole: false }), 'a b')
})

test('with failOnTimeout, takes a silent member out, unless the client has not sent all of the body', () => {
  const usable = [true, false].map(whole => {
    const candidates = balanced([{}, {}], { failOnTimeout: true })
    candidates.next(error('WST_ERR_HANDSHAKE_TIMEOUT'), { begun: true, whole })
    return memberOf(candidates.first).usable
  })
  assert.deepEqual(usable, [false, true])
})

test('waits for the first member if the balancer waits and none is usable', async () => {
  const balancers = { x: { members: [{ url: 'ws://a.test/', status: 'D' }], timeout: 30 } }
  const candidates = candidatesOf({ target: 'balancer://x/', balancers })
  assert.ok(candidates instanceof Promise)
  await assert.rejects(candidates, { code: 'WST_ERR_NO_MEMBER' })
})

test('counts plain requests and tunnels of a member until they are released', async () => {
  const { first } = balanced([{ maxTunnels: 1 }])
  const member = memberOf(first)
  const leave = first.enter()
  assert.equal(member.busy, 1)
  leave?.()
  const release = await first.acquire(never)
  assert.throws(() => first.acquire(never), { code: 'WST_ERR_TUNNEL_LIMIT' })
  release()
  assert.equal(member.busy, 0)
  await first.acquire(never)
})

test('acquires the slots of a worker that the target names', async () => {
  const { first } = now(candidatesOf({ target: 'ws://a.test/', workers: [{ url: 'ws://a.test', maxTunnels: 1 }] }))
  await first.acquire(never)
  assert.throws(() => first.acquire(never), { code: 'WST_ERR_TUNNEL_LIMIT' })
})

test('counts the bytes of each exchange on a kept connection once, for its route and its member', async () => {
  const route = {
    sent: 0,
    received: 0,
    count: (sent: number, received: number) => {
      route.sent += sent
      route.received += received
    },
  }
  const member = memberOf(balanced([{}]).first)
  const socket = { bytesWritten: 10, bytesRead: 100 }
  countBytes(route, member, socket as Socket)
  socket.bytesWritten = 15
  socket.bytesRead = 300
  countBytes(route, member, socket as Socket)
  assert.deepEqual([member.bytesSent, member.bytesReceived], [15, 300])
  assert.deepEqual([route.sent, route.received], [15, 300])
})
