import type { IncomingMessage, ServerResponse } from 'node:http'
import { Registry } from 'prom-client'
import { type AccessOptions, checkAccess, visit } from '../http/access.ts'
import { send, sendText } from '../http/responses.ts'
import type { Proxies } from '../util/proxies.ts'
import { wrongOption } from '../util/wrong-option.ts'
import { TunnelMetrics } from './tunnel-metrics.ts'

/** Options of the metrics. */
export interface MetricsOptions extends AccessOptions {
  /**
   * The registry of prom-client, to have other metrics in the same response.
   *
   * @default a registry with only these metrics
   */
  register?: Registry
  /**
   * The beginning of every name.
   *
   * @default 'ws_tunnel_'
   */
  prefix?: string
  /**
   * The largest number of backends of one proxy that get their own label. Further backends get the label `other`.
   *
   * @default 200
   */
  maxMembers?: number
}

/**
 * Middleware for Express and Connect, and a request listener for node:http, that responds in the Prometheus text
 * format.
 */
export interface MetricsPage {
  (req: IncomingMessage, res: ServerResponse, next?: (error?: unknown) => void): void
  readonly register: Registry
  /** Stops counting, and removes the metrics from the registry. */
  close(): void
}

/**
 * Prometheus metrics of tunnels: `app.use('/metrics', metricsPage(tunnel, { authorize }))`. Needs the package
 * `prom-client`.
 *
 * @throws {TypeError} if neither `authorize` nor `unsafeOpen: true` is set.
 */
export function metricsPage(proxies: Proxies, options: MetricsOptions): MetricsPage {
  if (typeof options !== 'object' || options === null)
    wrongOption('options', 'given: `authorize` says who may read the metrics', options)
  const { register = new Registry(), prefix = 'ws_tunnel_', maxMembers = 200 } = options
  const authorize = checkAccess(options)
  const metrics = new TunnelMetrics(proxies, { register, prefix, maxMembers })
  const serve = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    const visitor = await visit(authorize, req)
    if (!visitor.allowed)
      sendText(res, visitor.statusCode, visitor.statusCode === 401 ? 'Unauthorized' : 'Forbidden', visitor.headers)
    else if (req.method !== 'GET' && req.method !== 'HEAD') sendText(res, 405, 'Expected GET', { Allow: 'GET, HEAD' })
    else send(res, 200, register.contentType, await register.metrics())
  }
  const page = (req: IncomingMessage, res: ServerResponse, next?: (error?: unknown) => void): void => {
    serve(req, res).catch(error => (next === undefined ? sendText(res, 500, 'Internal server error') : next(error)))
  }
  return Object.assign(page, { register, close: () => metrics.close() })
}
