import { change, readToken, watch } from './api.ts'
import { Balancers } from './balancers.ts'
import { Charts } from './charts.ts'
import { setClock } from './clock.ts'
import { byId, keepTableRoles, setText } from './dom.ts'
import { showFleet } from './fleet.ts'
import { bytes, count, plural } from './format.ts'
import { Routes } from './routes.ts'
import { Tunnels } from './tunnels.ts'
import type { ProxyView, State } from './types.ts'

keepTableRoles(document)
const charts = new Charts()
const balancers = new Balancers(act)
const routes = new Routes()
const tunnels = new Tunnels(act, text => follow(text))
const follow = watch({
  history(samples) {
    charts.replace(samples)
    balancers.draw(charts.samples)
  },
  sample(sample) {
    setClock(sample.time)
    charts.add(sample)
    balancers.draw(charts.samples)
  },
  state: show,
  live(state) {
    const texts = { live: 'Live', connecting: 'Connecting…', refused: 'Not connected: the server refuses' }
    const live = byId('live')
    live.dataset.state = state
    setText(live, texts[state])
  },
})
follow('')
// Buttons that the server would refuse are not shown.
void readToken().then(token => document.body.classList.toggle('view', token === null))

async function act(action: string, body: object): Promise<void> {
  const notice = byId('notice')
  try {
    await change(action, body)
    notice.hidden = true
  } catch (error) {
    setText(notice, (error as Error).message)
    notice.hidden = false
  }
}

function show({ title, host, pid, fleet, proxies, tunnels: list }: State): void {
  setText(byId('title'), title)
  document.title = `${title} manager`
  setText(byId('where'), `${host}, process ${pid}`)
  setText(byId('totals'), totals(proxies))
  showFleet(fleet)
  balancers.show(proxies)
  routes.show(proxies)
  tunnels.show(list, proxies.length > 1)
}

/** `10 tunnels opened, 3 ended (2 finished, 1 idle), 1 failed (1 WST_ERR_CONNECT), 2 KB from clients, ...`. */
function totals(proxies: readonly ProxyView[]): string {
  const sum = (pick: (proxy: ProxyView) => number): number => proxies.reduce((all, proxy) => all + pick(proxy), 0)
  const listed = (pick: (proxy: ProxyView) => Record<string, number>): [number, string] => {
    const all = new Map<string, number>()
    for (const proxy of proxies)
      for (const [name, value] of Object.entries(pick(proxy))) all.set(name, (all.get(name) ?? 0) + value)
    const total = [...all.values()].reduce((a, b) => a + b, 0)
    return [total, total === 0 ? '' : ` (${Array.from(all, ([name, value]) => `${count(value)} ${name}`).join(', ')})`]
  }
  const [ended, reasons] = listed(proxy => proxy.ended)
  const [failed, codes] = listed(proxy => proxy.errors)
  return [
    `Since the manager started: ${plural(
      sum(proxy => proxy.opened),
      'tunnel',
    )} opened`,
    `${count(ended)} ended${reasons}`,
    `${count(failed)} failed before they opened${codes}`,
    `${bytes(sum(proxy => proxy.bytesFromClient))} from clients`,
    `${bytes(sum(proxy => proxy.bytesFromBackend))} from backends`,
  ].join(' · ')
}
