import { now } from './clock.ts'
import { duration, timeOfDay } from './format.ts'
import { html, nothing, type TemplateResult } from './lit-html/lit-html.js'
import type { MemberView, PastCheck } from './types.ts'

const bar = ({ time, ok }: PastCheck): TemplateResult =>
  html`<i class=${ok ? 'good' : 'bad'} title="${timeOfDay(time)} ${ok ? 'passed' : 'failed'}"></i>`

/** The last health checks of a member: a bar for each, and the result of the last one. */
export function healthChecks({ health, checks }: MemberView): TemplateResult | typeof nothing {
  if (health === null) return nothing
  const passed = checks.filter(({ ok }) => ok).length
  return html`
    <div class="checks">
      <span class="bars" role="img"
        aria-label="${passed} of the last ${checks.length} health checks passed">${checks.map(bar)}</span>
      <small>${health.detail}, ${duration(now() - health.checkedAt)} ago</small>
    </div>`
}
