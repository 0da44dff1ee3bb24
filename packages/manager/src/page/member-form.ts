import type { Act } from './api.ts'
import { showDialog } from './dialog.ts'
import { html, type TemplateResult } from './lit-html/lit-html.js'
import { SETTABLE, stateChanges } from './member-state.ts'
import type { BalancerKey, MemberView } from './types.ts'

/** What the form shows of a new member. */
const NEW = { url: '', routeId: '', redirect: '', loadFactor: 1, lbSet: 0, retry: 60_000, status: '' }

/** Shows the form of a new member, and sends it. */
export async function addMember(send: Act, key: BalancerKey): Promise<void> {
  await showDialog('member', form(`Add member to ${key.balancer}`, NEW), async data => {
    const status = stateChanges('', data.getAll('status') as string[])
    const given = Object.entries({ ...settingsOf(data), status }).filter(([, value]) => value !== '')
    await send('add-member', { ...key, member: { url: text(data, 'url'), ...Object.fromEntries(given) } })
  })
}

/** Shows the form of a member, and sends what the visitor changed. */
export async function editMember(send: Act, key: BalancerKey, member: MemberView): Promise<void> {
  await showDialog('member', form(`Edit ${member.url}`, member), async data => {
    const status = stateChanges(member.status, data.getAll('status') as string[])
    // Unchanged fields are not sent, because another operator may have changed them meanwhile.
    const changed = Object.entries(settingsOf(data)).filter(
      ([name, value]) => value !== member[name as keyof MemberView],
    )
    const settings = { ...Object.fromEntries(changed), ...(status === '' ? {} : { status }) }
    if (Object.keys(settings).length > 0) await send('set-member', { ...key, member: member.url, settings })
  })
}

const text = (data: FormData, name: string): string => String(data.get(name)).trim()

const settingsOf = (data: FormData): object => ({
  routeId: text(data, 'routeId'),
  redirect: text(data, 'redirect'),
  loadFactor: Number(data.get('loadFactor')),
  lbSet: Number(data.get('lbSet')),
  retry: Number(data.get('retry')),
})

const form = (title: string, member: typeof NEW): TemplateResult => html`
  <form method="dialog">
    <h2 id="member-title">${title}</h2>
    <p class="objection" role="alert" hidden></p>
    <label>URL <input name="url" type="text" required spellcheck="false" autocomplete="off" placeholder="ws://10.0.0.1:9000"
      value=${member.url} ?disabled=${member !== NEW}></label>
    <label>Route (sticky sessions) <input name="routeId" type="text" spellcheck="false" autocomplete="off"
      value=${member.routeId}></label>
    <label>Redirect (route that takes its sessions while it is not usable) <input name="redirect" type="text"
      spellcheck="false" autocomplete="off" value=${member.redirect}></label>
    <div class="triple">
      <label>Load factor <input name="loadFactor" type="number" required min="1" max="100" step="0.01"
        value=${member.loadFactor}></label>
      <label>Set <input name="lbSet" type="number" required min="0" max="99" step="1" value=${member.lbSet}></label>
      <label>Retry (ms) <input name="retry" type="number" required min="0" max="2147483647" step="1"
        value=${member.retry}></label>
    </div>
    <fieldset>
      <legend>State</legend>
      ${SETTABLE.map(
        ({ letter, word }) => html`<label><input type="checkbox" name="status" value=${letter}
          ?checked=${member.status.includes(letter)}> ${word} (${letter})</label>`,
      )}
    </fieldset>
    <div class="actions dialog-actions">
      <button type="submit" value="cancel" formnovalidate>Cancel</button>
      <button type="submit" value="yes" class="main">Save</button>
    </div>
  </form>`
