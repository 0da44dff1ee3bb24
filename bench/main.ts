import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { chart } from './chart.ts'
import { comparison } from './comparison.ts'
import { BASELINE, type Contestant, contestants, FRONTS } from './contestants.ts'
import { buildLoad, hasOpenSsl } from './load.ts'
import { describeMachine } from './machine.ts'
import { PINNED } from './processes.ts'
import { document, type Results, summary, table } from './report.ts'
import { round, type Sample, type Times, WORKLOADS } from './workloads.ts'

const WHOLE: Times = {
  warm: 400,
  warmHttp: 2500,
  window: 800,
  slices: 2,
  sliceWarm: 50,
  slice: 300,
  settle: 1000,
  stall: 1500,
}

const QUICK: Times = {
  warm: 200,
  warmHttp: 500,
  window: 300,
  slices: 1,
  sliceWarm: 30,
  slice: 200,
  settle: 200,
  stall: 500,
}

/** The workloads of a comparison with another checkout. */
const COMPARED: readonly string[] = ['tunnels-50', 'tunnels-5000', 'connect', 'http']

const USAGE = `npm run bench -- [--quick] [--rounds 3] [--only NAME,...] [--front NAME] [--peers FOLDER] [--against FOLDER | --write]

  --quick    one short round, to see that it works and the order of magnitude
  --rounds   number of rounds; the figure is the least of all turns (default 3)
  --only     names of workloads and contestants; without a name of a kind, all of that kind
  --front    the server that ws-tunnel runs on: ${FRONTS.join(', ')} (default ${FRONTS[0]})
  --peers    the root of another Debian (debootstrap) with nginx and HAProxy: they take part beside the installed ones
  --against  another checkout of this project, installed and built: measures it beside this one, as '${BASELINE}', and
             prints the ratios. Without --only it measures ${COMPARED.join(', ')}
             of these two alone
  --write    measures all workloads, with --only of some contestants, and renews docs/benchmarks.md, its charts and data, and the table of the README

`

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    only: { type: 'string', default: '' },
    front: { type: 'string', default: 'express' },
    against: { type: 'string' },
    peers: { type: 'string' },
    write: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

async function main(): Promise<void> {
  const rounds = Number(values.rounds ?? (values.quick ? 1 : 3))
  if (!(Number.isInteger(rounds) && rounds > 0))
    throw new Error(`Expected --rounds to be 1 or more, got ${values.rounds}`)
  const front = FRONTS.find(name => name === values.front)
  if (front === undefined) throw new Error(`Expected --front to be one of ${FRONTS.join(', ')}; got ${values.front}`)
  const against = values.against === undefined ? undefined : checkout(values.against)
  const only = values.only.split(',')
  const isPart = values.quick || values.front !== 'express' || WORKLOADS.some(({ name }) => only.includes(name))
  if (values.write && (isPart || against !== undefined))
    throw new Error('Expected --write with all workloads, because it writes the results of a whole run')
  const known = contestants(front, against, values.peers === undefined ? undefined : resolve(values.peers))
  const installed = known.filter(({ version }) => version !== undefined)
  const wanted = values.only.split(',').filter(name => name !== '')
  const unknown = wanted.find(name => ![...known, ...WORKLOADS].some(each => each.name === name))
  if (unknown !== undefined) {
    throw new Error(
      `Expected --only to name some of ${[...WORKLOADS, ...known].map(({ name }) => name).join(', ')}; got ${unknown}`,
    )
  }
  const chosen = <T extends { name: string }>(all: readonly T[], otherwise: readonly T[]): readonly T[] =>
    all.some(({ name }) => wanted.includes(name)) ? all.filter(({ name }) => wanted.includes(name)) : otherwise
  const isCheckout = ({ name }: Contestant): boolean => name.startsWith('ws-tunnel') || name.startsWith(BASELINE)
  const participants = chosen(installed, against === undefined ? installed : installed.filter(isCheckout))
  const all = hasOpenSsl() ? WORKLOADS : WORKLOADS.filter(({ tls }) => tls === undefined)
  const workloads = chosen(WORKLOADS, against === undefined ? all : all.filter(({ name }) => COMPARED.includes(name)))

  for (const tls of new Set(workloads.map(workload => workload.tls !== undefined))) buildLoad(tls)
  const times = {
    ...(values.quick ? QUICK : WHOLE),
    ...(against === undefined ? {} : { slices: values.quick ? 4 : 8 }),
  }
  const samples: Sample[] = []
  for (let i = 0; i < rounds; i++) {
    for (const workload of workloads) {
      const order = participants.filter(({ serves }) => serves?.(workload) ?? true)
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
    contestants: known.map(({ name, version, peer }) => ({ name, version, peer })),
    samples,
  }
  const measures = workloads.flatMap(workload => workload.measures)
  process.stdout.write(`${measures.map(measure => table(measure, results)).join('\n')}\n`)
  if (against !== undefined) process.stdout.write(comparison(measures, results))
  if (values.write) write(results)
}

/** The folder of another checkout, once it is known to be built. */
function checkout(folder: string): string {
  const path = resolve(folder)
  if (!existsSync(join(path, 'packages/express/dist/index.js')))
    throw new Error(`Expected --against to name a checkout of this project that is installed and built, got ${folder}`)
  return path
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
