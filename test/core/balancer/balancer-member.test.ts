import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTunnelProxy, type Member, type MemberOptions } from '../../../packages/core/src/index.ts'

/** A member as the user of a proxy gets it. */
function memberOf(options: Partial<MemberOptions> = {}): Member {
  const { balancers } = createTunnelProxy({
    target: false,
    balancers: { b: { members: [{ url: 'http://A.test/base', ...options }] } },
  })
  return balancers.get('b')?.members[0] as Member
}

const LETTERS: [option: string, assigned: string, status: string, usable: boolean][] = [
  ['', '', '', true],
  ['D', '', 'D', false],
  ['S', '', 'S', false],
  ['N', '', 'N', true],
  ['H', '', 'H', true],
  ['E', '', 'E', false],
  ['', '+C', 'C', false],
  ['DN', '-D', 'N', true],
  ['h', '+i-h', 'I', true],
  ['NHD', '', 'DHN', false],
]

for (const [option, assigned, status, usable] of LETTERS) {
  test(`status ${JSON.stringify(option)}, then ${JSON.stringify(assigned)}, is ${JSON.stringify(status)}`, () => {
    const member = memberOf({ status: option })
    if (assigned !== '') member.status = assigned
    assert.deepEqual([member.status, member.usable], [status, usable])
  })
}

test('refuses a letter that is not one of httpd, and keeps its status', () => {
  const member = memberOf({ status: 'N' })
  assert.throws(() => {
    member.status = '+Q'
  }, /Q/)
  assert.equal(member.status, 'N')
})

test('has the settings of its options, and the defaults of httpd for the others', () => {
  const { url, routeId, redirect, loadFactor, lbSet, retry } = memberOf({ routeId: 'a' })
  assert.deepEqual(
    [url, routeId, redirect, loadFactor, lbSet, retry],
    ['http://A.test/base', 'a', undefined, 1, 0, 60_000],
  )
})

test('changes all of its settings, or none if one of them is wrong', () => {
  const member = memberOf({ routeId: 'a' })
  member.change({ loadFactor: 2.5, redirect: 'b' })
  assert.deepEqual([member.loadFactor, member.redirect, member.routeId], [2.5, 'b', 'a'])
  assert.throws(() => member.change({ lbSet: 3, loadFactor: 0 }), /loadFactor/)
  assert.deepEqual([member.loadFactor, member.lbSet], [2.5, 0])
  member.change({ redirect: '' })
  assert.equal(member.redirect, undefined)
})

test('has moved no bytes and has no tunnels before its first request', () => {
  const { busy, failures, bytesSent, bytesReceived, tunnels, health } = memberOf()
  assert.deepEqual([busy, failures, bytesSent, bytesReceived, tunnels.size, health], [0, 0, 0, 0, 0, undefined])
})
