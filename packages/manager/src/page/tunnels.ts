import type { Act } from './api.ts'
import { now } from './clock.ts'
import { confirmed } from './dialog.ts'
import { ACTIONS, button, type Column, table } from './elements.ts'
import { bytes, count, duration, plural, routeName } from './format.ts'
import { html, type TemplateResult } from './lit-html/lit-html.js'
import type { TunnelList, TunnelView } from './types.ts'

const COLUMNS: readonly Column[] = [
  { name: 'Tunnel' },
  { name: 'Client', kind: 'code' },
  { name: 'Path', kind: 'code' },
  { name: 'Route', kind: 'number' },
  { name: 'Member', kind: 'code' },
  { name: 'Age', kind: 'number' },
  { name: 'Idle', kind: 'number' },
  { name: 'From client', kind: 'number' },
  { name: 'From backend', kind: 'number' },
  ACTIONS,
]

/** What the section needs beside the list. */
export interface TunnelsOptions {
  /** There are tunnels of several proxies. */
  readonly several: boolean
  /** The text that the list was searched for. */
  readonly search: string
  readonly onSearch: (text: string) => void
  readonly act: Act
}

/** The open tunnels, with buttons to drain and close them. */
export function tunnelsSection(
  tunnels: TunnelList,
  { several, search, onSearch, act }: TunnelsOptions,
): TemplateResult {
  const { total, found, list } = tunnels
  const all = found === list.length && search === ''
  return html`
    <section id="tunnels" aria-labelledby="tunnels-heading" tabindex="-1">
      <div class="bar">
        <h2 id="tunnels-heading">Open tunnels <span id="count"
          class="count">${all ? count(total) : `${count(list.length)} of ${count(total)}`}</span></h2>
        <label class="search">
          <span class="hidden">Search tunnels</span>
          <input id="search" type="search" placeholder="Search client, path, member, #id" autocomplete="off"
            spellcheck="false" @input=${({ target }: InputEvent) => onSearch((target as HTMLInputElement).value.trim())}>
        </label>
        <div class="actions" id="all" ?hidden=${list.length === 0}>
          <button type="button" id="drain-all" @click=${() => endAll('drain-tunnels', list, act)}>Drain listed</button>
          <button type="button" id="close-all" class="danger" @click=${() => closeAll(list, act)}>Close listed</button>
        </div>
      </div>
      ${table(list, {
        id: 'tunnel-list',
        columns: COLUMNS,
        keyOf: ({ proxy, id }) => `${proxy} ${id}`,
        cellsOf: tunnel => cellsOf(tunnel, routeName(tunnel.proxy, tunnel.route, several), act),
      })}
      <p id="none" class="hint" ?hidden=${list.length > 0}>${
        search === '' ? 'No tunnel is open.' : 'No open tunnel matches the search.'
      }</p>
    </section>`
}

function cellsOf(tunnel: TunnelView, route: string, act: Act): readonly unknown[] {
  const { proxy, id, draining } = tunnel
  const tunnels = { proxy, ids: [id] }
  const drain = button('Drain', {
    label: `Drain tunnel ${id}: end it when it is quiet`,
    disabled: draining,
    onClick: () => act('drain-tunnels', tunnels),
  })
  const close = button('Close', {
    label: `Close tunnel ${id}`,
    danger: true,
    onClick: async () => {
      if (await confirmed(`Close tunnel ${id}? This disconnects its client.`, 'Close it'))
        await act('close-tunnels', tunnels)
    },
  })
  return [
    html`<strong>#${id}</strong> <span class="badge" ?hidden=${!draining}>draining</span>`,
    tunnel.client,
    tunnel.url,
    route,
    tunnel.member,
    duration(now() - tunnel.openedAt),
    duration(now() - tunnel.activeAt),
    bytes(tunnel.bytesFromClient),
    bytes(tunnel.bytesFromBackend),
    [drain, close],
  ]
}

async function closeAll(list: readonly TunnelView[], act: Act): Promise<void> {
  if (await confirmed(`Close ${plural(list.length, 'tunnel')}? This disconnects their clients.`, 'Close them'))
    await endAll('close-tunnels', list, act)
}

async function endAll(action: 'close-tunnels' | 'drain-tunnels', list: readonly TunnelView[], act: Act): Promise<void> {
  const byProxy = Map.groupBy(list, ({ proxy }) => proxy)
  for (const [proxy, tunnels] of byProxy) await act(action, { proxy, ids: tunnels.map(({ id }) => id) })
}
