import type { Tunnel } from '@ws-tunnel/core'
import type { TunnelList, TunnelView } from '../page/types.ts'
import { clip } from '../util/clip.ts'
import type { ManagedProxy } from '../util/proxies.ts'
import { Refusal } from '../util/refusal.ts'

/** The largest number of tunnels in one list. */
const MAX_TUNNELS = 1_000

/** The number of tunnels in a list if the request sets no limit. */
const DEFAULT_TUNNELS = 200

/** Longest search, in characters. */
const MAX_SEARCH = 200

/** Selects the tunnels of a list. */
export interface TunnelQuery {
  /** A text that the tunnel must contain; empty for all tunnels. */
  search: string
  limit: number
}

/** @throws {Refusal} 400 for a wrong `limit`. */
export function readTunnelQuery(query: URLSearchParams): TunnelQuery {
  const [text = String(DEFAULT_TUNNELS), second] = query.getAll('limit')
  const limit = /^\d{1,4}$/.test(text) && second === undefined ? Number(text) : 0
  if (limit < 1 || limit > MAX_TUNNELS)
    throw new Refusal(400, `Expected \`limit\` to be a whole number from 1 to ${MAX_TUNNELS}`)
  return { search: (query.get('search') ?? '').slice(0, MAX_SEARCH), limit }
}

/** What the list shows of its tunnels. */
export interface TunnelListOptions {
  /** The tunnels that end when they are quiet. */
  readonly draining: ReadonlySet<Tunnel>
  /** Shows queries of URLs. Otherwise they are hidden, and not searched. */
  readonly showQuery: boolean
}

/** The newest open tunnels that match the query. */
export function listTunnels(
  proxies: ReadonlyMap<string, ManagedProxy>,
  { search, limit }: TunnelQuery,
  options: TunnelListOptions,
): TunnelList {
  const wanted = search.toLowerCase()
  const newest: [string, Tunnel][] = []
  let total = 0
  let found = 0
  for (const [name, proxy] of proxies) {
    // A proxy has its tunnels in the order in which they opened, so a ring of `limit` keeps its newest ones.
    const ring: [string, Tunnel][] = []
    let next = 0
    for (const tunnel of proxy.tunnels as ReadonlySet<Tunnel>) {
      total++
      if (wanted !== '' && !searchText(tunnel, options).includes(wanted)) continue
      found++
      ring[next++ % limit] = [name, tunnel]
    }
    newest.push(...ring)
  }
  newest.sort(([, a], [, b]) => b.openedAt - a.openedAt || b.id - a.id)
  return { total, found, list: newest.slice(0, limit).map(([name, tunnel]) => viewTunnel(name, tunnel, options)) }
}

function urlOf(tunnel: Tunnel, { showQuery }: TunnelListOptions): string {
  const { url } = tunnel.info
  return clip(showQuery ? url : url.replace(/\?.*$/s, '?…'))
}

function searchText(tunnel: Tunnel, options: TunnelListOptions): string {
  const { clientAddress, target, member = '', protocol } = tunnel.info
  return `#${tunnel.id} ${clientAddress} ${urlOf(tunnel, options)} ${target} ${member} ${protocol}`.toLowerCase()
}

function viewTunnel(proxy: string, tunnel: Tunnel, options: TunnelListOptions): TunnelView {
  const { clientAddress, route, target, member, protocol } = tunnel.info
  return {
    proxy,
    id: tunnel.id,
    route,
    client: clientAddress,
    url: urlOf(tunnel, options),
    member: clip(member ?? target),
    protocol: clip(protocol),
    openedAt: tunnel.openedAt,
    activeAt: Math.round((Date.now() - tunnel.idle) / 1_000) * 1_000,
    bytesFromClient: tunnel.bytesFromClient,
    bytesFromBackend: tunnel.bytesFromBackend,
    draining: options.draining.has(tunnel),
  }
}
