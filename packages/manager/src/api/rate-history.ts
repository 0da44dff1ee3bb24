import type { ProxyView, Sample } from '../page/types.ts'

/** Members whose rates are kept; more are shown without a chart. */
const MAX_MEMBERS = 200

interface Sums {
  opened: number
  fromClient: number
  fromBackend: number
  members: Map<number, number>
}

/** The last minutes, look by look. */
export class History {
  readonly #length: number
  readonly #samples: Sample[] = []
  #last: { at: number; sums: Sums } | undefined

  /** @param length looks to keep. */
  constructor(length: number) {
    this.#length = length
  }

  get samples(): readonly Sample[] {
    return this.#samples
  }

  /** Takes a look; the first has nothing to compare with. */
  look(proxies: readonly ProxyView[]): Sample | undefined {
    const at = performance.now()
    const sums: Sums = { opened: 0, fromClient: 0, fromBackend: 0, members: new Map() }
    let open = 0
    for (const proxy of proxies) {
      open += proxy.open
      sums.opened += proxy.opened
      sums.fromClient += proxy.bytesFromClient
      sums.fromBackend += proxy.bytesFromBackend
      for (const { members } of proxy.balancers)
        for (const { id, bytesFromClient, bytesFromBackend } of members)
          if (sums.members.size < MAX_MEMBERS) sums.members.set(id, bytesFromClient + bytesFromBackend)
    }
    const last = this.#last
    this.#last = { at, sums }
    if (last === undefined) return undefined
    const seconds = Math.max((at - last.at) / 1_000, 0.001)
    // Proxies that went away take their sums along.
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
    if (this.#samples.length > this.#length) this.#samples.shift()
    return sample
  }
}
