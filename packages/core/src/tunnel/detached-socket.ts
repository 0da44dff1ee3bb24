import type { Server, Socket } from 'node:net'
import type { Engine } from './engine.ts'

// Node's socket of a client is destroyed when the connection moves to a thread. These functions keep Node's counts of the
// connection until it closes.

/** Properties of Node's sockets and servers that are not documented. Each is checked before it is used. */
interface Undocumented {
  _server?: (Server & { _connections?: unknown; _emitCloseIfDrained?: () => void }) | null
}

/** A server at which a detached socket counts as a connection. */
export type CountingServer = NonNullable<Undocumented['_server']>

/**
 * Keeps the client's connection in the count of its server until {@link endConnectionCount} is called. The server uses the
 * count in `close`, `getConnections` and `maxConnections`.
 *
 * @returns the server; `undefined` where this Node does not have the count.
 */
export function keepConnectionCount(client: Socket): CountingServer | undefined {
  const socket = client as unknown as Undocumented
  const { _server: server } = socket
  if (!server || typeof server._connections !== 'number') return undefined
  socket._server = null
  return server
}

/** Does what Node does at its server when a socket closes. */
export function endConnectionCount(server: CountingServer): void {
  ;(server._connections as number)--
  server._emitCloseIfDrained?.()
}

const COUNTS = Symbol('ws-tunnel.counts')

/** What a detached socket reports as its `bytesRead` and `bytesWritten`. */
export interface DetachedCounts {
  /** Counts the bytes since the socket was detached. */
  engine: Pick<Engine, 'bytesFromClient' | 'bytesFromBackend'>
  /** Bytes before that. */
  readonly read: number
  readonly written: number
}

type Detached = Socket & { [COUNTS]: DetachedCounts }

/** All sockets share these accessors. With separate accessors, V8 would give every socket a separate hidden class. */
const ACCESSORS = {
  bytesRead: {
    get(this: Detached): number {
      const { engine, read } = this[COUNTS]
      return read + engine.bytesFromClient
    },
  },
  bytesWritten: {
    get(this: Detached): number {
      const { engine, written } = this[COUNTS]
      return written + engine.bytesFromBackend
    },
  },
}

/**
 * Makes the client's socket report the bytes of its connection, because loggers read them at the end.
 *
 * @param engine counts the bytes from now on, those in `received` included
 * @param received bytes that the socket has read and the engine sends
 * @param sent bytes that were sent without the socket
 */
export function keepByteCounts(
  client: Socket,
  engine: DetachedCounts['engine'],
  received: readonly Buffer[],
  sent = 0,
): DetachedCounts {
  const read = client.bytesRead - received.reduce((bytes, { length }) => bytes + length, 0)
  const counts: DetachedCounts = { engine, read, written: client.bytesWritten + sent }
  ;(client as Detached)[COUNTS] = counts
  Object.defineProperties(client, ACCESSORS)
  return counts
}
