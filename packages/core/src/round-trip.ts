import { type ClientRequest, request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Socket } from 'node:net'
import { backendError, type InterimAnswer, type Limits, watchRequest } from './backend-request.ts'
import type { Worker } from './worker.ts'

/** What a worker replied: the switch with its socket and the bytes glued to the 101, or an ordinary HTTP answer. */
export type Answer =
  | { readonly switched: true; readonly response: IncomingMessage; readonly socket: Socket; readonly head: Buffer }
  | { readonly switched: false; readonly response: IncomingMessage }

/** The request for the worker. */
export interface Ask {
  readonly method: string
  /** The very bytes of the request target. */
  readonly path: string
  /** Name, value, name, value. */
  readonly headers: string[]
}

/** Who wants to hear of a round trip before it ends. */
export interface Watcher {
  interim(answer: InterimAnswer): void
  /** Given the request, to destroy it with the reason. */
  started(request: ClientRequest): void
}

/** Of its own, for a function made for one request would keep that request as long as the socket. */
const ignore = (): void => {}

/**
 * One upgrade request to one worker, on a connection of its own.
 *
 * @throws {WsTunnelError} 502, 503 or 504 by what went wrong.
 */
export function roundTrip(worker: Worker, ask: Ask, limits: Limits, watcher: Watcher): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const start = worker.origin.secure ? httpsRequest : httpRequest
    let request: ClientRequest
    try {
      request = start({
        ...worker.connectOptions,
        agent: false,
        allowHalfOpen: true,
        setHost: false,
        method: ask.method,
        path: ask.path,
        headers: ask.headers,
      } as RequestOptions)
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
