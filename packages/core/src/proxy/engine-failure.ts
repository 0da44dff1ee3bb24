import { WsTunnelError } from '../errors.ts'
import { unlessAborted } from '../util/abort.ts'
import { requestedUpgrade } from './decide.ts'
import type { Exchange } from './exchange.ts'

/** The statuses of a request that got no response of a backend. */
const FAILURES: ReadonlySet<number> = new Set([502, 503, 504])

/**
 * Passes the failure of a plain request to the engine of its route. Resolves with whether the engine has responded, when its
 * response is closed.
 *
 * @throws what the engine throws.
 */
export async function respondsByEngine(exchange: Exchange, error: unknown): Promise<boolean> {
  const { match, req, res, signal } = exchange
  const { settings } = match.route
  const { fallback } = settings
  if (typeof fallback !== 'object' || fallback.failed === undefined) return false
  if (!(error instanceof WsTunnelError) || !FAILURES.has(error.statusCode)) return false
  if (error.code === 'WST_ERR_BACKEND_STATUS' || error.code === 'WST_ERR_CLOSING') return false
  if (requestedUpgrade(req, settings).token !== undefined) return false
  exchange.beginResponse()
  if (res.headersSent || res.destroyed || !(await fallback.failed(error, req, res))) return false
  if (res.closed) return true
  const { promise: closed, resolve } = Promise.withResolvers<void>()
  res.once('close', resolve)
  await unlessAborted(signal, closed)
  return true
}
