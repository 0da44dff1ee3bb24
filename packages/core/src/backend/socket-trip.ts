import { type Socket, connect as tcpConnect } from 'node:net'
import { performance } from 'node:perf_hooks'
import { connect as tlsConnect } from 'node:tls'
import type { WsTunnelError } from '../errors.ts'
import { type RequestHead, requestHead } from '../http/request-head.ts'
import { type InterimResponse, maySwitch, readSwitch } from '../http/response-head.ts'
import { backendError, type Limits, late, tripError } from './request-limits.ts'
import { type Answer, asked, roundTrip } from './round-trip.ts'
import type { Worker } from './worker.ts'

/** Who wants to hear of a trip before it ends. */
export interface TripWatcher {
  interim(answer: InterimResponse): void
  /** Given what to destroy with the reason, to give the trip up; for each part of it. */
  started(trip: { destroy(error: Error): void }): void
}

/**
 * One upgrade request to one worker, on a connection of its own. A plain 101 is read here, which costs half of what a request of
 * Node does; a request or an answer out of the ordinary is left to Node's own.
 *
 * @throws {WsTunnelError} 502, 503 or 504 by what went wrong.
 */
export function socketTrip(worker: Worker, ask: RequestHead, limits: Limits, watcher: TripWatcher): Promise<Answer> {
  const head = requestHead(ask)
  if (head === undefined) return roundTrip(worker, ask, limits, watcher)
  return new Promise((resolve, reject) => {
    const trip = new SocketTrip(head, limits, resolve, reject, (socket, spent) =>
      roundTrip(worker, ask, { ...limits, spent }, watcher, () => asked(socket)),
    )
    try {
      trip.start(worker)
    } catch (error) {
      // Node checks TLS options when it connects.
      reject(backendError(error as Error))
      return
    }
    watcher.started(trip)
  })
}

/** Of its own, for a function made for one request would keep that request as long as the socket. */
const noop = (): void => {}

class SocketTrip {
  readonly #head: string
  readonly #limits: Limits
  readonly #resolve: (answer: Answer | Promise<Answer>) => void
  readonly #reject: (error: WsTunnelError) => void
  readonly #leaveToNode: (socket: Socket, spent: number) => Promise<Answer>
  readonly #startedAt = performance.now()
  #socket: Socket | undefined
  #connected = false
  #received: Buffer | undefined
  #connectTimer: NodeJS.Timeout | undefined
  #answerTimer: NodeJS.Timeout | undefined

  constructor(
    head: string,
    limits: Limits,
    resolve: (answer: Answer | Promise<Answer>) => void,
    reject: (error: WsTunnelError) => void,
    leaveToNode: (socket: Socket, spent: number) => Promise<Answer>,
  ) {
    this.#head = head
    this.#limits = limits
    this.#resolve = resolve
    this.#reject = reject
    this.#leaveToNode = leaveToNode
  }

  start({ origin, socketOptions }: Worker): void {
    const socket = origin.secure ? tlsConnect(socketOptions) : tcpConnect(socketOptions)
    this.#socket = socket
    const { connectTimeout, handshakeTimeout } = this.#limits
    if (connectTimeout > 0) this.#connectTimer = setTimeout(this.#onLate, connectTimeout, connectTimeout)
    if (handshakeTimeout > 0) this.#answerTimer = setTimeout(this.#onLate, handshakeTimeout, handshakeTimeout)
    socket.on(origin.secure ? 'secureConnect' : 'connect', this.#socketOnConnect)
    socket.on('data', this.#socketOnData)
    socket.on('end', this.#socketOnGone)
    socket.on('close', this.#socketOnGone)
    socket.on('error', this.#socketOnError)
  }

  /** Gives it up; the first reason counts. */
  destroy(error: Error): void {
    const socket = this.#over()
    if (socket === undefined) return
    socket.destroy()
    this.#reject(tripError(error, this.#connected, 'encrypted' in socket))
  }

  /** From here on nothing that the socket does is heard. @returns the socket, the first time. */
  #over(): Socket | undefined {
    const socket = this.#socket
    this.#socket = undefined
    clearTimeout(this.#connectTimer)
    clearTimeout(this.#answerTimer)
    if (socket === undefined) return undefined
    socket.off('connect', this.#socketOnConnect)
    socket.off('secureConnect', this.#socketOnConnect)
    socket.off('data', this.#socketOnData)
    socket.off('end', this.#socketOnGone)
    socket.off('close', this.#socketOnGone)
    socket.on('error', noop)
    socket.off('error', this.#socketOnError)
    return socket
  }

  readonly #onLate = (ms: number): void => this.destroy(late(this.#connected, ms))

  readonly #socketOnConnect = (): void => {
    this.#connected = true
    clearTimeout(this.#connectTimer)
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
    const socket = this.#over() as Socket
    // Who takes it over reads on.
    socket.pause()
    if (read === undefined) {
      socket.unshift(received)
      this.#resolve(this.#leaveToNode(socket, performance.now() - this.#startedAt))
      return
    }
    this.#resolve({ switched: true, response: read.head, socket, head: received.subarray(read.size) })
  }

  /** With the error that a request of Node has then. */
  readonly #socketOnGone = (): void => this.destroy(Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' }))

  readonly #socketOnError = (error: Error): void => this.destroy(error)
}
