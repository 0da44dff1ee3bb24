import { MAX_DELAY } from '@ws-tunnel/core'
import { atoi, duration } from '../syntax/values.ts'
import type { ServerContext } from './context.ts'

/** The default of Timeout, ms. */
const DEFAULT_TIMEOUT = 60_000

/** Time limits of a route or of a worker, ms. */
export interface Times {
  readonly connectTimeout: number
  readonly handshakeTimeout: number
  readonly idleTimeout: number
  readonly halfOpenTimeout: number
}

/**
 * Combines Timeout, ProxyTimeout and the parameters of a worker as httpd does: ap_proxy_http_process_response. A limit
 * that is longer than a Node timer allows becomes the longest delay of a timer.
 *
 * @param websocketIdle ProxyWebsocketIdleTimeout, ms.
 * @param fallback whether requests that are not upgrades are served as HTTP. If they are not, httpd has no limit on
 * idle tunnels.
 */
export function times(
  parameters: ReadonlyMap<string, string>,
  { server, profile }: ServerContext,
  { websocketIdle, fallback }: { websocketIdle: number | undefined; fallback: boolean },
): Times {
  const client = server.timeout ?? DEFAULT_TIMEOUT
  const seconds = parameters.get('timeout')
  const backend = seconds === undefined ? (server.proxyTimeout ?? client) : atoi(seconds) * 1_000
  const connecting = parameters.get('connectiontimeout')
  const combined = profile.idle === 'larger' ? Math.max(client, backend) : Math.min(client, backend)
  const idle = websocketIdle ?? (fallback ? combined : 0)
  const limit = (ms: number): number => Math.min(ms, MAX_DELAY)
  return {
    connectTimeout: limit((connecting === undefined ? undefined : duration(connecting, 's')) ?? backend),
    handshakeTimeout: limit(backend),
    idleTimeout: limit(idle),
    halfOpenTimeout: limit(idle === 0 ? client : idle),
  }
}
