import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'

/** The socket and first bytes of a request that came through an `upgrade` event. */
export interface ArrivedUpgrade {
  readonly socket: Socket
  /** Bytes that arrived in the same read as the request's head. */
  readonly head: Buffer
  /**
   * Removes the listeners that connect the socket with the response. `undefined` for a plain request, whose response
   * Node's server still holds.
   */
  readonly unwire: (() => void) | undefined
}

/**
 * Key of the property of a request that holds its upgrade. The symbol is in the global registry, because a second copy
 * of the package must find it, too. A `WeakMap` would retain the upgrade until the next full collection, because its
 * socket references the request.
 */
const ARRIVED: unique symbol = Symbol.for('ws-tunnel.arrived.3') as never

type ArrivedRequest = IncomingMessage & { [ARRIVED]?: ArrivedUpgrade }

/** The socket and head of a request that came through an `upgrade` event. */
export function arrivedUpgrade(req: IncomingMessage): ArrivedUpgrade | undefined {
  return (req as ArrivedRequest)[ARRIVED]
}

/** Makes the upgrade available to the next handler of the request. */
export function setArrivedUpgrade(req: IncomingMessage, upgrade: ArrivedUpgrade): void {
  ;(req as ArrivedRequest)[ARRIVED] = upgrade
}
