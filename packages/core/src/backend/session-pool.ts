import type { Socket, TcpNetConnectOpts } from 'node:net'
import { performance } from 'node:perf_hooks'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { WsTunnelError } from '../errors.ts'
import { type CancelSignal, unlessAborted } from '../util/abort.ts'
import { Countdown } from '../util/countdown.ts'
import { backendError, roundTripError, timeoutError } from './backend-error.ts'
import { BackendSession } from './backend-session.ts'
import type { ConnectionPool } from './connection-pool.ts'
import { dial, type PeerTls } from './dial.ts'

/** ms for which a backend that has selected HTTP/1.1 is not asked again. */
const ASK_AGAIN = 60_000

/** How a connect ended: a session, `undefined` for a backend that has selected HTTP/1.1, or what makes the error. */
type Opened = BackendSession | undefined | (() => WsTunnelError)

/**
 * The HTTP/2 sessions to one backend. A new one is opened only if no other has room for a stream. Its requests wait for the SETTINGS
 * of the backend, which say how many streams it allows and whether it knows extended CONNECT (RFC 9113 3.4, RFC 8441 3).
 */
export class SessionPool {
  readonly #options: ConnectionOptions & TcpNetConnectOpts
  readonly #tls: PeerTls | undefined
  readonly #isOnly: boolean
  readonly #http1: ConnectionPool
  readonly #sessions = new Set<BackendSession>()
  /** Requests that find no room while a session is opened wait for it. */
  #opening: Promise<Opened> | undefined
  #http1Until = 0
  #isClosed = false

  /**
   * @param tls is given for a backend with TLS.
   * @param isOnly whether the backend must speak HTTP/2. Otherwise it selects a protocol by ALPN.
   * @param http1 gets the connections on which the backend has selected HTTP/1.1.
   */
  constructor(
    options: ConnectionOptions & TcpNetConnectOpts,
    tls: PeerTls | undefined,
    isOnly: boolean,
    http1: ConnectionPool,
  ) {
    this.#options = { ...options, ALPNProtocols: isOnly ? ['h2'] : ['h2', 'http/1.1'] }
    this.#tls = tls
    this.#isOnly = isOnly
    this.#http1 = http1
  }

  /**
   * A session with room for a stream; `undefined` if the backend has selected HTTP/1.1.
   *
   * @throws {WsTunnelError} 502, 503 or 504, or the reason of the signal.
   */
  async take(connectTimeout: number, signal: CancelSignal): Promise<BackendSession | undefined> {
    for (;;) {
      for (const session of this.#sessions) if (session.hasRoom) return session
      if (performance.now() < this.#http1Until) return undefined
      const isOpener = this.#opening === undefined
      this.#opening ??= this.#open(connectTimeout)
      const opened = await unlessAborted(signal, this.#opening)
      if (typeof opened === 'function') throw opened()
      // The session belongs to its opener first, so that each turn of the loop serves a request at least.
      if (opened === undefined || isOpener) return opened
    }
  }

  async #open(connectTimeout: number): Promise<Opened> {
    try {
      return await this.#connect(connectTimeout)
    } finally {
      this.#opening = undefined
    }
  }

  #connect(connectTimeout: number): Promise<Opened> {
    return new Promise(resolve => {
      let limit: Countdown | undefined
      let destroy = (): void => {}
      const end = (opened: Opened): void => {
        limit?.stop()
        resolve(opened)
      }
      const fail = (error: Error): void => end(() => roundTripError(error, false, this.#tls !== undefined))
      if (connectTimeout > 0)
        limit = new Countdown(connectTimeout, () => {
          end(() => timeoutError(false, connectTimeout))
          destroy()
        })
      try {
        const socket = dial(this.#options, this.#tls, connected => this.#begin(connected, end), fail)
        destroy = () => void socket.destroy()
      } catch (error) {
        // Node checks TLS options when it connects.
        end(() => backendError(error as Error))
      }
    })
  }

  #begin(socket: Socket, end: (opened: Opened) => void): void {
    if (this.#tls !== undefined && (socket as TLSSocket).alpnProtocol !== 'h2') {
      if (this.#isOnly) {
        end(() => new WsTunnelError('WST_ERR_TLS', { detail: 'the backend has not selected h2 by ALPN' }))
        socket.destroy()
        return
      }
      this.#http1Until = performance.now() + ASK_AGAIN
      this.#http1.adopt(socket)
      end(undefined)
      return
    }
    const session = new BackendSession(socket, this.#tls !== undefined)
    session.onReady(() => {
      if (this.#isClosed) session.retire()
      else this.#sessions.add(session)
      end(session)
    })
    session.onEnded(error => {
      this.#sessions.delete(session)
      end(() => roundTripError(error, true, false))
    })
  }

  /** The backend is silent, or leaves: requests that come later get another session. */
  retire(session: BackendSession): void {
    this.#sessions.delete(session)
    session.retire()
  }

  retireAll(): void {
    for (const session of this.#sessions) this.retire(session)
  }

  /** Closes the idle sessions now, and the others when their streams end. */
  close(): void {
    this.#isClosed = true
    this.retireAll()
  }
}
