import type { Act } from './api.ts'
import { type Connection, readToken, sendChange, watch } from './api.ts'
import { balancersSection } from './balancers.ts'
import { Charts } from './charts.ts'
import { setClock } from './clock.ts'
import { fleetStatus } from './fleet.ts'
import { html, nothing, render, type TemplateResult } from './lit-html/lit-html.js'
import { routesSection } from './routes.ts'
import { totalsText } from './totals.ts'
import { tunnelsSection } from './tunnels.ts'
import type { State } from './types.ts'

/** Milliseconds without typing after which the search is sent. */
const TYPING = 300

const CONNECTION_TEXTS: Record<Connection, string> = {
  live: 'Live',
  connecting: 'Connecting…',
  refused: 'Not connected: the server refuses',
}

const charts = new Charts()
let state: State | undefined
let connection: Connection = 'connecting'
let notice = ''
let search = ''
let typing = 0
let drawing = false

const act: Act = async (action, body) => {
  notice = await sendChange(action, body).then(
    () => '',
    (error: Error) => error.message,
  )
  draw()
}

function onSearch(text: string): void {
  search = text
  clearTimeout(typing)
  typing = setTimeout(openStream, TYPING, text)
}

/** Draws the page in the next frame. Several changes before that cost one drawing. */
function draw(): void {
  if (drawing) return
  drawing = true
  requestAnimationFrame(() => {
    drawing = false
    document.title = `${state?.title ?? 'ws-tunnel'} manager`
    render(page(), document.getElementById('page') as HTMLElement)
  })
}

const page = (): TemplateResult => html`
  <a class="skip" href="#tunnels">Skip to the tunnels</a>
  <header>
    <div>
      <h1 id="title">${state?.title ?? 'ws-tunnel'}</h1>
      <p id="where">${state === undefined ? '' : `${state.host}, process ${state.pid}`}</p>
    </div>
    <p id="live" role="status" data-state=${connection}>${CONNECTION_TEXTS[connection]}</p>
  </header>
  <main>
    <p id="notice" role="alert" ?hidden=${notice === ''}>${notice}</p>
    ${state === undefined ? nothing : sections(state)}
  </main>`

const sections = ({ fleet, proxies, tunnels }: State): TemplateResult => html`
  ${fleetStatus(fleet)}
  <section aria-labelledby="overview-heading">
    <h2 id="overview-heading" class="hidden">Overview</h2>
    <div id="charts">${charts.figures()}</div>
    <p id="totals">${totalsText(proxies)}</p>
  </section>
  ${balancersSection(proxies, charts, act)}
  ${routesSection(proxies)}
  ${tunnelsSection(tunnels, { several: proxies.length > 1, search, onSearch, act })}`

const openStream = watch({
  history(samples) {
    charts.replace(samples)
    draw()
  },
  sample(sample) {
    setClock(sample.time)
    charts.add(sample)
    draw()
  },
  state(next) {
    state = next
    charts.keepMembersOf(next.proxies)
    draw()
  },
  connection(next) {
    connection = next
    draw()
  },
})
// Ages and idle times grow without an event.
setInterval(draw, 1_000)
// Hides the buttons from a visitor who may only view, because the server would refuse their changes.
void readToken().then(token => document.body.classList.toggle('view', token === null))
