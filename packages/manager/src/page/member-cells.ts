import type { Act } from './api.ts'
import { now } from './clock.ts'
import { confirmed } from './dialog.ts'
import { ACTIONS, button, type Column } from './elements.ts'
import { bytes, count, duration, timeOfDay } from './format.ts'
import { healthChecks } from './health-checks.ts'
import { html, type TemplateResult } from './lit-html/lit-html.js'
import { editMember } from './member-form.ts'
import { stateWords, TOGGLES } from './member-state.ts'
import type { BalancerKey, MemberView } from './types.ts'

/** The columns of a balancer's members. */
export const MEMBER_COLUMNS: readonly Column[] = [
  { name: 'Member', kind: 'code' },
  { name: 'State' },
  { name: 'Factor / set', kind: 'number' },
  { name: 'Selected', kind: 'number' },
  { name: 'Load', kind: 'number' },
  { name: 'Failed', kind: 'number' },
  { name: 'Busy', kind: 'number' },
  { name: 'Open', kind: 'number' },
  { name: 'Traffic', kind: 'traffic' },
  ACTIONS,
]

/** The cells of one member. `chart` shows its rate. */
export const memberCells = (member: MemberView, chart: HTMLElement, key: BalancerKey, act: Act): readonly unknown[] => [
  nameOf(member),
  state(member),
  `${member.loadFactor} / ${member.lbSet}`,
  count(member.selected),
  member.load,
  count(member.failures),
  count(member.busy),
  count(member.open),
  html`<div>${chart}<small>${bytes(member.bytesFromClient)} up, ${bytes(member.bytesFromBackend)} down</small></div>`,
  actions(member, key, act),
]

/** `ws://10.0.0.1:9000 (routeId → redirect)`. */
function nameOf({ url, routeId, redirect }: MemberView): string {
  const names = [routeId, redirect && `→ ${redirect}`].filter(name => name !== '').join(' ')
  return names === '' ? url : `${url} (${names})`
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

function actions(member: MemberView, key: BalancerKey, act: Act): TemplateResult[] {
  const { url, status } = member
  const at = { ...key, member: url }
  const toggles = TOGGLES.map(({ letter, name, effect }) => {
    const pressed = status.includes(letter)
    const onClick = () => act('set-member', { ...at, settings: { status: (pressed ? '-' : '+') + letter } })
    return button(name, { label: `${name} ${url}: ${effect}`, pressed, onClick })
  })
  const edit = button('Edit', { label: `Edit ${url}`, onClick: () => editMember(act, key, member) })
  const remove = button('Remove', {
    label: `Remove ${url}`,
    danger: true,
    onClick: async () => {
      if (await confirmed(`Remove ${url}? Its open tunnels stay, new requests go to other members.`, 'Remove it'))
        await act('remove-member', at)
    },
  })
  return [...toggles, edit, remove]
}
