import type { Balancer, Member, MemberChanges } from '@ws-tunnel/core'
import { clearedLetters, outcomeOf, type Setting } from './setting.ts'

/** A member as it was before the first setting of an operator. */
interface Original {
  /** `undefined` if the balancer did not have it. */
  readonly member: Member | undefined
  readonly changes: MemberChanges
}

/** Remembers members before operators change them, so that they can be put back when all settings are deleted. */
export class ConfiguredMembers {
  readonly #originals = new Map<string, Original>()

  /** Remembers a member, unless it is remembered already. */
  remember(key: string, { members }: Balancer, url: string): void {
    if (this.#originals.has(key)) return
    const member = members.find(member => member.url === url)
    const { status = '', loadFactor = 1, lbSet = 0, retry = 60_000, routeId = '', redirect = '' } = member ?? {}
    const letters = [...status].filter(letter => letter !== 'E' && letter !== 'C').join('')
    const changes = { status: `${clearedLetters}+${letters}`, loadFactor, lbSet, retry, routeId, redirect }
    this.#originals.set(key, { member, changes })
  }

  /** Undoes the settings of a member. */
  putBack(key: string, balancer: Balancer, url: string, undone: readonly Setting[]): void {
    const original = this.#originals.get(key)
    if (original === undefined) return
    this.#originals.delete(key)
    const { removed, added } = outcomeOf(undone)
    let present = balancer.members.find(member => member.url === url)
    if (added !== undefined && present !== undefined && original.member === undefined) {
      balancer.remove(present)
      return
    }
    if (removed && present === undefined && original.member !== undefined) present = balancer.add(original.member)
    present?.change(original.changes)
  }
}
