import { hostname } from 'node:os'
import type { Tunnel } from '@ws-tunnel/core'
import type { MemberMemory } from './balancers.ts'
import type { ProxyCounts } from './meter.ts'
import type { ProxyView, TunnelList, TunnelView } from './page/types.ts'
import type { ManagedProxy } from './proxies.ts'
import { clip } from './text.ts'

/** Tunnels that one answer lists at most. */
export const MAX_TUNNELS = 1_000

export function viewProxy(
  name: string,
  proxy: ManagedProxy,
  { routes, ...counts }: ProxyCounts,
  memory: MemberMemory,
): ProxyView {
  return {
    name,
    open: proxy.tunnels.size,
    ...counts,
    balancers: Array.from(proxy.balancers.values(), balancer => memory.view(balancer)),
    routes: proxy.routes.map(({ index, path, target, hits, open, maxTunnels }) => ({
      index,
      path: clip(path),
      target: typeof target === 'string' ? clip(target) : target,
      hits,
      open,
      maxTunnels,
      ...(routes.get(index) ?? { bytesFromClient: 0, bytesFromBackend: 0 }),
    })),
  }
}

/** What is looked for among the tunnels, and how many of them are wanted. */
export interface TunnelQuery {
  search: string
  limit: number
}

/** @param draining those that end when they are quiet. */
export function listTunnels(
  proxies: ReadonlyMap<string, { proxy: ManagedProxy }>,
  { search, limit }: TunnelQuery,
  draining: ReadonlySet<Tunnel>,
  showQuery: boolean,
): TunnelList {
  const wanted = search.toLowerCase()
  const newest: [string, Tunnel][] = []
  let total = 0
  let found = 0
  for (const [name, { proxy }] of proxies) {
    // They stand in the order they opened in, so a ring of `limit` keeps the newest of each proxy.
    const ring: [string, Tunnel][] = []
    let place = 0
    for (const tunnel of proxy.tunnels as ReadonlySet<Tunnel>) {
      total++
      if (wanted !== '' && !textOf(tunnel, showQuery).includes(wanted)) continue
      found++
      ring[place++ % limit] = [name, tunnel]
    }
    newest.push(...ring)
  }
  newest.sort(([, a], [, b]) => b.openedAt - a.openedAt || b.id - a.id)
  return {
    total,
    found,
    list: newest.slice(0, limit).map(([name, tunnel]) => viewTunnel(name, tunnel, draining, showQuery)),
  }
}

const urlOf = ({ info: { url } }: Tunnel, showQuery: boolean): string =>
  clip(showQuery ? url : url.replace(/\?.*$/s, '?…'))

function textOf(tunnel: Tunnel, showQuery: boolean): string {
  const { clientAddress, target, member = '', protocol } = tunnel.info
  return `#${tunnel.id} ${clientAddress} ${urlOf(tunnel, showQuery)} ${target} ${member} ${protocol}`.toLowerCase()
}

function viewTunnel(proxy: string, tunnel: Tunnel, draining: ReadonlySet<Tunnel>, showQuery: boolean): TunnelView {
  const { clientAddress, route, target, member, protocol } = tunnel.info
  return {
    proxy,
    id: tunnel.id,
    route,
    client: clientAddress,
    url: urlOf(tunnel, showQuery),
    member: clip(member ?? target),
    protocol: clip(protocol),
    openedAt: tunnel.openedAt,
    activeAt: Math.round((Date.now() - tunnel.idle) / 1_000) * 1_000,
    bytesFromClient: tunnel.bytesFromClient,
    bytesFromBackend: tunnel.bytesFromBackend,
    draining: draining.has(tunnel),
  }
}

export const HOST: string = hostname()
