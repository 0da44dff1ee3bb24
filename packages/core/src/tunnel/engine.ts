import type { Socket } from 'node:net'
import type { DetachedTunnel } from '@ws-tunnel/native'
import type { NativeConnection } from './native-connection.ts'

/** One of the two ends of a tunnel. */
export type Side = 'client' | 'backend'

/** The two ends, and the bytes that arrived with the heads. */
export interface TunnelEnds {
  readonly client: Socket
  /** Bytes that the client sent after the head of its request, in order. */
  readonly clientHead: readonly Buffer[]
  readonly backend: Socket
  /** Bytes that the backend sent after the head of its 101, in order. */
  readonly backendHead: readonly Buffer[]
  /** Request and response of the client; `undefined` if they cannot be separated from its socket. */
  readonly response?: DetachableResponse | undefined
}

/** A request and its response whose connection has switched. */
export interface DetachableResponse {
  /** Separates the client's socket from them, so that the socket can close before the tunnel ends. */
  detach(socket: Socket): void
  /** Closes both. To be called when the tunnel has ended. */
  close(): void
}

/** The ends of a tunnel whose backend connection belongs to a thread. The thread has read the response. */
export interface NativeEnds extends Pick<TunnelEnds, 'client' | 'clientHead' | 'response'> {
  readonly connection: NativeConnection
  /** Length of the response's head in bytes. The bytes after it are for the client. */
  readonly headSize: number
  /** The head that the client gets first, as latin1, if it was not sent yet. */
  readonly unsentHead?: string | undefined
}

/** A tunnel of another process that was taken over. It is detached until {@link Engine.resume}. */
export interface AdoptedEnds {
  readonly adopted: Engine & { listen(listener: EngineListener): void }
  /** What the other process knows about the time and the state of the tunnel. */
  readonly past: TunnelPast
}

/** What goes with a tunnel to another process. */
export interface TunnelPast {
  /** When the 101 was written, ms since the epoch. */
  readonly openedAt: number
  /** ms since then. */
  readonly age: number
  /** ms since the current limit on silence began. */
  readonly watched: number
  /** The end that has sent its FIN. */
  readonly halfOpen: Side | undefined
  /** How often another process has taken the tunnel over. */
  readonly handovers: number
  /** How much earlier than `maxLifetime` it ends, ms. */
  readonly earlier: number
  /** When it ends at the latest, ms since the epoch. */
  readonly deadline: number | undefined
}

/** The settings that choose the engine, and those of its sockets. */
export interface EngineLimits {
  /** Whether a thread moves the bytes if that is possible. */
  readonly async: boolean
  /** ms in JavaScript before that. */
  readonly asyncDelay: number
  /** Number of threads that share the tunnels. */
  readonly threads: number
  /** ms without a byte until the kernel probes whether a peer is there; 0 is never. */
  readonly keepAlive: number
}

export type { DetachedTunnel }

/**
 * Why a tunnel cannot move to another process:
 *
 * - `tls`: the state of the encryption is in this process
 * - `http2`: it is a stream of a connection that other streams use
 * - `busy`: JavaScript moves its bytes, and some wait, or one end has sent FIN
 * - `ending`: it is about to end
 */
export type StayReason = 'tls' | 'http2' | 'busy' | 'ending'

/** Moves the bytes of a tunnel, by Node's sockets or by a thread outside of JavaScript. */
export interface Engine {
  /** Bytes that the client has sent. */
  readonly bytesFromClient: number
  /** Bytes that the backend has sent. */
  readonly bytesFromBackend: number
  /** ms without a byte in either direction. */
  readonly idle: number
  /** Whether a thread moves the bytes. */
  readonly offloaded: boolean
  /** To be called once. The listener gets no event before this call, but a thread may already move bytes. */
  start(): void
  /**
   * Delivers what was received, then FIN to both ends. Bytes that arrive later are dropped.
   *
   * @param frame whether a Close frame of WebSocket goes before the FIN, where one may stand. The frames must be followed.
   */
  end(frame?: boolean): void
  /** Closes both connections now. */
  destroy(): void
  /** Calls `then` after the bytes that wait in the sockets were read. Does not call it if the tunnel closes first. */
  look(then: () => void): void
  /**
   * Stops the tunnel, so that another process can take its connections over, and calls `then` with them, or with the reason
   * why the tunnel stays. Does not call it if the tunnel closes first.
   */
  detach(then: (detached: DetachedTunnel | StayReason) => void): void
  /** Continues a detached tunnel. */
  resume(): void
}

/** Gets the events of an engine. */
export interface EngineListener {
  /** An end has sent its FIN, which is passed on. */
  onFin(side: Side): void
  /** An end was reset, has failed, or was destroyed by other code. */
  onBroken(side: Side, error: Error | undefined): void
  /** Both connections are closed. The last event. */
  onClosed(): void
}
