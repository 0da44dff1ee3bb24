import { atoi } from '../syntax/values.ts'

/** Comparisons of whole numbers, by the name that expressions and RewriteCond give them after an optional `-`. */
export const NUMERIC: Readonly<Record<string, (a: string, b: string) => boolean>> = {
  eq: (a, b) => atoi(a) === atoi(b),
  ne: (a, b) => atoi(a) !== atoi(b),
  lt: (a, b) => atoi(a) < atoi(b),
  le: (a, b) => atoi(a) <= atoi(b),
  gt: (a, b) => atoi(a) > atoi(b),
  ge: (a, b) => atoi(a) >= atoi(b),
}

/** Comparisons of texts in expressions. */
export const TEXTUAL: Readonly<Record<string, (a: string, b: string) => boolean>> = {
  '==': (a, b) => a === b,
  '=': (a, b) => a === b,
  '!=': (a, b) => a !== b,
  '<': (a, b) => a < b,
  '<=': (a, b) => a <= b,
  '>': (a, b) => a > b,
  '>=': (a, b) => a >= b,
}
