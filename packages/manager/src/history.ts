import type { ProxyView, Sample } from './page/types.ts'

interface Sums {
  opened: number
  fromClient: number
  fromBackend: number
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
    const sums: Sums = { opened: 0, fromClient: 0, fromBackend: 0 }
    let open = 0
    for (const proxy of proxies) {
      open += proxy.open
      sums.opened += proxy.opened
      sums.fromClient += proxy.bytesFromClient
      sums.fromBackend += proxy.bytesFromBackend
    }
    const last = this.#last
    this.#last = { at, sums }
    if (last === undefined) return undefined
    const seconds = Math.max((at - last.at) / 1_000, 0.001)
    // Proxies that went away take their sums along.
    const rate = (name: keyof Sums): number =>
      Math.max(0, Math.round(((sums[name] - last.sums[name]) / seconds) * 10) / 10)
    const sample = {
      time: Date.now(),
      open,
      opened: rate('opened'),
      fromClient: rate('fromClient'),
      fromBackend: rate('fromBackend'),
    }
    this.#samples.push(sample)
    if (this.#samples.length > this.#length) this.#samples.shift()
    return sample
  }
}
