import type { Act } from './api.ts'
import { now } from './clock.ts'
import { confirmed } from './dialog.ts'
import { ACTIONS, type Column } from './elements.ts'
import { bytes, count, duration, timeOfDay } from './format.ts'
import { healthChecks } from './health-checks.ts'
import { html, nothing, type TemplateResult } from './lit-html/lit-html.js'
import { editMember } from './member-form.ts'
import { stateWords, TOGGLES } from './member-state.ts'
import { type MenuItem, menuButton } from './menu.ts'
import type { BalancerKey, MemberView } from './types.ts'

/** The columns of a balancer's members. */
export const MEMBER_COLUMNS: readonly Column[] = [
  { name: 'Member', kind: 'code', sort: 'url' },
  { name: 'State', sort: 'status' },
  { name: 'Factor / set', kind: 'number', sort: 'loadFactor' },
  { name: 'Selected', kind: 'number', sort: 'selected' },
  { name: 'Load', kind: 'number', sort: 'load' },
  { name: 'Failed', kind: 'number', sort: 'failures' },
  { name: 'Busy', kind: 'number', sort: 'busy' },
  { name: 'Open', kind: 'number', sort: 'open' },
  { name: 'Traffic', kind: 'traffic' },
  ACTIONS,
]

/** What the cells of a member need beside it. */
interface MemberCellsOptions {
  /** It shows the member's rate. */
  readonly chart: HTMLElement
  readonly key: BalancerKey
  readonly act: Act
  /** Sends a change. It rejects with the server's reason. */
  readonly send: Act
}

/** The cells of one member. */
export const memberCells = (member: MemberView, options: MemberCellsOptions): readonly unknown[] => [
  name(member),
  state(member),
  `${member.loadFactor} / ${member.lbSet}`,
  count(member.selected),
  member.load,
  count(member.failures),
  count(member.busy),
  count(member.open),
  html`<div>${options.chart}<small>${bytes(member.bytesFromClient)} up, ${bytes(member.bytesFromBackend)} down</small></div>`,
  menuButton(`Actions for ${member.url}`, () => actions(member, options)),
]

/** `ws://10.0.0.1:9000`, and `routeId → redirect` below it. */
function name({ url, routeId, redirect }: MemberView): TemplateResult {
  const names = [routeId, redirect && `→ ${redirect}`].filter(name => name !== '').join(' ')
  return html`<div>${url}${names === '' ? nothing : html` <small>(${names})</small>`}</div>`
}

function state(member: MemberView): TemplateResult {
  const { status, changes } = member
  const badges = stateWords(status).map(
    ({ letter, word, kind }) => html`<span class="badge ${kind}" title=${letter}>${word}</span>`,
  )
  const past = changes.toReversed().map(({ time, status }) => {
    const words = stateWords(status).map(({ word }) => word)
    return html`<li>${timeOfDay(time)} ${words.join(', ')}</li>`
  })
  const since = changes.at(-1)?.time ?? now()
  return html`
    <div>
      <span>${badges}</span>
      <details><summary>for ${duration(now() - since)}</summary><ol>${past}</ol></details>
      ${healthChecks(member)}
    </div>`
}

function actions(member: MemberView, { key, act, send }: MemberCellsOptions): MenuItem[] {
  const { url, status } = member
  const at = { ...key, member: url }
  const toggles = TOGGLES.map(({ letter, name, effect }) => {
    const checked = status.includes(letter)
    const onSelect = () => act('set-member', { ...at, settings: { status: (checked ? '-' : '+') + letter } })
    return { text: name, hint: effect, checked, onSelect }
  })
  return [
    ...toggles,
    {
      text: 'Edit…',
      hint: 'letters, factor, set, route, redirect, retry',
      onSelect: () => editMember(send, key, member),
    },
    {
      text: 'Remove…',
      hint: 'its open tunnels stay',
      danger: true,
      onSelect: async () => {
        if (await confirmed(`Remove ${url}? Its open tunnels stay, new requests go to other members.`, 'Remove it'))
          await act('remove-member', at)
      },
    },
  ]
}
