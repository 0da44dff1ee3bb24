import type { Socket } from 'node:net'
import type { NativeDial } from './native-connection.ts'

/** One of the two ends of a tunnel. */
export type Side = 'client' | 'backend'

/** The two ends and the bytes that came with the heads. */
export interface TunnelEnds {
  readonly client: Socket
  readonly clientHead: readonly Buffer[]
  readonly backend: Socket
  readonly backendHead: readonly Buffer[]
  /**
   * Takes the client's socket from its answer, where that is possible: the socket may then close before the tunnel does.
   *
   * @returns what must be called when the tunnel has ended.
   */
  readonly detach?: (() => () => void) | undefined
}

/** The same where a thread has the backend, whose answer is known. */
export interface DialledEnds extends Pick<TunnelEnds, 'client' | 'clientHead' | 'detach'> {
  readonly dial: NativeDial
  /** Bytes of the answer that are not for the client. */
  readonly headSize: number
}

/** What moves the bytes of a tunnel: sockets of Node, or a thread outside of JavaScript. */
export interface Engine {
  /** Bytes the client sent, counted from this engine's start. */
  readonly bytesFromClient: number
  /** Bytes the backend sent, counted from this engine's start. */
  readonly bytesFromBackend: number
  /** ms without a byte either way. */
  readonly idle: number
  /** Delivers what was received, then FIN to both sides; what still comes is dropped. */
  end(): void
  /** Closes both sides now. */
  cut(): void
}

/** Who is told what an engine sees; never during its construction. */
export interface EngineListener {
  /** A side has sent its FIN, which is passed on. */
  onFin(side: Side): void
  /** A side was reset, failed, or was destroyed by somebody else. */
  onBroken(side: Side, error: Error | undefined): void
  /** Both sockets are closed; the last call. */
  onClosed(): void
}
