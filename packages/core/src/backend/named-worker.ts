import type { WorkerSettings } from '../options/backend-options.ts'
import type { RouteSettings } from '../options/route-options.ts'
import { Slots } from '../util/slots.ts'

/** A backend with its own settings. They override those of a route, and all routes share its slots. */
export class NamedWorker {
  readonly url: string
  readonly #overrides: WorkerSettings['overrides']
  /** Slots for tunnels. */
  readonly slots: Slots
  readonly #effective = new WeakMap<RouteSettings, RouteSettings>()

  constructor({ url, overrides, maxTunnels, acquireTimeout }: WorkerSettings) {
    this.url = url
    this.#overrides = overrides
    this.slots = new Slots(maxTunnels, acquireTimeout, url)
  }

  /** The settings of the route, overridden by those of the worker. Computed once per route. */
  settings(route: RouteSettings): RouteSettings {
    let settings = this.#effective.get(route)
    if (settings === undefined) {
      settings = Object.freeze({ ...route, ...this.#overrides })
      this.#effective.set(route, settings)
    }
    return settings
  }
}

/** Finds the worker for the URL of a request. httpd: ap_proxy_get_worker_ex. */
export class WorkerTable {
  readonly #workers: readonly { name: string; pieces: readonly string[]; worker: NamedWorker }[]

  constructor(list: readonly WorkerSettings[]) {
    this.#workers = list.map(settings => {
      const name = nameOf(settings.url)
      return { name, pieces: name.split(/(?:\$\d)+/), worker: new NamedWorker(settings) }
    })
  }

  get empty(): boolean {
    return this.#workers.length === 0
  }

  /** The worker with the longest name that the URL begins with; of two with the same name, the first. */
  find(url: string): NamedWorker | undefined {
    const origin = /^[a-z][a-z0-9]*:\/\/[^/]*/.exec(url)?.[0] ?? url
    let found: { name: string; worker: NamedWorker } | undefined
    for (const each of this.#workers) {
      const { name, pieces } = each
      if (name.length > url.length || name.length <= (found?.name.length ?? 0)) continue
      const matches = beginsWith(url, pieces) && (pieces.length > 1 || name.length >= origin.length)
      if (matches) found = each
    }
    return found?.worker
  }
}

/** The URL without its unix socket, with its origin in lower case and without the default port of its scheme. */
const nameOf = (url: string): string =>
  url
    .replace(/^unix:[^|]*\|/, '')
    .replace(/^[a-z][a-z0-9]*:\/\/[^/]*/i, origin =>
      origin.toLowerCase().replace(/^((?:ws|http|h2c):.*):80$|^((?:wss|https|h2):.*):443$/, '$1$2'),
    )

/** `$1` in a name stands for any text; each piece matches at its first occurrence. httpd: ap_proxy_strcmp_ematch. */
function beginsWith(url: string, pieces: readonly string[]): boolean {
  const [start = '', ...others] = pieces
  if (!url.startsWith(start)) return false
  let end = start.length
  return others.every(piece => {
    const at = url.indexOf(piece, end)
    end = at + piece.length
    return at !== -1
  })
}
