/**
 * Why a tunnel ended:
 *
 * - `finished`: both ends have sent FIN
 * - `client-error`, `backend-error`: that end was reset, or its socket failed
 * - `idle`: no byte for `idleTimeout`
 * - `half-open`: no byte for `halfOpenTimeout` after the FIN of one end
 * - `lifetime`: it was open for `maxLifetime`
 * - `deadline`: the time that the option `deadline` has returned is over
 * - `shutdown`: the proxy was closed
 * - `closed`: {@link Tunnel.close} was called
 * - `handed-over`: another process has taken it over, and its connections continue there. No `onClose` is called for it here.
 */
export type EndReason =
  | 'finished'
  | 'client-error'
  | 'backend-error'
  | 'idle'
  | 'half-open'
  | 'lifetime'
  | 'deadline'
  | 'shutdown'
  | 'closed'
  | 'handed-over'

/** How a tunnel ended. */
export interface TunnelEnd {
  readonly reason: EndReason
  /** Bytes that the client sent after the head of its request. */
  readonly bytesFromClient: number
  /** Bytes that the backend sent after the head of its 101. */
  readonly bytesFromBackend: number
  /** ms from the 101 to the end. */
  readonly duration: number
  /** The socket's error, for `client-error` and `backend-error`; `undefined` if the socket gave none. */
  readonly error: Error | undefined
}

/** What is known about a tunnel when it opens. */
export interface TunnelInfo {
  /** Address of the client's end of the connection. */
  readonly clientAddress: string
  /** Path and query that the client requested, byte for byte. */
  readonly url: string
  /** Index of the route in the list of routes. */
  readonly route: number
  /** `host:port` of the backend, or its socket path. */
  readonly target: string
  /** URL of the balancer's member that was selected; `undefined` for a route without a balancer. */
  readonly member: string | undefined
  /** Token of the protocol that both ends switched to. */
  readonly protocol: string
  /** ms from the request to the 101. */
  readonly handshakeTime: number
}

/** Two byte streams between a client and a backend, from the 101 until both connections are closed. */
export interface Tunnel {
  /** Number of the tunnel, unique in this JavaScript thread. */
  readonly id: number
  /** What was known about the tunnel when it opened. */
  readonly info: TunnelInfo
  /** When the 101 was written, ms since the epoch. */
  readonly openedAt: number
  /** Resolves when both connections are closed; never rejects. */
  readonly ended: Promise<TunnelEnd>
  /** Bytes that the client has sent after the head of its request. */
  readonly bytesFromClient: number
  /** Bytes that the backend has sent after the head of its 101. */
  readonly bytesFromBackend: number
  /** ms without a byte in either direction; 0 when the tunnel has ended. */
  readonly idle: number
  /** Whether a thread of `@ws-tunnel/native` moves the bytes, or did so until the end (ProxyWebsocketAsync). */
  readonly offloaded: boolean
  /** How often another process has taken the tunnel over. */
  readonly handovers: number
  /**
   * Ends the tunnel. Bytes that were received are delivered, then both ends get FIN. A connection that is still open
   * after 500 ms is destroyed. If the tunnel is ending already, its first reason stays.
   *
   * @param reason for {@link TunnelEnd.reason}. @default 'closed'
   * @returns the same promise as {@link ended}
   */
  close(reason?: EndReason): Promise<TunnelEnd>
}
