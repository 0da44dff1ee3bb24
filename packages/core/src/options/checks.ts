import { WsTunnelError } from '../errors.ts'
import { UPGRADE_TOKEN } from '../http/token.ts'

export { TOKEN as TCHAR } from '../http/token.ts'
export { readUpgrade, type UpgradeSetting } from '../http/upgrade.ts'

/** Longest delay a Node timer can count; longer ones would fire at once. */
export const MAX_DELAY: number = 2 ** 31 - 1

/** A value as an error message shows it. */
export function show(value: unknown): string {
  if (typeof value === 'string') return `${JSON.stringify(value)} (string)`
  if (value === null || value === undefined) return String(value)
  if (Array.isArray(value)) return `an array of ${value.length}`
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'object') return 'an object'
  return `${String(value)} (${typeof value})`
}

export function wrong(where: string, expected: string, value: unknown): WsTunnelError {
  return new WsTunnelError('WST_ERR_OPTION', { detail: `Expected \`${where}\` to be ${expected}, got ${show(value)}` })
}

export type Check = (where: string, value: unknown) => void

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof RegExp)

export const boolean: Check = (where, value) => {
  if (typeof value !== 'boolean') throw wrong(where, 'true or false', value)
}
export const callback: Check = (where, value) => {
  if (typeof value !== 'function') throw wrong(where, 'a function', value)
}
export const duration: Check = (where, value) => {
  if (typeof value !== 'number' || !(value >= 0) || value > MAX_DELAY) {
    throw wrong(where, `a number of ms from 0 to ${MAX_DELAY}`, value)
  }
}
export const count: Check = (where, value) => {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw wrong(where, 'a whole number >= 0', value)
}
export const oneOf =
  (...values: string[]): Check =>
  (where, value) => {
    if (!values.includes(value as string)) throw wrong(where, values.map(v => `'${v}'`).join(' or '), value)
  }
export const record: Check = (where, value) => {
  if (!isRecord(value)) throw wrong(where, 'an object', value)
}
export const text: Check = (where, value) => {
  if (typeof value !== 'string' || value === '') throw wrong(where, 'a string that is not empty', value)
}
export const list: Check = (where, value) => {
  if (!Array.isArray(value)) throw wrong(where, 'a list', value)
}
export const textMap: Check = (where, value) => {
  record(where, value)
  for (const [key, text] of Object.entries(value as object)) {
    if (typeof text !== 'string') throw wrong(`${where}[${JSON.stringify(key)}]`, 'a string', text)
  }
}

export const upgrade: Check = (where, value) => {
  if (value === false) return
  const tokens = typeof value === 'string' ? [value] : value
  if (!Array.isArray(tokens) || tokens.length === 0) {
    throw wrong(where, "an upgrade token, a list of them, 'ANY' or 'NONE'", value)
  }
  for (const token of tokens) {
    if (typeof token !== 'string' || !UPGRADE_TOKEN.test(token)) {
      throw wrong(where, 'made of upgrade tokens such as "websocket" (RFC 9110 7.8)', token)
    }
    if (tokens.length > 1 && /^(any|none)$/i.test(token)) {
      throw wrong(where, `a list of plain tokens ('${token}' stands alone)`, value)
    }
  }
}

/** How many single-letter edits turn one word into the other. */
export function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min((row[j] as number) + 1, (next[j - 1] as number) + 1, swap))
    }
    row = next
  }
  return row[b.length] as number
}

export function unknownKey(where: string, key: string, known: string[]): WsTunnelError {
  const nearest = known.toSorted((a, b) => distance(key, a) - distance(key, b))[0] as string
  const name = where === '' ? key : `${where}.${key}`
  return new WsTunnelError('WST_ERR_OPTION', {
    detail: `Unknown option \`${name}\`; the nearest known one is \`${nearest}\``,
  })
}

/** Checks every key that is present and gives back those that are not `undefined`. */
export function checked(where: string, options: object, checks: Record<string, Check>): Record<string, unknown> {
  const present: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(options)) {
    const check = Object.hasOwn(checks, key) ? checks[key] : undefined
    if (check === undefined) throw unknownKey(where, key, Object.keys(checks))
    if (value === undefined) continue
    check(where === '' ? key : `${where}.${key}`, value)
    present[key] = value
  }
  return present
}
