import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { WsTunnelError } from '../errors.ts'
import type { HeaderList } from '../http/header-list.ts'
import type { TunnelEnds } from '../tunnel/engine.ts'
import { PausedProbe } from '../tunnel/pump.ts'
import { type ArrivedUpgrade, arrivedUpgrade, setArrivedUpgrade } from './listener.ts'
import { SwitchedResponse } from './switched-response.ts'
import { writeHead } from './write-head.ts'

/** Most bytes a client may send ahead of the 101 before its socket is read no further. */
const MAX_EARLY_BYTES = 65_536

/** A client's connection between its upgrade request and the 101. */
export class PendingUpgrade {
  readonly socket: Socket
  readonly #req: IncomingMessage
  readonly #res: ServerResponse
  readonly #unwire: (() => void) | undefined
  readonly #paused: PausedProbe
  readonly #aborted = Promise.withResolvers<never>()
  #abortedBy: WsTunnelError | undefined
  #early: Buffer[] = []
  #earlyBytes = 0

  /**
   * Takes the client's socket in hand, in the same turn in which the request was handed over: a request that came
   * without `upgrade` event loses the bytes that come before.
   */
  constructor(req: IncomingMessage, res: ServerResponse) {
    const { socket, head, unwire } = arrivedUpgrade(req) ?? takeOver(res)
    this.socket = socket
    this.#req = req
    this.#res = res
    this.#unwire = unwire
    this.#paused = new PausedProbe(socket)
    this.#aborted.promise.catch(() => {})
    // A stream that may not stay half open would answer the client's FIN with its own.
    socket.allowHalfOpen = true
    res.shouldKeepAlive = false
    if (socket.destroyed || socket.readableEnded) this.#clientOnGone()
    socket.on('end', this.#clientOnGone)
    socket.on('close', this.#clientOnGone)
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

  readonly #clientOnGone = (): void => this.abort(new WsTunnelError('WST_ERR_CLIENT_GONE'))

  /** Gives the upgrade up; the first reason counts. */
  abort(error: WsTunnelError): void {
    this.#abortedBy ??= error
    this.#aborted.reject(this.#abortedBy)
  }

  /** Waits for something, but no longer than the client does. */
  async unlessAborted<T>(wanted: T | Promise<T>): Promise<T> {
    const value = wanted instanceof Promise ? await Promise.race([wanted, this.#aborted.promise]) : wanted
    this.check()
    return value
  }

  /** Throws the reason if the upgrade was given up. */
  check(): void {
    if (this.#abortedBy !== undefined) throw this.#abortedBy
  }

  /** Calls back with the reason when the upgrade is given up. */
  whenAborted(callback: (error: WsTunnelError) => void): void {
    this.#aborted.promise.catch(callback)
  }

  /** Hands the upgrade back untouched, with the bytes that came meanwhile: the next handler may take it. */
  release(): void {
    this.#letGo()
    this.socket.pause()
    setArrivedUpgrade(this.#req, {
      socket: this.socket,
      head: Buffer.concat(this.#early),
      unwire: this.#unwire,
    })
  }

  /** Reads on without keeping anything: the answer is no 101, and early bytes end with the connection. */
  refuse(): void {
    this.#letGo()
    this.#early = []
    // As Node does for a request: who ends the connection does not wait for the answer.
    this.socket.on('end', () => {
      if (!this.#res.writableFinished) this.#res.destroy()
    })
    this.socket.resume()
  }

  /**
   * Writes the 101 with what earlier middleware put on `res`, then takes the socket from it. The caller must attach its
   * own `data` listener in the same turn.
   *
   * @returns the bytes the client sent ahead of it, and {@link TunnelEnds.detach}.
   */
  switch(reason: string, headers: HeaderList): Pick<TunnelEnds, 'clientHead' | 'detach'> {
    const res = this.#res
    writeHead(res, 101, reason, headers)
    res.flushHeaders()
    this.#letGo()
    const detach = this.#unwire && this.#takeFromAnswer(this.#unwire)
    spend(res, this.socket)
    return { clientHead: this.#early, detach }
  }

  /** Not done to the socket of a plain request: without an unfinished answer Node's server would sweep it as idle. */
  #takeFromAnswer(unwire: () => void): TunnelEnds['detach'] {
    this.#res.detachSocket(this.socket)
    unwire()
    const { close } = new SwitchedResponse(this.#res)
    this.socket.on('close', close)
    return detacher(this.socket, close)
  }

  /** The socket, if {@link switch} will say how to take it from its answer. */
  get leavable(): Socket | undefined {
    return this.#unwire && this.socket
  }

  #letGo(): void {
    this.#paused.stop()
    this.socket.off('data', this.#clientOnData)
    this.socket.off('end', this.#clientOnGone)
    this.socket.off('close', this.#clientOnGone)
  }
}

/** Outside of the class, so that a tunnel that waits to leave JavaScript does not hold the whole upgrade. */
function detacher(socket: Socket, close: () => void): TunnelEnds['detach'] {
  return () => {
    socket.off('close', close)
    return close
  }
}

/** Takes the socket of a plain request from Node's HTTP server; a `data` listener makes the parser let go of it. */
function takeOver(res: ServerResponse): ArrivedUpgrade {
  const { socket } = res
  if (socket === null) {
    throw new WsTunnelError('WST_ERR_BAD_HANDSHAKE', { detail: 'an upgrade cannot stand behind an unanswered request' })
  }
  // The socket of a simulated request (light-my-request) carries nothing.
  if (typeof socket.resume !== 'function')
    throw new WsTunnelError('WST_ERR_NOT_IMPLEMENTED', { detail: 'no real socket' })
  for (const event of ['data', 'end', 'timeout', 'drain', 'error']) socket.removeAllListeners(event)
  socket.on('error', ignore)
  socket.on('drain', () => {
    if (!res.writableEnded) res.emit('drain')
  })
  socket.setTimeout(0)
  return { socket, head: Buffer.alloc(0), unwire: undefined }
}

/**
 * After the switch the response has no say: a late `end`, `write` or `destroy` by other middleware, or finalhandler's
 * `req.socket.destroy()`, must not touch the tunnel.
 */
function spend(res: ServerResponse, socket: Socket): void {
  // Functions of all answers: one made for this answer alone would keep it from being collected with the young.
  res.end = itself
  res.destroy = itself
  res.write = taken
  res.on('error', ignore)
  ;(res.req as { socket: Socket }).socket = new Proxy(socket, SPENT)
}

function itself(this: ServerResponse): ServerResponse {
  return this
}

const taken = (): boolean => true

const ignore = (): void => {}

/** A view, for an object made from the socket would turn it into a prototype, which V8 makes slow for every byte to come. */
const SPENT: ProxyHandler<Socket> = {
  get(socket, key) {
    if (key === 'destroy' || key === 'end') return () => socket
    const value: unknown = Reflect.get(socket, key)
    return typeof value === 'function' ? value.bind(socket) : value
  },
}
