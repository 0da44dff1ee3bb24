import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { isIP, type LookupFunction, type TcpNetConnectOpts } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import type { TargetOrigin } from './target.ts'

/** How a worker is connected to. */
export interface WorkerSettings {
  readonly tls: ConnectionOptions
  readonly lookup: LookupFunction | undefined
  readonly keepAlive: number
}

/** Options of `net.connect` and `tls.connect`, as `http.request` and an agent take them. */
export type ConnectOptions = ConnectionOptions & { socketPath?: string; lookup?: LookupFunction }

/** One backend: where it is, how to connect to it, and its pool for plain HTTP. */
export class Worker {
  readonly origin: TargetOrigin
  /** For a connection of its own, as every upgrade has: an upgraded connection never goes back to a pool. */
  readonly connectOptions: ConnectOptions
  /** The same for `net.connect` and `tls.connect`. */
  readonly socketOptions: ConnectionOptions & TcpNetConnectOpts
  /** Keep-alive pool for plain HTTP. */
  readonly agent: HttpAgent

  constructor(origin: TargetOrigin, { tls, lookup, keepAlive }: WorkerSettings) {
    this.origin = origin
    this.connectOptions = {
      host: origin.address ?? origin.host,
      port: origin.port,
      ...(origin.socketPath === undefined ? {} : { socketPath: origin.socketPath }),
      ...(lookup === undefined ? {} : { lookup: guarded(lookup) }),
      // The target's own name, never the client's Host, is what the certificate must say; an address has no SNI (RFC 6066 3).
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
  }

  /** Closes the idle connections of the pool. */
  dropIdle(): void {
    for (const sockets of Object.values(this.agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy()
  }

  /** Closes the idle connections, and those in use when their requests end. */
  close(): void {
    this.agent.maxFreeSockets = 0
    this.dropIdle()
  }
}

/** Node's net takes a list without addresses for granted to hold one, a throw for its own, and a second answer for one more. */
function guarded(lookup: LookupFunction): LookupFunction {
  return (host, options, tell) => {
    let told = false
    const done: typeof tell = (...answer) => {
      if (told) return
      told = true
      tell(...answer)
    }
    const refuse = (cause?: unknown): void => {
      const message = `no address for ${host}`
      done(Object.assign(new Error(message, { cause }), { code: 'ENOTFOUND', syscall: 'getaddrinfo' }), '', 4)
    }
    const answer: typeof done = (error, address, family) => {
      if (!error && !(address?.length > 0)) refuse()
      else done(error, address, family)
    }
    try {
      // A lookup written as an async function may reject.
      Promise.resolve(lookup(host, options, answer) as unknown).catch(refuse)
    } catch (cause) {
      process.nextTick(refuse, cause)
    }
  }
}
