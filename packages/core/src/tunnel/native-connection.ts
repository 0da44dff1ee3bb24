import { isIP, Socket } from 'node:net'
import { type Door, descriptor, type Ear, nextThread, openDoor, systemError } from './native-addon.ts'

/** Who is told what became of a dial: one of the two, once. */
export interface DialListener {
  /** The backend's first bytes, as latin1. Nothing more is read until the connection is taken back, or a client joins. */
  onAnswer(text: string): void
  /** There is no connection, or no more: `connect` or `read` says which, or the backend has sent its FIN. */
  onFailed(error: NodeJS.ErrnoException): void
}

/** More is a question that a fresh socket may not take at once. */
const MAX_QUESTION = 16_384

/** A backend's connection that a thread of `@ws-tunnel/native` made and asked. */
export class NativeDial implements Ear {
  readonly door: Door
  readonly slot: number
  readonly #where: { readonly address: string; readonly port: number }
  readonly #questionSize: number
  #listener: DialListener | undefined
  #answer = ''
  /** The slot is this dial's. */
  #open = true

  /**
   * Has a thread connect to an address, send the head of a request and read once.
   *
   * @param keepAlive ms without a byte until the kernel asks whether the peer is there; 0 is never
   * @returns `undefined` where that is not possible: there is no addon, or memory or threads have run out.
   */
  static start(
    address: string,
    port: number,
    question: string,
    { keepAlive, threads }: { readonly keepAlive: number; readonly threads: number },
    listener: DialListener,
  ): NativeDial | undefined {
    const door = isIP(address) !== 0 && question.length <= MAX_QUESTION ? openDoor() : null
    if (door === null) return undefined
    try {
      const slot = door.addon.dial(address, port, question, Math.trunc(keepAlive / 1000), nextThread(threads))
      return new NativeDial(door, slot, { address, port }, question.length, listener)
    } catch {
      return undefined
    }
  }

  private constructor(
    door: Door,
    slot: number,
    where: { readonly address: string; readonly port: number },
    questionSize: number,
    listener: DialListener,
  ) {
    this.door = door
    this.slot = slot
    this.#where = where
    this.#questionSize = questionSize
    this.#listener = listener
    door.ears[slot] = this
  }

  /** Whether the backend has accepted; to be asked while there is no answer. */
  get connected(): boolean {
    return this.door.addon.connected(this.slot)
  }

  /** Closes the connection; nobody is told of it any more. */
  destroy(): void {
    this.#listener = undefined
    if (this.#open) this.door.addon.cut(this.slot)
  }

  /**
   * After the answer: the client comes, and the tunnel is open.
   *
   * @param headSize bytes of the answer that are not for the client
   * @returns whether there were descriptors and memory for it; nothing has changed otherwise.
   */
  join(client: Socket, clientHead: Buffer, headSize: number, ear: Ear): boolean {
    try {
      this.door.addon.join(this.slot, descriptor(client) as number, clientHead, headSize)
    } catch {
      return false
    }
    this.door.ears[this.slot] = ear
    this.#open = false
    return true
  }

  /**
   * After the answer: the connection as a socket of Node, which has the answer unread.
   *
   * @param headSize bytes of it that were read
   */
  takeBack(headSize: number): Socket {
    const fd = this.door.addon.takeBack(this.slot)
    this.#listener = undefined
    const socket = new Socket({ fd, readable: true, writable: true, allowHalfOpen: true })
    addCounts(socket, this.#answer.length, this.#questionSize)
    if (headSize < this.#answer.length) socket.unshift(Buffer.from(this.#answer.slice(headSize), 'latin1'))
    return socket
  }

  hear(told: number, _client: number, errno: number, _up: number, _down: number, answer: string | undefined): void {
    const { told: bits, ears } = this.door
    if (told & bits.closed) {
      this.#open = false
      ears[this.slot] = undefined
    }
    const listener = this.#listener
    if (listener === undefined) return
    if (answer !== undefined) {
      this.#answer = answer
      listener.onAnswer(answer)
    } else if (told & bits.backendBroken)
      listener.onFailed(this.#error(told & bits.unreached ? 'connect' : 'read', errno))
    else if (told & bits.backendFin) listener.onFailed(hangUp())
    else return
    this.#listener = undefined
  }

  #error(syscall: string, errno: number): NodeJS.ErrnoException {
    const error = systemError(syscall, errno)
    if (syscall !== 'connect') return error
    const { address, port } = this.#where
    error.message += ` ${address}:${port}`
    return Object.assign(error, { address, port })
  }
}

/** As Node names it. */
function hangUp(): NodeJS.ErrnoException {
  return Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' })
}

/** What a thread has moved counts for who asks the socket. */
function addCounts(socket: Socket, read: number, written: number): void {
  const own = (name: 'bytesRead' | 'bytesWritten'): number => Reflect.get(Socket.prototype, name, socket) ?? 0
  Object.defineProperties(socket, {
    bytesRead: { get: () => read + own('bytesRead') },
    bytesWritten: { get: () => written + own('bytesWritten') },
  })
}
