import { type ClientRequest, request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Socket } from 'node:net'
import type { RequestHead } from '../http/request-head.ts'
import type { InterimResponse, ResponseHead } from '../http/response-head.ts'
import { backendError, type Limits, watchRequest } from './request-limits.ts'
import type { ConnectOptions, Worker } from './worker.ts'

/** What a worker replied: the switch with its socket and the bytes glued to the 101, or an ordinary HTTP answer. */
export type Answer =
  | { readonly switched: true; readonly response: ResponseHead; readonly socket: Socket; readonly head: Buffer }
  | { readonly switched: false; readonly response: IncomingMessage }

/** Who wants to hear of a round trip before it ends. */
export interface Watcher {
  interim(answer: InterimResponse): void
  /** Given the request, to destroy it with the reason. */
  started(request: ClientRequest): void
}

/** Of its own, for a function made for one request would keep that request as long as the socket. */
const ignore = (): void => {}

/**
 * One upgrade request to one worker, on a connection of its own.
 *
 * @param connection instead of the worker's
 * @throws {WsTunnelError} 502, 503 or 504 by what went wrong.
 */
export function roundTrip(
  worker: Worker,
  { method, path, headers }: RequestHead,
  limits: Limits,
  watcher: Watcher,
  connection: ConnectOptions | (() => Socket) = worker.connectOptions,
): Promise<Answer> {
  const options: RequestOptions & { allowHalfOpen: boolean } = {
    ...(typeof connection === 'function' ? { createConnection: connection } : { ...connection, agent: false }),
    allowHalfOpen: true,
    setHost: false,
    method,
    path,
    headers,
  }
  return new Promise((resolve, reject) => {
    const start = worker.origin.secure ? httpsRequest : httpRequest
    let request: ClientRequest
    try {
      request = start(options)
    } catch (error) {
      // Node checks TLS options when it connects.
      reject(backendError(error as Error))
      return
    }

    request.on('upgrade', (response, socket, head) => {
      socket.on('error', ignore)
      if (request.destroyed) socket.destroy()
      else resolve({ switched: true, response, socket: socket as Socket, head })
    })
    request.on('response', response => resolve({ switched: false, response }))
    watchRequest(request, limits, watcher.interim, reject)
    watcher.started(request)
    request.end()
  })
}

/** A connection on which Node writes the head of the request to nobody, for it is out already; then it reads on. */
export function asked(socket: Socket): Socket {
  socket._write = (_chunk, _encoding, done) => {
    delete (socket as { _write?: unknown })._write
    socket.resume()
    done()
  }
  return socket
}
