import { type Column, table } from './elements.ts'
import { bytes, count, routeName } from './format.ts'
import { html, type TemplateResult } from './lit-html/lit-html.js'
import type { ProxyView, RouteView } from './types.ts'

const COLUMNS: readonly Column[] = [
  { name: '#', kind: 'number' },
  { name: 'Path', kind: 'code' },
  { name: 'Target', kind: 'code' },
  { name: 'Requests', kind: 'number' },
  { name: 'Open', kind: 'number' },
  { name: 'From clients', kind: 'number' },
  { name: 'From backends', kind: 'number' },
]

/** The routes of all proxies, in order. */
export function routesSection(proxies: readonly ProxyView[]): TemplateResult {
  const rows = proxies.flatMap(({ name: proxy, routes }) => routes.map(route => ({ proxy, route })))
  return html`
    <section aria-labelledby="routes-heading">
      <h2 id="routes-heading">Routes</h2>
      <p class="hint">Routes are tried in this order. The first that matches takes the request.</p>
      ${table(rows, {
        id: 'routes',
        columns: COLUMNS,
        keyOf: ({ proxy, route }) => `${proxy} ${route.index}`,
        cellsOf: ({ proxy, route }) => [routeName(proxy, route.index, proxies.length > 1), ...cellsOf(route)],
      })}
    </section>`
}

const cellsOf = ({ path, target, hits, open, maxTunnels, bytesFromClient, bytesFromBackend }: RouteView): string[] => [
  path,
  target === false ? 'back to the app' : (target ?? 'by a function'),
  count(hits),
  maxTunnels === 0 ? count(open) : `${count(open)} of ${count(maxTunnels)}`,
  bytes(bytesFromClient),
  bytes(bytesFromBackend),
]
