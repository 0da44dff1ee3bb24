import { type AST, RegExpParser, visitRegExpAST } from '@eslint-community/regexpp'

/**
 * The position automaton of a pattern (Glushkov): each state is a character of the pattern that was just matched, and
 * state 0 is the start. A match of JavaScript walks it and backtracks.
 */
export interface Automaton {
  /** The symbols that lead into each state. Symbols stand for characters that no part of the pattern tells apart. */
  readonly sets: readonly ReadonlySet<number>[]
  /** The states that may follow each state, in any order; a state twice if several ways lead there without a character. */
  readonly follow: readonly (readonly number[])[]
  /** States after which the pattern has matched, whatever follows. */
  readonly accepts: ReadonlySet<number>
  /** States after which the pattern has matched if the text ends. */
  readonly acceptsAtEnd: ReadonlySet<number>
  readonly symbols: number
  /** Whether a condition stands between characters, such as `\b`: then not every way of `follow` can be gone. */
  readonly isConditional: boolean
}

/** The most states. A pattern with more is not judged. */
const MAX_STATES = 2_000

/** A way without a character: to the end of the text alone (`$`), or under another condition (`\b`). */
type Condition = 'none' | 'end' | 'other'

/** A part of a pattern: the states it can begin and end with, with the number of ways (1, or 2 for more). */
interface Part {
  readonly first: Map<number, number>
  readonly last: Map<number, { ways: number; condition: Condition }>
  /** Ways to match the empty text. */
  readonly empty: number
  readonly emptyCondition: Condition
}

const parser = new RegExpParser()

/** @returns `undefined` for a pattern with look-around, back references, or too many states. */
export function automatonOf(source: string, flags: string): Automaton | undefined {
  const unicode = flags.includes('u')
  const unicodeSets = flags.includes('v')
  const { alternatives } = parser.parsePattern(source, 0, source.length, { unicode, unicodeSets })
  try {
    return new Builder(flags).build(alternatives)
  } catch (error) {
    if (error instanceof Unsupported) return undefined
    throw error
  }
}

class Unsupported extends Error {}

const EMPTY: Part = { first: new Map(), last: new Map(), empty: 1, emptyCondition: 'none' }

class Builder {
  readonly #flags: string
  readonly #sources: string[] = ['']
  readonly #follow: number[][] = [[]]
  readonly #literals = new Set<number>()
  #assertions = 0

  constructor(flags: string) {
    this.#flags = flags.replace(/[gyd]/g, '')
  }

  build(alternatives: readonly AST.Alternative[]): Automaton {
    const start: Part = { ...EMPTY, last: new Map([[0, { ways: 1, condition: 'none' }]]), empty: 0 }
    const part = this.#alternatives(alternatives)
    // A search tries every position, as if any characters could precede the pattern. One that matches the empty text has
    // matched at the first.
    const isTriedOnce =
      (isAnchored(alternatives) && !this.#flags.includes('m')) || (part.empty > 0 && part.emptyCondition === 'none')
    const prefix = isTriedOnce ? EMPTY : this.#repeat(this.#character('[^]'), true)
    const whole = this.#join(this.#join(start, prefix), part)
    const [sets, symbols] = this.#symbols()
    const ends = [...whole.last]
    return {
      sets,
      symbols,
      isConditional: this.#assertions > conditionsAround(alternatives),
      follow: this.#follow,
      accepts: new Set(ends.flatMap(([state, { condition }]) => (condition === 'none' ? [state] : []))),
      acceptsAtEnd: new Set(ends.flatMap(([state, { condition }]) => (condition === 'other' ? [] : [state]))),
    }
  }

  #alternatives(alternatives: readonly AST.Alternative[]): Part {
    const parts = alternatives.map(({ elements }) =>
      elements.reduce<Part>((before, element) => this.#join(before, this.#element(element)), EMPTY),
    )
    return parts.reduce((a, b) => ({
      first: sum(a.first, b.first),
      last: new Map([...a.last, ...b.last]),
      empty: Math.min(2, a.empty + b.empty),
      emptyCondition:
        a.empty > 0 && (b.empty === 0 || a.emptyCondition === 'none') ? a.emptyCondition : b.emptyCondition,
    }))
  }

  #element(node: AST.Element): Part {
    switch (node.type) {
      case 'Group':
        if (node.modifiers !== null && node.modifiers !== undefined) throw new Unsupported()
        return this.#alternatives(node.alternatives)
      case 'CapturingGroup':
        return this.#alternatives(node.alternatives)
      case 'Quantifier':
        return this.#quantifier(node)
      case 'Assertion':
        // A look-around of bounded length takes constant time.
        if ((node.kind === 'lookahead' || node.kind === 'lookbehind') && hasLoop(node)) throw new Unsupported()
        this.#assertions++
        return { ...EMPTY, emptyCondition: node.kind === 'end' ? 'end' : 'other' }
      case 'Backreference':
        throw new Unsupported()
      case 'Character':
        this.#literals.add(node.value)
        return this.#character(node.raw)
      case 'CharacterClass':
        for (const each of node.elements) this.#note(each)
        return this.#character(node.raw)
      case 'CharacterSet':
        return this.#character(node.raw)
      default:
        throw new Unsupported()
    }
  }

  /** Notes the characters at which a class begins, ends and differs from its neighbours. */
  #note(element: AST.CharacterClass['elements'][number]): void {
    if (element.type === 'Character') this.#literals.add(element.value)
    else if (element.type === 'CharacterClassRange') {
      for (const { value } of [element.min, element.max]) this.#literals.add(value)
    } else if (element.type !== 'CharacterSet') throw new Unsupported()
  }

  #character(source: string): Part {
    const state = this.#sources.length
    if (state >= MAX_STATES) throw new Unsupported()
    this.#sources.push(source)
    this.#follow.push([])
    return {
      first: new Map([[state, 1]]),
      last: new Map([[state, { ways: 1, condition: 'none' }]]),
      empty: 0,
      emptyCondition: 'none',
    }
  }

  #quantifier({ min, max, element }: AST.Quantifier): Part {
    let part = EMPTY
    if (max === Number.POSITIVE_INFINITY && min <= 1) return this.#repeat(this.#element(element), min === 0)
    for (let i = 0; i < min; i++) part = this.#join(part, this.#element(element))
    if (max === Number.POSITIVE_INFINITY) return this.#join(part, this.#repeat(this.#element(element), true))
    let optional = EMPTY
    for (let i = min; i < max; i++) optional = skippable(this.#join(this.#element(element), optional))
    return this.#join(part, optional)
  }

  #repeat(part: Part, skips: boolean): Part {
    this.#connect(part, part)
    return skips ? skippable(part) : part
  }

  #join(a: Part, b: Part): Part {
    this.#connect(a, b)
    const skipA = new Map(Array.from(b.first, ([state, ways]) => [state, Math.min(2, ways * a.empty)]))
    const skipB = Array.from(
      a.last,
      ([state, { ways, condition }]) =>
        [state, { ways: Math.min(2, ways * b.empty), condition: stricter(condition, b.emptyCondition) }] as const,
    )
    return {
      first: a.empty > 0 ? sum(a.first, skipA) : a.first,
      last: new Map([...(b.empty > 0 ? skipB : []), ...b.last]),
      empty: Math.min(2, a.empty * b.empty),
      emptyCondition: stricter(a.emptyCondition, b.emptyCondition),
    }
  }

  #connect(a: Part, b: Part): void {
    for (const [from, { ways }] of a.last)
      for (const [to, more] of b.first) {
        const follow = this.#follow[from] as number[]
        for (let i = 0; i < Math.min(2, ways * more); i++) follow.push(to)
      }
  }

  /** The symbols of each state. Characters that the same states accept are one symbol. */
  #symbols(): [sets: ReadonlySet<number>[], symbols: number] {
    const characters = new Set([...Array(256).keys(), 0xe000])
    for (const value of this.#literals)
      for (const each of [value - 1, value, value + 1]) if (each > 255 && each <= 0xffff) characters.add(each)
    const tests = new Map<string, RegExp>()
    for (const source of this.#sources.slice(1)) tests.set(source, new RegExp(`^(?:${source})$`, this.#flags))
    const symbolOf = new Map<string, number>()
    const setOf = new Map<string, Set<number>>(Array.from(tests.keys(), source => [source, new Set()]))
    for (const character of characters) {
      const text = String.fromCharCode(character)
      const matched = Array.from(tests).flatMap(([source, test]) => (test.test(text) ? [source] : []))
      const key = matched.join('\0')
      const symbol = symbolOf.get(key) ?? symbolOf.size
      symbolOf.set(key, symbol)
      for (const source of matched) setOf.get(source)?.add(symbol)
    }
    return [this.#sources.map(source => setOf.get(source) ?? new Set()), symbolOf.size]
  }
}

/** Whether a look-around contains a repetition or a back reference. */
function hasLoop(node: AST.LookaroundAssertion): boolean {
  let found = false
  visitRegExpAST(node, {
    onQuantifierEnter: ({ max }) => {
      found ||= max > 1
    },
    onBackreferenceEnter: () => {
      found = true
    },
  })
  return found
}

const skippable = (part: Part): Part => ({ ...part, empty: 1, emptyCondition: 'none' })

function sum(a: Map<number, number>, b: Map<number, number>): Map<number, number> {
  const both = new Map(a)
  for (const [state, ways] of b) both.set(state, Math.min(2, (both.get(state) ?? 0) + ways))
  return both
}

const ORDER: readonly Condition[] = ['none', 'end', 'other']
const stricter = (a: Condition, b: Condition): Condition => (ORDER.indexOf(a) > ORDER.indexOf(b) ? a : b)

/** The number of `^` and `$` at the very ends of a pattern. */
const conditionsAround = (alternatives: readonly AST.Alternative[]): number =>
  alternatives.reduce((count, { elements }) => {
    const [first, last] = [elements[0], elements.at(-1)]
    const starts = first?.type === 'Assertion' && first.kind === 'start'
    const ends = last?.type === 'Assertion' && last.kind === 'end'
    return count + Number(starts) + Number(ends)
  }, 0)

/** Whether each alternative begins with `^`. */
const isAnchored = (alternatives: readonly AST.Alternative[]): boolean =>
  alternatives.every(({ elements: [first] }) => {
    if (first?.type === 'Group' || first?.type === 'CapturingGroup') return isAnchored(first.alternatives)
    return first?.type === 'Assertion' && first.kind === 'start'
  })
