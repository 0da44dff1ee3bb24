import type { Contestant, Running } from './contestants.ts'
import { type Done, Load } from './load.ts'
import { memory } from './processes.ts'
import type { Tls } from './tls.ts'

/** One figure that a run yields. It has its own table and chart. */
export interface Measure {
  readonly name: string
  readonly title: string
  /** The unit of the figure. Less is better. */
  readonly unit: string
  readonly rateUnit: string
}

/** One figure of one contestant. */
export interface Sample {
  readonly measure: string
  readonly contestant: string
  /** `undefined` without a proxy, or if nothing passed through it. */
  readonly figure: number | undefined
  readonly rate: number
  /** The share of its core that the load program used. */
  readonly load: number
  /** The first error, or an empty string. */
  readonly error: string
}

/** A load on a new process of a proxy. */
export interface Workload {
  readonly name: string
  readonly measures: readonly Measure[]
  /** The name that the load program knows it by. */
  readonly load: string
  readonly tunnels: number
  /** @default no TLS */
  readonly tls?: Tls
}

/** The number of requests of a new process that count as cold. V8 compiles the code of a proxy during them. */
const COLD = 9_000

/** Durations of warming up and of measuring, ms. */
export interface Times {
  readonly warm: number
  /** Warm-up of connect and HTTP. It is longer because V8 has much more code to compile. */
  readonly warmHttp: number
  readonly window: number
  /** The number of turns of each contestant in a round. */
  readonly slices: number
  readonly sliceWarm: number
  readonly slice: number
  /** The wait before memory is read. */
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

const connects = (load: string, title: string): Workload => ({
  name: load,
  measures: [{ name: load, title, unit: 'µs CPU per tunnel', rateUnit: 'tunnels/s' }],
  load,
  tunnels: 0,
})

const http = (load: string, title: string, more: readonly Measure[] = []): Workload => ({
  name: load,
  measures: [
    { name: load, title: `Plain HTTP: ${title}`, unit: 'µs CPU per request', rateUnit: 'requests/s' },
    ...more,
  ],
  load,
  tunnels: 0,
})

const TITLES = { client: 'TLS in front', backend: 'TLS to the backend', both: 'TLS at both ends' } as const
const SHORT = { client: 'front', backend: 'backend', both: 'both' } as const

const UNITS = {
  pingpong: ['ping-pong of 64 bytes, 50 tunnels', 'µs CPU per round trip', 'round trips/s'],
  message: ['echo of 16 KiB messages, 8 tunnels', 'ms CPU per GB', 'MB/s'],
  up: ['bulk to the backend, 8 tunnels', 'ms CPU per GB', 'MB/s'],
  down: ['bulk to the client, 8 tunnels', 'ms CPU per GB', 'MB/s'],
  echo: ['bulk echo, 8 tunnels', 'ms CPU per GB', 'MB/s'],
  connect: ['connect: handshakes, one echo, close', 'µs CPU per tunnel', 'tunnels/s'],
} as const

const encrypted = (tls: Tls, load: keyof typeof UNITS): Workload => {
  const [title, unit, rateUnit] = UNITS[load]
  const name = `tls-${SHORT[tls]}-${load}`
  const tunnels = load === 'connect' ? 0 : load === 'pingpong' ? 50 : 8
  return { name, measures: [{ name, title: `${TITLES[tls]}, ${title}`, unit, rateUnit }], load, tunnels, tls }
}

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
  connects('connect', 'Connect: handshake, one echo, close'),
  connects('connect-2', 'The same, two connects at a time'),
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
  http('http', 'GET of 1 KiB, 64 connections', [
    {
      name: 'http-cold',
      title: `The same, the first ${COLD.toLocaleString('en')} requests of a new process`,
      unit: 'µs CPU per request',
      rateUnit: 'requests/s',
    },
    {
      name: 'http-garbage',
      title: 'The same: what the collector has to free',
      unit: 'KiB per request',
      rateUnit: 'requests/s',
    },
  ]),
  http('http-fields', 'GET of 1 KiB with 10 header fields, 64 connections'),
  http('http-post-1k', 'POST of 1 KiB, 64 connections'),
  http('http-post-1m', 'POST of 1 MiB, 8 connections'),
  http('http-64k', 'GET of 64 KiB, 16 connections'),
  http('http-10m', 'GET of 10 MiB, 4 connections'),
  ...(['pingpong', 'message', 'up', 'down', 'echo', 'connect'] as const).map(load => encrypted('client', load)),
  ...(['pingpong', 'message', 'echo', 'connect'] as const).map(load => encrypted('backend', load)),
  ...(['message', 'echo'] as const).map(load => encrypted('both', load)),
]

/** A new process of a contestant with its load generator. */
class Trial {
  readonly #workload: Workload
  readonly contestant: Contestant
  readonly #load: Load
  readonly #proxy: Running

  private constructor(workload: Workload, contestant: Contestant, load: Load, proxy: Running) {
    this.#workload = workload
    this.contestant = contestant
    this.#load = load
    this.#proxy = proxy
  }

  static async start(workload: Workload, contestant: Contestant): Promise<Trial> {
    const load = await Load.start(workload.tls)
    try {
      return new Trial(workload, contestant, load, await contestant.start(load.port, workload.tls))
    } catch (error) {
      await load.close()
      throw error
    }
  }

  /** Opens the tunnels, warms up, and takes the samples that a round needs only once. */
  async prepare(times: Times): Promise<Sample[]> {
    const { load, tunnels, measures } = this.#workload
    const many = tunnels === 5000
    const before = memory(this.#proxy.pids)
    const opening = await this.#load.open(load, this.#proxy.port, tunnels)
    if (many || load === 'stall') await sleep(many ? times.settle : times.stall)
    const grown = memory(this.#proxy.pids) - before
    if (load === 'stall') {
      const done = await this.#measure(times.warm, times.window)
      return measures.map(({ name }) => this.#sample(name, done, grown, done.bytes / done.seconds / 1e6))
    }
    if (load === 'http') return await this.#prepareHttp(times)
    if (!many) {
      await this.#measure(tunnels === 0 ? times.warmHttp : times.warm, times.slice)
      return []
    }
    this.#proxy.watcher?.watch('delay')
    const done = await this.#measure(times.warm, times.window)
    const delay = await this.#proxy.watcher?.report()
    return [
      this.#sample('idle', done, grown / tunnels, tunnels / opening),
      ...(delay === undefined ? [] : [this.#sample('delay', done, delay.p99, delay.p50)]),
    ]
  }

  /** Takes the samples of a new process, and then of a warm one. */
  async #prepareHttp(times: Times): Promise<Sample[]> {
    const cold = await this.#load.first(this.#proxy.pids, COLD)
    const rate = ({ operations, seconds }: Done): number => operations / seconds
    const samples = [this.#sample('http-cold', cold, (cold.cpu / cold.operations) * 1e6, rate(cold))]
    await this.#measure(times.warmHttp, times.slice)
    this.#proxy.watcher?.watch('garbage')
    const done = await this.#measure(times.sliceWarm, times.window)
    const garbage = await this.#proxy.watcher?.report()
    // Requests of the warm-up count as well as those of the window, at the same rate.
    const requests = rate(done) * (done.seconds + times.sliceWarm / 1000)
    if (garbage !== undefined)
      samples.push(this.#sample('http-garbage', done, garbage.allocated / 1024 / requests, rate(done)))
    return samples
  }

  /** Measures one turn. */
  async slice(times: Times): Promise<Sample> {
    const done = await this.#measure(times.sliceWarm, times.slice)
    const { operations, bytes, cpu, seconds } = done
    const { name } = this.#workload.measures[0] as Measure
    // No CPU time at all means that the process that works started after the proxy's processes were listed.
    const per = (count: number): number => (count === 0 || cpu === 0 ? Number.NaN : cpu / count)
    if (operations > 0) return this.#sample(name, done, per(operations) * 1e6, operations / seconds)
    return this.#sample(name, done, per(bytes) * 1e12, bytes / seconds / 1e6)
  }

  #measure(warm: number, window: number): Promise<Done> {
    return this.#load.measure(this.#proxy.pids, warm, window)
  }

  #sample(measure: string, { load, seconds, errors, error }: Done, figure: number, rate: number): Sample {
    return {
      measure,
      contestant: this.contestant.name,
      figure: this.#proxy.pids.length > 0 && Number.isFinite(figure) ? figure : undefined,
      rate,
      load: load / seconds,
      error: errors > 0 ? error : '',
    }
  }

  async close(): Promise<void> {
    await this.#proxy.close()
    await this.#load.close()
  }
}

/**
 * Runs one round of a workload. It starts a new process of each contestant, then gives each its turns, in order and in
 * reverse order, so that disturbances of the machine affect all of them alike. Only one contestant is under load at a
 * time. The row of a contestant that fails has its error, and the others continue.
 */
export async function round(
  workload: Workload,
  contestants: readonly Contestant[],
  times: Times,
  note: (text: string) => void,
): Promise<Sample[]> {
  const samples: Sample[] = []
  const trials: Trial[] = []
  const attempt = async (contestant: Contestant, what: () => Promise<void>): Promise<boolean> => {
    note(contestant.name)
    try {
      await what()
      return true
    } catch (error) {
      const { message } = error as Error
      for (const { name: measure } of workload.measures)
        samples.push({ measure, contestant: contestant.name, figure: undefined, rate: 0, load: 0, error: message })
      return false
    }
  }
  try {
    for (const contestant of contestants) {
      await attempt(contestant, async () => {
        const trial = await Trial.start(workload, contestant)
        try {
          samples.push(...(await trial.prepare(times)))
          trials.push(trial)
        } catch (error) {
          await trial.close()
          throw error
        }
      })
    }
    const failed = new Set<Trial>()
    for (let i = 0; workload.load !== 'stall' && i < times.slices; i++) {
      for (const trial of i % 2 === 0 ? trials : trials.toReversed()) {
        if (failed.has(trial)) continue
        const succeeded = await attempt(trial.contestant, async () => void samples.push(await trial.slice(times)))
        if (!succeeded) failed.add(trial)
      }
    }
  } finally {
    await Promise.all(trials.map(trial => trial.close()))
  }
  return samples
}

const sleep = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))
