import { isIP, Socket } from 'node:net'
import { type Frames, statesOf } from './frame-tracker.ts'
import {
  descriptor,
  flushSoon,
  keepAliveSeconds,
  loadNativeAddon,
  type NativeAddon,
  nextThread,
  type SlotListener,
  systemError,
} from './native-addon.ts'

/** Gets the result of a {@link NativeConnection}. One of the two functions is called, once. */
export interface ConnectionListener {
  /**
   * The backend's first bytes, as latin1. The thread reads nothing more until {@link NativeConnection.toSocket} or
   * {@link NativeConnection.attachClient} is called.
   */
  onResponse(text: string): void
  /** The connection failed. `syscall` is `connect` or `read`; it is missing if the backend has sent FIN. */
  onFailed(error: NodeJS.ErrnoException): void
}

/** Bytes. A new socket may not accept a longer request head at once. */
const MAX_REQUEST_HEAD = 16_384

/**
 * A connection to a backend that a thread of `@ws-tunnel/native` makes. The thread sends the request and reads once.
 */
export class NativeConnection implements SlotListener {
  readonly native: NativeAddon
  readonly slot: number
  readonly #peer: { readonly address: string; readonly port: number }
  readonly #requestSize: number
  #listener: ConnectionListener | undefined
  #response = ''
  readonly #onLooked: (() => void)[] = []
  /** Whether the slot still belongs to this connection. */
  #open = true

  /**
   * Makes a thread connect to an address, send the head of a request and read once.
   *
   * @param requestHead as latin1
   * @param keepAlive ms without a byte until the kernel probes whether the peer is there; 0 is never
   * @param threads number of threads that share the tunnels
   * @returns `undefined` if this is not possible: the address is a name, the head is longer than 16 KiB, there is no
   * addon, or memory or threads have run out
   */
  static start(
    address: string,
    port: number,
    requestHead: string,
    { keepAlive, threads }: { readonly keepAlive: number; readonly threads: number },
    listener: ConnectionListener,
  ): NativeConnection | undefined {
    const native = isIP(address) !== 0 && requestHead.length <= MAX_REQUEST_HEAD ? loadNativeAddon() : null
    if (native === null) return undefined
    try {
      const slot = native.addon.connect(address, port, requestHead, keepAliveSeconds(keepAlive), nextThread(threads))
      flushSoon()
      return new NativeConnection(native, slot, { address, port }, requestHead.length, listener)
    } catch {
      return undefined
    }
  }

  private constructor(
    native: NativeAddon,
    slot: number,
    peer: { readonly address: string; readonly port: number },
    requestSize: number,
    listener: ConnectionListener,
  ) {
    this.native = native
    this.slot = slot
    this.#peer = peer
    this.#requestSize = requestSize
    this.#listener = listener
    native.listeners[slot] = this
  }

  /** Whether the backend has accepted the connection. To be read only before the response or the failure. */
  get connected(): boolean {
    return this.native.addon.connected(this.slot)
  }

  /**
   * Calls `then` after the thread has looked whether the backend has accepted the connection or sent a response. Does
   * not call it if the listener gets its call first.
   */
  look(then: () => void): void {
    this.#onLooked.push(then)
    this.native.addon.look(this.slot)
    flushSoon()
  }

  /** Closes the connection. The listener gets no more calls. */
  destroy(): void {
    this.#listener = undefined
    if (!this.#open) return
    this.native.addon.close(this.slot)
    flushSoon()
  }

  /**
   * After the response: starts the tunnel between the backend and the client.
   *
   * @param clientHead bytes already received from the client
   * @param headSize bytes of the response that are not for the client
   * @param head what the client gets first, as latin1
   * @param listener gets the events of the slot from now on
   * @param frames to be followed by the thread
   * @returns `false` if descriptors or memory have run out. Nothing has changed then.
   */
  attachClient(
    client: Socket,
    clientHead: Buffer,
    headSize: number,
    head: string,
    listener: SlotListener,
    frames?: Frames,
  ): boolean {
    try {
      const states = frames && statesOf(frames)
      this.native.addon.attachClient(this.slot, descriptor(client) as number, clientHead, headSize, head, states)
    } catch {
      return false
    }
    flushSoon()
    this.native.listeners[this.slot] = listener
    this.#open = false
    return true
  }

  /**
   * After the response: makes the connection a socket of Node, from which the response can be read.
   *
   * @param headSize bytes of the response that were read already
   */
  toSocket(headSize: number): Socket {
    const fd = this.native.addon.releaseBackend(this.slot)
    flushSoon()
    this.#listener = undefined
    const socket = new Socket({ fd, readable: true, writable: true, allowHalfOpen: true })
    addCounts(socket, this.#response.length, this.#requestSize)
    if (headSize < this.#response.length) socket.unshift(Buffer.from(this.#response.slice(headSize), 'latin1'))
    return socket
  }

  onEvents(
    events: number,
    _clientErrno: number,
    backendErrno: number,
    _bytesFromClient: number,
    _bytesFromBackend: number,
    response: string | undefined,
  ): void {
    const { events: bits, listeners } = this.native
    if (events & bits.closed) {
      this.#open = false
      listeners[this.slot] = undefined
    }
    const listener = this.#listener
    if (listener === undefined) return
    if (response !== undefined) {
      this.#response = response
      listener.onResponse(response)
    } else if (events & bits.backendBroken) {
      listener.onFailed(this.#error(events & bits.connectFailed ? 'connect' : 'read', backendErrno))
    } else if (events & bits.backendFin) listener.onFailed(hangUp())
    else {
      if (events & bits.looked) for (const then of this.#onLooked.splice(0)) then()
      return
    }
    this.#listener = undefined
  }

  #error(syscall: string, errno: number): NodeJS.ErrnoException {
    const error = systemError(syscall, errno)
    if (syscall !== 'connect') return error
    const { address, port } = this.#peer
    error.message += ` ${address}:${port}`
    return Object.assign(error, { address, port })
  }
}

/** The error that `http.request` gives for a FIN before the response. */
function hangUp(): NodeJS.ErrnoException {
  return Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' })
}

/** Adds the bytes that the thread has read and written to the counts of the socket. */
function addCounts(socket: Socket, read: number, written: number): void {
  const own = (name: 'bytesRead' | 'bytesWritten'): number => Reflect.get(Socket.prototype, name, socket) ?? 0
  Object.defineProperties(socket, {
    bytesRead: { get: () => read + own('bytesRead') },
    bytesWritten: { get: () => written + own('bytesWritten') },
  })
}
