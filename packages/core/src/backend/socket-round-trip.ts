import { type Socket, connect as tcpConnect } from 'node:net'
import { performance } from 'node:perf_hooks'
import { connect as tlsConnect } from 'node:tls'
import { type RequestHead, requestHead } from '../http/request-head.ts'
import { maySwitch, readSwitch } from '../http/response-head.ts'
import { onAbort } from '../util/abort.ts'
import { Countdown } from '../util/countdown.ts'
import { backendError, roundTripError, timeoutError } from './backend-error.ts'
import { alreadySent, type BackendResponse, nodeRoundTrip, type RoundTripOptions } from './node-round-trip.ts'
import type { Worker } from './worker.ts'

/**
 * Sends one upgrade request on a new connection and reads the 101 itself. That costs half as much as Node's HTTP client.
 * Node's HTTP client handles an unusual request and an unusual response.
 *
 * @throws {WsTunnelError} 502, 503 or 504, depending on the failure.
 */
export async function socketRoundTrip(
  worker: Worker,
  request: RequestHead,
  options: RoundTripOptions,
): Promise<BackendResponse> {
  const head = requestHead(request)
  if (head === undefined) return nodeRoundTrip(worker, request, options)
  const { limits } = options
  const result = await new SocketRoundTrip(head, options).start(worker)
  if (!('spent' in result)) return result
  const { socket, spent } = result
  return nodeRoundTrip(worker, request, { ...options, limits: { ...limits, spent } }, () => alreadySent(socket))
}

/** A response that Node's parser has to read: the socket with its unread bytes, and the ms that have passed. */
interface Unread {
  readonly socket: Socket
  readonly spent: number
}

/** Module-level: a closure would retain the request as long as the socket. */
const noop = (): void => {}

class SocketRoundTrip {
  readonly #head: string
  readonly #options: RoundTripOptions
  readonly #result = Promise.withResolvers<BackendResponse | Unread>()
  readonly #startedAt = performance.now()
  #socket: Socket | undefined
  #connected = false
  #received: Buffer | undefined
  #connectLimit: Countdown | undefined
  #responseLimit: Countdown | undefined
  #stop = noop

  constructor(head: string, options: RoundTripOptions) {
    this.#head = head
    this.#options = options
  }

  start(worker: Worker): Promise<BackendResponse | Unread> {
    const { origin, socketOptions } = worker
    let socket: Socket
    try {
      socket = origin.secure
        ? tlsConnect({ ...socketOptions, secureContext: worker.secureContext })
        : tcpConnect(socketOptions)
    } catch (error) {
      // Node checks TLS options when it connects.
      return Promise.reject(backendError(error as Error))
    }
    this.#socket = socket
    worker.watchPeer(socket)
    const { connectTimeout, handshakeTimeout } = this.#options.limits
    this.#connectLimit = this.#startLimit(connectTimeout)
    this.#responseLimit = this.#startLimit(handshakeTimeout)
    socket.on(origin.secure ? 'secureConnect' : 'connect', this.#socketOnConnect)
    socket.on('data', this.#socketOnData)
    socket.on('end', this.#socketOnGone)
    socket.on('close', this.#socketOnGone)
    socket.on('error', this.#fail)
    this.#stop = onAbort(this.#options.signal, this.#fail)
    return this.#result.promise
  }

  /** The first failure counts. */
  readonly #fail = (error: Error): void => {
    const socket = this.#detach()
    if (socket === undefined) return
    socket.destroy()
    this.#result.reject(roundTripError(error, this.#connected, 'encrypted' in socket))
  }

  /** Stops timers and listeners. @returns the socket, the first time. */
  #detach(): Socket | undefined {
    const socket = this.#socket
    this.#socket = undefined
    this.#stop()
    this.#connectLimit?.stop()
    this.#responseLimit?.stop()
    if (socket === undefined) return undefined
    socket.off('connect', this.#socketOnConnect)
    socket.off('secureConnect', this.#socketOnConnect)
    socket.off('data', this.#socketOnData)
    socket.off('end', this.#socketOnGone)
    socket.off('close', this.#socketOnGone)
    socket.on('error', noop)
    socket.off('error', this.#fail)
    return socket
  }

  #startLimit(ms: number): Countdown | undefined {
    return ms === 0 ? undefined : new Countdown(ms, () => this.#fail(timeoutError(this.#connected, ms)))
  }

  readonly #socketOnConnect = (): void => {
    this.#connected = true
    this.#connectLimit?.stop()
    this.#socket?.write(this.#head, 'latin1')
  }

  readonly #socketOnData = (chunk: Buffer): void => {
    const received = this.#received === undefined ? chunk : Buffer.concat([this.#received, chunk])
    const text = received.toString('latin1')
    const read = readSwitch(text)
    if (read === undefined && maySwitch(text)) {
      this.#received = received
      return
    }
    const socket = this.#detach() as Socket
    // The next owner of the socket resumes it.
    socket.pause()
    if (read === undefined) {
      socket.unshift(received)
      this.#result.resolve({ socket, spent: performance.now() - this.#startedAt })
      return
    }
    this.#result.resolve({ switched: true, response: read.head, socket, head: received.subarray(read.size) })
  }

  /** Fails with the error that Node's HTTP client reports then. */
  readonly #socketOnGone = (): void => this.#fail(Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' }))
}
