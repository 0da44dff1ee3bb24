import { inspect } from 'node:util'

/** A place in the chain. */
interface Link<T> {
  readonly item: T
  before: Link<T> | undefined
  after: Link<T> | undefined
}

/**
 * A Set of objects that come and go by the thousand, in the order in which they came. With a Set of V8 in its
 * place, part of what had left it lived to the next full collection, 1 KB of each tunnel (test/core/tunnel/tunnel-resources.test.ts).
 */
export class LinkedSet<T extends object> implements ReadonlySet<T> {
  /** Under which an object knows its place. */
  readonly #key = Symbol('ws-tunnel.place')
  #first: Link<T> | undefined
  #last: Link<T> | undefined
  #size = 0

  get size(): number {
    return this.#size
  }

  add(item: T): this {
    if (this.has(item)) return this
    const link: Link<T> = { item, before: this.#last, after: undefined }
    Object.defineProperty(item, this.#key, { value: link, writable: true, configurable: true })
    if (this.#last === undefined) this.#first = link
    else this.#last.after = link
    this.#last = link
    this.#size++
    return this
  }

  delete(item: T): boolean {
    const link = this.#linkOf(item)
    if (link === undefined) return false
    const { before, after } = link
    if (before === undefined) this.#first = after
    else before.after = after
    if (after === undefined) this.#last = before
    else after.before = before
    // An old link that is dead must lead to nobody.
    link.before = link.after = undefined
    ;(item as Record<symbol, Link<T> | undefined>)[this.#key] = undefined
    this.#size--
    return true
  }

  has(item: T): boolean {
    return this.#linkOf(item) !== undefined
  }

  #linkOf(item: T): Link<T> | undefined {
    return (item as Record<symbol, Link<T> | undefined>)[this.#key]
  }

  /** Those that are in it now; of them, those that still are when their turn comes. */
  *values(): SetIterator<T> {
    const items: T[] = []
    for (let link = this.#first; link !== undefined; link = link.after) items.push(link.item)
    for (const item of items) if (this.has(item)) yield item
  }

  keys(): SetIterator<T> {
    return this.values()
  }

  *entries(): SetIterator<[T, T]> {
    for (const item of this.values()) yield [item, item]
  }

  forEach(call: (item: T, again: T, set: ReadonlySet<T>) => void, self?: unknown): void {
    for (const item of this.values()) call.call(self, item, item, this)
  }

  [Symbol.iterator](): SetIterator<T> {
    return this.values()
  }

  [inspect.custom](): Set<T> {
    return new Set(this)
  }
}

/** What ECMAScript 2025 has given sets, as of one that holds the same now. */
for (const name of [
  'union',
  'intersection',
  'difference',
  'symmetricDifference',
  'isSubsetOf',
  'isSupersetOf',
  'isDisjointFrom',
]) {
  Object.defineProperty(LinkedSet.prototype, name, {
    value(this: LinkedSet<object>, other: unknown): unknown {
      const now = new Set(this) as unknown as Record<string, (other: unknown) => unknown>
      return now[name]?.(other)
    },
    writable: true,
    configurable: true,
  })
}
