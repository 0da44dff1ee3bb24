import { parseArgs } from 'node:util'
import { hasApache } from '../test/httpd/apache.ts'
import { DEVIATIONS } from '../test/httpd/deviations.ts'
import { compareAll, count } from '../test/httpd/figures.ts'
import { generate } from '../test/httpd/generate.ts'

// Compares many generated configurations and requests with a real httpd, with hundreds of virtual hosts per start of
// httpd. Prints the figures. Exits with 1 for a difference that is not a listed deviation, and with 2 without httpd.

const { values } = parseArgs({
  options: {
    pairs: { type: 'string', default: '20000' },
    seed: { type: 'string', default: '1' },
    configurations: { type: 'string', default: '300' },
    requests: { type: 'string', default: '8' },
  },
})
const [pairs, first, configurations, requests] = [
  values.pairs,
  values.seed,
  values.configurations,
  values.requests,
].map(text => {
  const number = Number(text)
  if (!Number.isSafeInteger(number) || number < 1) throw new TypeError(`Expected a number above 0, got ${text}`)
  return number
}) as [number, number, number, number]

if (!hasApache()) {
  console.error("This needs Debian's package apache2")
  process.exit(2)
}

/** The number of differences that are printed in full. */
const SHOWN = 20

const deviating = new Map<string, number>()
const refused = new Map<string, number>()
let [compared, equal, different] = [0, 0, 0]
const began = performance.now()

const add = (total: Map<string, number>, more: ReadonlyMap<string, number>): void => {
  for (const [key, rows] of more) total.set(key, (total.get(key) ?? 0) + rows)
}

for (let seed = first; compared < pairs; seed++) {
  const figures = await compareAll(generate(seed, configurations, requests))
  if (figures.compared === 0) throw new Error(`Seed ${seed} yields no pair that can be compared`)
  compared += figures.compared
  equal += figures.equal
  add(deviating, figures.deviating)
  add(refused, figures.refused)
  for (const text of figures.different) {
    if (different++ < SHOWN) console.error(`\ndifferent: ${text}\n`)
  }
  const seconds = Math.round((performance.now() - began) / 1_000)
  console.log(`seed ${seed}: ${compared} of ${pairs} pairs, ${different} different, ${seconds} s`)
}

console.log(`\nrows compared: ${compared}`)
console.log(`rows equal: ${equal}`)
console.log(`deliberate deviations: ${count(deviating)}`)
for (const { name } of DEVIATIONS) if (deviating.has(name)) console.log(`  ${deviating.get(name)}  ${name}`)
console.log(`rows refused: ${count(refused)}`)
for (const [reason, rows] of refused) console.log(`  ${rows}  ${reason}`)
console.log(`different: ${different}`)
if (different > 0) process.exitCode = 1
