import { plural, timeOfDay } from './format.ts'
import { html, type TemplateResult } from './lit-html/lit-html.js'
import type { FleetView } from './types.ts'

/** The state of the shared store, and the settings in it that are ignored. Hidden where settings are not shared. */
export function fleetStatus(fleet: FleetView): TemplateResult {
  const { store, connected, ignored, ignoredSettings } = fleet
  return html`
    <p id="fleet" role="status" data-state=${connected ? 'connected' : 'away'} ?hidden=${store === 'memory'}>${storeText(
      fleet,
    )}</p>
    <details id="ignored" ?hidden=${ignored === 0}>
      <summary>${plural(ignored, 'setting')} in the store ${ignored === 1 ? 'is' : 'are'} ignored</summary>
      <ul>${ignoredSettings.map(({ key, reason }) => html`<li>${key}: ${reason}</li>`)}</ul>
    </details>`
}

function storeText({ store, connected, since, reason, waiting }: FleetView): string {
  const time = timeOfDay(since)
  if (connected) return `Settings are shared through ${store}, connected since ${time}`
  const why = reason === '' ? '' : ` (${reason})`
  const unsent = waiting === 0 ? '' : `; ${plural(waiting, 'setting')} will be sent when it is back`
  return `The shared store (${store}) is away since ${time}${why}. The last known settings stay in force${unsent}`
}
