import type { IncomingMessage } from 'node:http'
import type { WsTunnelError } from '../errors.ts'
import type { FailoverMessage } from '../options/events.ts'
import type { TunnelProxy } from '../options/tunnel-proxy.ts'
import type { Candidate, Candidates } from '../routing/candidates.ts'
import { unlessAborted } from '../util/abort.ts'
import { channels } from './diagnostics.ts'
import type { Exchange } from './exchange.ts'

/**
 * Sends the request to one candidate after the other, until one responds or a failure is final. httpd: proxy_handler.
 *
 * @throws the last failure.
 */
export async function withFailover<T>(
  proxy: TunnelProxy,
  exchange: Exchange,
  candidates: Candidates,
  attempt: (candidate: Candidate) => Promise<T>,
): Promise<T> {
  for (let candidate = candidates.first; ; ) {
    try {
      return await attempt(candidate)
    } catch (error) {
      exchange.locate(error, candidate)
      const next = await unlessAborted(exchange.signal, candidates.next(error, exchange.bodySent))
      if (next === undefined) throw error
      publish(proxy, exchange.req, error as WsTunnelError, candidate, next)
      candidate = next
    }
  }
}

function publish(
  proxy: TunnelProxy,
  req: IncomingMessage,
  error: WsTunnelError,
  { selection: from }: Candidate,
  { selection: to }: Candidate,
): void {
  if (from === undefined || to === undefined || !channels.failover.hasSubscribers) return
  channels.failover.publish({
    req,
    error,
    from: from.member,
    to: to.member,
    proxy,
  } satisfies FailoverMessage)
}
