import type { ProxyView, Sample } from '../page/types.ts'

/** The largest number of members with a rate. Further members have an empty chart on the page. */
const MAX_MEMBERS = 200

interface Sums {
  opened: number
  fromClient: number
  fromBackend: number
  members: Map<number, number>
}

/** The rates of the last minutes. */
export class RateHistory {
  readonly #maxSamples: number
  readonly #samples: Sample[] = []
  #last: { time: number; sums: Sums } | undefined

  constructor(maxSamples: number) {
    this.#maxSamples = maxSamples
  }

  /** Oldest first. */
  get samples(): readonly Sample[] {
    return this.#samples
  }

  /** Returns the rates since the previous call, and keeps them. The first call returns `undefined`. */
  sample(proxies: readonly ProxyView[]): Sample | undefined {
    const time = performance.now()
    const { open, ...sums } = sumsOf(proxies)
    const last = this.#last
    this.#last = { time, sums }
    if (last === undefined) return undefined
    const seconds = Math.max((time - last.time) / 1_000, 0.001)
    // A sum becomes smaller when a proxy is removed from the list.
    const rateOf = (now: number, before: number): number =>
      Math.max(0, Math.round(((now - before) / seconds) * 10) / 10)
    const rate = (name: Exclude<keyof Sums, 'members'>): number => rateOf(sums[name], last.sums[name])
    const members = Array.from(sums.members, ([id, now]) => [id, rateOf(now, last.sums.members.get(id) ?? now)])
    const sample = {
      time: Date.now(),
      open,
      opened: rate('opened'),
      fromClient: rate('fromClient'),
      fromBackend: rate('fromBackend'),
      members: Object.fromEntries(members),
    }
    this.#samples.push(sample)
    if (this.#samples.length > this.#maxSamples) this.#samples.shift()
    return sample
  }
}

function sumsOf(proxies: readonly ProxyView[]): Sums & { open: number } {
  const sums = { open: 0, opened: 0, fromClient: 0, fromBackend: 0, members: new Map<number, number>() }
  for (const proxy of proxies) {
    sums.open += proxy.open
    sums.opened += proxy.opened
    sums.fromClient += proxy.bytesFromClient
    sums.fromBackend += proxy.bytesFromBackend
    for (const { members } of proxy.balancers)
      for (const { id, bytesFromClient, bytesFromBackend } of members)
        if (sums.members.size < MAX_MEMBERS) sums.members.set(id, bytesFromClient + bytesFromBackend)
  }
  return sums
}
