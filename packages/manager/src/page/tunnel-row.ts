import { now } from './clock.ts'
import { confirmed } from './confirm.ts'
import { button, cell, el, type Part, row, setText } from './dom.ts'
import { bytes, duration } from './format.ts'
import type { TunnelView } from './types.ts'

/** Asks the server to change something, and shows its refusal. */
export type Act = (action: string, body: object) => Promise<void>

/** One open tunnel. */
export interface TunnelItem {
  tunnel: TunnelView
  /** As the table of routes has it. */
  route: string
}

/** Its row. */
export class TunnelRow implements Part<TunnelItem> {
  readonly node: HTMLElement
  readonly #client = cell('Client', 'code')
  readonly #path = cell('Path', 'code')
  readonly #route = cell('Route', 'number')
  readonly #member = cell('Member', 'code')
  readonly #age = cell('Age', 'number')
  readonly #idle = cell('Idle', 'number')
  readonly #up = cell('From client', 'number')
  readonly #down = cell('From backend', 'number')
  readonly #badge = el('span', { class: 'badge' }, 'draining')
  readonly #drain: HTMLButtonElement
  #tunnel: TunnelView

  constructor({ tunnel }: TunnelItem, act: Act) {
    this.#tunnel = tunnel
    const { proxy, id } = tunnel
    const name = cell('Tunnel')
    name.append(el('strong', {}, `#${id}`), ' ', this.#badge)
    this.#drain = button('Drain', `Drain tunnel ${id}: end it when it is quiet`, '', () =>
      act('drain-tunnels', { proxy, ids: [id] }),
    )
    const close = button('Close', `Close tunnel ${id}`, 'danger', async () => {
      if (await confirmed(`Close tunnel ${id}? Its client is cut off.`, 'Close it'))
        await act('close-tunnels', { proxy, ids: [id] })
    })
    const actions = cell('', 'actions')
    actions.append(this.#drain, close)
    const numbers = [this.#age, this.#idle, this.#up, this.#down]
    this.node = row(name, this.#client, this.#path, this.#route, this.#member, ...numbers, actions)
  }

  update({ tunnel, route }: TunnelItem): void {
    this.#tunnel = tunnel
    setText(this.#client, tunnel.client)
    setText(this.#path, tunnel.url)
    setText(this.#route, route)
    setText(this.#member, tunnel.member)
    setText(this.#up, bytes(tunnel.bytesFromClient))
    setText(this.#down, bytes(tunnel.bytesFromBackend))
    this.#drain.disabled = tunnel.draining
    this.#badge.hidden = !tunnel.draining
    this.tick()
  }

  /** What changes with the time alone. */
  tick(): void {
    setText(this.#age, duration(now() - this.#tunnel.openedAt))
    setText(this.#idle, duration(now() - this.#tunnel.activeAt))
  }
}
