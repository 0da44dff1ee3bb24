import type { Act } from './api.ts'
import type { Charts } from './charts.ts'
import { button, table } from './elements.ts'
import { plural } from './format.ts'
import { repeat } from './lit-html/directives/repeat.js'
import { html, type TemplateResult } from './lit-html/lit-html.js'
import { MEMBER_COLUMNS, memberCells } from './member-cells.ts'
import { addMember } from './member-form.ts'
import type { BalancerView, ProxyView } from './types.ts'

/** Every balancer with its members. */
export function balancersSection(proxies: readonly ProxyView[], charts: Charts, act: Act): TemplateResult {
  const items = proxies.flatMap(({ name: proxy, balancers }) => balancers.map(balancer => ({ proxy, balancer })))
  return html`
    <section id="balancers" aria-label="Balancers" ?hidden=${items.length === 0}>${repeat(
      items,
      ({ proxy, balancer }) => `${proxy} ${balancer.name}`,
      ({ proxy, balancer }) => balancerPart(proxy, balancer, charts, act),
    )}</section>`
}

function balancerPart(proxy: string, balancer: BalancerView, charts: Charts, act: Act): TemplateResult {
  const { name, members } = balancer
  const key = { proxy, balancer: name }
  const add = button('Add member', { label: `Add member to ${name}`, onClick: () => addMember(act, key) })
  return html`
    <div class="balancer">
      <div class="bar">
        <h2>Balancer ${name} <span class="count">${settingsText(balancer)}</span></h2>
        <div class="actions change">${add}</div>
      </div>
      ${table(members, {
        columns: MEMBER_COLUMNS,
        keyOf: ({ id }) => id,
        cellsOf: member => memberCells(member, charts.ofMember(member.id), key, act),
      })}
    </div>`
}

/** `byrequests · 3 attempts · waits 0.5 s · sessions by SID`. */
function settingsText({ lbMethod, stickySession, noFailover, attempts, timeout }: BalancerView): string {
  const parts = [lbMethod, plural(attempts, 'attempt')]
  if (timeout > 0) parts.push(`waits ${timeout / 1_000} s`)
  if (stickySession !== '') parts.push(`sessions by ${stickySession}${noFailover ? ', 503 without their member' : ''}`)
  return parts.join(' · ')
}
