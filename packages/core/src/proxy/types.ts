import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Balancer } from '../balancer/balancer.ts'
import type { RouteStatus } from '../routing/route.ts'
import type { Tunnel } from '../tunnel/tunnel.ts'

/** What a framework knows of a request beside `(req, res)`. */
export interface HandleContext {
  /** The path the request was mounted under, already taken off `url`. @default '' */
  mount?: string
  /** The request target below the mount. @default req.url */
  url?: string
  /** A body that middleware has parsed. */
  body?: unknown
  /** Listen for upgrades on the server the request came from, if nobody has yet. @default true */
  listen?: boolean
}

/** Options, made ready to serve. */
export interface TunnelProxy {
  handle(req: IncomingMessage, res: ServerResponse, context?: HandleContext): Promise<boolean>
  close(options?: { drainTimeout?: number }): Promise<void>
  readonly tunnels: ReadonlySet<Tunnel>
  readonly routes: readonly RouteStatus[]
  readonly balancers: ReadonlyMap<string, Balancer>
}
