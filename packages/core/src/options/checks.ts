import { distance } from 'fastest-levenshtein'
import { WsTunnelError } from '../errors.ts'
import { UPGRADE_TOKEN } from '../http/token.ts'
import { MAX_DELAY } from '../util/countdown.ts'
import { FOREIGN_NAMES } from './foreign-names.ts'

/** A value as it is shown in an error message. */
export function show(value: unknown): string {
  if (typeof value === 'string') return `${JSON.stringify(value)} (string)`
  if (value === null || value === undefined) return String(value)
  if (Array.isArray(value)) return `an array of ${value.length}`
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'object') return 'an object'
  return `${String(value)} (${typeof value})`
}

/** The error for an option with a wrong value. */
export function wrong(where: string, expected: string, value: unknown): WsTunnelError {
  return new WsTunnelError('WST_ERR_OPTION', { detail: `Expected \`${where}\` to be ${expected}, got ${show(value)}` })
}

/** Checks the value of an option. Throws `WST_ERR_OPTION`; `where` is the name of the option. */
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
      throw wrong(where, `a list without '${token}', which must be the only value`, value)
    }
  }
}
/**
 * The known name that is nearest to a misspelt one, without regard to case.
 *
 * @returns `undefined` if more than two fifths of the letters differ.
 */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const limit = Math.max(1, Math.floor(name.length * 0.4))
  const distances = known.map(each => [distance(name.toLowerCase(), each.toLowerCase()), each] as const)
  const [least, nearest] = distances.toSorted(([a], [b]) => a - b)[0] ?? []
  return least !== undefined && least <= limit ? nearest : undefined
}

export function unknownKey(where: string, key: string, known: readonly string[]): WsTunnelError {
  const foreign = FOREIGN_NAMES.get(key)
  const nearest = nearestName(key, known)
  const hint =
    foreign !== undefined ? `; here: ${foreign}` : nearest === undefined ? '' : `; did you mean \`${nearest}\`?`
  return new WsTunnelError('WST_ERR_OPTION', {
    detail: `Unknown option \`${where === '' ? key : `${where}.${key}`}\`${hint}`,
  })
}

/**
 * Checks every key of an object.
 *
 * @returns a copy without the keys that are `undefined`.
 * @throws {WsTunnelError} `WST_ERR_OPTION` for an unknown key or a wrong value.
 */
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

/** The options, with the default of each one that is absent or `undefined`. */
export function withDefaults<Defaults extends object, Options extends object>(
  defaults: Defaults,
  options: Options,
): Options & { [Key in keyof Defaults & keyof Options]-?: Exclude<Options[Key], undefined> } {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
  return { ...defaults, ...given } as never
}
