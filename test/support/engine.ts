import type { RouteDefaults, RouteOptions, WsTunnelOptions } from '@ws-tunnel/core'
import { hpm } from '@ws-tunnel/http-proxy-middleware'

type Fallback = RouteDefaults['fallback']

/** The engine of plain HTTP in this run: `ENGINE=hpm` sends plain requests with http-proxy-middleware. */
export const engine: 'core' | 'hpm' = process.env['ENGINE'] === 'hpm' ? 'hpm' : 'core'

const shared: Fallback = engine === 'hpm' ? hpm() : true

/** Options of a gateway in this run: routes that send plain requests to a backend do so with {@link engine}. */
export function withEngine(options: WsTunnelOptions): WsTunnelOptions {
  if (engine === 'core') return options
  const replaced = <Options extends RouteDefaults>(given: Options): Options =>
    given.fallback === true ? { ...given, fallback: shared } : given
  const { routes, fallback = true } = options
  const all = replaced({ ...options, fallback })
  return routes === undefined ? all : ({ ...all, routes: routes.map(replaced<RouteOptions>) } as WsTunnelOptions)
}
