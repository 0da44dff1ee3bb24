import { type Measure, type Sample, type Times, WORKLOADS } from './workloads.ts'

/** The results of a run, as `results.json` holds them. */
export interface Results {
  readonly date: string
  readonly machine: string
  readonly pinned: boolean
  readonly rounds: number
  readonly times: Times
  readonly contestants: readonly { name: string; version: string | undefined; peer: boolean }[]
  readonly samples: readonly Sample[]
}

/** The samples of a contestant, summed up. */
export interface Row {
  readonly name: string
  /** The least sample, because every disturbance makes a run cost more. */
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

/** Formats a figure: one decimal below 100, none above. */
export const number = (value: number | undefined): string =>
  value === undefined
    ? '-'
    : value.toLocaleString('en', {
        maximumFractionDigits: value < 100 ? 1 : 0,
        minimumFractionDigits: value < 100 ? 1 : 0,
      })

/** A Markdown table: the figure of each contestant, its ratio to ours, and its rate. */
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
  return [`### ${measure.title}`, '', tableOf(head, lines), ''].join('\n')
}

/** The measures in the summary, and their labels. */
const SUMMARY: readonly (readonly [measure: string, label: string])[] = [
  ['ping-pong-50', 'ping-pong of 64 bytes, 50 tunnels, µs'],
  ['ping-pong-5000', 'the same, 5,000 tunnels, µs'],
  ['bulk-down-8', 'bulk one way, 8 tunnels, ms per GB'],
  ['bulk-echo-8', 'bulk echo, 8 tunnels, ms per GB'],
  ['connect', 'connect, one echo, close, µs'],
  ['http', 'plain HTTP: GET of 1 KiB, µs'],
  ['http-post-1k', 'POST of 1 KiB, µs'],
  ['http-10m', 'GET of 10 MiB, µs'],
  ['idle', 'memory of an idle tunnel, KiB'],
]

/** The columns of the summary. Of several contestants a column shows the least figure. */
const COLUMNS: readonly (readonly [label: string, includes: (row: Row, peer: boolean) => boolean])[] = [
  ['ws-tunnel', ({ name }) => name === 'ws-tunnel'],
  ['offloaded', ({ name }) => name === 'ws-tunnel offloaded'],
  ['best Node proxy', (_, peer) => peer],
  ['nginx', ({ name }) => name.startsWith('nginx')],
  ['HAProxy', ({ name }) => name.startsWith('HAProxy')],
  ['httpd', ({ name }) => name.startsWith('httpd')],
]

/** The README's table: the figure of each kind of proxy in its best setting. */
export function summary(results: Results): string {
  const measures = new Map(WORKLOADS.flatMap(workload => workload.measures).map(measure => [measure.name, measure]))
  const isPeer = (row: Row): boolean => results.contestants.some(({ name, peer }) => name === row.name && peer)
  const lines = SUMMARY.map(([name, label]): string[] => {
    const all = rows(measures.get(name) as Measure, results)
    const least = COLUMNS.map(([, includes]) => {
      const figures = all.flatMap(row => (row.figure !== undefined && includes(row, isPeer(row)) ? [row.figure] : []))
      return number(figures.length === 0 ? undefined : Math.min(...figures))
    })
    return [label, ...least]
  })
  const head = ['', ...COLUMNS.map(([label]) => [label, ...versionsOf(label, results)].join(' '))]
  return tableOf(head, lines)
}

/** The versions of nginx, HAProxy or httpd that took part. The others have theirs in the tables of all results. */
const versionsOf = (program: string, { contestants }: Results): string[] =>
  SERVERS.includes(program)
    ? [...new Set(contestants.flatMap(({ name, version }) => (name.startsWith(program) && version ? [version] : [])))]
    : []

const SERVERS: readonly string[] = ['nginx', 'HAProxy', 'httpd']

/** A Markdown table whose columns after the first are aligned to the right. */
export function tableOf(head: readonly string[], lines: readonly (readonly string[])[]): string {
  const rule = head.map((_, i) => (i === 0 ? '---' : '---:'))
  return [head, rule, ...lines].map(cells => `| ${cells.join(' | ')} |`).join('\n')
}

/** The text of docs/benchmarks.md. */
export function document(results: Results): string {
  const { date, machine, pinned, rounds, times, contestants } = results
  const missing = contestants.filter(({ version }) => version === undefined).map(({ name }) => name)
  const sections = WORKLOADS.flatMap(workload => workload.measures).map(
    measure => `${table(measure, results)}\n![${measure.title}: ${measure.unit}](benchmarks/${measure.name}.svg)\n`,
  )
  return `# Benchmarks

Written by \`npm run bench -- --write\` on ${date}: ${machine}.${missing.length > 0 ? ` Not installed: ${missing.join(', ')}.` : ''}

The figure is the CPU time of one operation (user and system, all processes of the proxy). Less is better. It is the lowest figure
of all turns; the next column is the median. In each of ${rounds} rounds every contestant is a new process, and all of them are ready
before the first turn. Each contestant has ${times.slices} turns per round, alternately in order and in reverse order, while the others are
idle. So disturbances of the machine affect all of them alike. The columns with × divide a figure by ours: above 1 a contestant
costs more than ws-tunnel. The last columns are the throughput and its spread, which depend on what else the machine does.

- Proxy and load generator warm up for ${times.warm} ms (connect and HTTP ${times.warmHttp} ms), and for ${times.sliceWarm} ms before each turn of ${times.slice} ms. Memory, delay and the stalled reader are measured once per round. ${pinned ? 'The proxy has one core, and the load generator with its backend has the other.' : 'The processes are not pinned to cores.'}
- The load generator and the backend are one small C program (\`bench/load\`). It compares every payload of ping-pong, echo
  and connect with what was sent. Bulk in one direction is counted where it arrives.
- Every proxy runs in one process and without logs (httpd in as many processes as it needs to have a thread per tunnel). All Node
  proxies run on the same Node. \`keep-alive\` means that the package got an agent that keeps its connections to the backend.
- httpd takes part twice: mod_proxy_wstunnel with 6,400 threads, and mod_proxy_http's \`upgrade=websocket\` with Debian's 150
  threads, which can serve at most 150 tunnels.
- The rows of a new process count its first requests, during which V8 compiles the code. What the collector has to free is the
  growth of the heap between collections (\`GCProfiler\` of \`node:v8\`). Only Node proxies report it.
- \`x2\` is two processes that listen on one port with \`reusePort\`. Both run on the core of the proxy.
- Memory is PSS: pages that processes share are counted once. It is read ${times.settle} ms after the last tunnel has opened, without a
  forced collection. The growth of a stalled reader is measured in a new process over ${times.stall} ms, so it includes code that the
  process loads.

## In short

Of several settings of a proxy, this table shows the cheapest.

${summary(results)}

## All results

${sections.join('\n')}`
}
