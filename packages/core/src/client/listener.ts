import { type IncomingMessage, type RequestListener, type Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { ownOriginForm } from '../http/normal-form.ts'
import { prefixLength, RequestUrl } from '../http/path.ts'
import { hasBody, looksLikeUpgrade } from '../http/upgrade.ts'
import type { Only } from '../options/options.ts'

/** The socket and first bytes of a request that came through an `upgrade` event. */
export interface ArrivedUpgrade {
  readonly socket: Socket
  /** Bytes that arrived in the same read as the request's head. */
  readonly head: Buffer
  /**
   * Removes the listeners that connect the socket with the response. `undefined` for a plain request, whose response
   * Node's server still holds.
   */
  readonly unwire: (() => void) | undefined
}

/** One call of `listenForUpgrades`. */
interface Registration {
  readonly handler: RequestListener
  readonly only: Only | undefined
  /** Whether the handler gets `req.url` in origin form. */
  readonly originForm: boolean
  /** Whether a proxy registered by itself, for the server that its first request came from. */
  readonly implicit: boolean
}

/** Our state on a server. Every copy of this package in the process finds it, by a symbol of the global registry. */
interface ServerState {
  readonly registrations: Registration[]
  readonly stop: () => void
}

type ShouldUpgrade = (this: unknown, req: IncomingMessage) => boolean
type ListeningServer = Server & { shouldUpgradeCallback?: ShouldUpgrade; [STATE]?: ServerState }

const STATE: unique symbol = Symbol.for('ws-tunnel.listener.1') as never
/**
 * Key of the property of a request that holds its upgrade. The symbol is in the global registry, because a second copy
 * of the package must find it, too. A `WeakMap` would retain the upgrade until the next full collection, because its
 * socket references the request.
 */
const ARRIVED: unique symbol = Symbol.for('ws-tunnel.arrived.3') as never

type ArrivedRequest = IncomingMessage & { [ARRIVED]?: ArrivedUpgrade }

/** The socket and head of a request that came through an `upgrade` event. */
export function arrivedUpgrade(req: IncomingMessage): ArrivedUpgrade | undefined {
  return (req as ArrivedRequest)[ARRIVED]
}

/** Makes the upgrade available to the next handler of the request. */
export function setArrivedUpgrade(req: IncomingMessage, upgrade: ArrivedUpgrade): void {
  ;(req as ArrivedRequest)[ARRIVED] = upgrade
}

/** Options of `listenForUpgrades`. */
export interface ListenOptions {
  /**
   * Which upgrades to take if the server has other `upgrade` listeners: path prefixes, or a function.
   *
   * @default all upgrades if the server has no other `upgrade` listener, else none
   */
  only?: Only
  /**
   * Writes `req.url` of every request in origin form before a handler of the server sees it: `/x` for `http://host/x` with the server's own
   * `Host`. Guards of the app that compare the text of `req.url` then work for both forms. A server without an app may set it to false.
   *
   * @default true
   */
  originForm?: boolean
}

/**
 * Sends every upgrade request of a server through `handler` as an ordinary `(req, res)`, so that mounts, routers,
 * authentication and error handlers apply to it. All calls for a server share one `upgrade` listener. Requests that
 * cannot be upgraded (a body, HTTP/1.0, `h2c`) stay plain HTTP, because `server.shouldUpgradeCallback` returns false
 * for them.
 *
 * If the server has other `upgrade` listeners, `handler` gets the upgrades that `only` matches and they get the others.
 * Without `only` they get all upgrades, and a warning is emitted once per process.
 *
 * @returns a function that undoes the call.
 */
export function listenForUpgrades(server: Server, handler: RequestListener, options: ListenOptions = {}): () => void {
  return register(server, { handler, only: options.only, originForm: options.originForm ?? true, implicit: false })
}

/**
 * Does the same for the server that a request came from. Upgrades go to the server's own `request` listeners. If the app
 * has called {@link listenForUpgrades} itself, only the upgrades that `only` matches are added.
 */
export function listenImplicitly(server: Server, only: Only | undefined, originForm: boolean): () => void {
  const explicit = (server as ListeningServer)[STATE]?.registrations.some(({ implicit }) => !implicit)
  if (explicit && only === undefined) return noop
  const handler: RequestListener = (req, res) => void server.emit('request', req, res)
  return register(server, { handler, only, originForm, implicit: true })
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
    if (registrationFor(req) !== undefined) return looksLikeUpgrade(req) && !hasPendingResponse(req)
    return others() > 0 && (previousCallback === undefined || previousCallback.call(server, req))
  }

  function serverOnUpgrade(req: IncomingMessage, socket: Socket, head: Buffer): void {
    const registration = registrationFor(req)
    if (registration !== undefined) serveUpgrade(registration.handler, req, socket, head)
    else if (others() === 0) serveUpgrade((...pair) => void server.emit('request', ...pair), req, socket, head)
  }

  // An emitter calls all listeners. The other listeners would also respond to the upgrades that `only` matches.
  function filteredEmit(this: unknown, event: string | symbol, ...args: unknown[]): boolean {
    if (REQUEST_EVENTS.has(event) && registrations.some(({ originForm }) => originForm))
      useOriginForm(args[0] as IncomingMessage)
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
  server.emit = filteredEmit as typeof server.emit

  return {
    registrations,
    stop: () => {
      server.off('upgrade', serverOnUpgrade)
      server.off('connect', serverOnConnect as never)
      if (server.shouldUpgradeCallback === shouldUpgrade)
        server.shouldUpgradeCallback = previousCallback as ShouldUpgrade
      if (server.emit !== (filteredEmit as typeof server.emit)) return
      if (hadOwnEmit) server.emit = emit
      else delete (server as { emit?: unknown }).emit
    },
  }
}

const noop = (): void => {}

const REQUEST_EVENTS: ReadonlySet<string | symbol> = new Set([
  'request',
  'upgrade',
  'checkContinue',
  'checkExpectation',
])

function useOriginForm(req: IncomingMessage): void {
  if (req.url?.startsWith('/')) return
  const originForm = ownOriginForm(req.url ?? '', req.headers.host)
  if (originForm !== undefined) req.url = originForm
}

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
 * Whether an earlier request of the connection still has no complete response. That response must come first, so the
 * upgrade stays a plain request, which Node handles in order. Node keeps the response in `_httpMessage`, for which
 * there is no public API.
 */
function hasPendingResponse(req: IncomingMessage): boolean {
  return Boolean((req.socket as Socket & { _httpMessage?: unknown })._httpMessage)
}

let warned = false

function warnOfOthers(): void {
  if (warned) return
  warned = true
  process.emitWarning(
    'This server has other `upgrade` listeners, so ws-tunnel leaves all upgrades to them. ' +
      'Set the option `only` to the paths that belong to ws-tunnel, for instance `only: "/chat/"`.',
    { type: 'WsTunnelWarning', code: 'WST_WARN_OTHER_LISTENERS' },
  )
}

/**
 * Handles a request whose connection Node's server has released. Node no longer listens to the errors, `end` and `drain`
 * of that connection.
 */
function serveUpgrade(handler: RequestListener, req: IncomingMessage, socket: Socket, head: Buffer): void {
  socket.on('error', noop)
  const res = new ServerResponse(req)
  res.shouldKeepAlive = false
  try {
    res.assignSocket(socket)
  } catch {
    // An earlier response still has the socket. A response of ours cannot be written before it. It cannot be written after
    // it either, because the parser of the connection is gone.
    socket.destroy()
    return
  }
  socket.setTimeout?.(0)
  setArrivedUpgrade(req, { socket, head, unwire: connectResponse(req, res, socket) })
  if (hasBody(req)) {
    // Node has not separated the body from the bytes after it, so it cannot be read safely.
    res.writeHead(400, { Connection: 'close' }).end()
    return
  }
  handler(req, res)
}

/**
 * Does for a response what Node's server does on a connection that it owns.
 *
 * @returns a function that undoes it.
 */
function connectResponse(req: IncomingMessage, res: ServerResponse, socket: Socket): () => void {
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

/** Longest wait for the peer's FIN after our FIN, ms (httpd: SECONDS_TO_LINGER). */
const LINGER_TIMEOUT = 2_000

/**
 * Reads on until the peer closes, so that the peer can read our last bytes. Closing a socket that has unread bytes
 * sends RST, and RST makes the peer drop what it has not read yet. httpd: ap_lingering_close.
 */
export function linger(socket: Socket): void {
  socket.resume()
  const timer = setTimeout(() => socket.destroy(), LINGER_TIMEOUT)
  socket.once('end', () => socket.destroy())
  socket.once('close', () => clearTimeout(timer))
}
