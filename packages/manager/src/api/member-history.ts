import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Balancer, HealthMessage, Member, MemberMessage } from '@ws-tunnel/core'
import type { BalancerView, MemberView, PastCheck, StatusChange } from '../page/types.ts'
import { clip } from '../util/clip.ts'

/** Changes of state that are kept of a member. */
const MAX_CHANGES = 20
/** Checks that are kept of a member. */
const MAX_CHECKS = 30

interface Memory {
  id: number
  changes: StatusChange[]
  checks: PastCheck[]
}

/** Knows members again, and what became of them. */
export class MemberMemory {
  readonly #known = new WeakMap<Member, Memory>()
  #lastId = 0

  constructor() {
    subscribe('ws-tunnel:member', this.#memberOnChange)
    subscribe('ws-tunnel:health', this.#memberOnCheck)
  }

  stop(): void {
    unsubscribe('ws-tunnel:member', this.#memberOnChange)
    unsubscribe('ws-tunnel:health', this.#memberOnCheck)
  }

  readonly #memberOnChange = (message: unknown): void => {
    const { member, after } = message as MemberMessage
    if (this.#known.has(member)) this.#remember(member, after)
  }

  readonly #memberOnCheck = (message: unknown): void => {
    const { member, health } = message as HealthMessage
    const checks = this.#known.get(member)?.checks
    checks?.push({ time: health.checkedAt, ok: health.ok })
    if (checks !== undefined && checks.length > MAX_CHECKS) checks.shift()
  }

  view({ name, members, lbMethod, stickySession, attempts, timeout }: Balancer): BalancerView {
    const { cookie = '', path = cookie, noFailover = false } = stickySession ?? {}
    return {
      name,
      lbMethod,
      stickySession: clip(cookie === path ? cookie : `${cookie}|${path}`),
      noFailover,
      attempts,
      timeout,
      members: members.map(member => this.#view(member)),
    }
  }

  #view(member: Member): MemberView {
    const { url, status, loadFactor, lbSet, retry, busy, failures, tunnels, health } = member
    const { routeId = '', redirect = '' } = member
    const { id, changes, checks } = this.#remember(member, status)
    return {
      id,
      url,
      routeId,
      redirect,
      status,
      loadFactor,
      lbSet,
      retry,
      selected: member.elected,
      load: member.lbStatus,
      busy,
      open: tunnels.size,
      failures,
      bytesFromClient: member.bytesSent,
      bytesFromBackend: member.bytesReceived,
      changes,
      health: health === undefined ? null : { ...health, detail: clip(health.detail) },
      checks,
    }
  }

  #remember(member: Member, status: string): Memory {
    const memory = this.#known.get(member) ?? { id: ++this.#lastId, changes: [], checks: [] }
    this.#known.set(member, memory)
    if (memory.changes.at(-1)?.status !== status) {
      memory.changes.push({ time: Date.now(), status })
      if (memory.changes.length > MAX_CHANGES) memory.changes.shift()
    }
    return memory
  }
}
