import type { Act } from './api.ts'
import { now } from './clock.ts'
import { confirmed } from './dialog.ts'
import { ACTIONS, type Column, tableHead, tableRows } from './elements.ts'
import { bytes, count, duration, plural, routeName } from './format.ts'
import { html, type TemplateResult } from './lit-html/lit-html.js'
import { menuButton } from './menu.ts'
import { tunnelFilters } from './tunnel-filters.ts'
import type { TunnelWindow } from './tunnel-window.ts'
import type { ProxyView, TunnelView } from './types.ts'

const COLUMNS: readonly Column[] = [
  { name: 'Tunnel' },
  { name: 'Client', kind: 'code', sort: 'client' },
  { name: 'Path', kind: 'code', sort: 'url' },
  { name: 'Route', kind: 'number', sort: 'route' },
  { name: 'Member', kind: 'code', sort: 'member' },
  { name: 'Age', kind: 'number', sort: 'age' },
  { name: 'Idle', kind: 'number', sort: 'idle' },
  { name: 'From client', kind: 'number', sort: 'bytesFromClient' },
  { name: 'From backend', kind: 'number', sort: 'bytesFromBackend' },
  ACTIONS,
]

/** The largest number of tunnels in one change. */
const MAX_IDS = 1_000

/** What the section needs beside the list. */
export interface TunnelsOptions {
  readonly proxies: readonly ProxyView[]
  readonly act: Act
}

/** The open tunnels. Only the rows in view are elements, so that thousands cost no more than a few. */
export function tunnelsSection(window: TunnelWindow, { proxies, act }: TunnelsOptions): TemplateResult {
  const { total, found, list } = window.tunnels
  const { filter } = window
  const isFiltered = found !== total
  const sorting = { by: filter.sort, reverse: filter.reverse !== '', onSort: (by: string) => sortBy(window, by) }
  const several = proxies.length > 1
  return html`
    <section id="tunnels" aria-labelledby="tunnels-heading" tabindex="-1">
      <div class="bar">
        <h2 id="tunnels-heading">Open tunnels <span id="count"
          class="count">${isFiltered ? `${count(found)} of ${count(total)}` : count(total)}</span></h2>
        <div class="actions" id="all" ?hidden=${found === 0}>
          <button type="button" id="drain-all" @click=${() => drainAll(window, act)}>Drain ${isFiltered ? 'found' : 'all'}</button>
          <button type="button" id="close-all" class="danger" @click=${() => closeAll(window, act)}>Close ${
            isFiltered ? 'found' : 'all'
          }</button>
        </div>
      </div>
      ${tunnelFilters(window, proxies)}
      <div class="rows" tabindex="0" role="region" aria-label="List of tunnels" ?hidden=${found === 0}
        @scroll=${({ currentTarget }: Event) => onScroll(window, currentTarget as HTMLElement)}>
        <table role="table" aria-rowcount=${found + 1}>
          ${tableHead(COLUMNS, sorting)}
          <tbody role="presentation" .style=${`height: calc(var(--row) * ${window.offset})`}></tbody>
          <tbody role="rowgroup" id="tunnel-list">${tableRows(list, {
            columns: COLUMNS,
            keyOf: ({ proxy, id }) => `${proxy} ${id}`,
            cellsOf: tunnel => cellsOf(tunnel, routeName(tunnel.proxy, tunnel.route, several), act),
          })}</tbody>
          <tbody role="presentation" .style=${`height: calc(var(--row) * ${Math.max(0, found - window.offset - list.length)})`}></tbody>
        </table>
      </div>
      <p id="none" class="empty" ?hidden=${found > 0}>${
        total === 0 ? 'No tunnel is open.' : 'No open tunnel matches the search.'
      }</p>
    </section>`
}

/** The height of the heading and the first row in view tell which rows are to be read. */
function onScroll(window: TunnelWindow, rows: HTMLElement): void {
  const height = rows.querySelector<HTMLElement>('#tunnel-list tr')?.offsetHeight
  if (height) window.scrollTo(rows.scrollTop / height)
}

/** The same column again reverses the order. */
function sortBy(window: TunnelWindow, by: string): void {
  const { sort, reverse } = window.filter
  window.set({ sort: by, reverse: by === sort && reverse === '' ? '1' : '' })
  const rows = document.querySelector('#tunnels .rows')
  if (rows !== null) rows.scrollTop = 0
}

function cellsOf(tunnel: TunnelView, route: string, act: Act): readonly unknown[] {
  const { proxy, id, draining, handovers, client, url, member } = tunnel
  const tunnels = { proxy, ids: [id] }
  const menu = menuButton(`Actions for tunnel ${id}`, () => [
    {
      text: 'Drain',
      hint: 'ends it when it is quiet',
      checked: draining,
      onSelect: () => (draining ? undefined : act('drain-tunnels', tunnels)),
    },
    {
      text: 'Close…',
      hint: 'disconnects its client',
      danger: true,
      onSelect: async () => {
        if (await confirmed(`Close tunnel ${id}? This disconnects its client.`, 'Close it'))
          await act('close-tunnels', tunnels)
      },
    },
  ])
  return [
    html`<strong>#${id}</strong> <span class="badge" ?hidden=${!draining}>draining</span>
      <span class="badge" ?hidden=${handovers === 0} title="Taken over from another process">moved ${plural(handovers, 'time')}</span>`,
    clipped(client),
    clipped(url),
    route,
    clipped(member),
    duration(now() - tunnel.openedAt),
    duration(now() - tunnel.activeAt),
    bytes(tunnel.bytesFromClient),
    bytes(tunnel.bytesFromBackend),
    menu,
  ]
}

/** A row has one line, so a long text is cut. Its tooltip has the whole. */
const clipped = (text: string): TemplateResult => html`<span class="clipped" title=${text}>${text}</span>`

async function drainAll(window: TunnelWindow, act: Act): Promise<void> {
  await endAll('drain-tunnels', await window.all(), act)
}

async function closeAll(window: TunnelWindow, act: Act): Promise<void> {
  const list = await window.all()
  if (await confirmed(`Close ${plural(list.length, 'tunnel')}? This disconnects their clients.`, 'Close them'))
    await endAll('close-tunnels', list, act)
}

async function endAll(action: 'close-tunnels' | 'drain-tunnels', list: readonly TunnelView[], act: Act): Promise<void> {
  const byProxy = Map.groupBy(list, ({ proxy }) => proxy)
  for (const [proxy, tunnels] of byProxy) {
    const ids = tunnels.map(({ id }) => id)
    for (let at = 0; at < ids.length; at += MAX_IDS) await act(action, { proxy, ids: ids.slice(at, at + MAX_IDS) })
  }
}
