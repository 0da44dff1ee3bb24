import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Balancer, Member, MemberMessage } from '@ws-tunnel/core'
import type { BalancerView, MemberView, StatusChange } from './page/types.ts'

/** Changes of state that are kept of a member. */
const MAX_CHANGES = 20

interface Memory {
  id: number
  changes: StatusChange[]
}

/** Knows members again, and what became of them. */
export class MemberMemory {
  readonly #known = new WeakMap<Member, Memory>()
  #lastId = 0

  constructor() {
    subscribe('ws-tunnel:member', this.#memberOnChange)
  }

  stop(): void {
    unsubscribe('ws-tunnel:member', this.#memberOnChange)
  }

  readonly #memberOnChange = (message: unknown): void => {
    const { member, after } = message as MemberMessage
    if (this.#known.has(member)) this.#remember(member, after)
  }

  view({ name, members, lbMethod }: Balancer): BalancerView {
    return { name, lbMethod, members: members.map(member => this.#view(member)) }
  }

  #view(member: Member): MemberView {
    const { url, status, loadFactor, lbSet, retry, routeId = '', elected, busy, failures, tunnels } = member
    const { id, changes } = this.#remember(member, status)
    return {
      id,
      url,
      routeId,
      status,
      loadFactor,
      lbSet,
      retry,
      elected,
      busy,
      open: tunnels.size,
      failures,
      bytesFromClient: member.bytesSent,
      bytesFromBackend: member.bytesReceived,
      changes,
    }
  }

  #remember(member: Member, status: string): Memory {
    const memory = this.#known.get(member) ?? { id: ++this.#lastId, changes: [] }
    this.#known.set(member, memory)
    if (memory.changes.at(-1)?.status !== status) {
      memory.changes.push({ time: Date.now(), status })
      if (memory.changes.length > MAX_CHANGES) memory.changes.shift()
    }
    return memory
  }
}
