import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkMemberChanges, readBalancer } from '../../../packages/core/src/options/read-balancer.ts'

const url = 'ws://a.test'
const members = [{ url }]

test('reads a balancer and its members with their defaults', () => {
  const { members: read, ...balancer } = readBalancer('x', { members })
  assert.deepEqual(balancer, {
    lbMethod: 'byrequests',
    timeout: 0,
    maxWaiting: 1_000,
    failOnStatus: [],
    failOnTimeout: false,
    unhealthyLatency: 0,
    failoverUnanswered: false,
    forceRecovery: true,
    slowStart: 0,
    named: [],
    stickySession: undefined,
    maxAttempts: undefined,
    healthCheck: undefined,
  })
  assert.deepEqual(read, [
    {
      url,
      overrides: {},
      maxTunnels: 0,
      acquireTimeout: 0,
      routeId: undefined,
      redirect: undefined,
      loadFactor: 1,
      lbSet: 0,
      retry: 60_000,
      status: '',
      slowStart: 0,
      healthCheck: undefined,
      acceptAddress: undefined,
      named: undefined,
    },
  ])
})

const STICKY: [option: unknown, expected: object][] = [
  ['S', { cookie: 'S', path: 'S', separator: '.', semicolonEnds: false, noFailover: false, set: undefined }],
  ['S|p', { cookie: 'S', path: 'p', separator: '.', semicolonEnds: false, noFailover: false, set: undefined }],
  [
    { cookie: 'S', separator: false, noFailover: true },
    { cookie: 'S', path: 'S', separator: false, semicolonEnds: false, noFailover: true, set: undefined },
  ],
]

for (const [option, expected] of STICKY) {
  test(`reads stickySession ${JSON.stringify(option)}`, () => {
    assert.deepEqual(readBalancer('x', { members, stickySession: option }).stickySession, expected)
  })
}

test('reads the fields of a session cookie with their defaults', () => {
  const setOf = (set: unknown): unknown =>
    readBalancer('x', { members: [{ url, routeId: 'a' }], stickySession: { cookie: 'S', set } }).stickySession?.set
  const defaults = { path: '/', secure: 'auto', httpOnly: true, sameSite: 'lax' }
  assert.deepEqual(setOf(true), defaults)
  assert.deepEqual(setOf({ path: '/a', maxAge: 5 }), { ...defaults, path: '/a', maxAge: 5 })
  assert.equal(setOf(false), undefined)
})

const setting = (set: unknown, more: object = {}): object => ({
  members: [{ url, routeId: 'a' }],
  stickySession: { cookie: 'S', set, ...more },
})

const WRONG: [balancer: unknown, message: RegExp][] = [
  [undefined, /`balancers\.x` to be an object with members/],
  [[], /`balancers\.x` to be an object with members/],
  [{}, /`balancers\.x\.members` to be a list of \{ url \}/],
  [{ members: {} }, /`balancers\.x\.members` to be a list/],
  [{ members: [{}] }, /`balancers\.x\.members\[0\]\.url` to be given/],
  [{ members: [{ url, loadFactor: 0.5 }] }, /members\[0\]\.loadFactor` to be a number from 1 to 100/],
  [{ members: [{ url, loadFactor: 101 }] }, /loadFactor/],
  [{ members: [{ url, lbSet: 100 }] }, /members\[0\]\.lbSet` to be a whole number from 0 to 99/],
  [{ members: [{ url, status: 'X' }] }, /members\[0\]\.status` to be made of the letters/],
  [{ members: [{ url, routeId: 'a;b' }] }, /members\[0\]\.routeId` to be 1 to 63 characters/],
  [{ members: [{ url, routeId: 'a'.repeat(64) }] }, /routeId/],
  [{ members: [{ url, redirect: '' }] }, /members\[0\]\.redirect`/],
  [{ members, lbMethod: 'roundrobin' }, /`balancers\.x\.lbMethod` to be 'byrequests' or/],
  [{ members, lbMethod: {} }, /`balancers\.x\.lbMethod\.hash` to be given/],
  [{ members, lbMethod: { hash: 'header' } }, /`balancers\.x\.lbMethod\.name` to be the name of a header field/],
  [{ members, lbMethod: { hash: 'client', name: 'a' } }, /Unknown option `balancers\.x\.lbMethod\.name`/],
  [{ members, unhealthyLatency: -1 }, /`balancers\.x\.unhealthyLatency` to be a number of ms/],
  [{ members, failoverUnanswered: 'GET' }, /`balancers\.x\.failoverUnanswered` to be true, false or a function/],
  [{ members, failOnStatus: 503 }, /failOnStatus` to be a list of statuses/],
  [{ members, failOnStatus: [99] }, /failOnStatus/],
  [{ members, stickySession: 'a|b|c' }, /stickySession` to be 'COOKIE'/],
  [{ members, stickySession: {} }, /stickySession\.cookie` to be given/],
  [{ members, stickySession: { cookie: 'S', separator: '..' } }, /stickySession\.separator` to be one character/],
  [{ members, stickySession: { cookie: 'S', set: true } }, /members\[0\]\.routeId` to be given, because/],
  [setting(true, { cookie: 'a b' }), /stickySession\.cookie` to be a token/],
  [setting(true, { separator: ',' }), /stickySession\.separator` to be a character that a cookie may contain/],
  [setting('yes'), /stickySession\.set` to be true, false or \{/],
  [setting({ sameSite: 'none' }), /stickySession\.set\.secure` to be true, because sameSite/],
  [setting({ path: '/;' }), /stickySession\.set\.path` to be made of visible characters/],
  [setting({ secure: 'yes' }), /stickySession\.set\.secure` to be true, false or 'auto'/],
  [{ members, memberz: [] }, /Unknown option `balancers\.x\.memberz`; did you mean `members`\?/],
]

for (const [balancer, message] of WRONG) {
  test(`refuses a balancer: ${message.source}`, () => {
    assert.throws(() => readBalancer('x', balancer), { code: 'WST_ERR_OPTION', message })
  })
}

test('refuses a name in upper case, because a target is compared in lower case', () => {
  assert.throws(() => readBalancer('Chat', { members }), { message: /`balancers\.Chat` to be named in lower case/ })
})

test('accepts changes of a member, an empty routeId and redirect included', () => {
  assert.doesNotThrow(() => checkMemberChanges('m', { routeId: '', redirect: '', status: '+D', loadFactor: 2 }))
})

for (const [change, message] of [
  [{ routeId: ';' }, /`m\.routeId`/],
  [{ retry: -1 }, /`m\.retry` to be a number of ms/],
  [{ lbSet: 1.5 }, /`m\.lbSet`/],
  [{ url }, /Unknown option `m\.url`/],
] as const) {
  test(`refuses the change ${JSON.stringify(change)}`, () => {
    assert.throws(() => checkMemberChanges('m', change as never), { code: 'WST_ERR_OPTION', message })
  })
}
