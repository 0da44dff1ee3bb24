import { checkMemberChanges, type MemberChanges } from '@ws-tunnel/core'
import type { MemberChange } from './member-changes.ts'
import type { Entry } from './store.ts'

/** The letters that operators set. `E` and `C` are not among them, because each process finds those out for itself. */
const LETTERS = 'IDSHRN'

/** The change that clears all of them. */
export const clearedLetters: string = [...LETTERS].map(letter => `-${letter}`).join('')

const NAMES = ['loadFactor', 'lbSet', 'routeId', 'redirect', 'retry'] as const satisfies (keyof MemberChanges)[]

/** The settings of a member that was added with its URL alone. */
const DEFAULTS = { loadFactor: 1, lbSet: 0, retry: 60_000, routeId: '', redirect: '' }

/** Milliseconds by which the clock of another machine may be ahead. */
const MAX_AHEAD = 3_600_000

/**
 * The time in ms, with a fixed number of digits so that stamps sort as text, and the id of the process that wrote it.
 */
const STAMP = /^(\d{15}) [0-9a-f]{8} /

/** Milliseconds after which it is forgotten that a member was removed which no configuration has. */
const EXPIRY = 7 * 24 * 3_600_000

/** Whether a setting has told all processes that an added member is gone. */
export const isExpired = ({ name, value }: Setting, text: string): boolean =>
  name === 'member' && value === null && (timeOf(text) ?? 0) < Date.now() - EXPIRY

/** Longest key and longest text, in bytes. */
export const MAX_LENGTH = 4_096

/** One setting of a member, as an operator made it. */
export interface Setting {
  readonly proxy: string
  readonly balancer: string
  readonly url: string
  /**
   * `member`, a letter, or the name of another setting. The value of `member` is `false` for a removed member of the
   * configuration, `null` for a removed member that an operator had added, or the settings that the member was added with.
   * The value of a letter is whether it is set.
   */
  readonly name: string
  readonly value: unknown
}

/**
 * When a setting was made, by the clock of the process that made it. `undefined` for a wrong time or one in the future.
 */
export function timeOf(text: string): number | undefined {
  const [, digits] = STAMP.exec(text) ?? []
  return digits === undefined || Number(digits) > latest() ? undefined : Number(digits)
}

/** A later time than this one is in the future. */
export const latest = (): number => Date.now() + MAX_AHEAD

export function writeSetting({ proxy, balancer, url, name, value }: Setting, time: number, writer: string): Entry {
  const stamp = `${String(time).padStart(15, '0')} ${writer}`
  return [JSON.stringify([proxy, balancer, url, name]), `${stamp} ${JSON.stringify(value)}`]
}

/** @throws {Error} for an entry that is too long for a store. */
export function checkLength(entry: Entry): void {
  if (entry.some(part => Buffer.byteLength(part) > MAX_LENGTH))
    throw new Error(`Expected the setting and its name to have at most ${MAX_LENGTH} bytes`)
}

/** @throws {Error} for a wrong entry. The message names what was expected. */
export function readSetting([key, text]: Entry): Setting {
  checkLength([key, text])
  if (timeOf(text) === undefined) throw new Error('Expected a time that is not in the future, and the id of its writer')
  const parts: unknown = parse(key, 'Expected the name to be JSON')
  if (!Array.isArray(parts) || parts.length !== 4 || !parts.every(part => typeof part === 'string'))
    throw new Error('Expected the name to have a proxy, a balancer, a member and a setting')
  const [proxy, balancer, url, name] = parts as [string, string, string, string]
  const value = parse(text.replace(STAMP, ''), 'Expected the value to be JSON')
  check(name, value)
  return { proxy, balancer, url, name, value }
}

/**
 * The settings that a change makes, unchecked.
 *
 * @param wasAdded whether an operator had added the member.
 */
export function settingsOf(change: MemberChange, wasAdded: boolean): Setting[] {
  const { proxy, balancer } = change
  if (change.action === 'add-member') {
    const { url, ...value } = change.member
    return [{ proxy, balancer, url, name: 'member', value }]
  }
  const at = { proxy, balancer, url: change.member }
  if (change.action === 'remove-member') return [{ ...at, name: 'member', value: wasAdded ? null : false }]
  const { status = '', ...values } = change.settings
  const others = Object.entries(values).filter(([, value]) => value !== undefined)
  return [...others, ...lettersOf(String(status))].map(([name, value]) => ({ ...at, name, value }))
}

/** The combined effect of the settings of a member. */
export interface Outcome {
  readonly removed: boolean
  /** The settings that an operator added the member with; `undefined` if no operator added it. */
  readonly added: MemberChanges | undefined
  /** The changes that give the member these settings, whatever it has now. */
  readonly changes: MemberChanges
}

/** @param settings those of one member, oldest first. */
export function outcomeOf(settings: readonly Setting[]): Outcome {
  let added: MemberChanges | undefined
  let removed = false
  let changes: MemberChanges & { status: string } = { status: '' }
  for (const { name, value } of settings) {
    if (name === 'member') {
      removed = value === false || value === null
      added = removed ? undefined : (value as MemberChanges)
      // The member was added or removed. Earlier settings no longer count.
      changes = { ...DEFAULTS, ...added, status: `${clearedLetters}+${added?.status ?? ''}` }
    } else if (LETTERS.includes(name)) changes.status += `${value ? '+' : '-'}${name}`
    else changes = { ...changes, [name]: value }
  }
  return { removed, added, changes }
}

function check(name: string, value: unknown): void {
  if (name === 'member') {
    if (value === false || value === null) return
    if (typeof value !== 'object' || Array.isArray(value))
      throw new Error('Expected `member` to be false, null or an object')
    checkMemberChanges('member', value)
  } else if (name.length === 1 && LETTERS.includes(name)) {
    if (typeof value !== 'boolean') throw new Error(`Expected \`${name}\` to be true or false`)
  } else if ((NAMES as readonly string[]).includes(name)) {
    checkMemberChanges('member', { [name]: value })
  } else throw new Error(`Expected one of member, ${[...LETTERS, ...NAMES].join(', ')}`)
}

/** Reads letters with `+` and `-`, as the core reads the status of a member. The last sign of a letter counts. */
function lettersOf(status: string): Map<string, boolean> {
  const letters = new Map<string, boolean>()
  let on = true
  for (const char of status.toUpperCase()) {
    if (char === '+' || char === '-') on = char === '+'
    else if (LETTERS.includes(char)) letters.set(char, on)
  }
  return letters
}

function parse(text: string, expected: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new Error(expected)
  }
}
