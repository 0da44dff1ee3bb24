/** C's `atoi`: the whole number that a text begins with, else 0. */
export const atoi = (text: string): number => Number(/^[ \t\n\v\f\r]*([+-]?\d+)/.exec(text)?.[1] ?? 0)

/**
 * Reads a duration with a unit and returns milliseconds. The unit is `s...` for seconds, `ms...` for milliseconds,
 * `mi...` for minutes or `h...` for hours; letters after it are ignored. httpd: ap_timeout_parameter_parse.
 *
 * @param unit the unit of a number that has none.
 * @returns `undefined` for a text that httpd refuses.
 */
export function duration(text: string, unit: 's' | 'ms'): number | undefined {
  const [, digits = '', suffix = ''] = /^[ \t\n\v\f\r]*([+-]?\d*)(.*)$/s.exec(text) ?? []
  const value = Number(digits || 0)
  if (!(value >= 0) || value > Number.MAX_SAFE_INTEGER) return undefined
  const name = suffix === '' ? unit : suffix
  if (name.startsWith('s')) return value * 1_000
  if (name.startsWith('h')) return value * 3_600_000
  if (name.startsWith('ms')) return value
  if (name.startsWith('mi')) return value * 60_000
  return undefined
}

/** Splits `key=value` at the first `=`; `undefined` for a word without one. */
export function keyAndValue(word: string): [key: string, value: string] | undefined {
  const equals = word.indexOf('=')
  return equals === -1 ? undefined : [word.slice(0, equals), word.slice(equals + 1)]
}
