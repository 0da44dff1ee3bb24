import type { IncomingMessage } from 'node:http'
import type { WsTunnelError } from '../errors.ts'
import type { Member } from '../options/balancer-options.ts'
import type { DiagnosticsMessages } from '../options/events.ts'
import type { TunnelProxy } from '../options/tunnel-proxy.ts'
import type { BodySent, Destination } from '../routing/destination.ts'
import { channels } from './diagnostics.ts'

interface Asking<T> {
  readonly ask: (destination: Destination) => Promise<T>
  /** What of the body is sent by now. */
  readonly body?: () => BodySent
  /** Waits for the next destination, or rejects earlier. */
  readonly patiently?: (next: Promise<Destination>) => Promise<Destination>
}

/** Asks the destination, and after a failure the one that is next. httpd: proxy_handler. */
export async function askInTurn<T>(
  proxy: TunnelProxy,
  req: IncomingMessage,
  first: Destination,
  { ask, body, patiently = next => next }: Asking<T>,
): Promise<T> {
  for (let destination = first; ; ) {
    try {
      return await ask(destination)
    } catch (error) {
      const found = destination.selection?.next(error, body?.())
      const next = found instanceof Promise ? await patiently(found) : found
      if (next === undefined) throw error
      if (channels.failover.hasSubscribers)
        channels.failover.publish({
          req,
          error: error as WsTunnelError,
          from: destination.selection?.member as Member,
          to: next.selection?.member as Member,
          proxy,
        } satisfies DiagnosticsMessages['ws-tunnel:failover'])
      destination = next
    }
  }
}
