import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { isIP, type LookupFunction, type Socket, type TcpNetConnectOpts } from 'node:net'
import { type ConnectionOptions, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls'
import type { TargetOrigin } from './target.ts'

/** How to connect to a worker. */
export interface ConnectSettings {
  readonly tls: ConnectionOptions
  readonly lookup: LookupFunction | undefined
  /** Idle time before TCP keep-alive probes, ms. With 0, connections of the pool keep Node's default of 1000. */
  readonly keepAlive: number
}

/** Options of `net.connect` and `tls.connect`, as `http.request` and an agent take them. */
export type ConnectOptions = ConnectionOptions & { socketPath?: string; lookup?: LookupFunction }

/** One backend: its address, how to connect to it, and its connection pool for plain HTTP. */
export class Worker {
  readonly origin: TargetOrigin
  /** For `http.request` without a pool: an upgraded connection never returns to a pool. */
  readonly connectOptions: ConnectOptions
  /** The same for `net.connect` and `tls.connect`. */
  readonly socketOptions: ConnectionOptions & TcpNetConnectOpts
  /** Keep-alive pool for plain HTTP. */
  readonly agent: HttpAgent
  #secureContext: SecureContext | undefined

  constructor(origin: TargetOrigin, { tls, lookup, keepAlive }: ConnectSettings) {
    this.origin = origin
    this.connectOptions = {
      host: origin.address ?? origin.host,
      port: origin.port,
      ...(origin.socketPath === undefined ? {} : { socketPath: origin.socketPath }),
      ...(lookup === undefined ? {} : { lookup: guarded(lookup) }),
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
    const options = { keepAlive: true, keepAliveMsecs: keepAlive || 1_000, ...this.connectOptions }
    this.agent = origin.secure ? new HttpsAgent(options) : new HttpAgent(options)
    if (!this.#checksUnverified) return
    const { agent } = this
    const connect = agent.createConnection.bind(agent)
    agent.createConnection = (...given) => {
      const socket = connect(...given)
      this.watchPeer(socket as Socket)
      return socket
    }
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

  /** Closes the idle connections of the pool. */
  dropIdle(): void {
    for (const sockets of Object.values(this.agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy()
  }

  /** Closes the idle connections now, and those in use when their requests end. */
  close(): void {
    this.agent.maxFreeSockets = 0
    this.dropIdle()
  }
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
