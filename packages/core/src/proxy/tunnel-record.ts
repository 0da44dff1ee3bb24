import type { DetachedTunnel, TunnelPast } from '../tunnel/engine.ts'
import type { OpenTunnel, TunnelLimits } from '../tunnel/open-tunnel.ts'
import type { TunnelInfo } from '../tunnel/tunnel.ts'

/** What goes with the two descriptors of a tunnel to another process, as JSON. */
export interface TunnelRecord {
  /** The name of the proxy. */
  readonly proxy: string
  readonly routeName: string | undefined
  readonly routePath: string
  readonly info: TunnelInfo
  readonly past: TunnelPast
  readonly limits: TunnelLimits
  /** The key of `maxTunnelsPerKey`. */
  readonly key: string | undefined
  readonly bytesFromClient: number
  readonly bytesFromBackend: number
  /** ms without a byte. */
  readonly idle: number
  /** What has ended already, as bits of the addon's `DONE`. */
  readonly done: number
  /** Where the frames are in both directions, in base64, if they are followed. */
  readonly frames: string | undefined
  /** Bytes that wait for the backend, in base64. */
  readonly fromClient: string
  /** Bytes that wait for the client, in base64. */
  readonly fromBackend: string
}

/** Writes the record of a detached tunnel. */
export function recordOf(
  tunnel: OpenTunnel,
  { detached, past }: { readonly detached: DetachedTunnel; readonly past: TunnelPast },
  where: Pick<TunnelRecord, 'proxy' | 'routeName' | 'routePath'>,
): TunnelRecord {
  const { info, key, bytesFromClient, bytesFromBackend, idle } = tunnel
  const {
    async,
    asyncDelay,
    threads,
    keepAlive,
    idleTimeout,
    halfOpenTimeout,
    maxLifetime,
    lifetimeJitter,
    closeFrame,
  } = tunnel.limits
  return {
    ...where,
    info,
    past,
    key,
    limits: {
      async,
      asyncDelay,
      threads,
      keepAlive,
      idleTimeout,
      halfOpenTimeout,
      maxLifetime,
      lifetimeJitter,
      closeFrame,
    },
    bytesFromClient,
    bytesFromBackend,
    idle,
    done: detached.done,
    frames: detached.frames?.toString('base64'),
    fromClient: detached.fromClient.toString('base64'),
    fromBackend: detached.fromBackend.toString('base64'),
  }
}
