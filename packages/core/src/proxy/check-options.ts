import type { IncomingMessage } from 'node:http'
import { resolveOptions, type WsTunnelOptions } from '../options/options.ts'
import { RouteTable } from '../routing/route-table.ts'

/**
 * Checks options as `createTunnelProxy` does, without making a proxy: it starts no timer, DNS lookup or health check, and opens no connection.
 *
 * @throws {WsTunnelError} `WST_ERR_OPTION` for everything that `createTunnelProxy` refuses. That includes malformed patterns, malformed
 * targets and unknown balancers.
 */
export function checkOptions<Req extends object = IncomingMessage>(options: WsTunnelOptions<Req>): void {
  // The constructor compiles the routes and the members. It has no other effect.
  new RouteTable(resolveOptions(options as WsTunnelOptions), options.routes === undefined)
}
