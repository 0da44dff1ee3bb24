import type { FleetView } from '../page/types.ts'
import type { AddedMembersOptions } from './added-members.ts'
import type { MemberChange } from './member-changes.ts'
import type { Store } from './store.ts'

/** Options of `joinFleet`. */
export interface FleetOptions {
  /**
   * Where settings are shared.
   *
   * @default memoryStore()
   */
  store?: Store
  /**
   * Called when the store is away, and for each setting in it that is ignored.
   *
   * @default a warning of the process
   */
  onProblem?: (problem: Error) => void
  /**
   * Which members operators may add.
   *
   * @default no `unix:` sockets, no link-local addresses, at most 100
   */
  addedMembers?: AddedMembersOptions
}

/** Shares the settings that operators make. */
export interface Fleet {
  /**
   * Resolves with true when the settings of the store are applied, or with false when the store turns out to be away: a
   * member that an operator has disabled may then be in use here. It never rejects.
   */
  readonly ready: Promise<boolean>
  /** The state of the store. */
  readonly view: FleetView
  /**
   * Makes a change here, and sends it to the other processes. If the store is away, it is sent when the store is back.
   *
   * @throws {Error} for a balancer or member that does not exist, and for a change that the balancer refuses.
   */
  change(change: MemberChange): void
  /** Sends the changes that wait, if the store is connected, and closes the store. */
  close(): Promise<void>
}

/** The default of `onProblem`. */
export const emitProblem = (problem: Error): void => process.emitWarning(problem.message, 'WsTunnelWarning')

/** One word for an error. The message is left out because it may contain an address with a password. */
export function reasonOf(error: Error & { code?: unknown }): string {
  const { code, message } = error
  if (typeof code === 'string' && /^[A-Z][A-Z0-9_]*$/.test(code)) return code
  return /^[A-Z]{4,}(?= )/.exec(message)?.[0] ?? error.constructor.name
}
