import { lookup as systemLookup } from 'node:dns'
import { isIP, type LookupFunction, type Socket, type TcpNetConnectOpts } from 'node:net'
import { type ConnectionOptions, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls'
import { ConnectionPool } from './connection-pool.ts'
import { SessionPool } from './session-pool.ts'
import type { TargetOrigin } from './target.ts'

/** How to connect to a worker. */
export interface ConnectSettings {
  readonly tls: ConnectionOptions
  readonly lookup: LookupFunction | undefined
  /** Idle time before TCP keep-alive probes, ms. With 0, connections of the pool have 1000. */
  readonly keepAlive: number
  /** The address from which connections are made; '' is any. @default '' */
  readonly localAddress?: string | undefined
  /** Whether HTTP/2 is offered to a backend with TLS. @default false */
  readonly http2?: boolean | undefined
}

/** Whether a backend gets requests over HTTP/2: never, if it selects it by ALPN, or always. */
export type Http2Mode = 'never' | 'offered' | 'always'

export const http2Mode = ({ scheme, secure }: TargetOrigin, http2: boolean): Http2Mode =>
  scheme === 'h2' || scheme === 'h2c' ? 'always' : http2 && secure ? 'offered' : 'never'

/** Options of `net.connect` and `tls.connect`, as `http.request` and an agent take them. */
export type ConnectOptions = ConnectionOptions & { socketPath?: string; lookup?: LookupFunction; localAddress?: string }

/** One backend: its address, how to connect to it, and its connection pool for plain HTTP. */
export class Worker {
  readonly origin: TargetOrigin
  /** For `http.request` without a pool: an upgraded connection never returns to a pool. */
  readonly connectOptions: ConnectOptions
  /** The same for `net.connect` and `tls.connect`. */
  readonly socketOptions: ConnectionOptions & TcpNetConnectOpts
  /** The kept connections for plain HTTP. */
  readonly pool: ConnectionPool
  /** The HTTP/2 sessions; `undefined` for a backend of HTTP/1.1. */
  readonly sessions: SessionPool | undefined
  #secureContext: SecureContext | undefined
  /** Idle time before TCP keep-alive probes, ms. */
  readonly keepAlive: number
  readonly #closers: (() => void)[] = []

  constructor(origin: TargetOrigin, { tls, lookup, keepAlive, localAddress = '', http2 = false }: ConnectSettings) {
    this.origin = origin
    this.keepAlive = keepAlive
    this.connectOptions = {
      host: origin.address ?? origin.host,
      port: origin.port,
      ...(origin.socketPath === undefined ? {} : { socketPath: origin.socketPath }),
      ...lookupOption(origin, lookup),
      ...(localAddress === '' ? {} : { localAddress }),
      // The certificate must be for the target's host, never for the client's Host. An IP address has no SNI (RFC 6066
      // 3).
      ...(origin.secure
        ? { servername: isIP(origin.host) ? '' : origin.host, ALPNProtocols: ['http/1.1'], ...tls }
        : {}),
    }
    this.socketOptions = {
      ...this.connectOptions,
      port: origin.port,
      ...(origin.socketPath === undefined ? {} : { path: origin.socketPath }),
      allowHalfOpen: true,
      noDelay: true,
    }
    const kept = { keepAlive: true, keepAliveInitialDelay: keepAlive || 1_000, allowHalfOpen: false }
    const options = { ...this.socketOptions, ...kept }
    const peerTls = origin.secure ? this : undefined
    this.pool = new ConnectionPool(options, peerTls)
    const mode = http2Mode(origin, http2)
    if (mode !== 'never') this.sessions = new SessionPool(options, peerTls, mode === 'always', this.pool)
  }

  /** Whether `checkServerIdentity` is given for certificates whose chain is not verified. */
  get #checksUnverified(): boolean {
    const { rejectUnauthorized, checkServerIdentity } = this.connectOptions
    return this.origin.secure && rejectUnauthorized === false && checkServerIdentity !== undefined
  }

  /**
   * Checks the certificate of a new connection before anything is sent, if its chain is not verified: Node calls
   * `checkServerIdentity` only after a verified chain.
   */
  watchPeer(socket: Socket): void {
    if (!this.#checksUnverified || !('encrypted' in socket)) return
    const { servername, checkServerIdentity } = this.connectOptions
    const tls = socket as TLSSocket
    tls.prependOnceListener('secureConnect', () => {
      if (tls.authorized) return
      const error = checkServerIdentity?.(servername || this.origin.host, tls.getPeerCertificate())
      if (error !== undefined) tls.destroy(error)
    })
  }

  /**
   * The parsed certificates, keys and CAs for `tls.connect`. They are made at the first connect and kept, because Node would
   * parse them again for each connection, which is a fifth of the cost of a connect. No session is kept: each connection
   * makes a full handshake, in which the certificate is checked.
   *
   * @throws if the TLS options are not valid
   */
  get secureContext(): SecureContext {
    this.#secureContext ??= this.connectOptions.secureContext ?? createSecureContext(this.connectOptions)
    return this.#secureContext
  }

  /** Closes the idle connections. A session in use takes no further request. */
  dropIdle(): void {
    this.pool.dropIdle()
    this.sessions?.retireAll()
  }

  /** Closes the idle connections now, and those in use when their requests end. */
  close(): void {
    this.pool.close()
    this.sessions?.close()
    for (const close of this.#closers) close()
  }

  /** Calls `close` when the worker closes: an engine of another package has a pool of its own. */
  onClose(close: () => void): void {
    this.#closers.push(close)
  }
}

function lookupOption(
  { acceptAddress }: TargetOrigin,
  lookup: LookupFunction | undefined,
): { lookup?: LookupFunction } {
  if (acceptAddress !== undefined)
    return { lookup: guarded(accepting(lookup ?? (systemLookup as LookupFunction), acceptAddress)) }
  return lookup === undefined ? {} : { lookup: guarded(lookup) }
}

/** Leaves out the addresses that are not accepted. */
function accepting(lookup: LookupFunction, accept: (address: string) => boolean): LookupFunction {
  return (host, options, callback) =>
    lookup(host, options, (error, found, family) => {
      const none = Array.isArray(found) ? [] : ''
      const accepted =
        typeof found === 'string'
          ? accept(found)
            ? found
            : none
          : (found?.filter(each => accept(each.address)) ?? none)
      callback(error, accepted as typeof found, family)
    })
}

/**
 * Guards Node's net against a faulty `lookup`: an empty list of addresses, an exception, or a second call of the
 * callback. Node's net does not expect any of them.
 */
function guarded(lookup: LookupFunction): LookupFunction {
  return (host, options, callback) => {
    let called = false
    const once: typeof callback = (...result) => {
      if (called) return
      called = true
      callback(...result)
    }
    const fail = (cause?: unknown): void => {
      const message = `no address for ${host}`
      once(Object.assign(new Error(message, { cause }), { code: 'ENOTFOUND', syscall: 'getaddrinfo' }), '', 4)
    }
    const lookupOnResult: typeof callback = (error, address, family) => {
      if (!error && !(address?.length > 0)) fail()
      else once(error, address, family)
    }
    try {
      // An async function may reject.
      Promise.resolve(lookup(host, options, lookupOnResult) as unknown).catch(fail)
    } catch (cause) {
      process.nextTick(fail, cause)
    }
  }
}
