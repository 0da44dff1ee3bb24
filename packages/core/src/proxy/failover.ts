import type { IncomingMessage } from 'node:http'
import type { WsTunnelError } from '../errors.ts'
import type { FailoverMessage, Logger } from '../options/events.ts'
import type { TunnelProxy } from '../options/tunnel-proxy.ts'
import type { Candidate, Candidates } from '../routing/candidates.ts'
import { unlessAborted } from '../util/abort.ts'
import { channels, log, pathOf } from './diagnostics.ts'
import type { Exchange } from './exchange.ts'
import { type Reply, roundTrip } from './round-trip.ts'

/**
 * Sends the request to one candidate after the other, until one responds or a failure is final. httpd: proxy_handler.
 *
 * @throws the last failure.
 */
export function withFailover(
  proxy: TunnelProxy,
  exchange: Exchange,
  candidates: Candidates,
  logger: Logger | undefined,
): Promise<Reply> {
  const { first } = candidates
  // Most requests need no more than this.
  return roundTrip(exchange, first).catch((error: unknown) =>
    failOver(proxy, exchange, candidates, first, error, logger),
  )
}

async function failOver(
  proxy: TunnelProxy,
  exchange: Exchange,
  candidates: Candidates,
  first: Candidate,
  failure: unknown,
  logger: Logger | undefined,
): Promise<Reply> {
  for (let [candidate, error] = [first, failure]; ; ) {
    exchange.leave()
    exchange.locate(error, candidate)
    const next = await unlessAborted(exchange.signal, candidates.next(error, exchange.bodySent))
    if (next === undefined) throw error
    publish(proxy, exchange.req, error as WsTunnelError, candidate, next, logger)
    try {
      return await roundTrip(exchange, next)
    } catch (cause) {
      candidate = next
      error = cause
    }
  }
}

function publish(
  proxy: TunnelProxy,
  req: IncomingMessage,
  error: WsTunnelError,
  { selection: from }: Candidate,
  { selection: to }: Candidate,
  logger: Logger | undefined,
): void {
  if (from === undefined || to === undefined) return
  log(logger, 'warn', `${req.method} ${pathOf(req)}: failed over to ${to.member.url}: ${error.message}`)
  if (!channels.failover.hasSubscribers) return
  channels.failover.publish({
    req,
    error,
    from: from.member,
    to: to.member,
    proxy,
  } satisfies FailoverMessage)
}
