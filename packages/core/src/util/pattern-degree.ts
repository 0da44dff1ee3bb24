import { type Automaton, automatonOf } from './pattern-automaton.ts'

/** The most steps of one analysis. It ends by them and never by the clock, so a verdict does not depend on the machine. */
const MAX_STEPS = 3_000_000

/** So many characters that are tried after the most frequent repetition count as one more power of the length. */
const MAX_BUSY = 128

class TooManySteps extends Error {}

/**
 * The power of the length of a text that bounds the time of a match of the pattern: 0, 1 for linear time, 2, ...;
 * Infinity for exponential time. The number of ways to match a text decides it, because a match that fails tries all of
 * them (Weber and Seidl 1991, Allauzen, Mohri and Rastogi 2008).
 *
 * @returns `undefined` for a pattern with look-around or back references, and for one that takes too many steps.
 */
export function patternDegree(source: string, flags: string): number | undefined {
  const automaton = automatonOf(source, flags)
  if (automaton === undefined) return undefined
  try {
    return new Analysis(automaton).degree()
  } catch (error) {
    if (error instanceof TooManySteps) return undefined
    throw error
  }
}

class Analysis {
  readonly #automaton: Automaton
  /** The successors of each state by symbol. */
  readonly #next: readonly (readonly (readonly number[])[])[]
  /** States from which the rest matches any text. Nothing before them is tried again. */
  readonly #sure: ReadonlySet<number>
  /** The component of each state that lies on a cycle. */
  readonly #component: ReadonlyMap<number, number>
  readonly #cycles: readonly (readonly number[])[]
  readonly #reach: readonly ReadonlySet<number>[]
  #steps = 0

  constructor(automaton: Automaton) {
    this.#automaton = automaton
    const { follow, sets, symbols } = automaton
    this.#next = follow.map(states =>
      Array.from({ length: symbols }, (_, symbol) => [...new Set(states)].filter(to => sets[to]?.has(symbol))),
    )
    this.#sure = this.#sureStates()
    this.#reach = follow.map((_, state) => this.#reachable(state))
    const cycles: number[][] = []
    const component = new Map<number, number>()
    for (const state of follow.keys()) {
      if (component.has(state) || !this.#reach[state]?.has(state)) continue
      const members = [...(this.#reach[state] as ReadonlySet<number>)].filter(each => this.#reach[each]?.has(state))
      for (const each of members) component.set(each, cycles.length)
      cycles.push(members)
    }
    this.#component = component
    this.#cycles = cycles
  }

  degree(): number {
    if (this.#cycles.length === 0) return 0
    if (this.#cycles.some(cycle => this.#splits(cycle))) return Number.POSITIVE_INFINITY
    const chains = new Map<number, number>()
    const longest = this.#cycles.map((_, cycle) => this.#chainTo(cycle, chains))
    const most = Math.max(...longest)
    const last = this.#cycles.filter((_, cycle) => longest[cycle] === most)
    const busy = [...this.#next.keys()].filter(state => last.some(([cycle]) => this.#leads(cycle as number, state)))
    return 1 + most + (most > 0 && busy.length > MAX_BUSY ? 1 : 0)
  }

  #leads(from: number, to: number): boolean {
    return this.#reach[from]?.has(to) ?? false
  }

  #step(): void {
    if (++this.#steps > MAX_STEPS) throw new TooManySteps()
  }

  #reachable(from: number): Set<number> {
    const found = new Set<number>()
    const waiting = [from]
    for (let state = waiting.pop(); state !== undefined; state = waiting.pop())
      for (const to of this.#automaton.follow[state] as readonly number[]) {
        this.#step()
        if (!found.has(to)) {
          found.add(to)
          waiting.push(to)
        }
      }
    return found
  }

  /** The largest set of states that accept at once, or at the end and lead into the set by every symbol. */
  #sureStates(): Set<number> {
    const { accepts, acceptsAtEnd, isConditional } = this.#automaton
    if (isConditional) return new Set(accepts)
    const sure = new Set([...accepts, ...acceptsAtEnd])
    for (let before = -1; before !== sure.size; ) {
      before = sure.size
      for (const state of sure) {
        const leads = this.#next[state]?.every(states => states.some(to => sure.has(to)))
        if (!accepts.has(state) && !leads) sure.delete(state)
      }
    }
    return sure
  }

  /** Whether two different ways lead from a state of the cycle back to it by one text. Each repetition then doubles the ways. */
  #splits(cycle: readonly number[]): boolean {
    const members = new Set(cycle.filter(state => !this.#sure.has(state)))
    for (const state of members) {
      const inside = (this.#automaton.follow[state] as readonly number[]).filter(to => members.has(to))
      if (new Set(inside).size < inside.length) return true
    }
    const size = this.#next.length
    const seen = new Set<number>()
    const waiting = [...members].map(state => state * size + state)
    // Pairs of states that two ways with the same text are in. All members lead to each other, so ways that have parted and
    // meet again can do so in every turn.
    for (let pair = waiting.pop(); pair !== undefined; pair = waiting.pop()) {
      const [a, b] = [Math.floor(pair / size), pair % size]
      for (const [toA, toB] of this.#steps2(a, b)) {
        if (!members.has(toA) || !members.has(toB)) continue
        if (toA === toB) {
          if (a !== b) return true
          continue
        }
        const next = toA * size + toB
        if (seen.has(next)) continue
        seen.add(next)
        waiting.push(next)
      }
    }
    return false
  }

  /** The pairs of states that one character leads to from a pair. */
  *#steps2(a: number, b: number): Generator<readonly [number, number]> {
    const [nextOfA, nextOfB] = [this.#next[a], this.#next[b]]
    for (const [symbol, states] of (nextOfA ?? []).entries())
      for (const toA of states)
        for (const toB of nextOfB?.[symbol] ?? []) {
          this.#step()
          yield [toA, toB]
        }
  }

  /** The largest number of cycles before this one, each of which a text can leave in as many ways as it has turns. */
  #chainTo(to: number, chains: Map<number, number>): number {
    const known = chains.get(to)
    if (known !== undefined) return known
    let most = 0
    const [last] = this.#cycles[to] as [number]
    for (const from of this.#cycles.keys()) {
      const [first] = this.#cycles[from] as [number]
      if (to === from || !this.#leads(first, last)) continue
      most = Math.max(most, this.#chainTo(from, chains) + (this.#overlaps(from, to) ? 1 : 0))
    }
    chains.set(to, most)
    return most
  }

  /** Whether one text leads from a state of the first cycle back to it, on to a state of the second, and there back to it. */
  #overlaps(from: number, to: number): boolean {
    for (const p of this.#cycles[from] as readonly number[])
      for (const q of this.#cycles[to] as readonly number[])
        if (!this.#sure.has(q) && this.#overlapsAt(p, q)) return true
    return false
  }

  #overlapsAt(p: number, q: number): boolean {
    const size = this.#next.length
    const [cycleOfP, cycleOfQ] = [this.#component.get(p), this.#component.get(q)]
    const seen = new Set<number>()
    const waiting: [number, number, number][] = [[p, p, q]]
    for (let triple = waiting.pop(); triple !== undefined; triple = waiting.pop()) {
      const [a, b, c] = triple
      for (const [symbol, nextOfA] of (this.#next[a] as readonly (readonly number[])[]).entries())
        for (const toA of nextOfA) {
          if (this.#component.get(toA) !== cycleOfP) continue
          for (const toC of this.#next[c]?.[symbol] ?? []) {
            if (this.#component.get(toC) !== cycleOfQ) continue
            for (const toB of this.#next[b]?.[symbol] ?? []) {
              this.#step()
              if (toA === p && toB === q && toC === q) return true
              if (toB !== q && !this.#leads(toB, q)) continue
              const key = (toA * size + toB) * size + toC
              if (seen.has(key)) continue
              seen.add(key)
              waiting.push([toA, toB, toC])
            }
          }
        }
    }
    return false
  }
}
