import type { RequestListener } from 'node:http'
import {
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  type IncomingHttpHeaders,
  performServerHandshake,
  type SecureServerOptions,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type ServerOptions,
} from 'node:http2'
import type { Socket } from 'node:net'
import { type ListenOptions, listenForUpgrades } from './listener.ts'
import { serveExtendedConnect, servePlainStream } from './serve-stream.ts'

/** Bytes that a stream, and all streams of a session together, may send before they are read. Node's 64 KiB cost bulk data a third more CPU. */
const STREAM_WINDOW = 1_048_576
const SESSION_WINDOW = 8_388_608

/** Streams of one session at a time. Node has no limit. */
const MAX_STREAMS = 100

/**
 * Creates a server for HTTP/2 and HTTP/1.1 whose requests reach the app as HTTP/1.1 requests: Express and Connect do not serve HTTP/2
 * requests. Upgrades go through the app as with {@link listenForUpgrades}. With `settings: { enableConnectProtocol: true }` browsers send
 * WebSockets over HTTP/2 (RFC 8441), and these go through the app as well. A browser takes the setting as a promise, so it is off unless
 * set.
 *
 * @param options those of `http2.createSecureServer`; without `key`, `cert`, `pfx` and `SNICallback` those of `http2.createServer`
 * @param listening `only` and the other options of {@link listenForUpgrades}
 */
export function createHttp2Server(
  options: SecureServerOptions | ServerOptions,
  app: RequestListener,
  listening: ListenOptions = {},
): Http2SecureServer | Http2Server {
  const settings = settingsOf(options)
  const isSecure = ['key', 'cert', 'pfx', 'SNICallback'].some(name => name in options)
  const server = isSecure
    ? createSecureServer({ allowHTTP1: true, ...options, settings })
    : createServer({ ...options, settings })
  server.on('request', app as never)
  // Node has added a listener that makes `request` events of its own from streams. HTTP/1.1 requests do not need it.
  server.removeAllListeners('stream')
  server.on('session', enlargeWindow)
  server.on('stream', streamListener(app, server) as never)
  listenForUpgrades(server as never, app, listening)
  return server
}

/**
 * Serves HTTP/2 on a connection that a server of another kind has accepted: one whose client has selected `h2` by ALPN, or has begun with
 * the preface of HTTP/2. The requests reach the app as with {@link createHttp2Server}.
 *
 * @param options those of `http2.createServer`
 * @param server what `req.socket.server` is: the server that listens for upgrades
 */
export function serveHttp2Connection(
  socket: Socket,
  options: ServerOptions,
  app: RequestListener,
  server: object,
): ServerHttp2Session {
  const session = performServerHandshake(socket, { ...options, settings: settingsOf(options) })
  // Without a listener, a malformed frame would end the process.
  session.on('error', () => {})
  session.on('stream', streamListener(app, server) as never)
  enlargeWindow(session)
  return session
}

const settingsOf = ({ settings }: ServerOptions): ServerOptions['settings'] => ({
  initialWindowSize: STREAM_WINDOW,
  maxConcurrentStreams: MAX_STREAMS,
  ...settings,
})

const streamListener =
  (app: RequestListener, server: object) =>
  (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, _flags: number, rawHeaders: string[] = []): void => {
    const serve = headers[':method'] === 'CONNECT' ? serveExtendedConnect : servePlainStream
    serve(app, { stream, headers, rawHeaders, server })
  }

function enlargeWindow(session: ServerHttp2Session): void {
  session.setLocalWindowSize(SESSION_WINDOW)
}
