import type { RequestListener, Server } from 'node:http'
import type { ServerHttp2Session, ServerOptions } from 'node:http2'
import type { Socket } from 'node:net'
import type { TlsOptions } from 'node:tls'
import { serveHttp2Connection } from '@ws-tunnel/core'
import type { ServerSettings } from '@ws-tunnel/httpd-conf'
import { maxHeaderSize } from './server-options.ts'

/** Defaults of httpd. */
const HTTPD = { windowSize: 65_535, maxSessionStreams: 100, keepAliveTimeout: 5_000 }

/** With these bytes a client of HTTP/2 begins (RFC 9113 3.4). */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')

/** The protocol of a TLS connection, by the host of its server name and what the client offers; `undefined` if none fits. */
export function selectProtocol({ http2 }: ServerSettings, offered: readonly string[]): string | undefined {
  const own = http2?.protocols.filter(protocol => protocol !== 'h2c') ?? ['http/1.1']
  if (http2?.honorsOrder === false) return offered.find(protocol => own.includes(protocol))
  return own.find(protocol => offered.includes(protocol))
}

/** `ALPNCallback` of a TLS server. */
export const alpn =
  (settingsOf: (serverName: string) => ServerSettings): NonNullable<TlsOptions['ALPNCallback']> =>
  ({ servername, protocols }) =>
    selectProtocol(settingsOf(servername), protocols)

/** The sessions of HTTP/2 of one server. The connections of HTTP/1.1 stay with the server. */
export class Http2Connections {
  readonly #server: Server
  readonly #app: RequestListener
  readonly #settingsOf: (socket: Socket) => ServerSettings
  readonly #sessions = new Set<ServerHttp2Session>()

  /**
   * Takes the connections of HTTP/2 from a server: over TLS those that have selected it, in cleartext those that begin with its preface
   * where `Protocols` names h2c.
   *
   * @param settingsOf the settings of the host that a connection is for
   */
  constructor(server: Server, secure: boolean, app: RequestListener, settingsOf: (socket: Socket) => ServerSettings) {
    this.#server = server
    this.#app = app
    this.#settingsOf = settingsOf
    const event = secure ? 'secureConnection' : 'connection'
    const ofHttp1 = server.listeners(event) as ((this: Server, socket: Socket) => void)[]
    server.removeAllListeners(event)
    const serveHttp1 = (socket: Socket): void => {
      for (const listener of ofHttp1) listener.call(server, socket)
    }
    server.on(event, (socket: Socket & { alpnProtocol?: unknown }) => {
      if (socket.alpnProtocol === 'h2') this.#serve(socket)
      else if (secure || !settingsOf(socket).http2?.protocols.includes('h2c')) serveHttp1(socket)
      else this.#sniff(socket, serveHttp1)
    })
  }

  /** Reads as far as the bytes may be the preface. */
  #sniff(socket: Socket, serveHttp1: (socket: Socket) => void): void {
    const { headersTimeout } = this.#server
    const socketOnSilent = (): void => void socket.destroy()
    const socketOnReadable = (): void => {
      const bytes: Buffer | null = socket.read()
      if (bytes === null) return
      const length = Math.min(bytes.length, PREFACE.length)
      const mayBePreface = bytes.compare(PREFACE, 0, length, 0, length) === 0
      socket.unshift(bytes)
      if (mayBePreface && length < PREFACE.length) return
      socket.off('readable', socketOnReadable)
      socket.off('timeout', socketOnSilent)
      socket.off('error', socketOnSilent)
      socket.off('end', socketOnSilent)
      socket.setTimeout(0)
      if (mayBePreface) this.#serve(socket)
      else {
        serveHttp1(socket)
        socket.resume()
      }
    }
    socket.setTimeout(headersTimeout, socketOnSilent)
    socket.on('error', socketOnSilent)
    socket.on('end', socketOnSilent)
    socket.on('readable', socketOnReadable)
  }

  #serve(socket: Socket): void {
    const settings = this.#settingsOf(socket)
    const session = serveHttp2Connection(socket, sessionOptions(settings), this.#app, this.#server)
    this.#sessions.add(session)
    session.once('close', () => this.#sessions.delete(session))
    let streams = 0
    session.on('stream', stream => {
      streams++
      stream.once('close', () => streams--)
    })
    const { keepAliveTimeout = HTTPD.keepAliveTimeout } = settings
    session.setTimeout(Math.max(1, keepAliveTimeout), () => {
      if (streams === 0) session.close()
    })
  }

  /** Refuses further streams, and closes each session when its streams have ended. */
  close(): void {
    for (const session of this.#sessions) session.close()
  }

  destroy(): void {
    for (const session of this.#sessions) session.destroy()
  }
}

function sessionOptions(settings: ServerSettings): ServerOptions {
  const { http2 } = settings
  return {
    maxHeaderListPairs: (settings.limitRequestFields || 100) + 4,
    settings: {
      enableConnectProtocol: http2?.webSockets === true,
      initialWindowSize: http2?.windowSize ?? HTTPD.windowSize,
      maxConcurrentStreams: http2?.maxSessionStreams ?? HTTPD.maxSessionStreams,
      maxHeaderListSize: maxHeaderSize(settings),
    },
  }
}
