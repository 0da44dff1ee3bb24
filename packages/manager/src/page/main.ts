import { type Act, readToken, sendChange, watch } from './api.ts'
import { balancersSection } from './balancers.ts'
import { Charts } from './charts.ts'
import { setClock } from './clock.ts'
import { Contact } from './contact.ts'
import { failuresSection } from './failures.ts'
import { fleetStatus } from './fleet.ts'
import { html, nothing, render, type TemplateResult } from './lit-html/lit-html.js'
import { routesSection } from './routes.ts'
import { totalsText } from './totals.ts'
import { TunnelWindow } from './tunnel-window.ts'
import { tunnelsSection } from './tunnels.ts'
import type { Failure, State } from './types.ts'
import { verdictBanner, verdictOf } from './verdict.ts'

const charts = new Charts(draw)
const contact = new Contact()
const tunnels = new TunnelWindow(draw)
let state: State | undefined
let failures: readonly Failure[] = []
let notice = ''
let memberSort = { by: '', reverse: false }
let drawing = false

/** Sends a change, and shows at the top why the server refuses it. */
const act: Act = async (action, body) => {
  notice = await sendChange(action, body).then(
    () => '',
    (error: Error) => error.message,
  )
  draw()
}

/** The order of a column, then the reverse, then the members' own order. */
function sortMembers(by: string): void {
  if (memberSort.by !== by) memberSort = { by, reverse: false }
  else memberSort = memberSort.reverse ? { by: '', reverse: false } : { by, reverse: true }
  draw()
}

/** Draws the page in the next frame. Several changes before that cost one drawing. */
function draw(): void {
  if (drawing) return
  drawing = true
  requestAnimationFrame(() => {
    drawing = false
    const name = `${state?.title ?? 'ws-tunnel'} manager`
    const verdict = state && verdictOf(state)
    const lost = contact.isLost
    document.title = lost ? `No contact · ${name}` : verdict === undefined ? name : `${verdict.text} · ${name}`
    showIcon(lost ? 'gone' : (verdict?.grade ?? 'good'))
    document.body.classList.toggle('gone', lost)
    render(page(), document.getElementById('page') as HTMLElement)
  })
}

function showIcon(name: string): void {
  const icon = document.querySelector('link[rel="icon"]') as HTMLLinkElement
  // A server that is gone cannot send another icon.
  const url = name === 'gone' ? icon.getAttribute('href') : `icon-${name}.svg`
  if (url !== null && icon.getAttribute('href') !== url) icon.setAttribute('href', url)
}

const page = (): TemplateResult => html`
  <a class="skip" href="#tunnels">Skip to the tunnels</a>
  <header>
    <div>
      <h1 id="title">${state?.title ?? 'ws-tunnel'}</h1>
      <p id="where">${state === undefined ? '' : `${state.host}, process ${state.pid}`}</p>
    </div>
    <p id="live" role=${contact.isLost ? 'alert' : 'status'} aria-live=${contact.isLost ? 'off' : 'polite'}
      data-state=${contact.isLost ? 'lost' : contact.connection}>${contact.text}</p>
  </header>
  <main ?inert=${contact.isLost}>
    <p id="notice" role="alert" ?hidden=${notice === ''}>${notice}</p>
    ${state === undefined ? nothing : sections(state)}
    <div id="menu" role="menu" popover></div>
  </main>`

const sections = (shown: State): TemplateResult => html`
  ${verdictBanner(verdictOf(shown))}
  ${fleetStatus(shown.fleet)}
  <section aria-labelledby="overview-heading">
    <div class="bar">
      <h2 id="overview-heading">Traffic</h2>
      ${charts.controls()}
    </div>
    <div id="charts">${charts.figures()}</div>
    <p id="totals">${totalsText(shown.proxies)}</p>
  </section>
  ${balancersSection(shown.proxies, { charts, sorting: { ...memberSort, onSort: sortMembers }, act, send: sendChange })}
  ${failuresSection(failures, shown.proxies)}
  ${routesSection(shown.proxies)}
  ${tunnelsSection(tunnels, { proxies: shown.proxies, act })}`

watch({
  history(samples) {
    contact.heard()
    charts.replace(samples)
    draw()
  },
  sample(sample) {
    contact.heard()
    setClock(sample.time)
    charts.add(sample)
    tunnels.refresh()
    draw()
  },
  failures(next) {
    failures = next
    draw()
  },
  state(next) {
    contact.heard()
    state = next
    charts.keepMembersOf(next.proxies)
    tunnels.refresh()
    draw()
  },
  connection(next) {
    contact.set(next)
    draw()
  },
})
// Ages, idle times and the time without contact grow without an event.
setInterval(draw, 1_000)
document.addEventListener('visibilitychange', () => tunnels.refresh())
// Hides the buttons from a visitor who may only view, because the server would refuse their changes.
void readToken().then(token => document.body.classList.toggle('view', token === null))
