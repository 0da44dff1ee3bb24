import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { DiagnosticsMessages, TunnelProxy } from '@ws-tunnel/core'

/** What a manager needs of a proxy: `createTunnelProxy` makes one, and the middleware `wsTunnel()` is one. */
export type ManagedProxy = Pick<TunnelProxy, 'tunnels' | 'routes' | 'balancers'>

/** One proxy, a list of them, which may grow and shrink, or several by name. */
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
 * The proxies of this moment by name. One alone is `main`, those of a list are `1`, `2` and so on.
 *
 * @throws {TypeError} for what is no proxy.
 */
export function namedProxies(proxies: Proxies): Map<string, ManagedProxy> {
  if (isProxy(proxies)) return new Map([['main', proxies]])
  if (typeof proxies !== 'object' || proxies === null)
    throw new TypeError(`Expected a proxy, a list of them, or several by name, got ${typeof proxies}`)
  const named: [string, unknown][] =
    Symbol.iterator in proxies ? Array.from(proxies, (proxy, i) => [String(i + 1), proxy]) : Object.entries(proxies)
  for (const [name, proxy] of named)
    if (!isProxy(proxy))
      throw new TypeError(
        `Expected a proxy with tunnels, routes and balancers as ${JSON.stringify(name)}, got ${typeof proxy}`,
      )
  return new Map(named as [string, ManagedProxy][])
}

type OfProxy = Exclude<keyof DiagnosticsMessages, 'ws-tunnel:member' | 'ws-tunnel:health' | 'ws-tunnel:resolve'>

type Hearing = { [Name in OfProxy]?: (message: DiagnosticsMessages[Name], proxy: string) => void }

/**
 * Hears what happens in these proxies alone, with the name of the one it happens in.
 *
 * @returns the function that stops it.
 */
export function hear(proxies: Proxies, hearing: Hearing): () => void {
  const nameOf = ({ tunnels }: ManagedProxy): string | undefined => {
    for (const [name, proxy] of namedProxies(proxies)) if (proxy.tunnels === tunnels) return name
    return undefined
  }
  const listeners = Object.entries(hearing).map(([channel, listener]) => {
    const heard = (message: unknown): void => {
      const name = nameOf((message as { proxy: ManagedProxy }).proxy)
      if (name !== undefined) (listener as (message: unknown, proxy: string) => void)(message, name)
    }
    subscribe(channel, heard)
    return () => void unsubscribe(channel, heard)
  })
  return () => {
    for (const stop of listeners) stop()
  }
}
