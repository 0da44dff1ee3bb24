import { type Balancer, type Member, type MemberChanges, type MemberOptions, WsTunnelError } from '@ws-tunnel/core'
import type { BalancerKey } from '../page/types.ts'
import { namedProxies, type Proxies } from '../util/proxies.ts'
import { Refusal } from '../util/refusal.ts'
import type { AddedMembers } from './added-members.ts'

/** A change of a balancer's members. It is JSON, so that one process can send it to others. */
export type MemberChange =
  | (BalancerKey & { readonly action: 'set-member'; readonly member: string; readonly settings: MemberChanges })
  | (BalancerKey & { readonly action: 'add-member'; readonly member: MemberChanges & { readonly url: string } })
  | (BalancerKey & { readonly action: 'remove-member'; readonly member: string })

const SETTINGS: readonly string[] = [
  'status',
  'loadFactor',
  'lbSet',
  'routeId',
  'redirect',
  'retry',
] satisfies (keyof MemberChanges)[]

/** @throws {Refusal} 400 for a wrong body. The message names what was expected. */
export function readMemberChange(action: MemberChange['action'], body: Record<string, unknown>): MemberChange {
  const known = action === 'set-member' ? ['proxy', 'balancer', 'member', 'settings'] : ['proxy', 'balancer', 'member']
  const unknown = Object.keys(body).find(name => !known.includes(name))
  if (unknown !== undefined) throw new Refusal(400, `Expected ${known.join(', ')}, got ${JSON.stringify(unknown)} too`)
  const key = { proxy: text(body, 'proxy'), balancer: text(body, 'balancer') }
  if (action === 'add-member') {
    const { url, ...settings } = object(body, 'member')
    return { action, ...key, member: { url: text({ url }, 'url'), ...readSettings(settings) } }
  }
  const member = text(body, 'member')
  if (action === 'remove-member') return { action, ...key, member }
  return { action, ...key, member, settings: readSettings(object(body, 'settings')) }
}

/**
 * Makes a change in this process. Every change is plain data, so that other processes can make it too.
 *
 * @throws {Refusal} 404 for a balancer or member that does not exist, 400 for a change that the balancer refuses.
 */
export function changeMember(proxies: Proxies, change: MemberChange, addedMembers: AddedMembers): void {
  const balancer = namedProxies(proxies).get(change.proxy)?.balancers.get(change.balancer)
  if (balancer === undefined) throw new Refusal(404, 'There is no such balancer')
  try {
    if (change.action === 'add-member')
      balancer.add({ ...change.member, ...optionsFor(change.member.url, addedMembers) })
    else if (change.action === 'remove-member') balancer.remove(memberOf(balancer, change.member))
    else memberOf(balancer, change.member).change(change.settings)
  } catch (error) {
    throw error instanceof WsTunnelError ? new Refusal(400, error.message) : error
  }
}

function optionsFor(url: string, addedMembers: AddedMembers): Pick<MemberOptions, 'acceptAddress'> {
  try {
    return addedMembers.optionsFor(url)
  } catch (error) {
    throw new Refusal(400, (error as Error).message)
  }
}

function memberOf({ members }: Balancer, url: string): Member {
  const member = members.find(member => member.url === url)
  if (member === undefined) throw new Refusal(404, 'There is no such member')
  return member
}

/** Checks the names. The balancer checks the values. */
function readSettings(given: Record<string, unknown>): MemberChanges {
  const unknown = Object.keys(given).find(name => !SETTINGS.includes(name))
  if (unknown !== undefined) throw new Refusal(400, `Expected ${SETTINGS.join(', ')}, got ${JSON.stringify(unknown)}`)
  return given
}

function text(body: Record<string, unknown>, name: string): string {
  const value = body[name]
  if (typeof value !== 'string') throw new Refusal(400, `Expected \`${name}\` to be text, got ${typeof value}`)
  return value
}

function object(body: Record<string, unknown>, name: string): Record<string, unknown> {
  const value = body[name]
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Refusal(400, `Expected \`${name}\` to be an object`)
  return value as Record<string, unknown>
}
