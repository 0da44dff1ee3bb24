import { byId, el, setText } from './dom.ts'
import { plural } from './format.ts'
import type { FleetView } from './types.ts'

/** Says where settings are shared, and how that goes; nothing where they are not. */
export function showFleet(fleet: FleetView): void {
  const line = byId('fleet')
  line.hidden = fleet.store === 'memory'
  line.dataset.state = fleet.connected ? 'connected' : 'away'
  setText(line, words(fleet))
  const list = byId('ignored')
  list.hidden = fleet.ignored === 0
  const [summary, items] = list.children as unknown as [HTMLElement, HTMLElement]
  setText(summary, `${plural(fleet.ignored, 'setting')} in the store ${fleet.ignored === 1 ? 'is' : 'are'} ignored`)
  const texts = fleet.ignoredSettings.map(({ key, reason }) => `${key}: ${reason}`)
  if (Array.from(items.children, ({ textContent }) => textContent).join() !== texts.join())
    items.replaceChildren(...texts.map(text => el('li', {}, text)))
}

function words({ store, connected, since, reason, waiting }: FleetView): string {
  const time = new Date(since).toLocaleTimeString()
  if (connected) return `Settings are shared by ${store}, connected since ${time}`
  const why = reason === '' ? '' : ` (${reason})`
  const left = waiting === 0 ? '' : `; ${plural(waiting, 'setting')} will be sent when it is back`
  return `The shared store (${store}) is away since ${time}${why}. What was last known holds${left}`
}
