import { type Measure, type Sample, type Times, WORKLOADS } from './workloads.ts'

/** All that a run of the benchmark knows; what `results.json` holds. */
export interface Results {
  readonly date: string
  readonly machine: string
  readonly pinned: boolean
  readonly rounds: number
  readonly times: Times
  readonly contestants: readonly { name: string; version: string | undefined; peer: boolean }[]
  readonly samples: readonly Sample[]
}

/** What all rounds of a contestant come to. */
export interface Row {
  readonly name: string
  /** The least: everything that disturbs a run makes it dearer. */
  readonly figure: number | undefined
  readonly median: number | undefined
  readonly rates: readonly number[]
  readonly errors: readonly string[]
}

const OURS = ['ws-tunnel', 'ws-tunnel offloaded']

/** The rows of a measure, in the order of the contestants. */
export function rows({ name: measure }: Measure, { contestants, samples }: Results): Row[] {
  return contestants.flatMap(({ name }) => {
    const own = samples.filter(sample => sample.measure === measure && sample.contestant === name)
    if (own.length === 0) return []
    const figures = own.flatMap(({ figure }) => (figure === undefined ? [] : [figure])).toSorted((a, b) => a - b)
    const errors = [...new Set(own.map(({ error }) => error).filter(error => error !== ''))]
    const rates = own.map(({ rate }) => rate).toSorted((a, b) => a - b)
    return [{ name, figure: figures[0], median: middle(figures), rates, errors }]
  })
}

const middle = (sorted: readonly number[]): number | undefined => sorted[Math.floor(sorted.length / 2)]

const number = (value: number | undefined): string =>
  value === undefined
    ? '-'
    : value.toLocaleString('en', {
        maximumFractionDigits: value < 100 ? 1 : 0,
        minimumFractionDigits: value < 100 ? 1 : 0,
      })

/** A Markdown table: what each costs, how many times our own cost that is, and the rate beside it. */
export function table(measure: Measure, results: Results): string {
  const all = rows(measure, results)
  const ours = OURS.flatMap(name => all.filter(row => row.name === name && row.figure !== undefined))
  const ratio = (row: Row, own: Row): string =>
    row.figure === undefined || own.figure === undefined ? '-' : (row.figure / own.figure).toFixed(2)
  const head = ['', measure.unit, 'median', ...ours.map(({ name }) => `× ${name}`), measure.rateUnit, 'least to most']
  const lines = all.map(row => {
    const version = results.contestants.find(({ name }) => name === row.name)?.version
    return [
      `${OURS.includes(row.name) ? `**${row.name}**` : row.name}${version ? ` ${version}` : ''}${row.errors.length > 0 ? ` (${row.errors.join('; ').replaceAll('|', ' ')})` : ''}`,
      number(row.figure),
      number(row.median),
      ...ours.map(own => ratio(row, own)),
      number(middle(row.rates)),
      `${number(row.rates[0])} to ${number(row.rates.at(-1))}`,
    ]
  })
  return [
    `### ${measure.title}`,
    '',
    line(head),
    line(head.map((_, i) => (i === 0 ? '---' : '---:'))),
    ...lines.map(line),
    '',
  ].join('\n')
}

/** What the summary tells of, and how it is called there. */
const SUMMARY: readonly (readonly [measure: string, label: string])[] = [
  ['ping-pong-50', 'ping-pong of 64 bytes, 50 tunnels, µs'],
  ['ping-pong-5000', 'the same, 5,000 tunnels, µs'],
  ['bulk-down-8', 'bulk one way, 8 tunnels, ms per GB'],
  ['bulk-echo-8', 'bulk echo, 8 tunnels, ms per GB'],
  ['connect', 'connect, one echo, close, µs'],
  ['http', 'plain HTTP request, µs'],
  ['idle', 'memory of an idle tunnel, KiB'],
]

/** Columns of the summary: of several contestants the one that costs least. */
const COLUMNS: readonly (readonly [label: string, takes: (row: Row, peer: boolean) => boolean])[] = [
  ['ws-tunnel', ({ name }) => name === 'ws-tunnel'],
  ['offloaded', ({ name }) => name === 'ws-tunnel offloaded'],
  ['best Node proxy', (_, peer) => peer],
  ['nginx', ({ name }) => name.startsWith('nginx')],
  ['HAProxy', ({ name }) => name.startsWith('HAProxy')],
  ['httpd', ({ name }) => name.startsWith('httpd')],
]

/** The README's table: CPU of the proxy, each rival in its best setting. */
export function summary(results: Results): string {
  const measures = new Map(WORKLOADS.flatMap(workload => workload.measures).map(measure => [measure.name, measure]))
  const isPeer = (row: Row): boolean => results.contestants.some(({ name, peer }) => name === row.name && peer)
  const lines = SUMMARY.map(([name, label]) => {
    const all = rows(measures.get(name) as Measure, results)
    const least = COLUMNS.map(([, takes]) => {
      const figures = all.flatMap(row => (row.figure !== undefined && takes(row, isPeer(row)) ? [row.figure] : []))
      return number(figures.length === 0 ? undefined : Math.min(...figures))
    })
    return line([label, ...least])
  })
  const head = ['', ...COLUMNS.map(([label]) => label)]
  return [line(head), line(head.map((_, i) => (i === 0 ? '---' : '---:'))), ...lines].join('\n')
}

const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`

/** docs/benchmarks.md. */
export function document(results: Results): string {
  const { date, machine, pinned, rounds, times, contestants } = results
  const missing = contestants.filter(({ version }) => version === undefined).map(({ name }) => name)
  const sections = WORKLOADS.flatMap(workload => workload.measures).map(
    measure => `${table(measure, results)}\n![${measure.title}: ${measure.unit}](benchmarks/${measure.name}.svg)\n`,
  )
  return `# Benchmarks

Written by \`npm run bench -- --write\` on ${date}: ${machine}.${missing.length > 0 ? ` Not installed: ${missing.join(', ')}.` : ''}

The figure is the CPU time (user and system, all processes of the proxy) of one operation, of which less is better: the
least of all turns, with the median beside it. In each of ${rounds} rounds every contestant is a fresh process, and all of them
stand ready; ${times.slices} times, forward and backward, each has its turn while the others stand still. So whatever the machine
does besides, it does to all. The columns with × say how many times our own figure a rival needs: above 1 it costs more
than we do. Throughput stands behind it with its spread, since it depends on what else the machine does.

- Proxy and load generator warm up for ${times.warm} ms (connect and HTTP ${times.warmHttp}), and for ${times.sliceWarm} ms at each turn, which is ${times.slice} ms long. Memory, delay and the stalled reader are looked at once a round${pinned ? '; the proxy has one core, the load generator with its backend the other' : '; the processes are not pinned to cores'}.
- The load generator and the backend are one small C program (\`bench/load\`). It compares every payload of ping-pong, echo
  and connect with what was sent; bulk one way is counted where it arrives.
- Every proxy runs in one process (httpd: in as many as it takes for a thread per tunnel), without logs; those of Node are
  on the same Node. \`keep-alive\` means a kept-alive pool to the backend where a package has none by itself.
- httpd stands for itself twice: mod_proxy_wstunnel with 6,400 threads, and mod_proxy_http's \`upgrade=websocket\` with
  Debian's 150, which cannot take part with more tunnels.
- Memory is PSS: what processes share is counted once. It is read ${times.settle} ms after the last tunnel has opened, without a forced
  collection. The growth of a stalled reader is that of a fresh process over ${times.stall} ms, so the code that it loads counts.

## In short

Of several settings of a rival the one that costs least.

${summary(results)}

## All of it

${sections.join('\n')}`
}
