import type { ProxyView, Sample } from '../page/types.ts'
import { mergeSamples } from './merge-samples.ts'

/** The largest number of members with a rate. Further members have an empty chart on the page. */
const MAX_MEMBERS = 200

/** ms that one coarse sample covers, and how many of them are kept: the last hour and the last day. */
const COARSE = [
  { span: 10_000, max: 360 },
  { span: 120_000, max: 720 },
] as const

type Count = 'opened' | 'failed' | 'failovers' | 'fromClient' | 'fromBackend'

type Sums = Record<Count, number> & { members: Map<number, number> }

/** Samples that were merged because they are old. */
interface Level {
  readonly span: number
  readonly max: number
  readonly merged: Sample[]
  /** The samples of the current span, which has not ended. */
  waiting: Sample[]
}

/** The samples of a history, as values of JSON. */
export interface SavedHistory {
  readonly newest: readonly Sample[]
  readonly levels: readonly Readonly<Pick<Level, 'merged' | 'waiting'>>[]
}

const withoutMembers = (sample: Sample): Sample => ({ ...sample, members: {} })

/** The rates of the last day, in less detail the older they are. It keeps at most `maxSamples` and 1,080 merged samples. */
export class RateHistory {
  readonly #maxSamples: number
  readonly #newest: Sample[] = []
  readonly #levels: Level[] = COARSE.map(level => ({ ...level, merged: [], waiting: [] }))
  #last: { time: number; sums: Sums } | undefined

  constructor(maxSamples: number) {
    this.#maxSamples = maxSamples
  }

  /** Oldest first: merged samples as far as they are older than the detailed ones. */
  get samples(): readonly Sample[] {
    let all = this.#newest
    for (const { merged, waiting } of this.#levels) {
      const start = all[0]?.time ?? Number.POSITIVE_INFINITY
      all = [...merged, ...mergeSamples(waiting)].filter(({ time }) => time < start).concat(all)
    }
    return all
  }

  /** What the next process goes on from. It has no rates of members, because their ids differ between processes. */
  save(): SavedHistory {
    const levels = this.#levels.map(({ merged, waiting }) => ({ merged, waiting: waiting.map(withoutMembers) }))
    return { newest: this.#newest.map(withoutMembers), levels }
  }

  restore({ newest, levels }: SavedHistory): void {
    this.#newest.splice(0, Number.POSITIVE_INFINITY, ...newest.slice(-this.#maxSamples))
    for (const [i, level] of this.#levels.entries()) {
      const { merged = [], waiting = [] } = levels[i] ?? {}
      level.merged.splice(0, Number.POSITIVE_INFINITY, ...merged)
      level.waiting = [...waiting]
    }
    this.skip()
  }

  /** Begins again with the next call of `sample`, because the sums have grown by what another process has counted. */
  skip(): void {
    this.#last = undefined
  }

  /** Returns the rates since the previous call, and keeps them. The first call, and the first after `skip`, returns `undefined`. */
  sample(proxies: readonly ProxyView[], handshakes: readonly number[] = []): Sample | undefined {
    const time = performance.now()
    const { open, ...sums } = sumsOf(proxies)
    const last = this.#last
    this.#last = { time, sums }
    if (last === undefined) return undefined
    const seconds = Math.max((time - last.time) / 1_000, 0.001)
    // A sum becomes smaller when a proxy is removed from the list.
    const rateOf = (now: number, before: number): number =>
      Math.max(0, Math.round(((now - before) / seconds) * 10) / 10)
    const rate = (name: Count): number => rateOf(sums[name], last.sums[name])
    const members = Array.from(sums.members, ([id, now]) => [id, rateOf(now, last.sums.members.get(id) ?? now)])
    const sorted = handshakes.toSorted((a, b) => a - b)
    const sample = {
      time: Date.now(),
      open,
      opened: rate('opened'),
      failed: rate('failed'),
      failovers: rate('failovers'),
      p50: quantile(sorted, 0.5),
      p99: quantile(sorted, 0.99),
      fromClient: rate('fromClient'),
      fromBackend: rate('fromBackend'),
      members: Object.fromEntries(members),
    }
    this.#keep(sample)
    return sample
  }

  #keep(sample: Sample): void {
    this.#newest.push(sample)
    if (this.#newest.length > this.#maxSamples) this.#newest.shift()
    for (const level of this.#levels) {
      const [first] = level.waiting
      if (first !== undefined && sample.time - first.time >= level.span) {
        level.merged.push(...mergeSamples(level.waiting))
        if (level.merged.length > level.max) level.merged.shift()
        level.waiting = []
      }
      level.waiting.push(sample)
    }
  }
}

/** The nearest-rank quantile, to a tenth. `null` if there are no values. */
function quantile(sorted: readonly number[], share: number): number | null {
  const value = sorted[Math.ceil(sorted.length * share) - 1]
  return value === undefined ? null : Math.round(value * 10) / 10
}

function sumsOf(proxies: readonly ProxyView[]): Sums & { open: number } {
  const members = new Map<number, number>()
  const sums = { open: 0, opened: 0, failed: 0, failovers: 0, fromClient: 0, fromBackend: 0, members }
  for (const proxy of proxies) {
    sums.open += proxy.open
    sums.opened += proxy.opened
    for (const times of Object.values(proxy.errors)) sums.failed += times
    sums.failovers += proxy.failovers
    sums.fromClient += proxy.bytesFromClient
    sums.fromBackend += proxy.bytesFromBackend
    for (const { members } of proxy.balancers)
      for (const { id, bytesFromClient, bytesFromBackend } of members)
        if (sums.members.size < MAX_MEMBERS) sums.members.set(id, bytesFromClient + bytesFromBackend)
  }
  return sums
}
