import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { HealthMessage, Member, MemberMessage } from '@ws-tunnel/core'
import type { PastCheck, StatusChange } from '../page/types.ts'

/** The number of changes of state that are kept for each member. */
const MAX_CHANGES = 20

/** The number of health checks that are kept for each member. */
const MAX_CHECKS = 30

/** The past of a member. */
export interface MemberRecord {
  /** A number that identifies the member on the page. */
  readonly id: number
  /** Oldest first. */
  readonly changes: StatusChange[]
  /** Oldest first. */
  readonly checks: PastCheck[]
}

/** The last changes of state and the last health checks of each member. */
export class MemberHistory {
  readonly #records = new WeakMap<Member, MemberRecord>()
  #lastId = 0

  constructor() {
    subscribe('ws-tunnel:member', this.#memberOnChange)
    subscribe('ws-tunnel:health', this.#memberOnCheck)
  }

  stop(): void {
    unsubscribe('ws-tunnel:member', this.#memberOnChange)
    unsubscribe('ws-tunnel:health', this.#memberOnCheck)
  }

  /** The record of a member. The first call creates it, with the present state of the member. */
  of(member: Member): MemberRecord {
    return this.#record(member, member.status)
  }

  /** Members of proxies that this manager does not show have no record. */
  readonly #memberOnChange = (message: unknown): void => {
    const { member, after } = message as MemberMessage
    if (this.#records.has(member)) this.#record(member, after)
  }

  readonly #memberOnCheck = (message: unknown): void => {
    const { member, health } = message as HealthMessage
    const checks = this.#records.get(member)?.checks
    checks?.push({ time: health.checkedAt, ok: health.ok })
    if (checks !== undefined && checks.length > MAX_CHECKS) checks.shift()
  }

  #record(member: Member, status: string): MemberRecord {
    const record = this.#records.get(member) ?? { id: ++this.#lastId, changes: [], checks: [] }
    this.#records.set(member, record)
    const { changes } = record
    if (changes.at(-1)?.status !== status) changes.push({ time: Date.now(), status })
    if (changes.length > MAX_CHANGES) changes.shift()
    return record
  }
}
