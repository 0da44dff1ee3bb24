import type { Health } from '../options/balancer-options.ts'

/** What one process knows about a member, for the process that replaces it. */
export interface MemberRecord {
  readonly balancer: string
  readonly url: string
  /** Letters of its status that differ from its options: `+E-N`. */
  readonly changes: string
  /** ms since its last failure; `undefined` if there was none. */
  readonly failedFor: number | undefined
  readonly health: Health | undefined
  /** Health checks that have passed or failed in a row, for `passes` and `fails`. */
  readonly passes: number
  readonly fails: number
  readonly selected: number
  readonly failures: number
  readonly bytesSent: number
  readonly bytesReceived: number
}
