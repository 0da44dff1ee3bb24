import { type ClientRequest, request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Socket } from 'node:net'
import type { SecureContext } from 'node:tls'
import type { RequestHead } from '../http/request-head.ts'
import type { InterimResponse, ResponseHead } from '../http/response-head.ts'
import { onAbort } from '../util/abort.ts'
import { backendError } from './backend-error.ts'
import { type Limits, watchRequest } from './request-limits.ts'
import type { ConnectOptions, Worker } from './worker.ts'

/** A backend switched protocols: the head of its 101, the socket, and the bytes that followed the head. */
export interface Switched {
  readonly switched: true
  readonly response: ResponseHead
  readonly socket: Socket
  readonly head: Buffer
}

/** A backend sent an ordinary HTTP response. */
export interface NotSwitched {
  readonly switched: false
  readonly response: IncomingMessage
}

export type BackendResponse = Switched | NotSwitched

/** What every round trip needs in addition to the request. */
export interface RoundTripOptions<L extends Limits = Limits> {
  readonly limits: L
  /** Ends the round trip; it rejects with the signal's reason. */
  readonly signal: AbortSignal
  /** Called with each interim response (1xx). */
  readonly onInterim: (response: InterimResponse) => void
}

/** Module-level: a closure would retain the request as long as the socket. */
const ignore = (): void => {}

/**
 * Sends one request without a body through Node's HTTP client, on a new connection.
 *
 * @param connection replaces the worker's own connect options, or gives a socket.
 * @param onRequest is called with Node's request before it is sent.
 * @throws {WsTunnelError} 502, 503 or 504, depending on the failure.
 */
export function nodeRoundTrip(
  worker: Worker,
  { method, path, headers }: RequestHead,
  { limits, signal, onInterim }: RoundTripOptions,
  connection: ConnectOptions | (() => Socket) = worker.connectOptions,
  onRequest: (request: ClientRequest) => void = ignore,
): Promise<BackendResponse> {
  const { secure } = worker.origin
  const options: RequestOptions & { allowHalfOpen: boolean; secureContext?: SecureContext } = {
    ...(typeof connection === 'function' ? { createConnection: connection } : { ...connection, agent: false }),
    allowHalfOpen: true,
    setHost: false,
    method,
    path,
    headers,
  }
  return new Promise((resolve, reject) => {
    const start = secure ? httpsRequest : httpRequest
    let request: ClientRequest
    try {
      if (secure) options.secureContext = worker.secureContext
      request = start(options)
    } catch (error) {
      // Node checks TLS options when it connects.
      reject(backendError(error as Error))
      return
    }
    const stop = onAbort(signal, error => request.destroy(error))
    request.on('upgrade', (response, socket, head) => {
      stop()
      socket.on('error', ignore)
      if (request.destroyed) socket.destroy()
      else resolve({ switched: true, response, socket: socket as Socket, head })
    })
    request.on('response', response => {
      stop()
      resolve({ switched: false, response })
    })
    watchRequest(request, limits, onInterim, error => {
      stop()
      reject(error)
    })
    request.on('socket', socket => worker.watchPeer(socket))
    onRequest(request)
    request.end()
  })
}

/**
 * Prepares a connection on which the request was sent already for Node's HTTP client. The client writes the head again;
 * that write is dropped. Then the client reads the response.
 */
export function alreadySent(socket: Socket): Socket {
  socket._write = (_chunk, _encoding, done) => {
    delete (socket as { _write?: unknown })._write
    socket.resume()
    done()
  }
  return socket
}
