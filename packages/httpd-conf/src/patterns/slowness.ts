import type { AST } from '@eslint-community/regexpp'
import { patternDegree } from '@ws-tunnel/core'
import { isAnchored, isLookaround, isNullable, parsePattern } from './pattern-tree.ts'

/** The largest degree that is accepted. A pattern whose time grows with the square of the length gets short texts alone. */
const MAX_DEGREE = 2
const MAX_KNOWN = 1_000
/**
 * A repetition whose count varies by more than this is judged as unbounded, because the checker examines each number of
 * repetitions separately.
 */
const MAX_COUNT = 8
/** The largest number of ways in which the bounded parts of a pattern can match together. */
const MAX_CHOICES = 10_000
/** The same for a pattern that is accepted without the checker, by its degree. */
const MAX_SIMPLE_CHOICES = [64, 64, 8]
/**
 * The number of repetitions that the checker gets of a part that can match the empty text. More repetitions would take
 * it long, and a slow pattern is already slow with these.
 */
const MAX_EMPTY = 3

const known = new Map<string, string | undefined>()

/** Why a pattern may be too slow; `undefined` if the pattern is proved to be fast enough. */
export function slowness(source: string, flags: string): string | undefined {
  const key = `${flags} ${source}`
  if (!known.has(key)) {
    if (known.size >= MAX_KNOWN) known.clear()
    known.set(key, judge(parsePattern(source).alternatives, flags))
  }
  return known.get(key)
}

type Alternatives = readonly AST.Alternative[]

function judge(pattern: Alternatives, flags: string): string | undefined {
  if (isSimple(pattern, flags)) return undefined
  const loosens = [isWide, isVaried].find(each => choices(pattern, each) <= MAX_CHOICES)
  if (loosens === undefined) return `its parts can match in more than ${MAX_CHOICES} ways together`
  const degree = degreeOf(pattern, flags, loosens)
  if (typeof degree === 'string') return degree
  if (degree <= MAX_DEGREE) return undefined
  return `on some paths the pattern takes time to the power ${degree} of their length; put fixed text between its repetitions`
}

/** The time that a part of a pattern takes, and the number of ways in which it can match. */
interface Effort {
  /** The power of the length that bounds the number of ways. */
  readonly ways: number
  /** The power of the length that bounds the time. */
  readonly time: number
  /** A constant factor of both. */
  readonly choices: number
}

const CONSTANT: Effort = { ways: 0, time: 0, choices: 1 }

/**
 * Whether the pattern is fast because each repetition is of one character, and few of them can end at different
 * positions. A search tries every position, unless the pattern is anchored.
 */
function isSimple(pattern: Alternatives, flags: string): boolean {
  const effort = effortOf(pattern, flags)
  if (effort === undefined) return false
  const degree = effort.time + (isAnchored(pattern) && !flags.includes('m') ? 0 : 1)
  return degree <= MAX_DEGREE && effort.choices <= (MAX_SIMPLE_CHOICES[degree] ?? 0)
}

/** `undefined` for a pattern that only the checker can judge. */
function effortOf(alternatives: Alternatives, flags: string): Effort | undefined {
  let most = { ...CONSTANT, choices: 0 }
  for (const { elements } of alternatives) {
    const own = effortOfSequence(flat(elements), flags)
    if (own === undefined) return undefined
    most = {
      ways: Math.max(most.ways, own.ways),
      time: Math.max(most.time, own.time),
      choices: most.choices + own.choices,
    }
  }
  return most
}

/** The elements, with the content of a group that has one alternative instead of the group. */
const flat = (elements: readonly AST.Element[]): AST.Element[] =>
  elements.flatMap(element =>
    (element.type === 'Group' || element.type === 'CapturingGroup') && element.alternatives.length === 1
      ? flat(element.alternatives[0]?.elements ?? [])
      : [element],
  )

/** The effort of elements in a row. An element is tried again for each way in which the elements before it match. */
function effortOfSequence(elements: readonly AST.Element[], flags: string): Effort | undefined {
  let { ways, time, choices } = CONSTANT
  for (const [i, element] of elements.entries()) {
    const own = effortOfElement(element, elements[i + 1], flags)
    if (own === undefined) return undefined
    time = Math.max(time, ways + own.time)
    ways += own.ways
    choices *= own.choices
  }
  return { ways, time, choices }
}

function effortOfElement(element: AST.Element, next: AST.Element | undefined, flags: string): Effort | undefined {
  switch (element.type) {
    case 'Group':
    case 'CapturingGroup':
      return effortOf(element.alternatives, flags)
    case 'Quantifier': {
      const { min, max, element: repeated } = element
      if (repeated.type === 'Character' || repeated.type === 'CharacterClass' || repeated.type === 'CharacterSet') {
        const time = max > MAX_COUNT ? 1 : 0
        if (min === max || endsOnce(repeated, next, flags)) return { ...CONSTANT, time }
        return max - min > MAX_COUNT ? { ways: 1, time: 1, choices: 1 } : { ways: 0, time, choices: max - min + 1 }
      }
      const inner = max === 1 ? effortOfElement(repeated, undefined, flags) : undefined
      return inner && { ...inner, choices: inner.choices + (min === 0 ? 1 : 0) }
    }
    case 'Assertion': {
      if (!isLookaround(element)) return CONSTANT
      // JavaScript does not backtrack into a look-around that has matched.
      const inner = effortOf(element.alternatives, flags)
      return element.kind === 'lookbehind' && inner?.time !== 0 ? undefined : inner && { ...inner, ways: 0 }
    }
    case 'Backreference':
      return undefined
    default:
      return CONSTANT
  }
}

/** Whether a repetition can end at one position only, because it cannot repeat the character that must follow it. */
const endsOnce = (repeated: AST.Element, next: AST.Element | undefined, flags: string): boolean =>
  next?.type === 'Character' && !new RegExp(`^${repeated.raw}$`, flags).test(String.fromCharCode(next.value))

/**
 * Whether a repetition is judged as unbounded. A repetition of a part that can match the empty text keeps its count,
 * because it would take less time if it were unbounded.
 */
type Loosens = (node: AST.Quantifier) => boolean
const isBounded = ({ element, max }: AST.Quantifier): boolean =>
  max > 1 && max !== Number.POSITIVE_INFINITY && !isNullable(element)
const isWide: Loosens = node => isBounded(node) && node.max - node.min > MAX_COUNT
const isVaried: Loosens = node => isBounded(node) && (node.max > node.min || choicesOf(node.element, isVaried) > 1)

/**
 * The number of ways in which a pattern can match. Unbounded repetitions do not count, because the checker judges them.
 */
function choices(alternatives: Alternatives, loosens: Loosens): number {
  return alternatives.reduce(
    (sum, { elements }) => sum + elements.reduce((product, element) => product * choicesOf(element, loosens), 1),
    0,
  )
}

function choicesOf(node: AST.Element, loosens: Loosens): number {
  if (isLookaround(node) || node.type === 'Group' || node.type === 'CapturingGroup')
    return choices(node.alternatives, loosens)
  if (node.type !== 'Quantifier') return 1
  const { min, max, element } = node
  const each = choicesOf(element, loosens)
  if (loosens(node)) return each
  if (max === Number.POSITIVE_INFINITY) return each ** Math.max(1, min)
  if (each === 1) return max - min + 1
  let sum = 0
  for (let count = min; count <= max && sum <= MAX_CHOICES; count++) sum += each ** count
  return sum
}

/** A look-ahead or a look-behind in a pattern. */
interface Look {
  readonly alternatives: Alternatives
  readonly behind: boolean
  /** Whether it is tried at most once per path, because no repetition precedes it. */
  readonly once: boolean
}

/**
 * The power of the length that bounds the time, or the reason why there is none. The checker can judge only patterns
 * without look-around and back references. So each look-around is judged separately, and the pattern around it is
 * judged as if the look-around always matched. A character that no path contains is then added at the end of the
 * pattern, because the original pattern can fail after any part of it has matched.
 *
 * @param isAtStart whether the pattern is tried at one position only.
 */
function degreeOf(pattern: Alternatives, flags: string, loosens: Loosens, isAtStart = false): number | string {
  const printer = new CheckerSource(flags, loosens, isAtStart)
  const printed = printer.print(pattern)
  const source = isAtStart ? `^(?:${printed})` : printed
  const whole = printer.isLoose ? `(?:${source})\uE000` : source
  const own = measure(whole, flags)
  if (typeof own === 'string') return own
  let degree = own
  for (const { alternatives, behind, once } of printer.looks) {
    const inner = degreeOf(alternatives, flags, loosens, true)
    if (typeof inner === 'string') return inner
    if (behind && inner > 0) return 'a look-behind has no fixed length'
    degree = Math.max(degree, once ? inner : Math.max(own, 1) + inner)
  }
  return degree
}

/** Prints a pattern for the checker. */
class CheckerSource {
  readonly looks: Look[] = []
  /** Whether the printed pattern matches more than the original. */
  isLoose = false
  readonly #isMultiline: boolean
  readonly #loosens: Loosens
  /** Whether the position is reached at most once per path: `^` precedes it, with no repetition in between. */
  #once: boolean

  constructor(flags: string, loosens: Loosens, isAtStart: boolean) {
    this.#isMultiline = flags.includes('m')
    this.#loosens = loosens
    this.#once = isAtStart && !this.#isMultiline
  }

  print(alternatives: Alternatives): string {
    const before = this.#once
    let after = true
    const sources = alternatives.map(({ elements }) => {
      this.#once = before
      const source = elements.map(element => this.#element(element)).join('')
      after &&= this.#once
      return source
    })
    this.#once = after
    return sources.join('|')
  }

  #element(node: AST.Element): string {
    if (isLookaround(node)) {
      this.looks.push({ alternatives: node.alternatives, behind: node.kind === 'lookbehind', once: this.#once })
      return this.#loosely('(?:)')
    }
    switch (node.type) {
      case 'Backreference':
        return this.#loosely('(?:[^]*)')
      case 'Group':
      case 'CapturingGroup':
        return `(?:${this.print(node.alternatives)})`
      case 'Quantifier':
        return this.#quantifier(node)
      default:
        if (node.type === 'Assertion' && node.kind === 'start' && !this.#isMultiline) this.#once = true
        return node.raw
    }
  }

  #quantifier(node: AST.Quantifier): string {
    const { min, max, element } = node
    if (max > 1) this.#once = false
    const source = this.#element(element)
    if (max > 1) this.#once = false
    const hasMost = max !== Number.POSITIVE_INFINITY
    if (hasMost && max > MAX_EMPTY && isNullable(element))
      return this.#loosely(`${source}{${Math.min(min, MAX_EMPTY)},${MAX_EMPTY}}`)
    if (this.#loosens(node)) return this.#loosely(`${source}{${this.#loosens === isWide ? min : Math.min(min, 1)},}`)
    return `${source}{${min},${hasMost ? max : ''}}`
  }

  #loosely(source: string): string {
    this.isLoose = true
    return source
  }
}

/** The degree of the time of a pattern without look-around and back references. */
function measure(source: string, flags: string): number | string {
  const degree = patternDegree(source, flags)
  if (degree === undefined) return 'it could not be shown that the pattern is fast on every path'
  return degree === Number.POSITIVE_INFINITY ? 'on some paths the pattern takes exponential time' : degree
}
