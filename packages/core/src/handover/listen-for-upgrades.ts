import type { RequestListener, Server } from 'node:http'
import { listenForUpgrades as listen, type ListenOptions as UpgradeOptions } from '../client/listener.ts'
import { handOver } from './hand-over.ts'
import type { HandoverOptions } from './handover.ts'

/** Options of `listenForUpgrades`. */
export interface ListenOptions extends UpgradeOptions {
  /**
   * Takes the listener and the live tunnels of the process that serves now over when `server.listen` is called, and hands them over to the
   * next process. A path is that of the unix socket through which they find each other. @default undefined: the process does neither
   */
  handover?: string | HandoverOptions
}

/**
 * Sends every upgrade request of a server through `handler` as an ordinary `(req, res)`, so that mounts, routers,
 * authentication and error handlers apply to it. All calls for a server share one `upgrade` listener. Requests that
 * cannot be upgraded (a body, HTTP/1.0, `h2c`) stay plain HTTP, because `server.shouldUpgradeCallback` returns false
 * for them.
 *
 * If the server has other `upgrade` listeners, `handler` gets the upgrades that `only` matches, or without `only` those
 * whose path leads to a tunnel. The others get the rest. A warning names the first path that they get although it may lead
 * to a tunnel.
 *
 * @returns a function that undoes the call, except for `handover`.
 * @throws {WsTunnelError} `WST_ERR_OPTION` for wrong options, and for `handover` on a server that listens already.
 */
export function listenForUpgrades(
  server: Server,
  handler: RequestListener,
  { handover, ...options }: ListenOptions = {},
): () => void {
  if (handover !== undefined) handOver(server, handover)
  return listen(server, handler, options)
}
