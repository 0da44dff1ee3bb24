import { Chart, type Series } from './chart.ts'
import { now } from './clock.ts'
import { axisRate, bytes, count, ms, rate } from './format.ts'
import { Line } from './line.ts'
import { html, type TemplateResult } from './lit-html/lit-html.js'
import type { ProxyView, Sample } from './types.ts'

type Measure = Exclude<keyof Sample, 'time' | 'members'>

interface Shown {
  readonly name: string
  readonly keys: readonly Measure[]
  readonly series: readonly Series[]
  readonly text: (value: number) => string
  /** The labels of the scale. */
  readonly scale?: (value: number) => string
}

const one = (key: Measure, name: string, text: Shown['text'], scale = text, color = '--accent'): Shown => ({
  name,
  keys: [key],
  series: [{ name, color }],
  text,
  scale,
})

const bytesRate = (value: number): string => `${bytes(value)}/s`

const SHOWN: readonly Shown[] = [
  one('open', 'Open tunnels', count, axisRate),
  one('opened', 'Opened per second', rate, axisRate),
  one('failed', 'Failed per second', rate, axisRate, '--danger'),
  {
    name: 'Handshake',
    keys: ['p99', 'p50'],
    series: [
      { name: 'p99', color: '--second' },
      { name: 'p50', color: '--accent' },
    ],
    text: ms,
  },
  one('failovers', 'Failovers per second', rate, axisRate, '--warn'),
  {
    name: 'Bytes from',
    keys: ['fromBackend', 'fromClient'],
    series: [
      { name: 'backends', color: '--accent' },
      { name: 'clients', color: '--second' },
    ],
    text: bytesRate,
    scale: bytes,
  },
]

/** Minutes. */
const RANGES = [
  { minutes: 1, name: '1 min' },
  { minutes: 5, name: '5 min' },
  { minutes: 15, name: '15 min' },
  { minutes: 60, name: '1 h' },
  { minutes: 360, name: '6 h' },
  { minutes: 1_440, name: '1 day' },
] as const

/** The least number of samples that the charts keep. They keep more if the server sends a longer history. */
const MIN_SAMPLES = 1_500

/** Pixels. */
const MEMBER_HEIGHT = 22

/** Minutes that the chart of a member shows. */
const MEMBER_MINUTES = 5

/** The charts of all proxies together, and one for each member. */
export class Charts {
  readonly #charts = SHOWN.map(shown => ({
    ...shown,
    chart: new Chart({ ...shown, text: shown.scale ?? shown.text, onCursor: at => this.#cursorOn(at) }),
  }))
  readonly #members = new Map<number, Line>()
  readonly #onChange: () => void
  #samples: Sample[] = []
  #maxSamples = MIN_SAMPLES
  #minutes: number = 5
  #cursor: number | null = null

  /** @param onChange the numbers beside the charts have changed. */
  constructor(onChange: () => void) {
    this.#onChange = onChange
  }

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
    this.#drawMembers()
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

  /** The choice of the range, and the time under the cursor. */
  controls(): TemplateResult {
    const time = this.#cursor === null ? undefined : this.#samples[this.#cursor]?.time
    return html`
      <output id="cursor-time">${time === undefined ? 'Now' : new Date(time).toLocaleTimeString()}</output>
      <fieldset class="ranges"><legend class="hidden">Range of the charts</legend>${RANGES.map(
        ({ minutes, name }) => html`<label><input type="radio" name="range" value=${minutes}
          .checked=${minutes === this.#minutes} @change=${() => this.#setRange(minutes)}><span>${name}</span></label>`,
      )}</fieldset>`
  }

  figures(): TemplateResult[] {
    return this.#charts.map(({ name, series, text, chart }) => {
      const values = chart.values()
      const shown = (value: number | null | undefined): string => (value == null ? '–' : text(value))
      const legend =
        series.length === 1
          ? html`<strong>${shown(values[0])}</strong>`
          : series.map(
              (line, i) => html`<span class="key" data-color=${line.color}>${line.name}</span>
                <strong>${shown(values[i])}</strong>`,
            )
      return html`<figure><figcaption><span>${name}</span><span class="now">${legend}</span></figcaption>${chart.node}</figure>`
    })
  }

  #setRange(minutes: number): void {
    this.#minutes = minutes
    this.#draw()
    this.#onChange()
  }

  #cursorOn(index: number | null): void {
    if (index === this.#cursor) return
    this.#cursor = index
    this.#onChange()
  }

  #draw(): void {
    const to = now() / 1_000
    const times = this.#samples.map(({ time }) => time / 1_000)
    for (const { keys, chart } of this.#charts)
      chart.show(
        times,
        keys.map(key => this.#samples.map(sample => sample[key])),
        [to - this.#minutes * 60, to],
      )
    this.#drawMembers()
  }

  #drawMembers(): void {
    const from = now() - MEMBER_MINUTES * 60_000
    const samples = this.#samples.filter(({ time }) => time >= from)
    const times = samples.map(({ time }) => time / 1_000)
    for (const [id, line] of this.#members)
      line.show(
        times,
        samples.map(({ members }) => members[id] ?? 0),
      )
  }
}
