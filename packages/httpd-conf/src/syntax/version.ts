import { Words } from './words.ts'

/** A version of httpd whose documented behaviour is compiled. */
export type Compat = '2.4.71' | '2.4.47' | '2.4.46' | '2.5'

/** The sign of the difference between two versions of up to three numbers. */
function compare(a: string, b: string): number {
  const [left, right] = [a, b].map(text => text.split('.').map(Number)) as [number[], number[]]
  for (let i = 0; i < 3; i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0)
    if (difference !== 0) return Math.sign(difference)
  }
  return 0
}

/**
 * Whether `<IfVersion [[!]operator] version>` holds. httpd: start_ifversion.
 *
 * @returns the text of httpd's error, if the section is wrong.
 */
export function matchesVersion(text: string, version: string): boolean | string {
  const words = new Words(text)
  let first = words.next()
  if (words.done)
    return first === '' ? '<IfVersion> directive requires additional arguments' : test('=', first, version)
  const negated = first.startsWith('!')
  if (negated) first = first.slice(1)
  const holds = test(first, words.next(), version)
  return typeof holds === 'string' ? holds : holds !== negated
}

function test(operator: string, wanted: string, version: string): boolean | string {
  const pattern = operator === '~' ? wanted : /^\/(.*)\/$/.exec(wanted)?.[1]
  if (pattern !== undefined) {
    if (!['~', '=', '=='].includes(operator)) return `unrecognized operator '${operator}'`
    // Only operators with which no pattern takes more than linear time.
    if (!/^\^?[\d.\\()|[\]-]+\$?$/.test(pattern)) return `unable to compile regular expression '${pattern}'`
    try {
      return new RegExp(pattern).test(version)
    } catch {
      return `unable to compile regular expression '${pattern}'`
    }
  }
  if (!/^\d+(?:\.\d+){0,2}$/.test(wanted))
    return `Version appears to be invalid. It must have the format major[.minor[.patch]].`
  const sign = compare(version, wanted)
  switch (operator) {
    case '=':
    case '==':
      return sign === 0
    case '>':
      return sign > 0
    case '>=':
      return sign >= 0
    case '<':
      return sign < 0
    case '<=':
      return sign <= 0
    default:
      return `unrecognized operator '${operator}'`
  }
}
