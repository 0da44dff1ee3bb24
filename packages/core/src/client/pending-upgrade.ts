import { type IncomingMessage, type Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { WsTunnelError } from '../errors.ts'
import type { HeaderList } from '../http/header-list.ts'
import type { NativeEnds, TunnelEnds } from '../tunnel/engine.ts'
import { PausedProbe } from '../tunnel/paused-probe.ts'
import { type ArrivedUpgrade, arrivedUpgrade, setArrivedUpgrade } from './arrived-upgrade.ts'
import { settle } from './connection-limit.ts'
import { SwitchedResponse } from './switched-response.ts'
import { writeHead } from './write-head.ts'

/** Bytes a client may send ahead of the 101 before its socket is paused. */
const MAX_EARLY_BYTES = 65_536

/** Pending upgrades of this process. */
let pending = 0

/** The client's connection between an upgrade request and its response. */
export class PendingUpgrade {
  readonly socket: Socket
  readonly #req: IncomingMessage
  readonly #res: ServerResponse
  readonly #unwire: (() => void) | undefined
  readonly #paused: PausedProbe
  readonly #onGone: () => void
  #early: Buffer[] = []
  #earlyBytes = 0
  #isHeld = true

  /**
   * Takes the client's socket, unless `max` upgrades of this process are pending; 0 is no limit.
   *
   * @throws {WsTunnelError} `WST_ERR_PENDING_LIMIT`
   */
  static start(req: IncomingMessage, res: ServerResponse, onGone: () => void, max: number): PendingUpgrade {
    if (max > 0 && pending >= max)
      throw new WsTunnelError('WST_ERR_PENDING_LIMIT', { detail: `maxPendingUpgrades is ${max}` })
    return new PendingUpgrade(req, res, onGone)
  }

  /**
   * Takes the client's socket. It must be called in the turn of the event loop in which the request was handed over.
   * Otherwise a request that came without an `upgrade` event loses the bytes that arrive in between.
   *
   * @param onGone is called when the client leaves, or when the app has responded by itself.
   */
  constructor(req: IncomingMessage, res: ServerResponse, onGone: () => void) {
    const { socket, head, unwire } = arrivedUpgrade(req) ?? takeOver(res)
    this.socket = socket
    this.#req = req
    this.#res = res
    this.#onGone = onGone
    this.#unwire = unwire
    this.#paused = new PausedProbe(socket)
    pending++
    // Otherwise the stream would send its own FIN when it receives the client's.
    socket.allowHalfOpen = true
    res.shouldKeepAlive = false
    if (socket.destroyed || socket.readableEnded) onGone()
    socket.on('end', onGone)
    socket.on('close', onGone)
    // The app may respond by itself, for instance in a callback of `res.setTimeout`.
    res.on('close', onGone)
    socket.on('data', this.#clientOnData)
    socket.resume()
    if (head.length > 0) this.#clientOnData(head)
  }

  readonly #clientOnData = (chunk: Buffer): void => {
    this.#early.push(chunk)
    this.#earlyBytes += chunk.length
    if (this.#earlyBytes < MAX_EARLY_BYTES) return
    this.socket.pause()
    this.#paused.start()
  }

  /** Hands the upgrade back with the bytes that arrived in the meantime, so that the next handler can take it. */
  handBack(): void {
    this.#detach()
    this.socket.pause()
    setArrivedUpgrade(this.#req, {
      socket: this.socket,
      head: Buffer.concat(this.#early),
      unwire: this.#unwire,
    })
  }

  /** To be called before a response that is not a 101. The client's socket is still read, and its bytes are dropped. */
  refuse(): void {
    if (!this.#isHeld) return
    this.#detach()
    this.#early = []
    // As Node does for a request: a client that ends the connection does not wait for the response.
    this.socket.on('end', () => {
      if (!this.#res.writableFinished) this.#res.destroy()
    })
    this.socket.resume()
  }

  /**
   * Writes the 101 with the fields that earlier middleware set on `res`, then takes the socket from it. The caller must
   * attach its own `data` listener in the same turn of the event loop.
   *
   * @param leavesHead Whether the caller sends the 101 itself, if that is possible. It costs less without Node's streams.
   * @returns the bytes that the client sent before the 101, {@link TunnelEnds.response} and the unsent 101.
   */
  switch(
    reason: string,
    headers: HeaderList,
    leavesHead = false,
  ): Pick<NativeEnds, 'clientHead' | 'response' | 'unsentHead'> {
    const res = this.#res
    writeHead(res, 101, reason, headers)
    const head = takeHead(res, this.socket)
    const unsentHead = leavesHead && this.#unwire !== undefined ? head : undefined
    // Node would send a head without a body as UTF-8, and change bytes above 127.
    if (head === undefined) res.flushHeaders()
    else if (unsentHead === undefined) this.socket.write(head, 'latin1')
    this.#detach()
    const response = this.#unwire && this.#takeFromResponse(this.#unwire)
    neutralize(res, this.socket)
    return { clientHead: this.#early, response, unsentHead }
  }

  /**
   * Takes the socket from its response. This is not done for a request without an `upgrade` event: Node's server would
   * close its connection as idle, because the connection would have no unfinished response.
   */
  #takeFromResponse(unwire: () => void): TunnelEnds['response'] {
    this.#res.detachSocket(this.socket)
    unwire()
    return new SwitchedResponse(this.#res, this.socket)
  }

  /** The socket, if {@link switch} can take it from its response. */
  get detachableSocket(): Socket | undefined {
    return this.#unwire && this.socket
  }

  #detach(): void {
    if (this.#isHeld) pending--
    settle(this.socket)
    this.#isHeld = false
    this.#paused.stop()
    this.socket.off('data', this.#clientOnData)
    this.socket.off('end', this.#onGone)
    this.socket.off('close', this.#onGone)
    this.#res.off('close', this.#onGone)
  }
}

/**
 * Takes the text of the head that `writeHead` has made, as if it had been sent. The two properties are not documented.
 *
 * @returns `undefined` if it is not the next thing that would be sent on the socket, or other code has a part in sending it
 */
function takeHead(res: ServerResponse, socket: Socket): string | undefined {
  const internals = res as unknown as { readonly _header?: unknown; _headerSent?: unknown }
  const { _header: head, _headerSent: sent } = internals
  if (typeof head !== 'string' || sent !== false || res.socket !== socket || socket.writableLength > 0) return undefined
  if (res.flushHeaders !== ServerResponse.prototype.flushHeaders) return undefined
  internals._headerSent = true
  return head
}

/** Takes the socket of a plain request from Node's HTTP server. A `data` listener makes the parser release it. */
function takeOver(res: ServerResponse): ArrivedUpgrade {
  const { socket } = res
  if (socket === null) {
    throw new WsTunnelError('WST_ERR_BAD_HANDSHAKE', {
      detail: 'an earlier request of the connection has no response yet',
    })
  }
  // The socket of a simulated request (light-my-request) carries no bytes.
  if (typeof socket.resume !== 'function')
    throw new WsTunnelError('WST_ERR_NOT_IMPLEMENTED', { detail: 'the request has no real socket' })
  for (const event of ['data', 'end', 'drain', 'error']) socket.removeAllListeners(event)
  socket.on('error', ignore)
  socket.on('drain', () => {
    if (!res.writableEnded) res.emit('drain')
  })
  // A timeout that middleware has set stays, and Node's server applies it.
  const { server, timeout } = socket as Socket & { server?: Server }
  if (timeout === server?.timeout) socket.setTimeout(0)
  return { socket, head: Buffer.alloc(0), unwire: undefined }
}

/**
 * After the switch the response must not touch the tunnel: a late `end`, `write` or `destroy` by other middleware, and
 * finalhandler's `req.socket.destroy()`, do nothing.
 */
function neutralize(res: ServerResponse, socket: Socket): void {
  // All responses share these functions. A closure would keep its response from being collected with V8's young generation.
  res.end = returnThis
  res.destroy = returnThis
  res.write = returnTrue
  res.on('error', ignore)
  ;(res.req as { socket: Socket }).socket = new Proxy(socket, INERT)
}

function returnThis(this: ServerResponse): ServerResponse {
  return this
}

const returnTrue = (): boolean => true

const ignore = (): void => {}

/**
 * This is a `Proxy`, because `Object.create(socket)` would make the socket a prototype. V8 handles prototypes in a slower
 * way, and each later byte of the tunnel would take that way.
 */
const INERT: ProxyHandler<Socket> = {
  get(socket, key) {
    if (key === 'destroy' || key === 'end') return () => socket
    const value: unknown = Reflect.get(socket, key)
    return typeof value === 'function' ? value.bind(socket) : value
  },
}
