import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import type { Http2ServerResponse } from 'node:http2'
import type { Socket } from 'node:net'
import { ownOriginForm } from '../http/normal-form.ts'
import { prefixLength, RequestUrl } from '../http/path.ts'
import { looksLikeUpgrade } from '../http/upgrade.ts'
import { count } from '../options/checks.ts'
import type { Only } from '../options/options.ts'
import { ConnectionLimit, settle, settleWith } from './connection-limit.ts'
import { serveExtendedConnect } from './serve-stream.ts'
import { linger, serveUpgrade } from './serve-upgrade.ts'

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
  /** Tests for the upgrades that lead to a tunnel. They count on a server that has other `upgrade` listeners. */
  readonly claims: Set<Claim>
  connectionLimit: ConnectionLimit
  readonly stop: () => void
}

/** Whether the path of an upgrade leads to a tunnel; `undefined` if this cannot be told from the path. */
export type Claim = (req: IncomingMessage) => boolean | undefined

/** Whether one of several claims is true; `undefined` if none is, and one cannot be told. */
export function anyClaim(claims: Iterable<Claim>, req: IncomingMessage): boolean | undefined {
  let result: boolean | undefined = false
  for (const claim of claims) {
    const claimed = claim(req)
    if (claimed) return true
    if (claimed === undefined) result = undefined
  }
  return result
}

type ShouldUpgrade = (this: unknown, req: IncomingMessage) => boolean
type ListeningServer = Server & { shouldUpgradeCallback?: ShouldUpgrade; [STATE]?: ServerState }

const STATE: unique symbol = Symbol.for('ws-tunnel.listener.2') as never
/** Options of `listenForUpgrades`. */
export interface ListenOptions {
  /**
   * Which upgrades to take if the server has other `upgrade` listeners: path prefixes, or a function.
   *
   * @default all upgrades if the server has no other `upgrade` listener, else those whose path leads to a tunnel
   */
  only?: Only
  /**
   * Whether the path of an upgrade leads to a tunnel of the handler. An adapter knows it from its framework.
   *
   * @default learned: the mounts of the tunnels that have had a request
   */
  claims?: Claim
  /**
   * Writes `req.url` of every request in origin form before a handler of the server sees it: `/x` for `http://host/x` with the server's own
   * `Host`. Guards of the app that compare the text of `req.url` then work for both forms. A server without an app may set it to false.
   *
   * @default true
   */
  originForm?: boolean
  /**
   * How many connections the server may have, tunnels included; 0 is no limit by number. A client past it gets 503 with a status line, and
   * `server` emits `drop`. On Linux clients also get it when the descriptors of the process are nearly used up. @default 0
   */
  maxConnections?: number
}

/**
 * Sends every upgrade request of a server through `handler` as an ordinary `(req, res)`, so that mounts, routers,
 * authentication and error handlers apply to it. All calls for a server share one `upgrade` listener. Requests that
 * cannot be upgraded (a body, HTTP/1.0, `h2c`) stay plain HTTP, because `server.shouldUpgradeCallback` returns false
 * for them.
 *
 * If the server has other `upgrade` listeners, `handler` gets the upgrades that `only` matches, or without `only` those
 * whose path leads to a tunnel. The others get the rest. A warning names the first path that they get although it may lead
 * to a tunnel.
 *
 * @returns a function that undoes the call.
 */
export function listenForUpgrades(server: Server, handler: RequestListener, options: ListenOptions = {}): () => void {
  const { only, originForm = true, claims, maxConnections } = options
  if (maxConnections !== undefined) count('maxConnections', maxConnections)
  const stop = register(server, { handler, only, originForm, implicit: false })
  if (maxConnections !== undefined) limitConnections(server, maxConnections)
  const unclaim = only === undefined ? addClaim(server, claims ?? unknown) : noop
  return () => {
    unclaim()
    stop()
  }
}

function limitConnections(server: ListeningServer, max: number): void {
  const state = server[STATE]
  if (state !== undefined) state.connectionLimit = new ConnectionLimit(server, max)
}

function addClaim(server: ListeningServer, claim: Claim): () => void {
  server[STATE]?.claims.add(claim)
  return () => void server[STATE]?.claims.delete(claim)
}

/**
 * Does the same for a server that a tunnel serves. Upgrades go to the server's own `request` listeners. If the app has
 * called {@link listenForUpgrades} itself, only the upgrades that `only` or `claim` matches are added.
 */
export function listenImplicitly(
  server: Server,
  only: Only | undefined,
  originForm: boolean,
  claim: Claim,
): () => void {
  const explicit = (server as ListeningServer)[STATE]?.registrations.some(({ implicit }) => !implicit)
  const handler: RequestListener = (req, res) => void server.emit('request', req, res)
  const stop = explicit && only === undefined ? noop : register(server, { handler, only, originForm, implicit: true })
  const unclaim = only === undefined ? addClaim(server, claim) : noop
  return () => {
    unclaim()
    stop()
  }
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
  const claims = new Set<Claim>()
  const previousCallback = server.shouldUpgradeCallback
  const hadOwnEmit = Object.hasOwn(server, 'emit')
  const { emit } = server

  const others = (): number => server.listeners('upgrade').filter(listener => listener !== serverOnUpgrade).length

  const registrationFor = (req: IncomingMessage): Registration | undefined => {
    const named = registrations.find(({ only }) => only !== undefined && isOurs(only, req))
    if (named !== undefined) return named
    const all = registrations.find(({ only }) => only === undefined)
    const isTaken = all === undefined || others() === 0 || anyClaim(claims, req) === true
    return isTaken ? all : undefined
  }

  function shouldUpgrade(this: unknown, req: IncomingMessage): boolean {
    if (registrationFor(req) !== undefined) return looksLikeUpgrade(req) && !hasPendingResponse(req)
    return others() > 0 && (previousCallback === undefined || previousCallback.call(server, req))
  }

  function serverOnUpgrade(req: IncomingMessage, socket: Socket, head: Buffer): void {
    const registration = registrationFor(req)
    if (registration !== undefined) serveUpgrade(registration.handler, req, socket, head)
    else if (others() === 0) serveUpgrade((...pair) => void server.emit('request', ...pair), req, socket, head)
    else {
      settle(socket)
      if (registrations.some(({ only }) => only === undefined) && anyClaim(claims, req) === undefined) warnOfOthers(req)
    }
  }

  // An emitter calls all listeners. The other listeners would also respond to the upgrades that are ours.
  function filteredEmit(this: unknown, event: string | symbol, ...args: unknown[]): boolean {
    const { connectionLimit } = state
    if (event === 'request') settleWith(args[0] as IncomingMessage, args[1] as ServerResponse)
    else if (event === 'connection' && !connectionLimit.admits(args[0] as Socket)) return true
    else if (event === 'secureConnection' && !connectionLimit.admitsSecure(args[0] as Socket)) return true
    if (REQUEST_EVENTS.has(event) && registrations.some(({ originForm }) => originForm))
      useOriginForm(args[0] as IncomingMessage)
    if (event === 'upgrade' && others() > 0 && registrationFor(args[0] as IncomingMessage) !== undefined) {
      serverOnUpgrade(...(args as unknown as [IncomingMessage, Socket, Buffer]))
      return true
    }
    return (emit as (...all: unknown[]) => boolean).call(server, event, ...args)
  }

  function serverOnConnect(req: IncomingMessage, peer: Socket | Http2ServerResponse): void {
    if (server.listenerCount('connect') > 1) return
    if ('stream' in peer) {
      const { handler } = registrationFor(req) ?? registrations[0] ?? {}
      if (handler === undefined) peer.writeHead(501).end()
      else
        serveExtendedConnect(handler, { stream: peer.stream, headers: req.headers, rawHeaders: req.rawHeaders, server })
    } else {
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

  const state: ServerState = {
    registrations,
    claims,
    connectionLimit: new ConnectionLimit(server, 0),
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
  return state
}

const noop = (): void => {}
const unknown: Claim = () => undefined

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

function warnOfOthers({ url = '/' }: IncomingMessage): void {
  if (warned) return
  warned = true
  const [path = ''] = url.split('?', 1)
  process.emitWarning(
    `This server has other \`upgrade\` listeners, so ws-tunnel leaves the upgrade of ${JSON.stringify(path)} to them: it cannot tell ` +
      'whether the path leads to one of its tunnels. Set the option `only` to the paths of the tunnels, for instance `only: "/chat/"`.',
    { type: 'WsTunnelWarning', code: 'WST_WARN_OTHER_LISTENERS' },
  )
}
