import type { FallbackFunction } from '../options/route-options.ts'
import { onAbort } from '../util/abort.ts'
import type { Exchange } from './exchange.ts'

/**
 * Passes a plain request to a function of the app. Resolves with whether it took the request: `true` when the response is
 * closed, `false` when the function calls `next()`. Only the first of these counts.
 *
 * @throws what the function throws, what its promise rejects with, or what it passes to `next`.
 */
export async function callFallback(exchange: Exchange, call: FallbackFunction): Promise<boolean> {
  const { req, res, signal } = exchange
  exchange.beginResponse()
  exchange.isServedByApp = true
  const { promise, resolve, reject } = Promise.withResolvers<boolean>()
  const resOnClose = (): void => resolve(true)
  const next = (error?: unknown): void => (error ? reject(error) : resolve(false))
  res.on('close', resOnClose)
  const stop = onAbort(signal, reject)
  try {
    Promise.resolve(call(req, res, next)).catch(reject)
    return await promise
  } finally {
    stop()
    res.off('close', resOnClose)
  }
}
