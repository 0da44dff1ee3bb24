import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { chart } from './chart.ts'
import { type Contestant, contestants } from './contestants.ts'
import { buildLoad } from './load.ts'
import { describeMachine } from './machine.ts'
import { PINNED } from './processes.ts'
import { document, type Results, summary, table } from './report.ts'
import { run, type Sample, WORKLOADS } from './workloads.ts'

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
    ? { warm: 200, warmHttp: 500, window: 300, settle: 200, stall: 500 }
    : { warm: 400, warmHttp: 1500, window: 800, settle: 1000, stall: 1500 }
  const samples: Sample[] = []
  for (let round = 0; round < rounds; round++) {
    for (const workload of chosen(WORKLOADS)) {
      const order = chosen(installed).filter(({ serves }) => serves?.(workload.name) ?? true)
      for (const contestant of round % 2 === 0 ? order : order.toReversed()) {
        process.stderr.write(`${round + 1}/${rounds} ${workload.name} ${contestant.name}\n`)
        samples.push(...(await attempt(workload, contestant, times)))
      }
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

/** A contestant that fails says so in its row and stops nobody else. */
async function attempt(
  workload: (typeof WORKLOADS)[number],
  contestant: Contestant,
  times: Results['times'],
): Promise<Sample[]> {
  try {
    return await run(workload, contestant, times)
  } catch (error) {
    return workload.measures.map(({ name: measure }) => ({
      measure,
      contestant: contestant.name,
      figure: undefined,
      rate: 0,
      load: 0,
      error: (error as Error).message,
    }))
  }
}

function write(results: Results): void {
  const docs = fileURLToPath(new URL('../docs', import.meta.url))
  const charts = join(docs, 'benchmarks')
  mkdirSync(charts, { recursive: true })
  writeFileSync(join(charts, 'results.json'), `${JSON.stringify(results, undefined, 1)}\n`)
  writeFileSync(join(docs, 'benchmarks.md'), document(results))
  const readme = join(docs, '../README.md')
  const between = /(?<=<!-- benchmarks -->\n).*?(?=\n<!-- end -->)/s
  writeFileSync(
    readme,
    readFileSync(readme, 'utf8').replace(between, () => summary(results)),
  )
  for (const measure of WORKLOADS.flatMap(workload => workload.measures)) {
    writeFileSync(join(charts, `${measure.name}.svg`), chart(measure, results))
  }
}

if (values.help) process.stdout.write(USAGE)
else await main()
