import { routeName } from './format.ts'
import { html, type TemplateResult } from './lit-html/lit-html.js'
import type { TunnelFilter, TunnelWindow } from './tunnel-window.ts'
import type { ProxyView } from './types.ts'

/** Milliseconds without typing after which a text is sent. */
const TYPING = 300

let typing = 0

/** The fields that filter the list of tunnels. */
export function tunnelFilters(window: TunnelWindow, proxies: readonly ProxyView[]): TemplateResult {
  const members = proxies.flatMap(({ balancers }) => balancers.flatMap(({ members }) => members.map(({ url }) => url)))
  const onText =
    (name: keyof TunnelFilter) =>
    ({ target }: Event): void => {
      clearTimeout(typing)
      typing = setTimeout(() => window.set({ [name]: (target as HTMLInputElement).value.trim() }), TYPING)
    }
  const onSelect =
    (name: keyof TunnelFilter) =>
    ({ target }: Event): void =>
      window.set({ [name]: (target as HTMLSelectElement).value })
  return html`
    <search class="filters">
      <label class="grow"><span>Search</span><input id="search" type="search" placeholder="client, path, member, #id" autocomplete="off"
        spellcheck="false" aria-label="Search tunnels" @input=${onText('search')}></label>
      <label><span>Client</span><input type="search" autocomplete="off" spellcheck="false" @input=${onText('client')}></label>
      <label><span>Member</span><select @change=${onSelect('member')}>
        <option value="">any</option>${[...new Set(members)].map(url => html`<option value=${url}>${url}</option>`)}
      </select></label>
      <label><span>Route</span><select @change=${onSelect('route')}>
        <option value="">any</option>${proxies.flatMap(({ name, routes }) =>
          routes.map(
            ({ index, path }) =>
              html`<option value="${name} ${index}">${routeName(name, index, proxies.length > 1)} ${path}</option>`,
          ),
        )}
      </select></label>
      <label><span>State</span><select @change=${onSelect('state')}>
        <option value="">any</option><option value="draining">draining</option><option value="idle">idle for a minute</option>
      </select></label>
    </search>`
}
