import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Tunnel } from '../tunnel/tunnel.ts'
import type { Balancer } from './balancer-options.ts'

/** What a framework knows about a request in addition to `(req, res)`. */
export interface HandleContext {
  /** The path at which the proxy is mounted; `url` does not contain it. @default '' */
  mount?: string
  /** The request target below the mount. @default req.url */
  url?: string
  /** The body, if middleware has parsed it. */
  body?: unknown
  /** The bytes of that body, if middleware has kept them. They are sent in place of `body`. @default req.rawBody */
  rawBody?: unknown
  /**
   * The value of the option `paths` if it is not set. @default 'exact' if an app has routed the request: it has an `originalUrl`, as in
   * Express and Connect, or `mount` or `url` is given; otherwise 'normalise'
   */
  paths?: 'exact' | 'normalise'
  /** Whether to listen for upgrades on the server of the request from now on, if no listener does yet. @default true */
  listen?: boolean
}

/** A route at run time: its options and its counters. */
export interface RouteStatus {
  /** Position in the list of routes, for messages and metrics. */
  readonly index: number
  /** The option `name`. */
  readonly name: string | undefined
  /** The path as written; a RegExp between slashes. */
  readonly path: string
  /** The target as written; `undefined` for a function, `false` for a route that hands requests back to the app. */
  readonly target: string | false | undefined
  /** Requests that the route took, upgrades and others. */
  readonly hits: number
  /** Bytes that plain requests sent to backends, heads included. Each request counts when its response has ended. */
  readonly httpBytesSent: number
  /** Bytes that they received. */
  readonly httpBytesReceived: number
  /** Handshakes in progress and open tunnels. */
  readonly open: number
  /** Maximum of open tunnels; 0 is no limit. */
  readonly maxTunnels: number
}

/** How a proxy closes, each by default as its option says. */
export interface CloseOptions {
  /** ms; 0 ends all at once. */
  drainTimeout?: number
  /** ms. */
  drainSpread?: number
  /** ms. */
  noticeTime?: number
}

/** A proxy that is ready to serve requests. */
export interface TunnelProxy {
  /**
   * Serves a request if a route matches it. Resolves at the switch, or when the response is sent.
   *
   * @returns whether it took the request. `false` hands the request back to the app, with the bytes that the client sent early.
   * @throws {WsTunnelError} for every failure before the 101. No byte has been sent to the client then.
   */
  handle(req: IncomingMessage, res: ServerResponse, context?: HandleContext): Promise<boolean>
  /**
   * Whether the path of a request leads to a route of the proxy. On a server with other `upgrade` listeners, the listener takes the upgrades
   * that a proxy claims.
   *
   * @param context `mount` and `url`, as for `handle`
   * @returns `undefined` if the path does not tell: the proxy has no mount, and its route has neither a path nor conditions.
   */
  claims(req: IncomingMessage, context?: Pick<HandleContext, 'mount' | 'url'>): boolean | undefined
  /**
   * Listens for upgrades on a server, as the first request that comes from it does. An upgrade then comes as `(req, res)` to the `request`
   * listeners of the server. `close` undoes it.
   *
   * @param claim which upgrades lead to the proxy, if the server has other `upgrade` listeners. @default those below the mounts of the
   *   requests that `handle` has had
   */
  listen(server: Server, claim?: (req: IncomingMessage) => boolean | undefined): void
  /**
   * Sets `ready` to false, and after `noticeTime` ms refuses new requests with 503. Open tunnels and requests in progress may then continue
   * for `drainTimeout` ms, and are ended: together, or one after another in the last `drainSpread` ms. Resolves when all have ended.
   */
  close(options?: CloseOptions): Promise<void>
  /** Whether the proxy takes requests and is not about to stop. For the readiness check of a load balancer. */
  readonly ready: boolean
  /** The open tunnels. */
  readonly tunnels: ReadonlySet<Tunnel>
  /** The routes in order, with their counters. */
  readonly routes: readonly RouteStatus[]
  /** The balancers by name, with their members: states to read and to change. */
  readonly balancers: ReadonlyMap<string, Balancer>
}
