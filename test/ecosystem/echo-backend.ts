import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { WebSocketServer } from 'ws'
import { listen } from '../support/server.ts'

/** What a backend has got: the request target, and the user that the gateway names. */
const described = ({ url, headers }: IncomingMessage): string => `${url} of ${headers['x-user'] ?? 'guest'}`

/**
 * Starts a backend that repeats what it gets.
 *
 * @returns its host and port, and a function that closes it.
 */
export async function startEchoBackend(): Promise<{ host: string; close(): void }> {
  const server = createServer(async (req, res) => {
    const body = Buffer.concat(await req.toArray()).toString()
    res.setHeader('Content-Type', 'text/plain')
    res.end(`${req.method} ${described(req)}: ${body}`)
  })
  const sockets = new WebSocketServer({ server })
  sockets.on('connection', (socket, req) => {
    socket.on('message', message => socket.send(`${described(req)}: ${message}`))
  })
  await listen(server)
  const { port } = server.address() as AddressInfo
  return {
    host: `localhost:${port}`,
    close() {
      sockets.close()
      server.close()
      server.closeAllConnections()
    },
  }
}
