import cluster from 'node:cluster'
import { once } from 'node:events'
import { chmodSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import { type AddressInfo, isIPv6, type ListenOptions, type Socket } from 'node:net'
import type { TLSSocket, TlsOptions } from 'node:tls'
import { type Handover, listenForUpgrades } from '@ws-tunnel/core'
import {
  type Configuration,
  type Host,
  hostName,
  hostNamed,
  hostsOfPort,
  type Listen,
} from '../configuration/virtual-hosts.ts'
import { alpn, Http2Connections } from './http2.ts'
import type { ParserError } from './respond.ts'
import { allowsProtocol, applySettings, serverOptions, tlsOptions } from './server-options.ts'
import { removeStaleSockets } from './stale-sockets.ts'

/** A server and the address that it was opened for. */
interface Listener {
  listen: Listen
  readonly server: Server | TlsServer
  readonly secure: boolean
  readonly http2: Http2Connections
}

/** What happens at the listeners. */
export interface ListenerEvents {
  readonly onRequest: (listen: Listen, req: IncomingMessage, res: ServerResponse) => void
  /** Node's parser refused a request, or the request took too long to arrive. */
  readonly onRefused: (listen: Listen, error: ParserError, socket: Socket) => void
  readonly onTlsError: (listen: Listen, error: Error, socket: Socket) => void
  readonly onError: (url: string, error: Error) => void
}

/** The servers of a gateway. */
export class Listeners {
  readonly #events: ListenerEvents
  readonly #open: Listener[] = []
  /** Every server that is not closed yet, including servers that a new configuration no longer has. */
  readonly #servers = new Map<Server | TlsServer, Http2Connections>()
  #configuration: Configuration

  readonly #handover: Handover | undefined

  /** @param handover has the listeners of the process before this one */
  constructor(configuration: Configuration, events: ListenerEvents, handover: Handover | undefined) {
    this.#configuration = configuration
    this.#events = events
    this.#handover = handover
  }

  /**
   * Opens the listeners that are not open yet and closes those that are no longer wanted.
   *
   * @returns the URLs of the new listeners.
   * @throws for an address where it cannot listen. The listeners stay as they were.
   */
  async replace(configuration: Configuration, wanted: readonly Listen[]): Promise<string[]> {
    const ofId = (id: string): Listen | undefined => wanted.find(listen => listen.id === id)
    for (const { listen, secure } of this.#open) {
      const next = ofId(listen.id)
      if (next !== undefined && isSecure(configuration, next) !== secure)
        throw new Error(`port ${listen.port} cannot switch TLS on or off while it is open`)
    }
    const known = new Set(this.#open.map(({ listen }) => listen.id))
    const opened: Listener[] = []
    try {
      for (const listen of wanted) if (!known.has(listen.id)) opened.push(await this.#listen(listen, configuration))
    } catch (error) {
      for (const { server, http2 } of opened) void this.#stop(server, http2)
      throw error
    }
    this.#configuration = configuration
    for (const listener of this.#open.splice(0)) {
      const next = ofId(listener.listen.id)
      if (next === undefined) void this.#stop(listener.server, listener.http2)
      else {
        listener.listen = next
        this.#open.push(listener)
        this.#update(listener)
      }
    }
    this.#open.push(...opened)
    return opened.map(urlOf)
  }

  /** Gives an open listener the settings of the new configuration. */
  #update({ listen, server, secure }: Listener): void {
    const hosts = hostsOfPort(this.#configuration, listen.filePort)
    const [first] = hosts as readonly [Host]
    applySettings(server, first.settings)
    if (!secure) return
    const options = tlsOptions(hosts)
    ;(server as TlsServer).setSecureContext(options)
    // `setSecureContext` has no such option. Node's types do not have the property.
    ;(server as TlsServer & { requestCert?: boolean }).requestCert = options.requestCert === true
  }

  /** Stops accepting connections. Resolves when all connections are closed. */
  async close(): Promise<void> {
    await Promise.all(Array.from(this.#servers, ([server, http2]) => this.#stop(server, http2)))
  }

  closeAllConnections(): void {
    for (const [server, http2] of this.#servers) {
      server.closeAllConnections()
      http2.destroy()
    }
  }

  async #listen(listen: Listen, configuration: Configuration): Promise<Listener> {
    const events = this.#events
    const hosts = hostsOfPort(configuration, listen.filePort)
    const [first] = hosts as readonly [Host]
    const secure = first.tls !== undefined
    const serve = (req: IncomingMessage, res: ServerResponse): void => events.onRequest(listener.listen, req, res)
    const server = secure
      ? createTlsServer(
          {
            ...serverOptions(first.settings),
            ...tlsOptions(hosts),
            SNICallback: this.#sni(() => listener),
            ALPNCallback: alpn(name => this.#hostOfName(listener.listen, name).settings),
          },
          serve,
        )
      : createServer(serverOptions(first.settings), serve)
    const http2 = new Http2Connections(server, secure, serve, socket => this.#hostOf(listener, socket).settings)
    const listener: Listener = { listen, server, secure, http2 }
    applySettings(server, first.settings)
    listenForUpgrades(server, serve, { originForm: false })
    server.once('drop', () => events.onError(urlOf(listener), new Error('no room for more clients: they get 503')))
    server.on('clientError', (error: ParserError, socket) => events.onRefused(listener.listen, error, socket as Socket))
    if (secure) this.#checkConnections(listener)
    if (!cluster.isWorker) await removeStaleSockets([listen])
    if (this.#handover === undefined) {
      server.listen(addressOf(listen))
      await once(server, 'listening')
    } else await this.#handover.listen(server, addressOf(listen))
    server.on('error', error => events.onError(urlOf(listener), error))
    // The folder of the socket decides which users may connect.
    if (listen.path !== undefined) chmodSync(listen.path, 0o666)
    this.#servers.set(server, http2)
    // The hand-over closes a server, too.
    server.once('close', () => this.#servers.delete(server))
    return listener
  }

  /** Selects the certificate by the server name. */
  #sni(listener: () => Listener): TlsOptions['SNICallback'] {
    return (name, done) => done(null, this.#hostOfName(listener().listen, name).tls?.context)
  }

  #hostOfName({ filePort }: Listen, name: string): Host {
    return hostNamed(hostsOfPort(this.#configuration, filePort), hostName(name))
  }

  /** The host that a connection is for, by its server name. */
  #hostOf({ listen }: Pick<Listener, 'listen'>, socket: Socket): Host {
    return this.#hostOfName(listen, (socket as { servername?: string | false }).servername || '')
  }

  /** Ends connections whose protocol version the host of their server name does not allow. */
  #checkConnections(listener: Listener): void {
    const { server } = listener
    server.on('tlsClientError', (error, socket) => this.#events.onTlsError(listener.listen, error, socket))
    server.on('secureConnection', (socket: TLSSocket) => {
      if (allowsProtocol(this.#hostOf(listener, socket), socket.getProtocol())) return
      this.#events.onTlsError(
        listener.listen,
        new Error(`${socket.getProtocol()} is not allowed by SSLProtocol`),
        socket,
      )
      socket.destroy()
    })
  }

  /** Closes a server: its idle connections at once, and each other connection when it becomes idle. */
  #stop(server: Server | TlsServer, http2: Http2Connections): Promise<void> {
    http2.close()
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
}

/** Whether the default host of a listener has TLS. */
const isSecure = (configuration: Configuration, { filePort }: Listen): boolean =>
  hostsOfPort(configuration, filePort)[0]?.tls !== undefined

function addressOf({ host, port, path, fd }: Listen): ListenOptions & { fd?: number } {
  if (fd !== undefined) return { fd }
  if (path !== undefined) return { path }
  return { port, ...(host === undefined ? {} : { host }) }
}

function urlOf({ server, secure }: Listener): string {
  const at = server.address() as AddressInfo | string | null
  if (at === null || typeof at === 'string') return `unix:${at ?? ''}`
  return `${secure ? 'https' : 'http'}://${isIPv6(at.address) ? `[${at.address}]` : at.address}:${at.port}`
}
