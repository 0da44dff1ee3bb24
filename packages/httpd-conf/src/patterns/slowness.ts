import recheck from 'recheck/lib/browser.js'
import { type Branches, isLookAround, isNullable, type Node, parsePattern } from './pattern-tree.ts'

/** Longest time that is let pass: the square of a path's length, which is at most 8 KiB. */
const MAX_DEGREE = 2
/** How long a pattern may be looked at, ms. */
const CHECK_TIMEOUT = 2_000
const MAX_KNOWN = 1_000
/** A count that varies by more than this is judged as if it had no end: the checker takes every end for near. */
const MAX_COUNT = 8
/** In how many ways the parts that have an end may match together. */
const MAX_CHOICES = 10_000
/** So often what may match nothing is repeated for the checker, which takes long for more: it sees by then what is slow. */
const MAX_EMPTY = 3

const known = new Map<string, string | undefined>()

/** Why a pattern could take longer than a path of 8 KiB allows, or `undefined` where it is shown that it cannot. */
export function slowness(source: string, flags: string): string | undefined {
  if (isPlain(source)) return undefined
  const key = `${flags} ${source}`
  if (!known.has(key)) {
    if (known.size >= MAX_KNOWN) known.clear()
    known.set(key, judge(parsePattern(source), flags))
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

function judge(pattern: Branches, flags: string): string | undefined {
  const endless = [isWide, isVaried].find(loosens => choices(pattern, loosens) <= MAX_CHOICES)
  if (endless === undefined) return `its parts can match in more than ${MAX_CHOICES} ways together`
  const degree = degreeOf(pattern, flags, endless)
  if (typeof degree === 'string') return degree
  if (degree <= MAX_DEGREE) return undefined
  return `on some paths the pattern takes time to the power ${degree} of their length; say what stands between its repetitions`
}

type Repeat = Node & { kind: 'repeat' }

/** Whether a count is judged as if it had no end. Where nothing may be repeated that would be less than it is. */
type Loosens = (node: Repeat) => boolean
const hasEnd = ({ node, most }: Repeat): boolean => most > 1 && most !== Number.POSITIVE_INFINITY && !isNullable(node)
const isWide: Loosens = node => hasEnd(node) && node.most - node.least > MAX_COUNT
const isVaried: Loosens = node => hasEnd(node) && (node.most > node.least || choices([[node.node]], isVaried) > 1)

/** In how many ways a pattern may match, repetitions without an end left aside: those are the checker's. */
function choices(branches: Branches, loosens: Loosens): number {
  const of = (node: Node): number => {
    if (node.kind === 'unit' || node.kind === 'reference') return 1
    if (node.kind === 'group') return choices(node.branches, loosens)
    const each = of(node.node)
    const { least, most } = node
    if (loosens(node)) return each
    if (most === Number.POSITIVE_INFINITY) return each ** Math.max(1, least)
    if (each === 1) return most - least + 1
    let sum = 0
    for (let count = least; count <= most && sum <= MAX_CHOICES; count++) sum += each ** count
    return sum
  }
  return branches.reduce((sum, branch) => sum + branch.reduce((product, node) => product * of(node), 1), 0)
}

/** What is looked around for, somewhere in a pattern. */
interface Look {
  readonly branches: Branches
  readonly behind: boolean
  /** At most once per path: nothing that repeats stands before it. */
  readonly once: boolean
}

/**
 * The power of the length that bounds the time, or why there is none. The checker can prove something only of patterns without
 * look-around and back references, so each is judged by itself, and what stands around it as if it had matched; a character
 * that is in no path stands at the end then, for the whole may fail after any part of it has matched.
 */
function degreeOf(branches: Branches, flags: string, loosens: Loosens): number | string {
  const looks: Look[] = []
  let loosened = false
  const loosely = (source: string): string => {
    loosened = true
    return source
  }
  let once = false
  const print = (all: Branches): string => {
    const before = once
    let after = true
    const sources = all.map(branch => {
      once = before
      const source = branch.map(printNode).join('')
      after &&= once
      return source
    })
    once = after
    return sources.join('|')
  }
  const printNode = (node: Node): string => {
    if (node.kind === 'unit') {
      if (node.source === '^' && !flags.includes('m')) once = true
      return node.source
    }
    if (node.kind === 'reference') return loosely('(?:[^]*)')
    if (isLookAround(node)) {
      looks.push({ branches: node.branches, behind: node.opening.includes('<'), once })
      return loosely('(?:)')
    }
    if (node.kind === 'group') return `(?:${print(node.branches)})`
    const { least, most } = node
    if (most > 1) once = false
    const source = printNode(node.node)
    if (most > 1) once = false
    if (most > MAX_EMPTY && most !== Number.POSITIVE_INFINITY && isNullable(node.node))
      return loosely(`${source}{${Math.min(least, MAX_EMPTY)},${MAX_EMPTY}}`)
    if (loosens(node)) return loosely(`${source}{${loosens === isWide ? least : Math.min(least, 1)},}`)
    return `${source}{${least},${most === Number.POSITIVE_INFINITY ? '' : most}}`
  }
  const source = print(branches)
  const whole = loosened ? `(?:${source})\uE000` : source
  const isAnchored = branches.every(([first]) => first?.kind === 'unit' && first.source === '^')
  const own = isAnchored ? measure(whole, flags) : measureAnywhere(whole, flags)
  if (typeof own === 'string') return own
  let degree = own
  for (const { branches, behind, once } of looks) {
    const start: Node = { kind: 'unit', source: '^' }
    const inner = degreeOf([[start, { kind: 'group', opening: '(?:', branches }]], flags, loosens)
    if (typeof inner === 'string') return inner
    if (behind && inner > 0) return 'what it looks for behind has no fixed length'
    degree = Math.max(degree, once ? inner : Math.max(own, 1) + inner)
  }
  return degree
}

/** A search tries every place: that of what is fast at one place needs no proof, which would take long. */
function measureAnywhere(source: string, flags: string): number | string {
  const there = measure(`^(?:${source})`, flags)
  return typeof there === 'string' || there < MAX_DEGREE ? increased(there) : measure(source, flags)
}

const increased = (degree: number | string): number | string => (typeof degree === 'string' ? degree : degree + 1)

function measure(source: string, flags: string): number | string {
  const verdict = recheck.checkSync(source, flags, { checker: 'automaton', timeout: CHECK_TIMEOUT })
  if (verdict.status === 'unknown') return 'it could not be shown that the pattern is fast on every path'
  const { complexity } = verdict
  if (complexity.type === 'exponential') return 'on some paths the pattern takes exponential time'
  if (complexity.type === 'polynomial') return complexity.degree
  return complexity.type === 'linear' ? 1 : 0
}
