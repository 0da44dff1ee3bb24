import { once } from 'node:events'
import {
  createSecureServer,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type SecureServerOptions,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { eventually } from '../support/gate.ts'

/** A request that a backend of HTTP/2 got. */
export interface Arrived {
  readonly stream: ServerHttp2Stream
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: string[]
}

/** A backend of HTTP/2, closed when the test has ended. */
export interface Http2Backend {
  readonly port: number
  readonly arrived: Arrived[]
  readonly sessions: ServerHttp2Session[]
  readonly server: Http2Server
  /** The `n`th request, once it has arrived. */
  request(n?: number): Promise<Arrived>
}

/** @param respond gets each request. */
export async function startHttp2Backend(
  t: TestContext,
  respond: (arrived: Arrived, n: number) => void,
  { tls, ...options }: SecureServerOptions & { tls?: { cert: string; key: string } } = {},
): Promise<Http2Backend> {
  const all = { ...options, settings: { enableConnectProtocol: true, ...options.settings } }
  const server = tls === undefined ? createServer(all) : createSecureServer({ ...tls, ...all })
  const arrived: Arrived[] = []
  const sessions: ServerHttp2Session[] = []
  const sockets = new Set<Socket>()
  server.on(tls === undefined ? 'connection' : 'secureConnection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {})
  })
  server.on('session', session => {
    sessions.push(session)
    session.on('error', () => {})
  })
  server.on(
    'stream',
    (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, _flags: number, rawHeaders: string[]) => {
      stream.on('error', () => {})
      const request = { stream, headers, rawHeaders }
      arrived.push(request)
      respond(request, arrived.length - 1)
    },
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return {
    port: (server.address() as AddressInfo).port,
    arrived,
    sessions,
    server,
    request: (n = 0) =>
      eventually(() => {
        const found = arrived[n]
        if (found === undefined) throw new Error(`request ${n} has not arrived`)
        return found
      }),
  }
}

/** Responds with a 200 to an extended CONNECT, and sends back what comes. */
export function echoStream({ stream }: Arrived, fields: object = {}): void {
  stream.respond({ ':status': 200, ...fields })
  stream.pipe(stream)
}
