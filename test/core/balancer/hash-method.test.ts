import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hashing, hashKey } from '../../../packages/core/src/balancer/hash-method.ts'
import type { HashOptions } from '../../../packages/core/src/options/balancer-options.ts'
import { requestOf } from '../../support/request.ts'

const LINES = ['Host: h.test', 'Cookie: a=1; sid=abc; b=2', 'X-Tenant: acme', 'X-Empty:']

const KEYS: [by: HashOptions, key: string | undefined][] = [
  [{ hash: 'path' }, '/rooms/7'],
  [{ hash: 'cookie', name: 'sid' }, 'abc'],
  [{ hash: 'cookie', name: 'none' }, undefined],
  [{ hash: 'header', name: 'x-tenant' }, 'acme'],
  [{ hash: 'header', name: 'x-none' }, undefined],
  [{ hash: 'header', name: 'x-empty' }, undefined],
]

for (const [by, key] of KEYS) {
  test(`the key of ${JSON.stringify(by)} is ${key}`, () => {
    assert.equal(
      hashKey(by, requestOf(LINES), '/rooms/7?x=1', () => false),
      key,
    )
  })
}

test('the key of the client is the address of its connection, or the one that a trusted peer names', () => {
  const req = requestOf(['X-Forwarded-For: 192.0.2.1, 192.0.2.2'])
  Object.defineProperty(req.socket, 'remoteAddress', { value: '127.0.0.1' })
  const keyWith = (...trusted: string[]): string | undefined =>
    hashKey({ hash: 'client' }, req, '/', address => trusted.includes(address))
  assert.equal(keyWith(), '127.0.0.1')
  assert.equal(keyWith('127.0.0.1'), '192.0.2.2')
  assert.equal(keyWith('127.0.0.1', '192.0.2.2'), '192.0.2.1')
})

test('the key of the client has no port', () => {
  for (const [member, key] of [
    ['203.0.113.9:4711', '203.0.113.9'],
    ['[2001:db8::1]:4711', '2001:db8::1'],
  ] as const) {
    const req = requestOf([`X-Forwarded-For: ${member}`], { remoteAddress: '127.0.0.1' })
    assert.equal(
      hashKey({ hash: 'client' }, req, '/', () => true),
      key,
    )
  }
})

test('a client on a unix socket has no key', () => {
  assert.equal(
    hashKey({ hash: 'client' }, requestOf([]), '/', () => false),
    undefined,
  )
})

test('the keys of fields are those that the app has left', () => {
  const req = requestOf(LINES)
  Object.assign(req.headers, { cookie: 'sid=xyz', 'X-Tenant': 'other' })
  const keyOf = (by: HashOptions): string | undefined => hashKey(by, req, '/', () => false)
  assert.equal(keyOf({ hash: 'cookie', name: 'sid' }), 'xyz')
  assert.equal(keyOf({ hash: 'header', name: 'x-tenant' }), 'other')
})

interface Candidate {
  url: string
  loadFactor: number
}

const candidateOf = (i: number): Candidate => ({ url: `http://${i}.test/`, loadFactor: 1 })

function select(key: string, candidates: readonly Candidate[]): Candidate {
  const comparison = hashing(key)
  let best: Candidate | undefined
  for (const candidate of candidates) if (comparison.isBetter(candidate as never, best as never)) best = candidate
  return best as Candidate
}

const keys = Array.from({ length: 4_000 }, (_, i) => `/rooms/${i}`)

test('a key selects the same candidate in any order of the candidates', () => {
  const candidates = [0, 1, 2, 3, 4].map(candidateOf)
  for (const key of keys.slice(0, 100)) assert.equal(select(key, candidates), select(key, candidates.toReversed()))
})

test('only the keys of a candidate that is removed move', () => {
  const [gone, ...rest] = [0, 1, 2, 3].map(candidateOf) as [Candidate, ...Candidate[]]
  for (const key of keys) {
    const before = select(key, [gone, ...rest])
    if (before !== gone) assert.equal(select(key, rest), before, key)
  }
})

test('the share of keys is proportional to the load factor', () => {
  const candidates = [candidateOf(0), { ...candidateOf(1), loadFactor: 3 }]
  const share = keys.filter(key => select(key, candidates) === candidates[1]).length / keys.length
  assert.ok(share > 0.71 && share < 0.79, `${share}`)
})
