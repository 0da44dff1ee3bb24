import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTunnelProxy } from '@ws-tunnel/core'
import type { MemberChange } from '@ws-tunnel/manager'
import { AddedMembers } from '../../../packages/manager/src/fleet/added-members.ts'
import { changeMember, readMemberChange } from '../../../packages/manager/src/fleet/member-changes.ts'
import { Refusal } from '../../../packages/manager/src/util/refusal.ts'

const chat = { proxy: 'main', balancer: 'chat' }

test('a body is read as a change', () => {
  const bodies: [action: MemberChange['action'], body: Record<string, unknown>][] = [
    ['set-member', { ...chat, member: 'ws://a.test', settings: { status: '+N', retry: 5 } }],
    ['add-member', { ...chat, member: { url: 'ws://a.test', loadFactor: 2, redirect: 'b' } }],
    ['remove-member', { ...chat, member: 'ws://a.test' }],
  ]
  for (const [action, body] of bodies) assert.deepEqual(readMemberChange(action, body), { action, ...body })
})

test('a wrong body is refused with what was expected', () => {
  const member = 'ws://a.test'
  const wrong: [action: MemberChange['action'], body: Record<string, unknown>, message: RegExp][] = [
    ['set-member', { balancer: 'chat', member, settings: {} }, /`proxy`.*undefined/],
    ['set-member', { ...chat, balancer: 1, member, settings: {} }, /`balancer`.*number/],
    ['set-member', { ...chat, member, settings: [] }, /`settings`/],
    ['set-member', { ...chat, member, settings: { healthCheck: {} } }, /got "healthCheck"/],
    ['add-member', { ...chat, member }, /`member`.*object/],
    ['add-member', { ...chat, member: { url: 1 } }, /`url`/],
    ['add-member', { ...chat, member: { url: member }, settings: {} }, /"settings" too/],
    ['remove-member', { ...chat, member: {} }, /`member`.*text/],
    ['remove-member', { ...chat, member, settings: {} }, /"settings" too/],
  ]
  for (const [action, body, message] of wrong)
    assert.throws(() => readMemberChange(action, body), { statusCode: 400, message })
})

const ordinary = new AddedMembers()

test('a change is made in the balancer that it names, or refused', () => {
  const proxy = createTunnelProxy({
    balancers: { chat: { members: [{ url: 'ws://a.test' }] } },
    target: 'balancer://chat/',
  })
  const shown = (): string[] =>
    (proxy.balancers.get('chat')?.members ?? []).map(({ url, status }) => `${url} ${status}`)
  changeMember(proxy, { action: 'add-member', ...chat, member: { url: 'ws://b.test', status: 'H' } }, ordinary)
  changeMember(proxy, { action: 'set-member', ...chat, member: 'ws://a.test', settings: { status: '+D' } }, ordinary)
  assert.deepEqual(shown(), ['ws://a.test D', 'ws://b.test H'])
  changeMember(proxy, { action: 'remove-member', ...chat, member: 'ws://a.test' }, ordinary)
  const refused: [change: MemberChange, statusCode: number][] = [
    [{ action: 'remove-member', proxy: 'other', balancer: 'chat', member: 'ws://b.test' }, 404],
    [{ action: 'remove-member', proxy: 'main', balancer: 'other', member: 'ws://b.test' }, 404],
    [{ action: 'remove-member', ...chat, member: 'ws://a.test' }, 404],
    [{ action: 'add-member', ...chat, member: { url: 'ws://b.test' } }, 400],
    [{ action: 'set-member', ...chat, member: 'ws://b.test', settings: { lbSet: -1 } }, 400],
  ]
  for (const [change, statusCode] of refused)
    assert.throws(
      () => changeMember(proxy, change, ordinary),
      (error: Refusal) => error instanceof Refusal && error.statusCode === statusCode,
      JSON.stringify(change),
    )
  assert.deepEqual(shown(), ['ws://b.test H'])
})
