import { isDeepStrictEqual } from 'node:util'

/**
 * A decimal number with at most this many digits is the same number after it was read as a double. Only a literal with
 * more digits can have been rounded.
 */
const EXACT_DIGITS = 15

/** Below it a double has fewer digits. A still smaller literal is read as zero. */
const SMALLEST = 1e-300

/** A literal that is read as zero and is not zero takes at least the six characters of `1e-324`. */
const DIGITS_OF_ZERO = EXACT_DIGITS - 4

/**
 * The JSON text of a value that a parser has made of a body, if it certainly means what the body meant.
 *
 * White space, escapes and the order of members mean nothing. Numbers may have lost digits (RFC 8259 section 6), so they
 * are written only if the length of the body shows that they have not.
 *
 * @param length of the body in bytes; `undefined` if it is not known.
 */
export function jsonText(value: unknown, length: number | undefined): string | undefined {
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch {
    return undefined
  }
  // Infinity, -0, dates and other values that no JSON text has do not read back the same.
  if (text === undefined || text.includes('\ufffd') || !isDeepStrictEqual(JSON.parse(text), value)) return undefined
  const numbers: number[] = []
  collectNumbers(value, numbers)
  if (numbers.length === 0) return text
  if (length === undefined || numbers.some(each => Number.isInteger(each) && !Number.isSafeInteger(each)))
    return undefined
  if (Buffer.byteLength(text) === length) return text
  const digits = numbers.map(significantDigits)
  if (digits.some(each => each > EXACT_DIGITS) || numbers.some(each => each !== 0 && Math.abs(each) < SMALLEST))
    return undefined
  return isTooShortForMore(text, numbers, digits, length) || hasLengthOfStyle(value, text, length) ? text : undefined
}

function collectNumbers(value: unknown, numbers: number[]): void {
  if (typeof value === 'number') numbers.push(value)
  else if (typeof value === 'object' && value !== null)
    for (const each of Object.values(value)) collectNumbers(each, numbers)
}

const significantDigits = (value: number): number =>
  String(value)
    .replace(/e.*|\D/g, '')
    .replace(/^0+|0+$/g, '').length || DIGITS_OF_ZERO

/**
 * Whether the body is too short for a number with more than 15 digits. Each number takes at least its significant digits
 * in the body, and everything else at least what it takes in `text`.
 */
function isTooShortForMore(text: string, numbers: number[], digits: number[], length: number): boolean {
  const shortest = numbers.reduce<number>(
    (sum, each, i) => sum - String(each).length + (each === 0 ? 1 : (digits[i] as number)),
    Buffer.byteLength(text),
  )
  return length - shortest + Math.max(...digits) <= EXACT_DIGITS
}

/** Whether the body has the length of the same value in a usual style: with spaces, indented, in ASCII alone. */
function hasLengthOfStyle(value: unknown, text: string, length: number): boolean {
  const separators = separatorsIn(value)
  const lengths = [text, text.replace(/[^\0-\x7f]/g, '\\u0000')].flatMap(each => {
    const bytes = Buffer.byteLength(each)
    return [bytes, bytes + separators]
  })
  for (const indent of [2, 4, '\t']) lengths.push(Buffer.byteLength(JSON.stringify(value, null, indent)))
  return lengths.some(each => length === each || length === each + 1)
}

/** The number of commas and colons. */
function separatorsIn(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  const values = Object.values(value)
  const own = Math.max(0, values.length - 1) + (Array.isArray(value) ? 0 : values.length)
  return values.reduce((sum: number, each) => sum + separatorsIn(each), own)
}
