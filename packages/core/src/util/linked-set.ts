import { inspect } from 'node:util'

/** The position of an item in the list of a set. */
export interface Link<T extends object> {
  /** The set that has the item. */
  readonly set: LinkedSet<T>
  readonly item: T
  before: Link<T> | undefined
  after: Link<T> | undefined
}

type Linked<T extends object> = Record<symbol, Link<T> | undefined>

/**
 * A set of objects in insertion order, for objects that are added and deleted by the thousand. It is a doubly linked
 * list, because V8's `Set` retained part of the deleted objects until the next full collection: 1 KB of each tunnel
 * (test/core/tunnel/tunnel-resources.test.ts).
 *
 * The class of the items declares the property that holds their link. A property that was added later would give each item
 * another shape.
 */
export class LinkedSet<T extends object> implements ReadonlySet<T> {
  readonly #slot: symbol
  #first: Link<T> | undefined
  #last: Link<T> | undefined
  #size = 0

  /** @param slot the property of the items that holds their link. An item is in at most one of the sets that share it. */
  constructor(slot: keyof T & symbol) {
    this.#slot = slot
  }

  get size(): number {
    return this.#size
  }

  add(item: T): this {
    if (this.has(item)) return this
    const link: Link<T> = { set: this, item, before: this.#last, after: undefined }
    ;(item as Linked<T>)[this.#slot] = link
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
    // Cleared because V8 collects its old generation late: a deleted link there would keep the younger links that it
    // references.
    link.before = link.after = undefined
    ;(item as Linked<T>)[this.#slot] = undefined
    this.#size--
    return true
  }

  has(item: T): boolean {
    return this.#linkOf(item) !== undefined
  }

  #linkOf(item: T): Link<T> | undefined {
    const link = (item as Linked<T>)[this.#slot]
    return link?.set === this ? link : undefined
  }

  /** Iterates over the items that are in the set at the start. An item that is deleted meanwhile is skipped. */
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

  forEach(callback: (item: T, key: T, set: ReadonlySet<T>) => void, thisArg?: unknown): void {
    for (const item of this.values()) callback.call(thisArg, item, item, this)
  }

  [Symbol.iterator](): SetIterator<T> {
    return this.values()
  }

  [inspect.custom](): Set<T> {
    return new Set(this)
  }
}

/** The set methods of ECMAScript 2025, applied to a `Set` of the current items. */
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
      const items = new Set(this) as unknown as Record<string, (other: unknown) => unknown>
      return items[name]?.(other)
    },
    writable: true,
    configurable: true,
  })
}
