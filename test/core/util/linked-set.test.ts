import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { type Link, LinkedSet } from '../../../packages/core/src/util/linked-set.ts'

const ONE: unique symbol = Symbol('one')
const TWO: unique symbol = Symbol('two')

class Item {
  readonly name: number;
  [ONE]: Link<Item> | undefined = undefined;
  [TWO]: Link<Item> | undefined = undefined

  constructor(name: number) {
    this.name = name
  }
}

const items: readonly Item[] = Array.from({ length: 8 }, (_, name) => new Item(name))

test('holds the same items as a Set, in the same order, after any additions and deletions', () => {
  const steps = fc.array(fc.tuple(fc.boolean(), fc.constantFrom(...items)), { maxLength: 60 })
  fc.assert(
    fc.property(steps, list => {
      const ours = new LinkedSet<Item>(ONE)
      const set = new Set<Item>()
      for (const [added, item] of list) {
        if (added) {
          ours.add(item)
          set.add(item)
        } else assert.equal(ours.delete(item), set.delete(item))
        assert.equal(ours.size, set.size)
        assert.deepEqual([...ours], [...set])
        for (const each of items) assert.equal(ours.has(each), set.has(each))
      }
    }),
  )
})

test('skips an item that is deleted during iteration', () => {
  const [a, b, c] = items as [Item, Item, Item]
  const set = new LinkedSet<Item>(ONE).add(a).add(b).add(c)
  const visited: Item[] = []
  for (const item of set) {
    visited.push(item)
    if (item === a) set.delete(b)
  }
  assert.deepEqual(visited, [a, c])
})

test('holds an object that is in sets of several slots, and adds no property to it', () => {
  const item = new Item(1)
  const keys = Reflect.ownKeys(item)
  const [one, two] = [new LinkedSet<Item>(ONE).add(item), new LinkedSet<Item>(TWO).add(item)]
  assert.deepEqual([inspect(two, { depth: 0 }), Reflect.ownKeys(item)], ['Set(1) { [Item] }', keys])
  one.delete(item)
  assert.deepEqual([one.has(item), two.has(item)], [false, true])
})

test('has no item of another set of its slot, and does not delete it', () => {
  const item = new Item(1)
  const [one, other] = [new LinkedSet<Item>(ONE).add(item), new LinkedSet<Item>(ONE)]
  assert.deepEqual([other.has(item), other.delete(item), one.has(item)], [false, false, true])
})

test('has the methods of a Set', () => {
  const [a, b] = items as [Item, Item]
  const set = new LinkedSet<Item>(ONE).add(a)
  const calls: unknown[] = []
  set.forEach((...given) => {
    calls.push(given)
  })
  assert.deepEqual([[...set.keys()], [...set.entries()], calls], [[a], [[a, a]], [[a, a, set]]])
  const newer = set as unknown as { union(other: Set<Item>): Set<Item>; isSubsetOf(other: Set<Item>): boolean }
  assert.deepEqual(newer.union(new Set([b])), new Set([a, b]))
  assert.equal(newer.isSubsetOf(new Set([a, b])), true)
})
