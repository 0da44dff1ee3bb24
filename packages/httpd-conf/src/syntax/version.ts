import { Words } from './words.ts'

/** Sign of the difference of two versions of up to three numbers. */
function compare(a: string, b: string): number {
  const [left, right] = [a, b].map(text => text.split('.').map(Number)) as [number[], number[]]
  for (let i = 0; i < 3; i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0)
    if (difference !== 0) return Math.sign(difference)
  }
  return 0
}

/** `<IfVersion [[!]operator] version>`: whether it holds, or httpd's complaint. httpd: start_ifversion. */
export function matchesVersion(text: string, version: string): boolean | string {
  const words = new Words(text)
  let first = words.next()
  if (words.done)
    return first === '' ? '<IfVersion> directive requires additional arguments' : test('=', first, version)
  const negated = first.startsWith('!')
  if (negated) first = first.slice(1)
  const answer = test(first, words.next(), version)
  return typeof answer === 'string' ? answer : answer !== negated
}

function test(operator: string, wanted: string, version: string): boolean | string {
  const pattern = operator === '~' ? wanted : /^\/(.*)\/$/.exec(wanted)?.[1]
  if (pattern !== undefined) {
    if (!['~', '=', '=='].includes(operator)) return `unrecognized operator '${operator}'`
    // Only what a version can be matched by in linear time.
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
