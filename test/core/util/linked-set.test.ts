import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { LinkedSet } from '../../../packages/core/src/util/linked-set.ts'

interface Item {
  readonly name: number
}

const items: readonly Item[] = Array.from({ length: 8 }, (_, name) => ({ name }))

test('holds the same items as a Set, in the same order, after any additions and deletions', () => {
  const steps = fc.array(fc.tuple(fc.boolean(), fc.constantFrom(...items)), { maxLength: 60 })
  fc.assert(
    fc.property(steps, list => {
      const ours = new LinkedSet<Item>()
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
  const set = new LinkedSet<Item>().add(a).add(b).add(c)
  const visited: Item[] = []
  for (const item of set) {
    visited.push(item)
    if (item === a) set.delete(b)
  }
  assert.deepEqual(visited, [a, c])
})

test('holds an object that is in several sets, and adds no visible property to it', () => {
  const item = { name: 1 }
  const [one, two] = [new LinkedSet<Item>().add(item), new LinkedSet<Item>().add(item)]
  one.delete(item)
  assert.deepEqual([one.has(item), two.has(item)], [false, true])
  assert.deepEqual([inspect(item), inspect(two)], ['{ name: 1 }', 'Set(1) { { name: 1 } }'])
})

test('has the methods of a Set', () => {
  const [a, b] = items as [Item, Item]
  const set = new LinkedSet<Item>().add(a)
  const calls: unknown[] = []
  set.forEach((...given) => {
    calls.push(given)
  })
  assert.deepEqual([[...set.keys()], [...set.entries()], calls], [[a], [[a, a]], [[a, a, set]]])
  const newer = set as unknown as { union(other: Set<Item>): Set<Item>; isSubsetOf(other: Set<Item>): boolean }
  assert.deepEqual(newer.union(new Set([b])), new Set([a, b]))
  assert.equal(newer.isSubsetOf(new Set([a, b])), true)
})
