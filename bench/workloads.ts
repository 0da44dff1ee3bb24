import type { Contestant } from './contestants.ts'
import { type Done, Load } from './load.ts'
import { memory } from './processes.ts'

/** One thing that a run tells, with a table and a chart of its own. */
export interface Measure {
  readonly name: string
  readonly title: string
  /** Of the figure, of which less is better. */
  readonly unit: string
  readonly rateUnit: string
}

/** What one run of one contestant told of a measure. */
export interface Sample {
  readonly measure: string
  readonly contestant: string
  /** `undefined` where there is no proxy, or nothing came through. */
  readonly figure: number | undefined
  readonly rate: number
  /** Share of its core that the load program was busy. */
  readonly load: number
  /** The first thing that went wrong. */
  readonly error: string
}

/** One run: a load on a fresh proxy. */
export interface Workload {
  readonly name: string
  readonly measures: readonly Measure[]
  readonly load: 'pingpong' | 'up' | 'down' | 'echo' | 'connect' | 'http' | 'stall'
  readonly tunnels: number
}

/** ms of warm-up and of measuring. */
export interface Times {
  readonly warm: number
  /** The same for connect and HTTP: so much more code to compile. */
  readonly warmHttp: number
  readonly window: number
  /** Before memory is read. */
  readonly settle: number
  readonly stall: number
}

const pingPong = (tunnels: number): Measure => ({
  name: `ping-pong-${tunnels}`,
  title: `Ping-pong of 64 bytes, ${tunnels.toLocaleString('en')} tunnel${tunnels === 1 ? '' : 's'}`,
  unit: 'µs CPU per round trip',
  rateUnit: 'round trips/s',
})

const bulk = (load: 'up' | 'down' | 'echo', tunnels: number): Workload => ({
  name: `${load}-${tunnels}`,
  measures: [
    {
      name: `bulk-${load}-${tunnels}`,
      title: `Bulk ${load === 'up' ? 'to the backend' : load === 'down' ? 'to the client' : 'echo'}, ${tunnels} tunnel${tunnels === 1 ? '' : 's'}`,
      unit: 'ms CPU per GB',
      rateUnit: 'MB/s',
    },
  ],
  load,
  tunnels,
})

const tunnels = (count: number, more: readonly Measure[] = []): Workload => ({
  name: `tunnels-${count}`,
  measures: [pingPong(count), ...more],
  load: 'pingpong',
  tunnels: count,
})

export const WORKLOADS: readonly Workload[] = [
  tunnels(1),
  tunnels(50),
  tunnels(500),
  tunnels(5000, [
    {
      name: 'idle',
      title: 'Memory of an idle tunnel, 5,000 open',
      unit: 'KiB per tunnel',
      rateUnit: 'tunnels opened/s',
    },
    {
      name: 'delay',
      title: "Delay of the app's event loop under ping-pong of 5,000 tunnels",
      unit: 'ms, 99th percentile',
      rateUnit: 'ms, median',
    },
  ]),
  bulk('up', 1),
  bulk('up', 8),
  bulk('down', 1),
  bulk('down', 8),
  bulk('echo', 1),
  bulk('echo', 8),
  {
    name: 'connect',
    measures: [
      {
        name: 'connect',
        title: 'Connect: handshake, one echo, close',
        unit: 'µs CPU per tunnel',
        rateUnit: 'tunnels/s',
      },
    ],
    load: 'connect',
    tunnels: 0,
  },
  {
    name: 'stalled',
    measures: [
      {
        name: 'stalled',
        title: 'A client that stops reading',
        unit: 'KiB of growth',
        rateUnit: 'MB/s when it reads on',
      },
    ],
    load: 'stall',
    tunnels: 1,
  },
  {
    name: 'http',
    measures: [
      {
        name: 'http',
        title: 'Plain HTTP: GET of 1 KiB, 64 connections',
        unit: 'µs CPU per request',
        rateUnit: 'requests/s',
      },
    ],
    load: 'http',
    tunnels: 0,
  },
]

/** Runs a workload once on a fresh process of the contestant, against a fresh backend. */
export async function run(workload: Workload, contestant: Contestant, times: Times): Promise<Sample[]> {
  const load = await Load.start()
  try {
    const proxy = await contestant.start(load.port)
    try {
      const many = workload.tunnels === 5000
      const before = memory(proxy.pids)
      const warm = workload.tunnels === 0 ? times.warmHttp : times.warm
      const opening = await load.open(workload.load, proxy.port, workload.tunnels, warm, times.window)
      if (many || workload.load === 'stall') await sleep(many ? times.settle : times.stall)
      const grown = memory(proxy.pids) - before
      if (many) proxy.delay?.watch()
      const done = await load.measure(proxy.pids)
      const sample = (measure: string, figure: number, rate: number): Sample => ({
        measure,
        contestant: contestant.name,
        figure: proxy.pids.length > 0 && Number.isFinite(figure) ? figure : undefined,
        rate,
        load: done.load / done.seconds,
        error: done.errors > 0 ? done.error : '',
      })
      const samples = workload.measures
        .filter(({ name }) => name !== 'idle' && name !== 'delay')
        .map(({ name }) => sample(name, ...figureOf(workload, done, grown)))
      if (many) {
        samples.push(sample('idle', grown / workload.tunnels, workload.tunnels / opening))
        const delay = await proxy.delay?.report()
        if (delay !== undefined) samples.push(sample('delay', delay.p99, delay.p50))
      }
      return samples
    } finally {
      await proxy.close()
    }
  } finally {
    await load.close()
  }
}

function figureOf(
  { load }: Workload,
  { operations, bytes, cpu, seconds }: Done,
  grown: number,
): [figure: number, rate: number] {
  if (load === 'stall') return [grown, bytes / seconds / 1e6]
  if (operations > 0) return [(cpu / operations) * 1e6, operations / seconds]
  return [bytes === 0 ? Number.NaN : (cpu / bytes) * 1e12, bytes / seconds / 1e6]
}

const sleep = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))
