import { checkMemberChanges, type MemberChanges } from '@ws-tunnel/core'
import type { MemberChange } from './member-changes.ts'
import type { Entry } from './store.ts'

/** Letters that operators set. `E` and `C` are what each process sees for itself. */
const LETTERS = 'IDSHRN'

const NAMES = ['loadFactor', 'lbSet', 'routeId', 'redirect', 'retry'] as const satisfies (keyof MemberChanges)[]

/** What a member has that was added with nothing but its URL. */
const DEFAULTS = { loadFactor: 1, lbSet: 0, retry: 60_000, routeId: '', redirect: '' }

/** ms that the clock of another machine may be ahead of ours. */
const MAX_AHEAD = 3_600_000

/** Time, in as many digits as never change, and who wrote it. */
const STAMP = /^(\d{15}) [0-9a-f]{8} /

/** Longest key and text, in bytes. */
export const MAX_LENGTH = 4_096

/** One thing that an operator set of a member. */
export interface Setting {
  readonly proxy: string
  readonly balancer: string
  readonly url: string
  /** `member` says whether there is one, and what it began with; a letter of its state whether it is set. */
  readonly name: string
  readonly value: unknown
}

/** When it was set, by the clock of whoever did; `undefined` for what is no time, or one that is yet to come. */
export function timeOf(text: string): number | undefined {
  const [, digits] = STAMP.exec(text) ?? []
  return digits === undefined || Number(digits) > latest() ? undefined : Number(digits)
}

/** The latest time that is believed. */
export const latest = (): number => Date.now() + MAX_AHEAD

export function writeSetting({ proxy, balancer, url, name, value }: Setting, time: number, writer: string): Entry {
  const stamp = `${String(time).padStart(15, '0')} ${writer}`
  return [JSON.stringify([proxy, balancer, url, name]), `${stamp} ${JSON.stringify(value)}`]
}

/** @throws {Error} for what is too long for a store. */
export function checkLength(entry: Entry): void {
  if (entry.some(part => Buffer.byteLength(part) > MAX_LENGTH))
    throw new Error(`Expected at most ${MAX_LENGTH} bytes of a setting and its name`)
}

/** @throws {Error} that says what is wrong with it. */
export function readSetting([key, text]: Entry): Setting {
  checkLength([key, text])
  if (timeOf(text) === undefined) throw new Error('Expected a time that is not yet to come, and who wrote it')
  const place: unknown = parse(key, 'Expected the name to be JSON')
  if (!Array.isArray(place) || place.length !== 4 || !place.every(part => typeof part === 'string'))
    throw new Error('Expected the name to be of a proxy, a balancer, a member and its setting')
  const [proxy, balancer, url, name] = place as [string, string, string, string]
  const value = parse(text.replace(STAMP, ''), 'Expected the value to be JSON')
  check(name, value)
  return { proxy, balancer, url, name, value }
}

/** What a change sets, be it right or wrong. */
export function settingsOf(change: MemberChange): Setting[] {
  const { proxy, balancer } = change
  if (change.action === 'add-member') {
    const { url, ...value } = change.member
    return [{ proxy, balancer, url, name: 'member', value }]
  }
  const at = { proxy, balancer, url: change.member }
  if (change.action === 'remove-member') return [{ ...at, name: 'member', value: false }]
  const { status = '', ...values } = change.settings
  const named = Object.entries(values).filter(([, value]) => value !== undefined)
  return [...named, ...lettersOf(String(status))].map(([name, value]) => ({ ...at, name, value }))
}

/** What settings come to. */
export interface Outcome {
  readonly removed: boolean
  /** What it was added with, if an operator did so. */
  readonly added: MemberChanges | undefined
  /** What makes of any such member the one that it is to be. */
  readonly changes: MemberChanges
}

/** @param settings of one member, in the order of their time. */
export function outcomeOf(settings: readonly Setting[]): Outcome {
  let added: MemberChanges | undefined
  let removed = false
  let changes: MemberChanges & { status: string } = { status: '' }
  for (const { name, value } of settings) {
    if (name === 'member') {
      removed = value === false
      added = removed ? undefined : (value as MemberChanges)
      // It is a member anew: what was set before is over.
      const cleared = [...LETTERS].map(letter => `-${letter}`).join('')
      changes = { ...DEFAULTS, ...added, status: `${cleared}+${added?.status ?? ''}` }
    } else if (LETTERS.includes(name)) changes.status += `${value ? '+' : '-'}${name}`
    else changes = { ...changes, [name]: value }
  }
  return { removed, added, changes }
}

function check(name: string, value: unknown): void {
  if (name === 'member') {
    if (value === false) return
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw new Error('Expected `member` to be false or an object')
    checkMemberChanges('member', value)
  } else if (name.length === 1 && LETTERS.includes(name)) {
    if (typeof value !== 'boolean') throw new Error(`Expected \`${name}\` to be true or false`)
  } else if ((NAMES as readonly string[]).includes(name)) {
    checkMemberChanges('member', { [name]: value })
  } else throw new Error(`Expected one of member, ${[...LETTERS, ...NAMES].join(', ')}`)
}

/** Letters with `+` and `-`, as the status of a member is read; the last of each counts. */
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
