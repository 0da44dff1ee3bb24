import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'
import {
  type CloseOptions,
  createTunnelProxy,
  type Handover,
  isExtendedConnect,
  MAX_DELAY,
  type OpenMessage,
  plainAddress,
  type Tunnel,
  type TunnelProxy,
  WsTunnelError,
  type WsTunnelOptions,
} from '@ws-tunnel/core'
import {
  type Configuration,
  type Host,
  hostName,
  hostNamed,
  hostsOfConnection,
  type Listen,
} from '../configuration/virtual-hosts.ts'
import type { ErrorLog } from '../logs/error-log.ts'
import type { Logs } from '../logs/logs.ts'
import { BodyLimits } from './body-limits.ts'
import { Listeners } from './listeners.ts'
import type { Page, Pages } from './pages.ts'
import { type LoggedHost, RequestLog, type RequestRecord } from './request-log.ts'
import { type ParserError, refusedRequest, respond, respondRaw } from './respond.ts'

/** The status that is logged if a client disconnects before it gets a response. nginx logs the same. */
const CLIENT_GONE = 499

/** A virtual host that serves requests. */
interface ServingHost extends LoggedHost {
  readonly proxy: TunnelProxy
  readonly errorLog: ErrorLog
}

/** A configuration and its proxies. New requests go to the newest generation. */
interface Generation {
  readonly configuration: Configuration
  readonly hosts: ReadonlyMap<Host, ServingHost>
}

/** One request and what belongs to it. */
interface Exchange {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly serving: ServingHost
  readonly record: RequestRecord
  tunnel?: Tunnel
  /** The status of the parser's refusal, if it refused the body. */
  refused?: number
}

/** Serves a configuration at its listeners. The configuration can be replaced while the gateway runs. */
export class Gateway {
  readonly #exchangeOf = new WeakMap<IncomingMessage, Exchange>()
  /** The last exchange of each connection. */
  readonly #lastExchange = new WeakMap<Socket, Exchange>()
  readonly #generations = new Set<Generation>()
  readonly #exchanges = new Set<Exchange>()
  readonly #logs: Logs
  readonly #requestLog: RequestLog
  readonly #bodyLimits = new BodyLimits()
  readonly #listeners: Listeners
  readonly #pages: Pages
  #newest: Generation
  #closing = false

  /**
   * @throws {WsTunnelError} for options that the proxy refuses.
   * @throws the file system's error for a log that cannot be opened.
   */
  constructor(configuration: Configuration, logs: Logs, pages: Pages, handover?: Handover) {
    this.#logs = logs
    this.#pages = pages
    this.#requestLog = new RequestLog(logs.isJson)
    this.#newest = this.#generationOf(configuration)
    this.#listeners = new Listeners(
      configuration,
      {
        onRequest: (listen, req, res) => this.#serve(listen, req, res),
        onRefused: (listen, error, socket) => this.#refuseRaw(listen, error, socket),
        onTlsError: (listen, error, socket) => {
          const client = `${plainAddress(socket.remoteAddress)}:${socket.remotePort}`
          this.#servingHost(listen, socket, '').errorLog.write('info', `TLS: ${error.message}`, { client })
        },
        onError: (url, error) => this.errorLog.write('error', `${url}: ${error.message}`),
      },
      handover,
    )
  }

  /** The error log of the main server. */
  get errorLog(): ErrorLog {
    return (this.#newest.hosts.get(this.#newest.configuration.main) as ServingHost).errorLog
  }

  /**
   * Opens the listeners.
   *
   * @returns their URLs.
   * @throws for an address where it cannot listen.
   */
  async listen(wanted: readonly Listen[]): Promise<string[]> {
    await this.#pages.replace(proxiesOf(this.#newest))
    return this.#listeners.replace(this.#newest.configuration, wanted)
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
      opened = await this.#listeners.replace(configuration, wanted)
    } catch (error) {
      this.#generations.delete(next)
      throw error
    }
    await this.#pages.replace(proxiesOf(next))
    const old = this.#newest
    this.#newest = next
    void this.#retire(old)
    return opened
  }

  /**
   * Stops accepting connections after `noticeTime` ms, and ends requests and tunnels that are still open after
   * `drainTimeout` ms. It may be called again with a shorter time.
   */
  async close({ drainTimeout, drainSpread, noticeTime }: Required<CloseOptions>): Promise<void> {
    const isFirst = !this.#closing
    this.#closing = true
    if (isFirst && noticeTime > 0) await delay(noticeTime)
    const stopped = this.#listeners.close()
    void this.#pages.close()
    for (const { res } of this.#exchanges) if (!res.headersSent) res.shouldKeepAlive = false
    const proxies = Array.from(this.#generations, ({ hosts }) =>
      Array.from(hosts.values(), ({ proxy }) => proxy),
    ).flat()
    const timer = setTimeout(() => this.#listeners.closeAllConnections(), Math.min(drainTimeout, MAX_DELAY))
    await Promise.all([...proxies.map(proxy => proxy.close({ drainTimeout, drainSpread })), stopped])
    clearTimeout(timer)
    this.#requestLog.close()
  }

  #generationOf(configuration: Configuration): Generation {
    const hosts = new Map<Host, ServingHost>()
    for (const [i, host] of [configuration.main, ...configuration.hosts].entries())
      hosts.set(host, this.#servingHostOf(host, `${i} ${host.serverName}`))
    const generation = { configuration, hosts }
    this.#generations.add(generation)
    return generation
  }

  /** @param handoverName finds the host again in the next process */
  #servingHostOf(host: Host, handoverName: string): ServingHost {
    const onOpen = ({ tunnel, req }: OpenMessage): void => {
      const exchange = this.#exchangeOf.get(req)
      if (exchange !== undefined) exchange.tunnel = tunnel
    }
    const { file, level, format } = host.errorLog
    return {
      host,
      proxy: createTunnelProxy({
        ...host.options,
        // Timeout. httpd: AP_DEFAULT_TIMEOUT.
        stallTimeout: host.settings.timeout ?? 60_000,
        paths: 'normalise',
        handoverName,
        onOpen,
      } as WsTunnelOptions),
      accessLogs: host.accessLogs.map(settings => ({
        ...settings,
        sink: settings.file === undefined ? this.#logs.output : this.#logs.open(settings.file),
      })),
      errorLog: this.#logs.errorLog(file, level, format, host.serverName),
    }
  }

  /** Closes the proxies of an old generation when their last tunnel has ended. An earlier `close` could cut tunnels. */
  async #retire(generation: Generation): Promise<void> {
    const close = async ({ proxy }: ServingHost): Promise<void> => {
      while (proxy.tunnels.size > 0) await Promise.all(Array.from(proxy.tunnels, ({ ended }) => ended))
      await proxy.close({ drainTimeout: MAX_DELAY })
    }
    await Promise.all(Array.from(generation.hosts.values(), close))
    this.#generations.delete(generation)
  }

  #hostsAt(listen: Listen, socket: Socket): readonly Host[] {
    return hostsOfConnection(this.#newest.configuration, listen.filePort, plainAddress(socket.localAddress))
  }

  #servingHost(listen: Listen, socket: Socket, name: string): ServingHost {
    return this.#newest.hosts.get(hostNamed(this.#hostsAt(listen, socket), name)) as ServingHost
  }

  #serve(listen: Listen, req: IncomingMessage, res: ServerResponse): void {
    const { socket } = req
    const hosts = this.#hostsAt(listen, socket)
    const host = hostNamed(hosts, hostName(req.headers.host ?? ''))
    const serving = this.#newest.hosts.get(host) as ServingHost
    const exchange: Exchange = { req, res, serving, record: this.#requestLog.start(req, res, serving) }
    this.#exchanges.add(exchange)
    this.#exchangeOf.set(req, exchange)
    this.#bodyLimits.watch(req, host.settings, () => this.#refuseSlow(exchange))
    this.#lastExchange.set(socket, exchange)
    if (this.#closing) res.shouldKeepAlive = false
    res.once('close', () => {
      if (exchange.tunnel === undefined) this.#finish(exchange, res.headersSent ? res.statusCode : CLIENT_GONE)
    })
    res.on('error', () => {})
    const refused = host.settings.checkHead(req)
    if (refused !== undefined) {
      this.#refuse(refused, exchange)
      return
    }
    const sni = 'encrypted' in socket ? (socket as TLSSocket).servername : undefined
    if (typeof sni === 'string' && hostNamed(hosts, hostName(sni)).tls?.identity !== host.tls?.identity) {
      respond(res, 421)
      return
    }
    // The settings of a session are those of the host of its connection; this request is for another one.
    if (isExtendedConnect(req) && !host.settings.http2?.webSockets) {
      respond(res, 501)
      return
    }
    const named = this.#pages.named(req)
    if (named !== undefined) {
      this.#servePage(named, exchange).catch((error: unknown) => this.#refuse(error, exchange))
      return
    }
    serving.proxy.handle(req, res, { listen: false }).then(
      async handled => {
        const page = handled ? undefined : this.#pages.ofLocation(req, host)
        if (page !== undefined) await this.#servePage(page, exchange)
        else if (!handled) respond(res, 404, host.settings.errorDocuments)
        else void exchange.tunnel?.ended.then(end => this.#finish(exchange, 101, end.bytesFromBackend))
      },
      (error: unknown) => this.#refuse(error, exchange),
    )
  }

  /** Serves a page, if the client may see it. */
  async #servePage(page: Page, { req, res, serving }: Exchange): Promise<void> {
    const admitted = await this.#pages.admits(page, req, res, serving.host)
    if (admitted) await this.#pages.serve(page, req, res, this.#closing)
    else if (!res.headersSent) respond(res, 403, serving.host.settings.errorDocuments)
  }

  #finish(exchange: Exchange, status: number, tunnelBytes?: number): void {
    if (this.#exchanges.delete(exchange)) exchange.record.finish(exchange.refused ?? status, tunnelBytes)
  }

  #refuse(error: unknown, { req, res, serving, record }: Exchange): void {
    const known = error instanceof WsTunnelError
    const status = known ? error.statusCode : 500
    const message = known ? error.message : String((error as Error)?.stack ?? error)
    const level = status >= 500 ? 'error' : 'info'
    if (serving.errorLog.writes(level)) {
      const { client, errorId: id, variables, keptAlive } = record
      serving.errorLog.write(level, `${message}: ${req.method} ${req.url}`, { req, client, id, variables, keptAlive })
    }
    if (res.headersSent) res.destroy()
    else respond(res, status, serving.host.settings.errorDocuments)
  }

  /** Ends a request whose body arrives too slowly. */
  #refuseSlow({ req, res, serving, record }: Exchange): void {
    const { client, errorId: id } = record
    serving.errorLog.write('info', `the body arrives too slowly: ${req.method} ${req.url}`, { req, client, id })
    if (res.headersSent) req.socket.destroy()
    else {
      res.shouldKeepAlive = false
      respond(res, 408, serving.host.settings.errorDocuments)
      res.once('finish', () => req.socket.destroySoon())
    }
  }

  /** Responds to what Node's parser refused, and logs it. */
  #refuseRaw(listen: Listen, error: ParserError, socket: Socket): void {
    const refused = refusedRequest(error, socket)
    if (refused === undefined || !socket.writable) {
      socket.destroy()
      return
    }
    const exchange = this.#lastExchange.get(socket)
    const isOpen = exchange !== undefined && this.#exchanges.has(exchange)
    if (isOpen) {
      // The parser refused the body of a request, or what follows it. An earlier response may be on its way.
      if (exchange.res.headersSent) {
        socket.destroy()
        return
      }
      exchange.refused = refused.status
    }
    const body = respondRaw(socket, refused.status)
    const serving = this.#servingHost(listen, socket, '')
    const client = `${plainAddress(socket.remoteAddress)}:${socket.remotePort}`
    serving.errorLog.write('info', `${error.message}: ${refused.requestLine}`, { client })
    if (!isOpen) this.#requestLog.refused(socket, refused.requestLine, refused.status, body, serving)
  }
}

const proxiesOf = ({ hosts }: Generation): Map<Host, TunnelProxy> =>
  new Map(Array.from(hosts, ([host, { proxy }]) => [host, proxy]))
