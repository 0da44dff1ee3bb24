import type { Tunnel } from '@ws-tunnel/core'
import type { TunnelList, TunnelView } from '../page/types.ts'
import { clip } from '../util/clip.ts'
import type { ManagedProxy } from '../util/proxies.ts'
import type { TunnelQuery, TunnelSort } from './tunnel-query.ts'

/** ms without a byte after which a tunnel counts as idle. */
const IDLE = 60_000

/** What the list shows of its tunnels. */
export interface TunnelListOptions {
  /** The tunnels that end when they are quiet. */
  readonly draining: ReadonlySet<Tunnel>
  /** Shows queries of URLs. Otherwise they are hidden, and not searched. */
  readonly showQuery: boolean
}

type Named = readonly [proxy: string, tunnel: Tunnel]

/** The open tunnels that match the query, sorted. */
export function listTunnels(
  proxies: ReadonlyMap<string, ManagedProxy>,
  query: TunnelQuery,
  options: TunnelListOptions,
): TunnelList {
  const { limit, offset } = query
  const matches = matcher(query, options)
  const found: Named[] = []
  let total = 0
  for (const [name, proxy] of proxies) {
    total += proxy.tunnels.size
    for (const tunnel of proxy.tunnels as ReadonlySet<Tunnel>) if (matches(name, tunnel)) found.push([name, tunnel])
  }
  sort(found, query)
  const list = found.slice(offset, offset + limit).map(([name, tunnel]) => viewTunnel(name, tunnel, options))
  return { total, found: found.length, list }
}

function matcher(query: TunnelQuery, options: TunnelListOptions): (proxy: string, tunnel: Tunnel) => boolean {
  const search = query.search.toLowerCase()
  const { client, member, route, state } = query
  return (proxy, tunnel) => {
    const { info } = tunnel
    if (route !== '' && route !== `${proxy} ${info.route}`) return false
    if (client !== '' && !info.clientAddress.toLowerCase().includes(client)) return false
    if (member !== '' && !(info.member ?? info.target).toLowerCase().includes(member)) return false
    if (state === 'draining' && !options.draining.has(tunnel)) return false
    if (state === 'idle' && tunnel.idle < IDLE) return false
    return search === '' || searchText(tunnel, options).includes(search)
  }
}

/** Ascending. The list is in the order of `age` if they are equal. */
const COMPARISONS: Record<TunnelSort, (a: Tunnel, b: Tunnel) => number> = {
  age: (a, b) => b.openedAt - a.openedAt || b.id - a.id,
  idle: (a, b) => a.idle - b.idle,
  client: (a, b) => compareText(a.info.clientAddress, b.info.clientAddress),
  url: (a, b) => compareText(a.info.url, b.info.url),
  member: (a, b) => compareText(a.info.member ?? a.info.target, b.info.member ?? b.info.target),
  route: (a, b) => a.info.route - b.info.route,
  bytesFromClient: (a, b) => b.bytesFromClient - a.bytesFromClient,
  bytesFromBackend: (a, b) => b.bytesFromBackend - a.bytesFromBackend,
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

function sort(found: Named[], { sort, reverse }: TunnelQuery): void {
  const compare = COMPARISONS[sort]
  const sign = reverse ? -1 : 1
  found.sort(([, a], [, b]) => sign * compare(a, b) || COMPARISONS.age(a, b))
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
    handovers: tunnel.handovers,
  }
}
