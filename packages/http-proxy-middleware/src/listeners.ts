import { WsTunnelError } from '@ws-tunnel/core'
import type { Plugin } from 'http-proxy-middleware'

/** The object of httpxy that http-proxy-middleware gives to its plugins. */
export type ProxyServer = Parameters<Plugin>[0]

/** What the listeners are called for. */
export interface ListenerOwner {
  failByListener(error: WsTunnelError): void
}

/** Calls the listeners of an event. An exception of one, or a promise that rejects, goes to `owner` and does not end the process. */
export function callListeners(
  server: ProxyServer,
  event: string,
  args: readonly unknown[],
  owner: ListenerOwner,
): void {
  const report = (cause: unknown): void =>
    owner.failByListener(
      new WsTunnelError('WST_ERR_CALLBACK', { detail: `a listener of ${event} failed: ${cause}`, cause }),
    )
  for (const listener of server.rawListeners(event as never)) {
    try {
      const result: unknown = Reflect.apply(listener, server, args)
      if (result instanceof Promise) result.catch(report)
    } catch (cause) {
      report(cause)
    }
  }
}
