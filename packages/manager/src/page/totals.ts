import { bytes, count, plural } from './format.ts'
import type { ProxyView } from './types.ts'

/** The totals of all proxies: `10 tunnels opened · 3 ended (2 finished, 1 idle) · 1 failed before they opened (...)`. */
export function totalsText(proxies: readonly ProxyView[]): string {
  const sum = (pick: (proxy: ProxyView) => number): number => proxies.reduce((total, proxy) => total + pick(proxy), 0)
  const opened = sum(proxy => proxy.opened)
  return [
    `Since the manager started: ${plural(opened, 'tunnel')} opened`,
    withCauses(proxies, 'ended', 'ended'),
    withCauses(proxies, 'errors', 'failed before they opened'),
    `${bytes(sum(proxy => proxy.bytesFromClient))} from clients`,
    `${bytes(sum(proxy => proxy.bytesFromBackend))} from backends`,
  ].join(' · ')
}

/** `3 ended (2 finished, 1 idle)`. */
function withCauses(proxies: readonly ProxyView[], counts: 'ended' | 'errors', text: string): string {
  const causes = new Map<string, number>()
  for (const proxy of proxies)
    for (const [cause, times] of Object.entries(proxy[counts])) causes.set(cause, (causes.get(cause) ?? 0) + times)
  const total = [...causes.values()].reduce((sum, times) => sum + times, 0)
  const listed = Array.from(causes, ([cause, times]) => `${count(times)} ${cause}`).join(', ')
  return `${count(total)} ${text}${total === 0 ? '' : ` (${listed})`}`
}
