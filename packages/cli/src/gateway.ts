import { AsyncLocalStorage } from 'node:async_hooks'
import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import { type AddressInfo, isIPv6 } from 'node:net'
import type { TLSSocket, TlsOptions } from 'node:tls'
import {
  createTunnelProxy,
  listenForUpgrades,
  MAX_DELAY,
  type OpenMessage,
  plainAddress,
  type Tunnel,
  type TunnelProxy,
  WsTunnelError,
} from '@ws-tunnel/core'
import { logError } from './error-log.ts'
import { type FinishRecord, RequestLog } from './request-log.ts'
import {
  type Configuration,
  type Host,
  hostName,
  hostNamed,
  hostsOfConnection,
  hostsOfPort,
  type Listen,
} from './virtual-hosts.ts'

/** The status that is logged if a client disconnects before it gets a response. nginx logs the same. */
const CLIENT_GONE = 499

/** A configuration and its proxies. New requests go to the newest generation. */
interface Generation {
  readonly configuration: Configuration
  readonly proxies: ReadonlyMap<Host, TunnelProxy>
}

/** A server and the address that it was opened for. */
interface Listener {
  listen: Listen
  readonly server: Server | TlsServer
  readonly secure: boolean
}

/** One request and what belongs to it. */
interface Exchange {
  readonly res: ServerResponse
  tunnel?: Tunnel
}

/** Serves a configuration at its listeners. The configuration can be replaced while the gateway runs. */
export class Gateway {
  /** The exchange that a proxy is handling, so that `onOpen` finds the exchange of its tunnel. */
  readonly #currentExchange = new AsyncLocalStorage<Exchange>()
  readonly #generations = new Set<Generation>()
  readonly #listeners: Listener[] = []
  readonly #exchanges = new Set<Exchange>()
  /** Every server that is not closed yet, including servers that a new configuration no longer has. */
  readonly #servers = new Set<Server | TlsServer>()
  readonly #log = new RequestLog()
  #newest: Generation
  #closing = false

  /** @throws {WsTunnelError} for options that the proxy refuses. */
  constructor(configuration: Configuration) {
    this.#newest = this.#generationOf(configuration)
  }

  get logLevel(): string {
    return this.#newest.configuration.main.logLevel
  }

  /**
   * Opens the listeners that are not open yet and closes those that are no longer wanted.
   *
   * @returns the URLs of the new listeners.
   * @throws for an address where it cannot listen. The listeners stay as they were.
   */
  async listen(wanted: readonly Listen[], configuration = this.#newest.configuration): Promise<string[]> {
    const ofId = (id: string): Listen | undefined => wanted.find(listen => listen.id === id)
    for (const { listen, secure } of this.#listeners) {
      const next = ofId(listen.id)
      if (next !== undefined && isSecure(configuration, next) !== secure)
        throw new Error(`port ${listen.port} cannot switch TLS on or off while it is open`)
    }
    const known = new Set(this.#listeners.map(({ listen }) => listen.id))
    const opened: Listener[] = []
    try {
      for (const listen of wanted) if (!known.has(listen.id)) opened.push(await this.#open(listen, configuration))
    } catch (error) {
      for (const { server } of opened) void this.#stop(server)
      throw error
    }
    for (const listener of this.#listeners.splice(0)) {
      const next = ofId(listener.listen.id)
      if (next === undefined) void this.#stop(listener.server)
      else {
        listener.listen = next
        this.#listeners.push(listener)
      }
    }
    this.#listeners.push(...opened)
    return opened.map(urlOf)
  }

  /**
   * Serves new requests from a new configuration. Requests and tunnels that have begun keep their old one.
   *
   * @returns the URLs of the new listeners.
   * @throws as {@link listen} does. The old configuration stays.
   */
  async replace(configuration: Configuration, wanted: readonly Listen[]): Promise<string[]> {
    const next = this.#generationOf(configuration)
    let opened: string[]
    try {
      opened = await this.listen(wanted, configuration)
    } catch (error) {
      this.#generations.delete(next)
      throw error
    }
    const old = this.#newest
    this.#newest = next
    for (const { listen, server, secure } of this.#listeners) {
      const [first] = hostsOfPort(configuration, listen.filePort)
      if (secure && first?.tls !== undefined) (server as TlsServer).setSecureContext(contextOptions(first))
    }
    void this.#retire(old)
    return opened
  }

  /** Stops accepting connections, and ends requests and tunnels that are still open after `drainTimeout` ms. */
  async close(drainTimeout: number): Promise<void> {
    this.#closing = true
    const stopped = Array.from(this.#servers, server => this.#stop(server))
    for (const { res } of this.#exchanges) if (!res.headersSent) res.shouldKeepAlive = false
    const proxies = [...this.#generations].flatMap(({ proxies }) => [...proxies.values()])
    const timer = setTimeout(
      () => {
        for (const server of this.#servers) server.closeAllConnections()
      },
      Math.min(drainTimeout, MAX_DELAY),
    )
    await Promise.all([...proxies.map(proxy => proxy.close({ drainTimeout })), ...stopped])
    clearTimeout(timer)
  }

  #generationOf(configuration: Configuration): Generation {
    const onOpen = ({ tunnel }: OpenMessage): void => {
      const exchange = this.#currentExchange.getStore()
      if (exchange !== undefined) exchange.tunnel = tunnel
    }
    const hosts = [configuration.main, ...configuration.hosts]
    const proxies = new Map(
      hosts.map(host => [host, createTunnelProxy({ ...host.options, paths: 'normalise', onOpen })]),
    )
    const generation = { configuration, proxies }
    this.#generations.add(generation)
    return generation
  }

  /** Closes the proxies of an old generation when their last tunnel has ended. An earlier `close` could cut tunnels. */
  async #retire(generation: Generation): Promise<void> {
    const close = async (proxy: TunnelProxy): Promise<void> => {
      while (proxy.tunnels.size > 0) await Promise.all(Array.from(proxy.tunnels, ({ ended }) => ended))
      await proxy.close({ drainTimeout: MAX_DELAY })
    }
    await Promise.all(Array.from(generation.proxies.values(), close))
    this.#generations.delete(generation)
  }

  async #open(listen: Listen, configuration: Configuration): Promise<Listener> {
    const secure = isSecure(configuration, listen)
    const serve = (req: IncomingMessage, res: ServerResponse): void => this.#serve(listener.listen, req, res)
    const sni: TlsOptions['SNICallback'] = (name, done) => {
      const hosts = hostsOfPort(this.#newest.configuration, listener.listen.filePort)
      done(null, hostNamed(hosts, hostName(name)).tls?.context)
    }
    const [first] = hostsOfPort(configuration, listen.filePort) as readonly [Host]
    const server = secure ? createTlsServer({ ...contextOptions(first), SNICallback: sni }, serve) : createServer(serve)
    const listener: Listener = { listen, server, secure }
    listenForUpgrades(server, serve, { originForm: false })
    server.once('drop', () =>
      logError(this.logLevel, 'error', `${urlOf(listener)}: no room for more clients: they get 503`),
    )
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen({ port: listen.port, ...(listen.host === undefined ? {} : { host: listen.host }) }, () => {
        server.off('error', reject)
        server.on('error', error => logError(this.logLevel, 'error', `${urlOf(listener)}: ${error.message}`))
        resolve()
      })
    })
    this.#servers.add(server)
    return listener
  }

  /** Closes a server: its idle connections at once, and each other connection when it becomes idle. */
  #stop(server: Server | TlsServer): Promise<void> {
    return new Promise(resolve => {
      const sweep = setInterval(() => server.closeIdleConnections(), 100)
      const stopped = (): void => {
        clearInterval(sweep)
        this.#servers.delete(server)
        resolve()
      }
      if (server.listening) server.close(stopped)
      else server.once('close', stopped)
    })
  }

  #serve(listen: Listen, req: IncomingMessage, res: ServerResponse): void {
    const { socket } = req
    const hosts = hostsOfConnection(this.#newest.configuration, listen.filePort, plainAddress(socket.localAddress))
    const host = hostNamed(hosts, hostName(req.headers.host ?? ''))
    const exchange: Exchange = { res }
    this.#exchanges.add(exchange)
    if (this.#closing) res.shouldKeepAlive = false
    const writeLine = this.#log.start(req, res, host)
    const finish: FinishRecord = (status, tunnelBytes) => {
      if (this.#exchanges.delete(exchange)) writeLine(status, tunnelBytes)
    }
    res.once('close', () => {
      if (exchange.tunnel === undefined) finish(res.headersSent ? res.statusCode : CLIENT_GONE)
    })
    res.on('error', () => {})
    const sni = 'encrypted' in socket ? (socket as TLSSocket).servername : undefined
    if (typeof sni === 'string' && hostNamed(hosts, hostName(sni)).tls?.cert !== host.tls?.cert) {
      respond(res, 421)
      return
    }
    const proxy = this.#newest.proxies.get(host) as TunnelProxy
    this.#currentExchange
      .run(exchange, () => proxy.handle(req, res, { listen: false }))
      .then(
        handled => {
          if (!handled) respond(res, 404)
          else void exchange.tunnel?.ended.then(end => finish(101, end.bytesFromBackend))
        },
        (error: unknown) => this.#refuse(error, req, res, host),
      )
  }

  #refuse(error: unknown, req: IncomingMessage, res: ServerResponse, host: Host): void {
    const known = error instanceof WsTunnelError
    const status = known ? error.statusCode : 500
    const client = `${plainAddress(req.socket.remoteAddress)}:${req.socket.remotePort}`
    const message = known ? error.message : String((error as Error)?.stack ?? error)
    logError(host.logLevel, status >= 500 ? 'error' : 'info', `${message}: ${req.method} ${req.url}`, client)
    if (res.headersSent) res.destroy()
    else respond(res, status)
  }
}

/** Whether the default host of a listener has TLS. */
const isSecure = (configuration: Configuration, { filePort }: Listen): boolean =>
  hostsOfPort(configuration, filePort)[0]?.tls !== undefined

const contextOptions = ({ tls }: Host): { cert: string; key: string } => {
  const { cert, key } = tls as NonNullable<Host['tls']>
  return { cert, key }
}

function urlOf({ server, secure }: Listener): string {
  const { address, port } = server.address() as AddressInfo
  return `${secure ? 'https' : 'http'}://${isIPv6(address) ? `[${address}]` : address}:${port}`
}

/** Sends a response of the gateway itself, unless the client has disconnected. */
function respond(res: ServerResponse, status: number): void {
  if (res.destroyed) return
  const body = `${status} ${STATUS_CODES[status] ?? ''}\n`
  res.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8', 'Content-Length': Buffer.byteLength(body) })
  res.end(body)
}
