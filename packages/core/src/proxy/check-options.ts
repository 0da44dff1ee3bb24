import { resolveOptions, type WsTunnelOptions } from '../options/options.ts'
import { RouteTable } from '../routing/route-table.ts'

/**
 * Checks options as `createTunnelProxy` does, without making a proxy: it starts no timer, DNS lookup or health check, and opens no connection.
 *
 * @throws {WsTunnelError} `WST_ERR_OPTION` for everything that `createTunnelProxy` refuses. That includes malformed patterns, malformed
 * targets and unknown balancers.
 */
export function checkOptions(options: WsTunnelOptions): void {
  // The constructor compiles the routes and the members. It has no other effect.
  new RouteTable(resolveOptions(options), options.routes === undefined)
}
