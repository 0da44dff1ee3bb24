import { Checks } from './checks.ts'
import { now } from './clock.ts'
import { confirmed } from './confirm.ts'
import { button, cell, el, type Part, row, setText } from './dom.ts'
import { bytes, count, duration } from './format.ts'
import { Line } from './line.ts'
import { type MemberForm, stateWords } from './member-form.ts'
import type { Act } from './tunnel-row.ts'
import type { MemberView, Sample } from './types.ts'

/** Where a member is. */
export interface Place {
  proxy: string
  balancer: string
}

/** Letters that an operator sets and takes back with one button. */
const TOGGLES = [
  { letter: 'N', name: 'Drain', says: 'takes sessions it has and no others' },
  { letter: 'D', name: 'Disable', says: 'takes nothing' },
  { letter: 'H', name: 'Standby', says: 'takes what nobody else can' },
]

const CHART_HEIGHT = 30

/** One member of a balancer. */
export class MemberRow implements Part<MemberView> {
  readonly node: HTMLElement
  readonly #name = cell('Member', 'code')
  readonly #state = cell('State')
  readonly #since = el('summary')
  readonly #past = el('ol')
  readonly #badges = el('span')
  readonly #checks = new Checks()
  readonly #elected = cell('Elected', 'number')
  readonly #load = cell('Load', 'number')
  readonly #busy = cell('Busy', 'number')
  readonly #open = cell('Open', 'number')
  readonly #failures = cell('Failed', 'number')
  readonly #bytes = el('small')
  readonly #factor = cell('Factor / set', 'number')
  readonly #toggles: { letter: string; node: HTMLButtonElement }[]
  readonly #plot = el('div', { class: 'plot' })
  readonly #line: Line
  #member: MemberView

  constructor(member: MemberView, place: Place, act: Act, form: MemberForm) {
    this.#member = member
    const at = { ...place, member: member.url }
    this.#state.append(el('div', {}, this.#badges, el('details', {}, this.#since, this.#past), this.#checks.node))
    this.#toggles = TOGGLES.map(({ letter, name, says }) => ({
      letter,
      node: button(name, `${name} ${member.url}: it ${says}`, '', () => {
        const sign = this.#member.status.includes(letter) ? '-' : '+'
        return act('set-member', { ...at, settings: { status: sign + letter } })
      }),
    }))
    const edit = button('Edit', `Edit ${member.url}`, '', () => form.edit(place, this.#member))
    const remove = button('Remove', `Remove ${member.url}`, 'danger', async () => {
      if (await confirmed(`Remove ${member.url}? Its tunnels go on, new ones go elsewhere.`, 'Remove it'))
        await act('remove-member', at)
    })
    const actions = cell('', 'actions')
    actions.append(...this.#toggles.map(({ node }) => node), edit, remove)
    const traffic = cell('Traffic', 'traffic')
    traffic.append(el('div', {}, this.#plot, this.#bytes))
    this.#line = new Line(this.#plot, CHART_HEIGHT)
    this.node = row(
      this.#name,
      this.#state,
      this.#factor,
      this.#elected,
      this.#load,
      this.#failures,
      this.#busy,
      this.#open,
      traffic,
      actions,
    )
  }

  get id(): number {
    return this.#member.id
  }

  update(member: MemberView): void {
    this.#member = member
    const { url, routeId, redirect, status, loadFactor, lbSet, elected, load, busy } = member
    const names = [routeId, redirect && `→ ${redirect}`].filter(name => name !== '').join(' ')
    setText(this.#name, names === '' ? url : `${url} (${names})`)
    const words = stateWords(status)
    if (this.#badges.dataset.status !== status) {
      this.#badges.dataset.status = status
      this.#badges.replaceChildren(
        ...words.map(({ letter, word, kind }) => el('span', { class: `badge ${kind}`, title: letter }, word)),
      )
    }
    const past = member.changes.toReversed().map(({ time, status }) => {
      const words = stateWords(status).map(({ word }) => word)
      return `${new Date(time).toLocaleTimeString()} ${words.join(', ')}`
    })
    if (this.#past.childElementCount !== past.length || this.#past.firstChild?.textContent !== past[0])
      this.#past.replaceChildren(...past.map(text => el('li', {}, text)))
    this.#checks.show(member)
    setText(this.#factor, `${loadFactor} / ${lbSet}`)
    setText(this.#elected, count(elected))
    setText(this.#load, String(load))
    setText(this.#failures, count(member.failures))
    setText(this.#busy, count(busy))
    setText(this.#open, count(member.open))
    setText(this.#bytes, `${bytes(member.bytesFromClient)} up, ${bytes(member.bytesFromBackend)} down`)
    for (const { letter, node } of this.#toggles) node.setAttribute('aria-pressed', String(status.includes(letter)))
    this.tick()
  }

  /** What changes with the time alone. */
  tick(): void {
    const since = this.#member.changes.at(-1)?.time ?? now()
    setText(this.#since, `for ${duration(now() - since)}`)
    this.#checks.tick()
  }

  draw(samples: readonly Sample[]): void {
    const values = samples.map(({ members }) => members[this.id] ?? 0)
    this.#line.show(
      samples.map(({ time }) => time / 1_000),
      values,
    )
    this.#plot.setAttribute('role', 'img')
    this.#plot.setAttribute(
      'aria-label',
      `Bytes per second: ${bytes(values.at(-1) ?? 0)} now, at most ${bytes(Math.max(0, ...values))}`,
    )
  }
}
