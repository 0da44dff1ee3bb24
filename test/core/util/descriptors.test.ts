import assert from 'node:assert/strict'
import { closeSync, existsSync, openSync, readdirSync } from 'node:fs'
import { devNull } from 'node:os'
import { test } from 'node:test'
import {
  DescriptorBudget,
  descriptorLimit,
  lacksDescriptors,
  noteNoDescriptors,
  tunnelsLeft,
} from '../../../packages/core/src/util/descriptors.ts'

const LIST = '/proc/self/fd'
const linux = { skip: existsSync(LIST) ? false : 'there is no /proc/self/fd' }

/** A descriptor is open while they are listed. */
const open = (): number => readdirSync(LIST).length - 1

test('reads the limit of the process and keeps a part free, within bounds', linux, () => {
  const found = descriptorLimit()
  assert.ok(found !== null)
  assert.equal(found.reserve, Math.max(16, Math.min(256, Math.floor(found.limit / 8))))
  const expected = Math.max(0, Math.floor((found.limit - found.reserve - open()) / 2))
  assert.ok(Math.abs((tunnelsLeft() ?? 0) - expected) <= 2)
})

test('gives descriptors to connections while enough are left, the expected ones counted', linux, () => {
  const reserve = 100
  const budgetOf = (left: number): DescriptorBudget => new DescriptorBudget({ limit: open() + reserve + left, reserve })
  assert.equal(budgetOf(50).take(0), true)
  assert.equal(budgetOf(-5).take(0), false)
  assert.equal(budgetOf(50).take(60), false)
  assert.equal(budgetOf(-5).take(-20), true)
})

test('counts again when the connections may have used up what was left', linux, async () => {
  const held: number[] = []
  const budget = new DescriptorBudget({ limit: open() + 60, reserve: 0 })
  let taken = 0
  while (budget.take(0) && taken < 100) {
    taken++
    for (let i = 0; i < 3; i++) held.push(openSync(devNull, 'r'))
  }
  try {
    assert.ok(taken >= 15 && taken <= 22, String(taken))
    assert.equal(budget.take(0), false)
  } finally {
    for (const fd of held.splice(0)) closeSync(fd)
  }
  await new Promise(resolve => setTimeout(resolve, 30))
  assert.equal(budget.take(0), true)
})

test('remembers for a moment that descriptors had run out', () => {
  assert.equal(lacksDescriptors(), false)
  noteNoDescriptors()
  assert.equal(lacksDescriptors(), true)
})
