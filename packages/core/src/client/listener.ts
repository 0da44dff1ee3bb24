import { type IncomingMessage, type RequestListener, type Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { prefixLength, RequestUrl } from '../http/path.ts'
import { hasBody, looksLikeUpgrade } from '../http/upgrade.ts'
import type { Only } from '../options/options.ts'

/** What an `upgrade` event brought beside the request. */
export interface ArrivedUpgrade {
  readonly socket: Socket
  /** Bytes that came in the same read as the request's head. */
  readonly head: Buffer
  /** Makes the socket forget the answer; `undefined` for a plain request, whose answer Node's server still holds. */
  readonly unwire: (() => void) | undefined
}

/** One call of `listenForUpgrades`. */
interface Registration {
  readonly handler: RequestListener
  readonly only: Only | undefined
  /** Made by a tunnel for the server it found itself on. */
  readonly implicit: boolean
}

/** What a server knows of us; found by every copy of this package through the registry of symbols. */
interface ServerState {
  readonly registrations: Registration[]
  readonly stop: () => void
}

type ShouldUpgrade = (this: unknown, req: IncomingMessage) => boolean
type ListeningServer = Server & { shouldUpgradeCallback?: ShouldUpgrade; [STATE]?: ServerState }

const STATE: unique symbol = Symbol.for('ws-tunnel.listener.1') as never
/**
 * Process-wide, for a second copy of the package must find it too. On the request itself: what a WeakMap holds lives on to
 * the next full collection if it leads back to its key, as a socket does.
 */
const ARRIVED: unique symbol = Symbol.for('ws-tunnel.arrived.3') as never

type ArrivedRequest = IncomingMessage & { [ARRIVED]?: ArrivedUpgrade }

/** The socket and head of a request that came through an `upgrade` event. */
export function arrivedUpgrade(req: IncomingMessage): ArrivedUpgrade | undefined {
  return (req as ArrivedRequest)[ARRIVED]
}

/** Puts an upgrade back for whoever handles the request next. */
export function setArrivedUpgrade(req: IncomingMessage, upgrade: ArrivedUpgrade): void {
  ;(req as ArrivedRequest)[ARRIVED] = upgrade
}

/** Options of `listenForUpgrades`. */
export interface ListenOptions {
  /** Which upgrades are ours where others listen on the same server. @default all, unless others listen */
  only?: Only
}

/**
 * Sends every upgrade request of a server through `handler` as an ordinary `(req, res)`, so that mounts, routers, auth
 * and error handlers apply to it. One `upgrade` listener serves any number of calls. Requests that are no upgrade (a
 * body, HTTP/1.0, `h2c`) stay plain HTTP by `server.shouldUpgradeCallback`.
 *
 * Where other `upgrade` listeners share the server, those named by `only` are ours and theirs the rest; without `only`
 * we step aside and warn once.
 *
 * @returns the function that undoes it.
 */
export function listenForUpgrades(server: Server, handler: RequestListener, options: ListenOptions = {}): () => void {
  return register(server, { handler, only: options.only, implicit: false })
}

/**
 * The same for a server that a request came from, through the server's own `request` listeners. Where the app listens
 * itself there is nothing to add but what `only` claims.
 */
export function listenImplicitly(server: Server, only: Only | undefined): () => void {
  const explicit = (server as ListeningServer)[STATE]?.registrations.some(({ implicit }) => !implicit)
  if (explicit && only === undefined) return noop
  return register(server, { handler: (req, res) => void server.emit('request', req, res), only, implicit: true })
}

function register(server: ListeningServer, registration: Registration): () => void {
  server[STATE] ??= startListening(server)
  const state = server[STATE]
  state.registrations.push(registration)
  return () => {
    const at = state.registrations.indexOf(registration)
    if (at !== -1) state.registrations.splice(at, 1)
    if (state.registrations.length === 0 && server[STATE] === state) {
      state.stop()
      delete server[STATE]
    }
  }
}

function startListening(server: ListeningServer): ServerState {
  const registrations: Registration[] = []
  const previousCallback = server.shouldUpgradeCallback
  const hadOwnEmit = Object.hasOwn(server, 'emit')
  const { emit } = server

  const others = (): number => server.listeners('upgrade').filter(listener => listener !== serverOnUpgrade).length

  const registrationFor = (req: IncomingMessage): Registration | undefined => {
    const named = registrations.find(({ only }) => only !== undefined && isOurs(only, req))
    if (named !== undefined) return named
    const all = registrations.find(({ only }) => only === undefined)
    if (all === undefined || others() === 0) return all
    warnOfOthers()
    return undefined
  }

  function shouldUpgrade(this: unknown, req: IncomingMessage): boolean {
    if (registrationFor(req) !== undefined) return looksLikeUpgrade(req) && !answering(req)
    return others() > 0 && (previousCallback === undefined || previousCallback.call(server, req))
  }

  function serverOnUpgrade(req: IncomingMessage, socket: Socket, head: Buffer): void {
    const registration = registrationFor(req)
    if (registration !== undefined) serveUpgrade(registration.handler, req, socket, head)
    else if (others() === 0) serveUpgrade((...pair) => void server.emit('request', ...pair), req, socket, head)
  }

  // An emitter calls all listeners: what `only` claims would be answered by the others too, had they not a gate before them.
  function gate(this: unknown, event: string | symbol, ...args: unknown[]): boolean {
    if (event === 'upgrade' && registrations.some(({ only }) => only !== undefined && isOurs(only, args[0] as never))) {
      serverOnUpgrade(...(args as unknown as [IncomingMessage, Socket, Buffer]))
      return true
    }
    return (emit as (...all: unknown[]) => boolean).call(server, event, ...args)
  }

  function serverOnConnect(_req: IncomingMessage, peer: Socket | ServerResponse): void {
    if (server.listenerCount('connect') > 1) return
    if ('stream' in peer) (peer as unknown as ServerResponse).writeHead(501).end()
    else {
      const socket = peer as Socket
      socket.on('error', noop)
      socket.end('HTTP/1.1 501 Not Implemented\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
      linger(socket)
    }
  }

  server.on('upgrade', serverOnUpgrade)
  server.on('connect', serverOnConnect as never)
  server.shouldUpgradeCallback = shouldUpgrade
  server.emit = gate as typeof server.emit

  return {
    registrations,
    stop: () => {
      server.off('upgrade', serverOnUpgrade)
      server.off('connect', serverOnConnect as never)
      if (server.shouldUpgradeCallback === shouldUpgrade)
        server.shouldUpgradeCallback = previousCallback as ShouldUpgrade
      if (server.emit !== (gate as typeof server.emit)) return
      if (hadOwnEmit) server.emit = emit
      else delete (server as { emit?: unknown }).emit
    },
  }
}

const noop = (): void => {}

function isOurs(only: Only, req: IncomingMessage): boolean {
  if (typeof only === 'function') {
    try {
      return only(req)
    } catch {
      return false
    }
  }
  const path = new RequestUrl(req.url ?? '/').path('keep').text
  return (typeof only === 'string' ? [only] : only).some(prefix => prefix === '/' || prefixLength(path, prefix) !== -1)
}

/**
 * An earlier request of this connection has no answer yet. Its answer must come first, so the upgrade stays a plain
 * request, which Node answers in its turn. `_httpMessage` is Node's own mark for it and has no public twin.
 */
function answering(req: IncomingMessage): boolean {
  return Boolean((req.socket as Socket & { _httpMessage?: unknown })._httpMessage)
}

let warned = false

function warnOfOthers(): void {
  if (warned) return
  warned = true
  process.emitWarning(
    'Other `upgrade` listeners share this server, so ws-tunnel leaves all upgrades to them. ' +
      'Say which are ours with the option `only`, for instance `only: "/chat/"`.',
    { type: 'WsTunnelWarning', code: 'WST_WARN_OTHER_LISTENERS' },
  )
}

/** Node has let go of the connection: from here on every error, end and drain of it is ours to hear. */
function serveUpgrade(handler: RequestListener, req: IncomingMessage, socket: Socket, head: Buffer): void {
  socket.on('error', noop)
  const res = new ServerResponse(req)
  res.shouldKeepAlive = false
  try {
    res.assignSocket(socket)
  } catch {
    // An earlier answer still has the socket: nothing may be written before it, nor after the parser is gone.
    socket.destroy()
    return
  }
  socket.setTimeout?.(0)
  setArrivedUpgrade(req, { socket, head, unwire: wireAnswer(req, res, socket) })
  if (hasBody(req)) {
    // A body that Node did not keep apart from what follows it cannot be read safely.
    res.writeHead(400, { Connection: 'close' }).end()
    return
  }
  handler(req, res)
}

/** What Node's server does for an answer on a connection that it still owns; undone by what is returned. */
function wireAnswer(req: IncomingMessage, res: ServerResponse, socket: Socket): () => void {
  function clientOnDrain(): void {
    if (!res.writableEnded) res.emit('drain')
  }
  function clientOnClose(): void {
    req.destroy()
  }
  function responseOnFinish(): void {
    socket.off('drain', clientOnDrain)
    res.detachSocket(socket)
    res.destroyed = true
    socket.end()
    linger(socket)
    process.nextTick(() => res.emit('close'))
  }
  socket.on('drain', clientOnDrain)
  socket.on('close', clientOnClose)
  res.once('finish', responseOnFinish)
  return () => {
    socket.off('drain', clientOnDrain)
    socket.off('close', clientOnClose)
  }
}

/** Longest wait for the peer's FIN after ours, ms (httpd: SECONDS_TO_LINGER). */
const LINGER_TIMEOUT = 2_000

/**
 * Lets the peer read our last bytes: closing a socket with unread bytes in it would send RST, which makes the peer drop
 * what it has not read yet. httpd: ap_lingering_close.
 */
export function linger(socket: Socket): void {
  socket.resume()
  const timer = setTimeout(() => socket.destroy(), LINGER_TIMEOUT)
  socket.once('end', () => socket.destroy())
  socket.once('close', () => clearTimeout(timer))
}
