import { confirmed } from './confirm.ts'
import { button, byId, cell, el, type Part, Parts, setText } from './dom.ts'
import { bytes, count, duration, plural } from './format.ts'
import type { TunnelList, TunnelView } from './types.ts'

/** Asks the server to change something, and shows its refusal. */
export type Act = (action: string, body: object) => Promise<void>

/** The open tunnels, with what can be done to them. */
export class Tunnels {
  readonly #act: Act
  readonly #rows: Parts<TunnelView>
  readonly #tick = new Set<() => void>()
  #list: TunnelView[] = []

  constructor(act: Act, search: (text: string) => void) {
    this.#act = act
    this.#rows = new Parts(
      byId('tunnel-list'),
      ({ proxy, id }) => `${proxy} ${id}`,
      tunnel => this.#createRow(tunnel),
    )
    const input = byId<HTMLInputElement>('search')
    let typing = 0
    input.addEventListener('input', () => {
      clearTimeout(typing)
      typing = setTimeout(() => search(input.value.trim()), 300)
    })
    byId('drain-all').addEventListener('click', () => void this.#all('drain-tunnels'))
    byId('close-all').addEventListener('click', async () => {
      const listed = this.#list
      if (await confirmed(`Close ${plural(listed.length, 'tunnel')}? Their clients are cut off.`, 'Close them'))
        await this.#all('close-tunnels', listed)
    })
    setInterval(() => {
      for (const tick of this.#tick) tick()
    }, 1_000)
  }

  show({ total, found, list }: TunnelList): void {
    this.#list = list
    this.#rows.show(list)
    const searching = byId<HTMLInputElement>('search').value.trim() !== ''
    setText(
      byId('count'),
      found === list.length && !searching ? count(total) : `${count(list.length)} of ${count(total)}`,
    )
    const none = byId('none')
    none.hidden = list.length > 0
    setText(none, searching ? 'No open tunnel matches the search.' : 'No tunnel is open.')
    byId('all').hidden = list.length === 0
  }

  async #all(action: 'close-tunnels' | 'drain-tunnels', listed: readonly TunnelView[] = this.#list): Promise<void> {
    const byProxy = Map.groupBy(listed, ({ proxy }) => proxy)
    for (const [proxy, tunnels] of byProxy) await this.#act(action, { proxy, ids: tunnels.map(({ id }) => id) })
  }

  #createRow({ proxy, id }: TunnelView): Part<TunnelView> {
    const [name, client, path, member] = [
      cell('Tunnel'),
      cell('Client', 'code'),
      cell('Path', 'code'),
      cell('Member', 'code'),
    ]
    const badge = el('span', { class: 'badge' }, 'draining')
    const [age, idle, up, down] = ['Age', 'Idle', 'From client', 'From backend'].map(label => cell(label, 'number'))
    const drain = button(
      'Drain',
      `Drain tunnel ${id}: end it when it is quiet`,
      '',
      () => void this.#act('drain-tunnels', { proxy, ids: [id] }),
    )
    const close = button('Close', `Close tunnel ${id}`, 'danger', async () => {
      if (await confirmed(`Close tunnel ${id}? Its client is cut off.`, 'Close it'))
        await this.#act('close-tunnels', { proxy, ids: [id] })
    })
    const actions = el('td', { class: 'actions' }, drain, close)
    const node = el('tr', {}, name, client, path, member, age as Node, idle as Node, up as Node, down as Node, actions)
    let seen: TunnelView
    const tick = (): void => {
      if (!node.isConnected) {
        this.#tick.delete(tick)
        return
      }
      setText(age as Node, duration(Date.now() - seen.openedAt))
      setText(idle as Node, duration(Date.now() - seen.activeAt))
    }
    this.#tick.add(tick)
    return {
      node,
      update: tunnel => {
        seen = tunnel
        setText(client, tunnel.client)
        setText(path, tunnel.url)
        setText(member, tunnel.member)
        setText(age as Node, duration(Date.now() - tunnel.openedAt))
        setText(idle as Node, duration(Date.now() - tunnel.activeAt))
        setText(up as Node, bytes(tunnel.bytesFromClient))
        setText(down as Node, bytes(tunnel.bytesFromBackend))
        drain.disabled = tunnel.draining
        if (name.firstChild === null) name.append(el('strong', {}, `#${id}`), ' ', badge)
        badge.hidden = !tunnel.draining
      },
    }
  }
}
