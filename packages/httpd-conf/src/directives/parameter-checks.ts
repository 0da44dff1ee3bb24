import { atoi, duration } from '../syntax/values.ts'

/** Checks one value of a parameter: httpd's error text, or `undefined` for a value that httpd accepts. */
export type ParameterCheck = (value: string) => string | undefined

export const onOff =
  (complaint: string): ParameterCheck =>
  value =>
    /^(?:on|off)$/i.test(value) ? undefined : complaint

export const atLeast =
  (least: number, complaint: string): ParameterCheck =>
  value =>
    atoi(value) < least ? complaint : undefined

export const between =
  (least: number, most: number, complaint: string): ParameterCheck =>
  value =>
    atoi(value) < least || atoi(value) > most ? complaint : undefined

export const shorterThan =
  (limit: number, name: string): ParameterCheck =>
  value =>
    value.length >= limit ? `${name} length must be < ${limit} characters` : undefined

/** The size of a buffer in bytes, or 0. */
export const buffer =
  (name: string): ParameterCheck =>
  value =>
    atoi(value) < 512 && atoi(value) !== 0 ? `${name} must be >= 512 bytes, or 0 for system default.` : undefined

/** A duration of at least 1 ms. `unit` is the unit of a number that has none. */
export const time =
  (unit: 's' | 'ms', format: string, small: string): ParameterCheck =>
  value => {
    const ms = duration(value, unit)
    return ms === undefined ? format : ms < 1 ? small : undefined
  }

/** A value that is checked elsewhere, or that httpd does not check. */
export const anything: ParameterCheck = () => undefined

/** Checks `key=value` with the check of its key. For a key that is not in the table, the text is `unknown`. */
export function complaintIn(
  table: Readonly<Record<string, ParameterCheck>>,
  key: string,
  value: string,
  unknown: string,
): string | undefined {
  const check = table[key.toLowerCase()]
  return check !== undefined && Object.hasOwn(table, key.toLowerCase()) ? check(value) : unknown
}
