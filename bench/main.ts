import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { chart } from './chart.ts'
import { contestants } from './contestants.ts'
import { buildLoad } from './load.ts'
import { describeMachine } from './machine.ts'
import { PINNED } from './processes.ts'
import { document, type Results, summary, table } from './report.ts'
import { round, type Sample, WORKLOADS } from './workloads.ts'

const USAGE = `npm run bench -- [--quick] [--rounds 3] [--only NAME,...] [--write]

  --quick   one short round: does it work, what is the order of magnitude
  --rounds  interleaved rounds; the figure is the least of them (default 3)
  --only    names of workloads and contestants; without any of a kind, all of it
  --write   renews docs/benchmarks.md, its charts and data, and the table of the README

`

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    only: { type: 'string', default: '' },
    write: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

async function main(): Promise<void> {
  const rounds = Number(values.rounds ?? (values.quick ? 1 : 3))
  if (!(Number.isInteger(rounds) && rounds > 0))
    throw new Error(`Expected --rounds to be 1 or more, got ${values.rounds}`)
  if (values.write && (values.quick || values.only !== ''))
    throw new Error('Expected --write alone or with --rounds: what is written is a whole run')
  const everyone = contestants()
  const installed = everyone.filter(({ version }) => version !== undefined)
  const wanted = values.only.split(',').filter(name => name !== '')
  const unknown = wanted.find(name => ![...everyone, ...WORKLOADS].some(known => known.name === name))
  if (unknown !== undefined) {
    throw new Error(
      `Expected --only to name some of ${[...WORKLOADS, ...everyone].map(({ name }) => name).join(', ')}; got ${unknown}`,
    )
  }
  const chosen = <T extends { name: string }>(all: readonly T[]): readonly T[] =>
    all.some(({ name }) => wanted.includes(name)) ? all.filter(({ name }) => wanted.includes(name)) : all

  buildLoad()
  const times = values.quick
    ? { warm: 200, warmHttp: 500, window: 300, slices: 1, sliceWarm: 30, slice: 200, settle: 200, stall: 500 }
    : { warm: 400, warmHttp: 4000, window: 800, slices: 2, sliceWarm: 50, slice: 300, settle: 1000, stall: 1500 }
  const samples: Sample[] = []
  for (let i = 0; i < rounds; i++) {
    for (const workload of chosen(WORKLOADS)) {
      const order = chosen(installed).filter(({ serves }) => serves?.(workload.name) ?? true)
      const note = (text: string): void => void process.stderr.write(`${i + 1}/${rounds} ${workload.name} ${text}\n`)
      samples.push(...(await round(workload, i % 2 === 0 ? order : order.toReversed(), times, note)))
    }
  }
  const results: Results = {
    date: new Date().toISOString().slice(0, 10),
    machine: describeMachine(),
    pinned: PINNED,
    rounds,
    times,
    contestants: everyone.map(({ name, version, peer }) => ({ name, version, peer })),
    samples,
  }
  const measures = chosen(WORKLOADS).flatMap(workload => workload.measures)
  process.stdout.write(`${measures.map(measure => table(measure, results)).join('\n')}\n`)
  if (values.write) write(results)
}

function write(results: Results): void {
  const docs = fileURLToPath(new URL('../docs', import.meta.url))
  const charts = join(docs, 'benchmarks')
  mkdirSync(charts, { recursive: true })
  writeFileSync(join(charts, 'results.json'), `${JSON.stringify(results, undefined, 1)}\n`)
  writeFileSync(join(docs, 'benchmarks.md'), document(results))
  const readme = join(docs, '../README.md')
  const between = /(?<=<!-- benchmarks -->\n).*?(?=<!-- end -->)/s
  writeFileSync(
    readme,
    readFileSync(readme, 'utf8').replace(between, () => `${summary(results)}\n`),
  )
  for (const measure of WORKLOADS.flatMap(workload => workload.measures)) {
    writeFileSync(join(charts, `${measure.name}.svg`), chart(measure, results))
  }
}

if (values.help) process.stdout.write(USAGE)
else await main()
