import { bytes, count, rate } from './format.ts'
import { Line } from './line.ts'
import { html, type TemplateResult } from './lit-html/lit-html.js'
import type { ProxyView, Sample } from './types.ts'

type Measure = Exclude<keyof Sample, 'time' | 'members'>

const MEASURES: readonly { key: Measure; name: string; text: (value: number) => string }[] = [
  { key: 'open', name: 'Open tunnels', text: count },
  { key: 'opened', name: 'Opened per second', text: rate },
  { key: 'fromClient', name: 'From clients', text: value => `${bytes(value)}/s` },
  { key: 'fromBackend', name: 'From backends', text: value => `${bytes(value)}/s` },
]

/** The least number of samples that the charts keep. They keep more if the server sends a longer history. */
const MIN_SAMPLES = 300

/** Pixels. */
const HEIGHT = 56
const MEMBER_HEIGHT = 30

/** The charts of all proxies together, and one for each member. */
export class Charts {
  readonly #lines = MEASURES.map(measure => ({ ...measure, line: new Line({ ...measure, height: HEIGHT }) }))
  readonly #members = new Map<number, Line>()
  #samples: Sample[] = []
  #maxSamples = MIN_SAMPLES

  replace(samples: Sample[]): void {
    this.#samples = samples
    this.#maxSamples = Math.max(this.#maxSamples, samples.length)
    this.#draw()
  }

  add(sample: Sample): void {
    this.#samples.push(sample)
    if (this.#samples.length > this.#maxSamples) this.#samples.shift()
    this.#draw()
  }

  /** The chart of the member with this number. */
  ofMember(id: number): HTMLElement {
    const known = this.#members.get(id)
    if (known !== undefined) return known.node
    const line = new Line({ name: 'Bytes per second', text: bytes, height: MEMBER_HEIGHT })
    this.#members.set(id, line)
    this.#drawMember(id, line)
    return line.node
  }

  /** Removes the charts of members that no longer exist. */
  keepMembersOf(proxies: readonly ProxyView[]): void {
    const ids = new Set(proxies.flatMap(({ balancers }) => balancers.flatMap(({ members }) => members.map(m => m.id))))
    for (const [id, line] of this.#members) {
      if (ids.has(id)) continue
      line.destroy()
      this.#members.delete(id)
    }
  }

  figures(): TemplateResult[] {
    const seconds = ((this.#samples.at(-1)?.time ?? 0) - (this.#samples[0]?.time ?? 0)) / 1_000
    const minutes = Math.max(1, Math.round(seconds / 60))
    return this.#lines.map(
      ({ name, line }) => html`
        <figure>
          <figcaption><span>${name}</span><strong>${line.now}</strong></figcaption>
          ${line.node}
          <small>peak ${line.peak} in ${minutes} min</small>
        </figure>`,
    )
  }

  #draw(): void {
    for (const { key, line } of this.#lines)
      line.show(
        this.#times,
        this.#samples.map(sample => sample[key]),
      )
    for (const [id, line] of this.#members) this.#drawMember(id, line)
  }

  #drawMember(id: number, line: Line): void {
    line.show(
      this.#times,
      this.#samples.map(({ members }) => members[id] ?? 0),
    )
  }

  /** Seconds since the epoch. */
  get #times(): number[] {
    return this.#samples.map(({ time }) => time / 1_000)
  }
}
