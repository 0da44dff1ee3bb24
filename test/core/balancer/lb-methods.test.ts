import assert from 'node:assert/strict'
import { test } from 'node:test'
import { accountForSession, LB_METHODS } from '../../../packages/core/src/balancer/lb-methods.ts'

/** What the methods read of a member. */
class Candidate {
  readonly name: string
  readonly loadFactor: number
  readonly warmth: number
  readonly usable: boolean
  lbStatus = 0
  busy = 0
  bytesSent = 0
  bytesReceived = 0
  readonly slots = { inUse: 0 }

  constructor(name: string, { loadFactor = 1, warmth = 1, usable = true } = {}) {
    this.name = name
    this.loadFactor = loadFactor
    this.warmth = warmth
    this.usable = usable
  }
}

/** One selection among the candidates. */
function select(method: keyof typeof LB_METHODS, candidates: readonly Candidate[]): Candidate {
  const comparison = LB_METHODS[method]()
  let best: Candidate | undefined
  for (const candidate of candidates) if (comparison.isBetter(candidate as never, best as never)) best = candidate
  comparison.onSelect(best as never)
  return best as Candidate
}

/** The names of the candidates that are selected one after another. */
const sequence = (method: keyof typeof LB_METHODS, candidates: readonly Candidate[], length: number): string =>
  Array.from({ length }, () => select(method, candidates).name).join('')

for (const [what, factors, selected] of [
  ['candidates of the same factor in turn', [{}, {}, {}], 'abcabc'],
  ['a candidate of twice the factor twice as often', [{ loadFactor: 2 }, {}], 'abaaba'],
  ['a candidate at half its warmth half as often', [{}, { warmth: 0.5 }], 'abaaba'],
] as const) {
  test(`byrequests selects ${what}`, () => {
    const candidates = factors.map((factor, i) => new Candidate('abc'.charAt(i), factor))
    assert.equal(sequence('byrequests', candidates, 6), selected)
  })
}

test('byrequests leaves the sum of all lbStatus at 0', () => {
  const candidates = [new Candidate('a', { loadFactor: 7 }), new Candidate('b', { loadFactor: 1.25 })]
  sequence('byrequests', candidates, 5)
  assert.equal(
    candidates.reduce((sum, { lbStatus }) => sum + lbStatus, 0),
    0,
  )
})

test('a factor is never less than a hundredth', () => {
  const cold = new Candidate('a', { warmth: 0.000_01 })
  select('byrequests', [cold, new Candidate('b')])
  assert.equal(cold.lbStatus, 1)
})

test('bybusyness selects the least busy candidate, and by requests among equals', () => {
  const [a, b, c] = ['a', 'b', 'c'].map(name => new Candidate(name)) as [Candidate, Candidate, Candidate]
  a.busy = 2
  b.busy = c.busy = 1
  assert.equal(sequence('bybusyness', [a, b, c], 4), 'bcbc')
})

test('bytraffic selects the candidate with the fewest bytes, sent and received, relative to its factor', () => {
  const [a, b] = [new Candidate('a'), new Candidate('b', { loadFactor: 2 })]
  Object.assign(a, { bytesSent: 300, bytesReceived: 300 })
  Object.assign(b, { bytesSent: 1_000, bytesReceived: 0 })
  assert.equal(select('bytraffic', [a, b]), b)
  b.bytesReceived = 300
  assert.equal(select('bytraffic', [a, b]), a)
  assert.deepEqual([a.lbStatus, b.lbStatus], [0, 0])
})

test('leasttunnels counts the tunnel that it is about to open', () => {
  const [a, b] = [new Candidate('a'), new Candidate('b', { loadFactor: 2 })]
  b.slots.inUse = 1
  // (0 + 1) / 1 for a, (1 + 1) / 2 for b: equals, of which b is due more.
  assert.equal(select('leasttunnels', [a, b]), b)
  b.slots.inUse = 2
  assert.equal(select('leasttunnels', [a, b]), a)
})

test('random selects each candidate as often as its factor says', () => {
  const candidates = [2, 1, 5].map((loadFactor, i) => new Candidate('abc'.charAt(i), { loadFactor }))
  const selected = sequence('random', candidates, 8_000)
  for (const { name, loadFactor } of candidates) {
    const share = selected.split(name).length - 1
    // The limit is 11 standard deviations or more.
    assert.ok(Math.abs(share - loadFactor * 1_000) < 500, `${name}: ${share} of 8000`)
  }
  assert.ok(candidates.every(({ lbStatus }) => lbStatus === 0))
})

test('a session that returns to its member counts as a selection of it among the usable members', () => {
  const [a, b] = [new Candidate('a'), new Candidate('b', { loadFactor: 2 })]
  const out = new Candidate('c', { usable: false })
  accountForSession([a, b, out] as never, a as never)
  assert.deepEqual([a.lbStatus, b.lbStatus, out.lbStatus], [-200, 200, 0])
})
