import { type Column, table } from './elements.ts'
import { routeName, timeOfDay } from './format.ts'
import { html, nothing, type TemplateResult } from './lit-html/lit-html.js'
import type { Failure, ProxyView } from './types.ts'

const COLUMNS: readonly Column[] = [
  { name: 'Time', kind: 'number' },
  { name: 'Code', kind: 'code' },
  { name: 'Client', kind: 'code' },
  { name: 'Path', kind: 'code' },
  { name: 'Route', kind: 'number' },
  { name: 'Member', kind: 'code' },
  { name: 'What happened' },
]

/** The number of failures that the section lists. */
const SHOWN = 20

/** The last failures, each with a link to its member. */
export function failuresSection(failures: readonly Failure[], proxies: readonly ProxyView[]): TemplateResult {
  const ids = new Map(
    proxies.flatMap(({ name, balancers }) =>
      balancers.flatMap(({ members }) => members.map(({ url, id }) => [`${name} ${url}`, id] as const)),
    ),
  )
  const shown = failures.slice(0, SHOWN)
  return html`
    <section id="failures" aria-labelledby="failures-heading">
      <h2 id="failures-heading">Last failures <span class="count">${
        failures.length > SHOWN ? `${SHOWN} of ${failures.length}` : failures.length || ''
      }</span></h2>
      ${
        failures.length === 0
          ? html`<p class="empty">No request has failed since the manager started.</p>`
          : table(shown, {
              id: 'failure-list',
              columns: COLUMNS,
              keyOf: ({ id }) => id,
              cellsOf: failure => cellsOf(failure, ids, proxies.length > 1),
            })
      }
    </section>`
}

const cellsOf = (failure: Failure, ids: ReadonlyMap<string, number>, several: boolean): readonly unknown[] => {
  const { time, proxy, code, client, url, route, member, message, failedOverTo } = failure
  const id = ids.get(`${proxy} ${member}`)
  return [
    html`<time datetime=${new Date(time).toISOString()}>${timeOfDay(time)}</time>`,
    code.replace(/^WST_ERR_/, ''),
    client,
    url,
    route === null ? '–' : routeName(proxy, route, several),
    id === undefined ? member || '–' : html`<a href="#member-${id}">${member}</a>`,
    html`<div class="message">${failedOverTo === '' ? nothing : html`<span class="badge">failed over</span> `}${message.replace(/^WST_ERR_\w+: /, '')}</div>`,
  ]
}
