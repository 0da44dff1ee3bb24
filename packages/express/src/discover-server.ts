import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Server } from 'node:http'
import type { Socket } from 'node:net'

/** Node publishes every connection that a server of the process accepts, before a byte of it is read. */
const CONNECTIONS = 'net.server.socket'

/**
 * Finds the server that a middleware serves by the first connection to it: an app does not know its server. So the first
 * request of all may be an upgrade. No other server is changed.
 *
 * @param serves whether a `request` listener of a server leads to the middleware
 * @param onFound called once, with the server
 * @returns a function that ends the search.
 */
export function discoverServer(serves: (listener: unknown) => boolean, onFound: (server: Server) => void): () => void {
  const known = new WeakSet<Server>()
  const onConnection = (message: unknown): void => {
    const { server } = (message as { socket: Socket & { server?: Server } }).socket
    if (server === undefined || known.has(server)) return
    known.add(server)
    if (!server.listeners('request').some(serves)) return
    stop()
    onFound(server)
  }
  const stop = (): void => void unsubscribe(CONNECTIONS, onConnection)
  subscribe(CONNECTIONS, onConnection)
  return stop
}
