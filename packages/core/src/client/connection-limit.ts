import { Server as HttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { DescriptorBudget, descriptorLimit, tunnelsLeft } from '../util/descriptors.ts'
import { arrivedUpgrade } from './arrived-upgrade.ts'
import { linger } from './serve-upgrade.ts'

/** Where the limit of descriptors is unknown. */
const DEFAULT_RESERVE = 64

const BODY = 'This server has no room for another connection.\n'
const RESPONSE = [
  'HTTP/1.1 503 Service Unavailable',
  'Content-Type: text/plain',
  `Content-Length: ${BODY.length}`,
  'Connection: close',
  '',
  BODY,
].join('\r\n')

/** Flag of a socket that gets the response when its TLS handshake is done. */
const LATE = Symbol('ws-tunnel.late')
type Flagged = Socket & { [LATE]?: boolean }

/** Connections of this process that have no backend yet. Each of them may need one more descriptor. */
let freshCount = 0
/** Refused connections of this process that are not closed yet. */
let refusedCount = 0

const limit = descriptorLimit()
const budget = limit === null ? undefined : new DescriptorBudget(limit)
/** Refused connections that are read before they are closed. */
const MAX_READ = Math.floor(((limit?.reserve ?? DEFAULT_RESERVE) * 3) / 4)

/**
 * Keeps descriptors free, so that a client that comes too late gets a response and not a closed connection: when none is
 * left, the system closes new connections before Node sees them.
 */
export class ConnectionLimit {
  readonly #server: Server
  readonly #max: number
  readonly #encrypted: boolean

  /** @param max how many connections the server may have; 0 is no limit by number. */
  constructor(server: Server, max: number) {
    this.#server = server
    this.#max = max
    this.#encrypted = 'setSecureContext' in server
    const left = max === 0 ? undefined : tunnelsLeft()
    if (left !== undefined && max > left) warnOfDescriptors(max, left)
  }

  /**
   * To be called at the server's event `connection`.
   *
   * @returns whether the connection may stay. Otherwise it is refused, and the caller must not use it.
   */
  admits(socket: Socket): boolean {
    if (!this.#isOver() && budget?.take(freshCount - refusedCount) !== false) {
      keep(socket)
      return true
    }
    const hasPlace = refusedCount < MAX_READ
    if (hasPlace) {
      refusedCount++
      socket.once('close', refusedOnClose)
    }
    if (this.#encrypted && hasPlace) {
      ;(socket as Flagged)[LATE] = true
      return true
    }
    this.#refuse(socket, hasPlace)
    return false
  }

  /** The same for the event `secureConnection`. */
  admitsSecure(socket: Socket): boolean {
    const { _parentWrap: raw } = (socket as unknown as { _handle?: { _parentWrap?: Socket } })._handle ?? {}
    if (raw === undefined) return true
    if ((raw as Flagged)[LATE]) {
      this.#refuse(socket, true)
      return false
    }
    if (settle(raw)) keep(socket)
    return true
  }

  #isOver(): boolean {
    // Node's own count, which includes offloaded tunnels.
    const { _connections: open = 0 } = this.#server as { _connections?: number }
    return this.#max > 0 && open > this.#max
  }

  /** @param reads whether its request is read first: with an unread request, the client would lose the response. */
  #refuse(socket: Socket, reads: boolean): void {
    const { localAddress, localPort, localFamily, remoteAddress, remotePort, remoteFamily } = socket
    socket.on('error', noop)
    if (!speaksHttp1(this.#server, socket)) socket.destroy()
    else {
      socket.end(RESPONSE)
      if (reads) {
        socket.once('data', refusedOnData)
        linger(socket)
      } else socket.destroySoon()
    }
    // As Node does past its own `maxConnections`.
    this.#server.emit('drop', { localAddress, localPort, localFamily, remoteAddress, remotePort, remoteFamily })
  }
}

function keep(socket: Socket): void {
  freshCount++
  socket.on('close', socketOnClose)
}

function refusedOnData(this: Socket): void {
  this.destroySoon()
}

function refusedOnClose(): void {
  refusedCount--
}

/**
 * To be called when a connection has its backend, or needs none.
 *
 * @returns whether it was counted until now.
 */
export function settle(socket: Socket): boolean {
  if (!isFresh(socket)) return false
  freshCount--
  socket.off('close', socketOnClose)
  return true
}

/** Whether the connection is counted. The listener is the mark. */
const isFresh = (socket: Socket): boolean => socket.listenerCount('close', socketOnClose) > 0

/**
 * To be called with each request: the connection of a plain one is settled when the response has ended. The response of an upgrade gets no
 * listener, because its tunnel would retain request and response as long as it is open.
 */
export function settleWith(req: IncomingMessage, res: ServerResponse): void {
  if (arrivedUpgrade(req) === undefined && isFresh(req.socket)) res.once('close', responseOnClose)
}

function socketOnClose(this: Socket): void {
  settle(this)
}

function responseOnClose(this: ServerResponse): void {
  settle(this.req.socket)
}

const noop = (): void => {}

/** A client that expects HTTP/2, or a TLS handshake, does not understand the response. */
function speaksHttp1(server: object, socket: Socket): boolean {
  const { alpnProtocol } = socket as { alpnProtocol?: string | false }
  if (server instanceof HttpServer) return true
  return alpnProtocol !== undefined && alpnProtocol !== 'h2'
}

function warnOfDescriptors(max: number, left: number): void {
  process.emitWarning(
    `maxConnections is ${max}, but this process may have only ${limit?.limit} descriptors, enough for about ${left} tunnels. ` +
      'Further clients get 503. Raise the limit: `ulimit -n`, or `LimitNOFILE=` of systemd.',
    { type: 'WsTunnelWarning', code: 'WST_WARN_DESCRIPTORS' },
  )
}
