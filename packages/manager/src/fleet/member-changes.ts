import { type Balancer, type Member, type MemberChanges, WsTunnelError } from '@ws-tunnel/core'
import { namedProxies, type Proxies } from '../util/proxies.ts'
import { Refusal } from '../util/refusal.ts'

interface Place {
  readonly proxy: string
  readonly balancer: string
}

/** A change of settings, as one process can tell it to others. */
export type MemberChange =
  | (Place & { readonly action: 'set-member'; readonly member: string; readonly settings: MemberChanges })
  | (Place & { readonly action: 'add-member'; readonly member: MemberChanges & { readonly url: string } })
  | (Place & { readonly action: 'remove-member'; readonly member: string })

const SETTINGS: readonly string[] = [
  'status',
  'loadFactor',
  'lbSet',
  'routeId',
  'redirect',
  'retry',
] satisfies (keyof MemberChanges)[]

/** @throws {Refusal} 400 that names what was expected. */
export function readMemberChange(action: MemberChange['action'], body: Record<string, unknown>): MemberChange {
  const known = action === 'set-member' ? ['proxy', 'balancer', 'member', 'settings'] : ['proxy', 'balancer', 'member']
  const unknown = Object.keys(body).find(name => !known.includes(name))
  if (unknown !== undefined) throw new Refusal(400, `Expected ${known.join(', ')}, got ${JSON.stringify(unknown)} too`)
  const place = { proxy: text(body, 'proxy'), balancer: text(body, 'balancer') }
  if (action === 'add-member') {
    const { url, ...settings } = object(body, 'member')
    return { action, ...place, member: { url: text({ url }, 'url'), ...readSettings(settings) } }
  }
  const member = text(body, 'member')
  if (action === 'remove-member') return { action, ...place, member }
  return { action, ...place, member, settings: readSettings(object(body, 'settings')) }
}

/**
 * Makes a change of settings: the one way they change, so that what is made here can be made in other processes too.
 *
 * @throws {Refusal} 404 for what is not there, 400 for what the balancer does not take.
 */
export function changeMember(proxies: Proxies, change: MemberChange): void {
  const balancer = namedProxies(proxies).get(change.proxy)?.balancers.get(change.balancer)
  if (balancer === undefined) throw new Refusal(404, 'There is no such balancer')
  try {
    if (change.action === 'add-member') balancer.add(change.member)
    else if (change.action === 'remove-member') balancer.remove(memberOf(balancer, change.member))
    else memberOf(balancer, change.member).change(change.settings)
  } catch (error) {
    throw error instanceof WsTunnelError ? new Refusal(400, error.message) : error
  }
}

function memberOf({ members }: Balancer, url: string): Member {
  const member = members.find(member => member.url === url)
  if (member === undefined) throw new Refusal(404, 'There is no such member')
  return member
}

/** What they are worth is the balancer's to say. */
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
