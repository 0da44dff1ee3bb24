import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FallbackEngine } from '@ws-tunnel/core'
import { HpmEngine } from './engine.ts'
import { checkHpmOptions, type HpmOptions } from './options.ts'

export { definePlugin, fixRequestBody } from 'http-proxy-middleware'
export type { HpmEvents, HpmOptions } from './options.ts'
export { responseInterceptor } from './response-interceptor.ts'

/**
 * http-proxy-middleware as the engine for the plain HTTP requests of a route:
 * `wsTunnel({ target, fallback: hpm({ on: { proxyReq } }) })`. It takes the options of http-proxy-middleware, except those that
 * the route decides: where a request goes, how long it may take and how to connect.
 *
 * @throws {WsTunnelError} `WST_ERR_OPTION` for an option that contradicts those of the route, an unknown or a wrong one.
 */
export function hpm<Req extends IncomingMessage = IncomingMessage, Res extends ServerResponse = ServerResponse>(
  options: HpmOptions<Req, Res> = {},
): FallbackEngine {
  checkHpmOptions(options)
  return new HpmEngine(options as HpmOptions)
}
