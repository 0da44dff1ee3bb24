import { now } from './clock.ts'
import { el, setText } from './dom.ts'
import { duration } from './format.ts'
import type { HealthView, MemberView } from './types.ts'

/** The last health checks of a member: a bar for each, and what the last one said. */
export class Checks {
  readonly node: HTMLElement = el('div', { class: 'checks', hidden: '' })
  readonly #bars = el('span', { class: 'bars', role: 'img' })
  readonly #last = el('small')
  #health: HealthView | null = null

  constructor() {
    this.node.append(this.#bars, this.#last)
  }

  show({ health, checks }: MemberView): void {
    this.#health = health
    this.node.hidden = health === null
    const passed = checks.filter(({ ok }) => ok).length
    this.#bars.setAttribute('aria-label', `${passed} of the last ${checks.length} health checks passed`)
    this.#bars.replaceChildren(
      ...checks.map(({ time, ok }) =>
        el('i', {
          class: ok ? 'good' : 'bad',
          title: `${new Date(time).toLocaleTimeString()} ${ok ? 'passed' : 'failed'}`,
        }),
      ),
    )
    this.tick()
  }

  /** What changes with the time alone. */
  tick(): void {
    if (this.#health === null) return
    const { detail, checkedAt } = this.#health
    setText(this.#last, `${detail}, ${duration(now() - checkedAt)} ago`)
  }
}
