import type { WorkerSettings } from '../options/balancer-options.ts'
import type { RouteSettings } from '../options/options.ts'
import { Places } from '../util/slots.ts'

/** A backend that says something of itself: its settings go over those of a route, its places are shared by all routes. */
export class NamedWorker {
  readonly url: string
  readonly #over: Partial<RouteSettings>
  /** For tunnels; all routes share them. */
  readonly slots: Places
  readonly #effective = new WeakMap<RouteSettings, RouteSettings>()

  constructor({ url, over, maxTunnels, acquireTimeout }: WorkerSettings) {
    this.url = url
    this.#over = over
    this.slots = new Places(maxTunnels, acquireTimeout, url)
  }

  /** The route's settings with its own over them. */
  settings(route: RouteSettings): RouteSettings {
    let settings = this.#effective.get(route)
    if (settings === undefined) {
      settings = Object.freeze({ ...route, ...this.#over })
      this.#effective.set(route, settings)
    }
    return settings
  }
}

/** Named workers by the URL of a request. httpd: ap_proxy_get_worker_ex. */
export class WorkerTable {
  readonly #workers: readonly { name: string; pieces: readonly string[]; worker: NamedWorker }[]

  constructor(list: readonly WorkerSettings[]) {
    this.#workers = list.map(settings => {
      const name = withoutSocket(lowerOrigin(settings.url))
      return { name, pieces: name.split(/(?:\$\d)+/), worker: new NamedWorker(settings) }
    })
  }

  get empty(): boolean {
    return this.#workers.length === 0
  }

  /** The one with the longest name that the URL begins with; of two with one name the first. */
  find(url: string): NamedWorker | undefined {
    const origin = /^[a-z]+:\/\/[^/]*/.exec(url)?.[0] ?? url
    let found: { name: string; worker: NamedWorker } | undefined
    for (const each of this.#workers) {
      const { name, pieces } = each
      if (name.length > url.length || name.length <= (found?.name.length ?? 0)) continue
      const matches = startsAs(url, pieces) && (pieces.length > 1 || name.length >= origin.length)
      if (matches) found = each
    }
    return found?.worker
  }
}

const lowerOrigin = (url: string): string =>
  url
    .replace(
      /^((?:unix:[^|]*\|)?)([a-z]+:\/\/[^/]*)/i,
      (_, socket: string, origin: string) => socket + origin.toLowerCase(),
    )
    .replace(/^((?:unix:[^|]*\|)?(?:ws|http):\/\/[^/]*):80(?=\/|$)/, '$1')
    .replace(/^((?:unix:[^|]*\|)?(?:wss|https):\/\/[^/]*):443(?=\/|$)/, '$1')

const withoutSocket = (url: string): string => url.replace(/^unix:[^|]*\|/, '')

/** `$1` in a name stands for any text, each piece found where it comes first. httpd: ap_proxy_strcmp_ematch. */
function startsAs(url: string, pieces: readonly string[]): boolean {
  const [start = '', ...others] = pieces
  if (!url.startsWith(start)) return false
  let end = start.length
  return others.every(piece => {
    const at = url.indexOf(piece, end)
    end = at + piece.length
    return at !== -1
  })
}
