import { AsyncLocalStorage } from 'node:async_hooks'
import { createServer, type IncomingMessage, type Server, ServerResponse, STATUS_CODES } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import { type AddressInfo, isIPv6, type Socket } from 'node:net'
import type { TLSSocket, TlsOptions } from 'node:tls'
import {
  createTunnelProxy,
  listenForUpgrades,
  type OpenMessage,
  type Tunnel,
  type TunnelProxy,
  WsTunnelError,
} from '@ws-tunnel/core'
import {
  type Configuration,
  candidates,
  type Host,
  hostFor,
  hostsOf,
  type Listen,
  nameOf,
  namesPort,
} from './configuration.ts'
import { logError } from './error-log.ts'

/** Longest delay a Node timer can count. */
const MAX_DELAY = 2 ** 31 - 1

/** What the log says of a client that left before its answer. */
const CLIENT_GONE = 499

/** A configuration that serves, until a newer one takes new requests. */
interface Generation {
  readonly configuration: Configuration
  readonly proxies: ReadonlyMap<Host, TunnelProxy>
}

/** A server and what it stands for. */
interface Listener {
  listen: Listen
  readonly server: Server | TlsServer
  readonly secure: boolean
}

/** One request under way. */
interface Exchange {
  readonly res: ServerResponse
  tunnel?: Tunnel
}

/** Serves a configuration at its listeners; the configuration may be replaced while it runs. */
export class Gateway {
  readonly #under = new AsyncLocalStorage<Exchange>()
  readonly #generations = new Set<Generation>()
  readonly #listeners: Listener[] = []
  readonly #exchanges = new Set<Exchange>()
  /** Servers that are not closed, those included that a new configuration does not want. */
  readonly #servers = new Set<Server | TlsServer>()
  /** Bytes of a connection that stand in the log already. */
  readonly #logged = new WeakMap<Socket, { read: number; written: number }>()
  #current: Generation
  #closing = false

  /** @throws {WsTunnelError} for options that cannot be served. */
  constructor(configuration: Configuration) {
    this.#current = this.#generationOf(configuration)
  }

  get logLevel(): string {
    return this.#current.configuration.main.logLevel
  }

  /**
   * Opens what is not open yet and closes what is not wanted any more.
   *
   * @returns the URLs of the new listeners.
   * @throws for an address that cannot be listened at; then everything is as before.
   */
  async listen(wanted: readonly Listen[], configuration = this.#current.configuration): Promise<string[]> {
    const ofId = (id: string): Listen | undefined => wanted.find(listen => listen.id === id)
    for (const { listen, secure } of this.#listeners) {
      const next = ofId(listen.id)
      if (next !== undefined && isSecure(configuration, next) !== secure)
        throw new Error(`port ${listen.port} cannot begin or cease to speak TLS while it is open`)
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

  /** Gives new requests to a new configuration; what is under way stays with the one it began with. */
  async replace(configuration: Configuration, wanted: readonly Listen[]): Promise<string[]> {
    const next = this.#generationOf(configuration)
    let opened: string[]
    try {
      opened = await this.listen(wanted, configuration)
    } catch (error) {
      this.#generations.delete(next)
      throw error
    }
    const old = this.#current
    this.#current = next
    for (const { listen, server, secure } of this.#listeners) {
      const [first] = hostsOf(configuration, listen.servedAs)
      if (secure && first?.tls !== undefined) (server as TlsServer).setSecureContext(contextOptions(first))
    }
    void this.#retire(old)
    return opened
  }

  /** Ends in peace: nothing new is accepted, what is open may go on for `drainTimeout` ms. */
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
      const exchange = this.#under.getStore()
      if (exchange !== undefined) exchange.tunnel = tunnel
    }
    const hosts = [configuration.main, ...configuration.hosts]
    const proxies = new Map(hosts.map(host => [host, createTunnelProxy({ ...host.options, onOpen })]))
    const generation = { configuration, proxies }
    this.#generations.add(generation)
    return generation
  }

  /** Waits for the last tunnel before it closes: closing sets a time to tunnels. */
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
      const list = hostsOf(this.#current.configuration, listener.listen.servedAs)
      done(null, hostFor(list, nameOf(name)).tls?.context)
    }
    const [first] = hostsOf(configuration, listen.servedAs) as readonly [Host]
    const server = secure ? createTlsServer({ ...contextOptions(first), SNICallback: sni }, serve) : createServer(serve)
    const listener: Listener = { listen, server, secure }
    listenForUpgrades(server, serve)
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

  /** Closes a server; connections that idle are closed, later ones as they come to idle. */
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
    const list = candidates(this.#current.configuration, listen.servedAs, plainAddress(socket.localAddress))
    const host = hostFor(list, nameOf(req.headers.host ?? ''))
    const exchange: Exchange = { res }
    this.#exchanges.add(exchange)
    if (this.#closing) res.shouldKeepAlive = false
    const bodyBytes = countBody(res)
    if (host.log.readsAnswer) keepAnswerFields(res)
    const done = this.#accessLog(req, res, host, exchange, bodyBytes)
    res.once('close', () => {
      if (exchange.tunnel === undefined) done(res.headersSent ? res.statusCode : CLIENT_GONE, undefined)
    })
    res.on('error', () => {})
    const sni = 'encrypted' in socket ? (socket as TLSSocket).servername : undefined
    if (typeof sni === 'string' && hostFor(list, nameOf(sni)).tls?.cert !== host.tls?.cert) {
      answer(res, 421)
      return
    }
    const proxy = this.#current.proxies.get(host) as TunnelProxy
    this.#under
      .run(exchange, () => proxy.handle(req, res, { listen: false }))
      .then(
        taken => {
          if (!taken) answer(res, 404)
          else void exchange.tunnel?.ended.then(end => done(101, end.bytesFromBackend))
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
    else answer(res, status)
  }

  /** Gives the function that writes the line, once. */
  #accessLog(
    req: IncomingMessage,
    res: ServerResponse,
    host: Host,
    exchange: Exchange,
    bodyBytes: () => number,
  ): (status: number, tunnelled: number | undefined) => void {
    const { socket } = req
    const startedAt = new Date()
    const started = process.hrtime.bigint()
    // A socket that is closed knows its addresses no more.
    const { remoteAddress, remotePort = 0, localAddress, localPort = 0 } = socket
    return (status, tunnelled) => {
      if (!this.#exchanges.delete(exchange)) return
      const before = this.#logged.get(socket) ?? { read: 0, written: 0 }
      const after = { read: socket.bytesRead, written: socket.bytesWritten }
      this.#logged.set(socket, after)
      const line = host.log.format({
        req,
        res,
        clientAddress: plainAddress(remoteAddress),
        clientPort: remotePort,
        localAddress: plainAddress(localAddress),
        localPort,
        serverName: host.serverName,
        startedAt,
        duration: Number(process.hrtime.bigint() - started) / 1_000,
        status,
        bytesIn: after.read - before.read,
        bytesOut: after.written - before.written,
        bodyBytes: tunnelled ?? bodyBytes(),
      })
      process.stdout.write(`${line}\n`)
    }
  }
}

/** Whether the default host of a listener speaks TLS. */
const isSecure = (configuration: Configuration, { servedAs }: Listen): boolean =>
  hostsOf(configuration, servedAs)[0]?.tls !== undefined

const contextOptions = ({ tls }: Host): { cert: string; key: string } => {
  const { cert, key } = tls as NonNullable<Host['tls']>
  return { cert, key }
}

/** An IPv4 address that came over a dual-stack socket, as IPv4. */
const plainAddress = (address = ''): string => address.replace(/^::ffff:(?=\d+\.)/i, '')

function urlOf({ server, secure }: Listener): string {
  const { address, port } = server.address() as AddressInfo
  return `${secure ? 'https' : 'http'}://${isIPv6(address) ? `[${address}]` : address}:${port}`
}

/** What is answered by the gateway itself, to a client that is still there. */
function answer(res: ServerResponse, status: number): void {
  if (res.destroyed) return
  const body = `${status} ${STATUS_CODES[status] ?? ''}\n`
  res.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8', 'Content-Length': Buffer.byteLength(body) })
  res.end(body)
}

/** Counts the bytes of a body as it is written. */
function countBody(res: ServerResponse): () => number {
  let bytes = 0
  const count = (chunk: unknown): void => {
    if (typeof chunk === 'string' || chunk instanceof Uint8Array) bytes += Buffer.byteLength(chunk)
  }
  const { write, end } = res
  res.write = (...args: unknown[]) => {
    count(args[0])
    return write.apply(res, args as never)
  }
  res.end = (...args: unknown[]) => {
    count(args[0])
    return end.apply(res, args as never)
  }
  return () => (res.req.method === 'HEAD' ? 0 : bytes)
}

/** Node keeps no fields of a head that is given as one list; to a `writeHead` of somebody's own they are set one by one. */
function keepAnswerFields(res: ServerResponse): void {
  res.writeHead = ServerResponse.prototype.writeHead
}

/** A listener for `--listen`: served as the port it says, or, where no virtual host names that, as whatever they name. */
export function adopt(configuration: Configuration, listen: Listen): Listen {
  const { port, servedAs } = listen
  return { ...listen, servedAs: servedAs ?? (namesPort(configuration, port) ? port : undefined) }
}
