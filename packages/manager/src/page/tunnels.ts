import { confirmed } from './confirm.ts'
import { byId, Parts, setText } from './dom.ts'
import { count, plural, routeName } from './format.ts'
import { type Act, type TunnelItem, TunnelRow } from './tunnel-row.ts'
import type { TunnelList, TunnelView } from './types.ts'

/** ms without typing after which the search is sent. */
const TYPING = 300

/** The open tunnels, with what can be done to them. */
export class Tunnels {
  readonly #act: Act
  readonly #rows: Parts<TunnelItem, TunnelRow>
  readonly #search = byId<HTMLInputElement>('search')
  #list: TunnelView[] = []

  constructor(act: Act, search: (text: string) => void) {
    this.#act = act
    this.#rows = new Parts(
      byId('tunnel-list'),
      ({ tunnel: { proxy, id } }) => `${proxy} ${id}`,
      item => new TunnelRow(item, act),
    )
    let typing = 0
    this.#search.addEventListener('input', () => {
      clearTimeout(typing)
      typing = setTimeout(() => search(this.#searched), TYPING)
    })
    byId('drain-all').addEventListener('click', () => this.#all('drain-tunnels', this.#list))
    byId('close-all').addEventListener('click', async () => {
      const listed = this.#list
      if (await confirmed(`Close ${plural(listed.length, 'tunnel')}? Their clients are cut off.`, 'Close them'))
        await this.#all('close-tunnels', listed)
    })
    setInterval(() => {
      for (const row of this.#rows.all) row.tick()
    }, 1_000)
  }

  /** @param several there are tunnels of several proxies. */
  show({ total, found, list }: TunnelList, several: boolean): void {
    this.#list = list
    this.#rows.show(list.map(tunnel => ({ tunnel, route: routeName(tunnel.proxy, tunnel.route, several) })))
    const all = found === list.length && this.#searched === ''
    setText(byId('count'), all ? count(total) : `${count(list.length)} of ${count(total)}`)
    const none = byId('none')
    none.hidden = list.length > 0
    setText(none, this.#searched === '' ? 'No tunnel is open.' : 'No open tunnel matches the search.')
    byId('all').hidden = list.length === 0
  }

  get #searched(): string {
    return this.#search.value.trim()
  }

  async #all(action: 'close-tunnels' | 'drain-tunnels', listed: readonly TunnelView[]): Promise<void> {
    const byProxy = Map.groupBy(listed, ({ proxy }) => proxy)
    for (const [proxy, tunnels] of byProxy) await this.#act(action, { proxy, ids: tunnels.map(({ id }) => id) })
  }
}
