import { byId, cell, type Part, Parts, row, setText } from './dom.ts'
import { bytes, count, routeName } from './format.ts'
import type { ProxyView, RouteView } from './types.ts'

interface Row {
  proxy: string
  /** There are other proxies. */
  several: boolean
  route: RouteView
}

/** The routes of all proxies, in order. */
export class Routes {
  readonly #rows = new Parts<Row>(byId('routes'), ({ proxy, route }) => `${proxy} ${route.index}`, createRow)

  show(proxies: readonly ProxyView[]): void {
    this.#rows.show(
      proxies.flatMap(({ name, routes }) => routes.map(route => ({ proxy: name, several: proxies.length > 1, route }))),
    )
  }
}

function targetText({ target }: RouteView): string {
  if (target === false) return 'back to the app'
  return target ?? 'by a function'
}

function createRow(): Part<Row> {
  const place = cell('#', 'number')
  const path = cell('Path', 'code')
  const target = cell('Target', 'code')
  const numbers = ['Requests', 'Open', 'From clients', 'From backends'].map(label => cell(label, 'number'))
  return {
    node: row(place, path, target, ...numbers),
    update({ proxy, several, route }) {
      const { index, hits, open, maxTunnels, bytesFromClient, bytesFromBackend } = route
      setText(place, routeName(proxy, index, several))
      setText(path, route.path)
      setText(target, targetText(route))
      const texts = [
        count(hits),
        maxTunnels === 0 ? count(open) : `${count(open)} of ${count(maxTunnels)}`,
        bytes(bytesFromClient),
        bytes(bytesFromBackend),
      ]
      for (const [i, node] of numbers.entries()) setText(node, texts[i] ?? '')
    },
  }
}
