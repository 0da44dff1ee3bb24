import { button, byId, el, keepTableRoles, type Part, Parts, setText } from './dom.ts'
import { plural } from './format.ts'
import { MemberForm } from './member-form.ts'
import { MemberRow } from './member-row.ts'
import type { Act } from './tunnel-row.ts'
import type { BalancerView, MemberView, ProxyView, Sample } from './types.ts'

const HEADINGS = ['Member', 'State', 'Factor / set', 'Elected', 'Load', 'Failed', 'Busy', 'Open', 'Traffic']

interface Item {
  proxy: string
  balancer: BalancerView
}

/** What holds for all its members. */
function termsOf({ lbMethod, stickySession, noFailover, attempts, timeout }: BalancerView): string {
  const terms = [lbMethod, plural(attempts, 'attempt')]
  if (timeout > 0) terms.push(`waits ${timeout / 1_000} s`)
  if (stickySession !== '') terms.push(`sessions by ${stickySession}${noFailover ? ', 503 without their member' : ''}`)
  return terms.join(' · ')
}

class Section implements Part<Item> {
  readonly node: HTMLElement
  readonly #terms = el('span', { class: 'count' })
  readonly #rows: Parts<MemberView, MemberRow>

  constructor({ proxy, balancer }: Item, act: Act, form: MemberForm) {
    const place = { proxy, balancer: balancer.name }
    const body = el('tbody')
    const add = button('Add member', `Add member to ${balancer.name}`, '', () => form.add(place))
    const heads = HEADINGS.map((text, i) => el('th', { scope: 'col', class: i > 1 && i < 8 ? 'number' : '' }, text))
    const last = el('th', { scope: 'col' }, el('span', { class: 'hidden' }, 'Actions'))
    const head = el('thead', {}, el('tr', {}, ...heads, last))
    const title = el('h2', {}, `Balancer ${balancer.name} `, this.#terms)
    const actions = el('div', { class: 'actions change' }, add)
    this.node = el(
      'div',
      { class: 'balancer' },
      el('div', { class: 'bar' }, title, actions),
      el('table', {}, head, body),
    )
    keepTableRoles(this.node)
    this.#rows = new Parts(
      body,
      ({ id }) => String(id),
      member => new MemberRow(member, place, act, form),
    )
  }

  get rows(): Iterable<MemberRow> {
    return this.#rows.all
  }

  update({ balancer }: Item): void {
    setText(this.#terms, termsOf(balancer))
    this.#rows.show(balancer.members)
  }
}

/** Every balancer with its members. */
export class Balancers {
  readonly #sections: Parts<Item, Section>

  constructor(act: Act) {
    const form = new MemberForm(act)
    this.#sections = new Parts(
      byId('balancers'),
      ({ proxy, balancer }) => `${proxy} ${balancer.name}`,
      item => new Section(item, act, form),
    )
    setInterval(() => {
      for (const row of this.#rows()) row.tick()
    }, 1_000)
  }

  show(proxies: readonly ProxyView[]): void {
    this.#sections.show(
      proxies.flatMap(({ name, balancers }) => balancers.map(balancer => ({ proxy: name, balancer }))),
    )
    byId('balancers').hidden = proxies.every(({ balancers }) => balancers.length === 0)
  }

  draw(samples: readonly Sample[]): void {
    for (const row of this.#rows()) row.draw(samples)
  }

  *#rows(): Iterable<MemberRow> {
    for (const section of this.#sections.all) yield* section.rows
  }
}
