import recheck from 'recheck/lib/browser.js'

/** Longest time that is let pass: the square of a path's length, which is at most 8 KiB. */
const MAX_DEGREE = 2
/** How long a pattern may be looked at, ms. */
const CHECK_TIMEOUT = 2_000
const MAX_KNOWN = 1_000
/** Choices that are finite and yet too many together: counts beyond this are judged as if they had no end. */
const MAX_COUNT = 8
const MAX_OPTIONAL = 16

const known = new Map<string, string | undefined>()

/** Why a pattern could take longer than a path of 8 KiB allows, or `undefined` where it is shown that it cannot. */
export function slowness(source: string, flags: string): string | undefined {
  if (isPlain(source)) return undefined
  const key = `${flags} ${source}`
  if (!known.has(key)) {
    if (known.size >= MAX_KNOWN) known.clear()
    const provables = provable(source)
    const slow = provables.map(manyChoices).concat(provables.map(each => judge(endless(each), flags)))
    known.set(
      key,
      slow.find(reason => reason !== undefined),
    )
  }
  return known.get(key)
}

/** One repetition of one character or class takes at most the square of the length, wherever it stands. */
function isPlain(source: string): boolean {
  const bare = source
    .replace(/\\\d/g, '(){')
    .replace(/\\.|\[(?:\\.|[^\]\\])*\]/gs, 'x')
    .replace(/\((?:\?(?:[:=!]|<[=!]))?/g, '(')
  return (bare.match(/[*+?{]/g)?.length ?? 0) <= 1 && !/\)[*+?{]/.test(bare)
}

/**
 * Patterns without look-around and back references that together are at least as slow: only of such can the checker prove
 * anything. What is looked for is judged by itself; in its place stands something that can fail as it does.
 */
function provable(source: string): string[] {
  const inner: string[] = []
  let rest = source.replace(/\\[1-9]\d?/g, '[^]*')
  for (;;) {
    const found = innermostLookAround(rest)
    if (found === undefined) return [rest, ...inner]
    const { from, to, body, positive } = found
    inner.push(body)
    rest = `${rest.slice(0, from)}${positive ? `(?:${body})` : '$'}${rest.slice(to)}`
  }
}

function innermostLookAround(
  source: string,
): { from: number; to: number; body: string; positive: boolean } | undefined {
  const open: { from: number; opening: string }[] = []
  for (const { 0: unit, index } of source.matchAll(/\\.|\[(?:\\.|[^\]\\])*\]|\((?:\?<?[:=!])?|\)/gs)) {
    if (unit.startsWith('(')) open.push({ from: index, opening: unit })
    if (unit !== ')') continue
    const { from, opening } = open.pop() ?? { from: 0, opening: '' }
    if (!/[=!]$/.test(opening)) continue
    const body = source.slice(from + opening.length, index)
    return { from, to: index + 1, body, positive: opening === '(?=' }
  }
  return undefined
}

/** The checker takes every pattern that has an end for fast; 2 to the power 30 has one, too. */
function manyChoices(source: string): string | undefined {
  const bare = source.replace(/\\.|\[(?:\\.|[^\]\\])*\]/gs, 'x').replaceAll('(?:', '(')
  const optional = bare.match(/(?<![*+?}])\?|\{0,1\}/g)?.length ?? 0
  if (optional > MAX_OPTIONAL) return `it has more than ${MAX_OPTIONAL} optional parts`
  const counted = [...bare.matchAll(/\(([^()]*(?:\([^()]*\)[^()]*)*)\)\{(\d+)(?:,(\d*))?\}/g)]
  const nested = counted.some(([, body = '', least, most]) => Number(most || least) > MAX_COUNT && /[*+?{|]/.test(body))
  return nested ? `what varies is repeated more than ${MAX_COUNT} times` : undefined
}

const endless = (source: string): string =>
  source.replace(/\\.|\[(?:\\.|[^\]\\])*\]|\{(\d+),(\d+)\}/gs, (unit, least?: string, most?: string) =>
    Number(most ?? 0) - Number(least ?? 0) > MAX_COUNT ? `{${least},}` : unit,
  )

function judge(source: string, flags: string): string | undefined {
  const verdict = recheck.checkSync(source, flags, { checker: 'automaton', timeout: CHECK_TIMEOUT })
  if (verdict.status === 'unknown') return 'it could not be shown that the pattern is fast on every path'
  if (verdict.status === 'safe') return undefined
  const { complexity } = verdict
  if (complexity.type === 'exponential') return 'on some paths the pattern takes exponential time'
  if (complexity.degree <= MAX_DEGREE) return undefined
  return `on some paths the pattern takes time to the power ${complexity.degree} of their length; say what stands between its repetitions`
}
