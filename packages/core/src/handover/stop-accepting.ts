import { linkSync, renameSync, rmSync } from 'node:fs'
import type { Server as HttpServer } from 'node:http'
import type { Server } from 'node:net'
import type { ListenerAddress } from './messages.ts'

export const closeIdleConnections = (server: Server | HttpServer): void =>
  'closeIdleConnections' in server ? server.closeIdleConnections() : undefined

/** The open connections of a server, tunnels included. */
export const countConnections = (server: Server): Promise<number> =>
  new Promise(resolve => server.getConnections((error, count) => resolve(error ? 0 : count)))

/** Where a server listens. */
export function addressOf(server: Server): ListenerAddress {
  const address = server.address()
  if (typeof address === 'string') return { path: address }
  return { host: address?.address ?? '', port: address?.port ?? 0 }
}

/**
 * Closes the listener and the idle connections. libuv deletes the name of a unix socket when it closes the listener, but
 * the other process listens on the same socket, so the name is put back.
 *
 * @returns a function that listens again
 */
export function stopAccepting(server: Server): (onError: (error: Error) => void) => void {
  const address = addressOf(server)
  const kept = 'path' in address ? `${address.path}.${process.pid}` : undefined
  if (kept !== undefined) linkSync((address as { path: string }).path, kept)
  server.close()
  if (kept !== undefined) renameSync(kept, (address as { path: string }).path)
  const sweep = setInterval(closeIdleConnections, 100, server).unref()
  server.once('close', () => clearInterval(sweep))
  return onError => {
    clearInterval(sweep)
    if ('path' in address) rmSync(address.path, { force: true })
    server.once('error', onError)
    server.listen(address, () => server.off('error', onError))
  }
}
