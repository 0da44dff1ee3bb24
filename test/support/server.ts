import {
  createServer,
  type Server as HttpServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo, ListenOptions, Server, Socket } from 'node:net'
import type { TestContext } from 'node:test'
import type { TunnelProxy, WsTunnelError } from '@ws-tunnel/core'

/** The smallest app: 404 for what no route takes; for a failure, its status and `{ code }`. */
export function appOf(proxy: TunnelProxy, errors: unknown[] = []): (req: IncomingMessage, res: ServerResponse) => void {
  return (req, res) => {
    proxy.handle(req, res).then(
      taken => {
        if (!taken) own404(req, res)
      },
      (error: WsTunnelError) => {
        errors.push(error)
        res.statusCode = error.statusCode ?? 500
        res.end(JSON.stringify({ code: error.code ?? String(error) }))
      },
    )
  }
}

export function own404(req: IncomingMessage, res: ServerResponse): void {
  res.statusCode = 404
  res.end(`own 404: ${req.method} ${req.url}`)
}

/** Starts to listen. @returns the port, 0 at a unix socket. */
export async function listen(server: Server, at: ListenOptions = { port: 0, host: '127.0.0.1' }): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(at, () => {
      server.off('error', reject)
      resolve()
    })
  })
  return portOf(server)
}

export function portOf(server: Server): number {
  const address = server.address() as AddressInfo | string
  return typeof address === 'string' ? 0 : address.port
}

/** @returns a function that destroys all sockets of the server, those of tunnels included. */
export function trackSockets(server: Server): () => void {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  return () => {
    for (const socket of sockets) socket.destroy()
  }
}

/** @returns a function that destroys all sockets of the server and closes it. */
export function closerOf(server: Server): () => Promise<void> {
  const destroySockets = trackSockets(server)
  return async () => {
    destroySockets()
    if (server.listening) await new Promise(resolve => server.close(resolve))
  }
}

/** Destroys all sockets of the server and closes it when the test has ended. */
export function closeAfter(t: TestContext, server: Server): void {
  t.after(closerOf(server))
}

/** A node:http server without a gateway, closed when the test has ended. */
export async function startServer(
  t: TestContext,
  handler: RequestListener,
): Promise<{ server: HttpServer; port: number }> {
  const server = createServer(handler)
  closeAfter(t, server)
  return { server, port: await listen(server) }
}
