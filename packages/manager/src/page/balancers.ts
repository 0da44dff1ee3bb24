import type { Act } from './api.ts'
import type { Charts } from './charts.ts'
import { button, type Sorting, tableHead, tableRows } from './elements.ts'
import { plural } from './format.ts'
import { repeat } from './lit-html/directives/repeat.js'
import { html, type TemplateResult } from './lit-html/lit-html.js'
import { MEMBER_COLUMNS, memberCells } from './member-cells.ts'
import { addMember } from './member-form.ts'
import { gradeOf } from './member-state.ts'
import type { BalancerKey, BalancerView, MemberView, ProxyView } from './types.ts'

/** What the section needs beside the balancers. */
export interface BalancersOptions {
  readonly charts: Charts
  readonly sorting: Sorting
  readonly act: Act
  /** Sends a change. It rejects with the server's reason. */
  readonly send: Act
}

/** Every balancer with its members, in one table so that their columns are aligned. */
export function balancersSection(proxies: readonly ProxyView[], options: BalancersOptions): TemplateResult {
  const items = proxies.flatMap(({ name: proxy, balancers }) => balancers.map(balancer => ({ proxy, balancer })))
  return html`
    <section id="balancers" aria-labelledby="balancers-heading">
      <h2 id="balancers-heading">Balancers</h2>
      ${
        items.length === 0
          ? html`<p class="empty">There is no balancer. Each route leads to one backend.</p>`
          : html`<table role="table" class="wide">
              ${tableHead(MEMBER_COLUMNS, options.sorting)}
              ${repeat(
                items,
                ({ proxy, balancer }) => `${proxy} ${balancer.name}`,
                ({ proxy, balancer }) => balancerPart(balancer, { proxy, balancer: balancer.name }, options),
              )}
            </table>`
      }
    </section>`
}

function balancerPart(
  balancer: BalancerView,
  key: BalancerKey,
  { charts, sorting, act, send }: BalancersOptions,
): TemplateResult {
  const { name, members } = balancer
  const add = button('Add member', { label: `Add member to ${name}`, onClick: () => addMember(send, key) })
  return html`
    <tbody role="rowgroup">
      <tr role="row" class="group"><th role="rowheader" scope="rowgroup" colspan=${MEMBER_COLUMNS.length}>
        <div class="bar">
          <span><strong>${name}</strong> <span class="count">${settingsText(balancer)}</span></span>
          <span class="change">${add}</span>
        </div>
      </th></tr>
      ${tableRows(sorted(members, sorting), {
        columns: MEMBER_COLUMNS,
        keyOf: ({ id }) => id,
        rowId: ({ id }) => `member-${id}`,
        rowClass: gradeOf,
        cellsOf: member => memberCells(member, { chart: charts.ofMember(member.id), key, act, send }),
      })}
      ${members.length === 0 ? html`<tr role="row"><td role="cell" colspan=${MEMBER_COLUMNS.length} class="empty">No members. Every request gets 503.</td></tr>` : ''}
    </tbody>`
}

/** The members in the order of a column; in their own order without one. */
function sorted(members: readonly MemberView[], { by, reverse }: Sorting): readonly MemberView[] {
  if (by === '') return members
  const sign = reverse ? -1 : 1
  return members.toSorted((a, b) => {
    const [left, right] = [a[by as keyof MemberView], b[by as keyof MemberView]] as [number | string, number | string]
    return left < right ? -sign : left > right ? sign : 0
  })
}

/** `byrequests · 3 attempts · waits 0.5 s · sessions by SID`. */
function settingsText({ lbMethod, stickySession, noFailover, attempts, timeout }: BalancerView): string {
  const parts = [lbMethod, plural(attempts, 'attempt')]
  if (timeout > 0) parts.push(`waits ${timeout / 1_000} s`)
  if (stickySession !== '') parts.push(`sessions by ${stickySession}${noFailover ? ', 503 without their member' : ''}`)
  return parts.join(' · ')
}
