import assert from 'node:assert/strict'
import { test } from 'node:test'
import { peer } from '../support/peers.ts'
import { hasApache } from './apache.ts'
import { compareAll, count } from './figures.ts'
import { generate } from './generate.ts'
import { observed, own } from './rows.ts'

const needsApache = peer('apache2', hasApache)

/** Rows whose configuration is refused, by reason. */
const NOT_COMPILED = {
  'RewriteRule: [P] needs a ws:, wss:, http:, https:, h2:, h2c: or balancer: URL whose host and port are fixed': 1,
  'ProxyPass: interpolate of the variable PFX is not supported: the URL of this line is fixed': 1,
  'SetEnv: the variable force-proxy-request-1.0 is not supported': 1,
}

test('responds as a real httpd to every request that was observed earlier', needsApache, async t => {
  const { compared, equal, deviating, refused, different } = await compareAll(observed)
  t.diagnostic(`rows compared: ${compared}, equal: ${equal}, deliberate deviations: ${count(deviating)}`)
  for (const [name, rows] of deviating) t.diagnostic(`deviation ${name}: ${rows}`)
  for (const [reason, rows] of refused) t.diagnostic(`not compiled: ${rows}, ${reason}`)
  assert.equal(different.join('\n\n'), '')
  assert.equal(compared, equal + count(deviating))
  assert.deepEqual(Object.fromEntries(refused), NOT_COMPILED)
})

test('responds as a real httpd to chosen paths, sections, fields and upgrades', needsApache, async t => {
  const { compared, equal, deviating, refused, different } = await compareAll(own)
  t.diagnostic(`rows compared: ${compared}, equal: ${equal}, deliberate deviations: ${count(deviating)}`)
  for (const [name, rows] of deviating) t.diagnostic(`deviation ${name}: ${rows}`)
  assert.equal(different.join('\n\n'), '')
  assert.deepEqual(Object.fromEntries(refused), {})
})

test('responds as a real httpd to random configurations and requests', needsApache, async t => {
  const seed = Number(process.env['HTTPD_SEED'] ?? 20_261)
  const { compared, equal, deviating, refused, different } = await compareAll(generate(seed, 300, 8))
  t.diagnostic(
    `rows compared: ${compared}, equal: ${equal}, deliberate deviations: ${count(deviating)}, refused: ${count(refused)}`,
  )
  for (const [name, rows] of deviating) t.diagnostic(`deviation ${name}: ${rows}`)
  for (const [reason, rows] of refused) t.diagnostic(`refused: ${rows}, ${reason}`)
  assert.equal(different.slice(0, 5).join('\n\n'), '')
  assert.ok(compared >= 2_000, `only ${compared} pairs`)
})
