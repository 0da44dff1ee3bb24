import assert from 'node:assert/strict'
import test from 'node:test'
import { fuzz } from './fuzz.ts'

const cases = Number(process.env['FUZZ_CASES'] ?? 20_000)

test(`survives ${cases} fuzzed connections of clients and backends`, { timeout: 280_000 }, async t => {
  const result = await fuzz({ cases, seed: 1, log: line => t.diagnostic(line) })

  assert.deepEqual(result.violations, [])
  assert.equal(result.cases, cases)
  assert.ok(result.probes >= Math.floor(cases / 500), `${result.probes} probes`)
  if (result.descriptors !== undefined) {
    const [before, after] = result.descriptors
    assert.ok(after <= before, `${after} descriptors, ${before} before`)
  }
  // A run that never opens a tunnel, or never breaks one, proves nothing.
  const count = (status: number): number => result.statuses.get(status) ?? 0
  assert.ok(count(101) > cases / 5, `${count(101)} tunnels`)
  assert.ok(count(502) > cases / 20, `${count(502)} bad backends`)
  assert.ok(count(400) > cases / 50, `${count(400)} bad requests`)
})
