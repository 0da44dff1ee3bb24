import type { Balancer, Member } from '@ws-tunnel/core'
import type { BalancerView, MemberView, ProxyView } from '../page/types.ts'
import { clip } from '../util/clip.ts'
import type { ManagedProxy } from '../util/proxies.ts'
import type { MemberHistory } from './member-history.ts'
import type { ProxyCounts } from './meter.ts'

/** A proxy with its routes and balancers, as the API gives it. */
export function viewProxy(
  name: string,
  proxy: ManagedProxy,
  { routes: traffic, ...counts }: ProxyCounts,
  history: MemberHistory,
): ProxyView {
  return {
    name,
    open: proxy.tunnels.size,
    ...counts,
    balancers: Array.from(proxy.balancers.values(), balancer => viewBalancer(balancer, history)),
    routes: proxy.routes.map(({ index, path, target, hits, open, maxTunnels }) => ({
      index,
      path: clip(path),
      target: typeof target === 'string' ? clip(target) : target,
      hits,
      open,
      maxTunnels,
      ...(traffic.get(index) ?? { bytesFromClient: 0, bytesFromBackend: 0 }),
    })),
  }
}

function viewBalancer(balancer: Balancer, history: MemberHistory): BalancerView {
  const { name, members, lbMethod, stickySession, attempts, timeout } = balancer
  const { cookie = '', path = cookie, noFailover = false } = stickySession ?? {}
  return {
    name,
    lbMethod,
    stickySession: clip(cookie === path ? cookie : `${cookie}|${path}`),
    noFailover,
    attempts,
    timeout,
    members: members.map(member => viewMember(member, history)),
  }
}

function viewMember(member: Member, history: MemberHistory): MemberView {
  const { url, status, loadFactor, lbSet, retry, busy, failures, tunnels, health } = member
  const { routeId = '', redirect = '' } = member
  const { id, changes, checks } = history.of(member)
  return {
    id,
    url,
    routeId,
    redirect,
    status,
    usable: member.available,
    loadFactor,
    lbSet,
    retry,
    selected: member.selected,
    load: member.lbStatus,
    busy,
    open: tunnels.size,
    failures,
    bytesFromClient: member.bytesSent,
    bytesFromBackend: member.bytesReceived,
    changes,
    health: health === undefined ? null : { ...health, detail: clip(health.detail) },
    checks,
  }
}
