import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { DiagnosticsMessages, TunnelProxy } from '@ws-tunnel/core'

/**
 * The part of a proxy that a manager uses. Results of `createTunnelProxy`, `wsTunnel` and `wsTunnelHandler` have it.
 */
export type ManagedProxy = Pick<TunnelProxy, 'tunnels' | 'routes' | 'balancers'>

/** One proxy, a list of proxies that may grow and shrink, or several proxies by name. */
export type Proxies = ManagedProxy | Iterable<ManagedProxy> | Readonly<Record<string, ManagedProxy>>

const isSet = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && 'size' in value && Symbol.iterator in value

const isProxy = (value: unknown): value is ManagedProxy =>
  (typeof value === 'object' || typeof value === 'function') &&
  value !== null &&
  isSet((value as ManagedProxy).tunnels) &&
  Array.isArray((value as ManagedProxy).routes) &&
  (value as ManagedProxy).balancers instanceof Map

/**
 * The current proxies by name. A single proxy is `main`. The proxies of a list are `1`, `2` and so on.
 *
 * @throws {TypeError} for a value that is not a proxy.
 */
export function namedProxies(proxies: Proxies): Map<string, ManagedProxy> {
  if (isProxy(proxies)) return new Map([['main', proxies]])
  if (typeof proxies !== 'object' || proxies === null)
    throw new TypeError(`Expected a proxy, a list of proxies, or several by name, got ${typeof proxies}`)
  const named: [string, unknown][] =
    Symbol.iterator in proxies ? Array.from(proxies, (proxy, i) => [String(i + 1), proxy]) : Object.entries(proxies)
  for (const [name, proxy] of named)
    if (!isProxy(proxy))
      throw new TypeError(
        `Expected a proxy with tunnels, routes and balancers as ${JSON.stringify(name)}, got ${typeof proxy}`,
      )
  return new Map(named as [string, ManagedProxy][])
}

/** The channels whose messages carry a proxy. */
type ProxyChannel = Exclude<
  keyof DiagnosticsMessages,
  'ws-tunnel:handover' | 'ws-tunnel:member' | 'ws-tunnel:health' | 'ws-tunnel:resolve'
>

/** A listener for each channel. `proxyName` is the name of the proxy that the message is about. */
type ProxyListeners = { [Channel in ProxyChannel]?: (message: DiagnosticsMessages[Channel], proxyName: string) => void }

/**
 * Subscribes to diagnostics channels. The listeners get the messages about these proxies only.
 *
 * @returns a function that unsubscribes.
 */
export function subscribeToProxies(proxies: Proxies, listeners: ProxyListeners): () => void {
  const nameOf = ({ tunnels }: ManagedProxy): string | undefined => {
    for (const [name, proxy] of namedProxies(proxies)) if (proxy.tunnels === tunnels) return name
    return undefined
  }
  const stops = Object.entries(listeners).map(([channel, listener]) => {
    const onMessage = (message: unknown): void => {
      const name = nameOf((message as { proxy: ManagedProxy }).proxy)
      if (name !== undefined) (listener as (message: unknown, proxyName: string) => void)(message, name)
    }
    subscribe(channel, onMessage)
    return () => void unsubscribe(channel, onMessage)
  })
  return () => {
    for (const stop of stops) stop()
  }
}
