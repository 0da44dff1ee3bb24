import { byId, el, setText } from './dom.ts'
import { bytes, count } from './format.ts'
import { Line } from './line.ts'
import type { Sample } from './types.ts'

type Measure = Exclude<keyof Sample, 'time' | 'members'>

const MEASURES: readonly { key: Measure; name: string; text: (value: number) => string }[] = [
  { key: 'open', name: 'Open tunnels', text: count },
  { key: 'opened', name: 'Opened per second', text: value => value.toFixed(value < 10 ? 1 : 0) },
  { key: 'fromClient', name: 'From clients', text: value => `${bytes(value)}/s` },
  { key: 'fromBackend', name: 'From backends', text: value => `${bytes(value)}/s` },
]

/** The charts of the whole, with the value of now in words. */
export class Charts {
  readonly #lines = MEASURES.map(({ key, name, text }) => {
    const now = el('strong')
    const peak = el('small')
    const holder = el('div', { class: 'plot', role: 'img' })
    byId('charts').append(el('figure', {}, el('figcaption', {}, el('span', {}, name), now), holder, peak))
    return { key, name, text, now, peak, holder, line: new Line(holder) }
  })
  #samples: Sample[] = []
  #length = 300

  get samples(): readonly Sample[] {
    return this.#samples
  }

  replace(samples: Sample[]): void {
    this.#samples = samples
    this.#length = Math.max(this.#length, samples.length)
    this.#draw()
  }

  add(sample: Sample): void {
    this.#samples.push(sample)
    if (this.#samples.length > this.#length) this.#samples.shift()
    this.#draw()
  }

  #draw(): void {
    const times = this.#samples.map(({ time }) => time / 1_000)
    for (const { key, name, text, now, peak, holder, line } of this.#lines) {
      const values = this.#samples.map(sample => sample[key])
      const highest = text(Math.max(0, ...values))
      line.show(times, values)
      setText(now, text(values.at(-1) ?? 0))
      setText(peak, `peak ${highest} in ${Math.max(1, Math.round(((times.at(-1) ?? 0) - (times[0] ?? 0)) / 60))} min`)
      holder.setAttribute('aria-label', `${name}: ${now.textContent} now, at most ${highest}`)
    }
  }
}
