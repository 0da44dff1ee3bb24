import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/** Maximum of bytes of one read. */
const READ_SIZE = 65_536

/**
 * A read of up to this many bytes is copied out of the shared buffer. After a longer read, the socket gets a buffer that
 * no other socket uses.
 */
const MAX_COPY = 16_384

/** Maximum of buffers that are kept for busy sockets after the sockets that used them have become quiet. */
const MAX_SPARE = 32

const spare: Buffer[] = []
const shared = Buffer.allocUnsafeSlow(READ_SIZE)

/**
 * Gets the bytes of one read of a socket.
 *
 * @returns whether the bytes are still in use. Their buffer is not used for another read then.
 */
export type TakeBytes = (socket: Duplex, bytes: Buffer) => boolean

/** Keys of the properties that Node sets for the option `onread` of `net.Socket`: the buffer, and its two callbacks. */
interface OnreadKeys {
  readonly buffer: symbol
  /** Called with the bytes of a read. */
  readonly callback: symbol
  /** Called for the buffer of the next read. */
  readonly next: symbol
}

/** The releases of Node that were tested. Others may use the same names for something else. */
const KNOWN_RELEASES = ['22', '24', '26']

const keys = findKeys()

function findKeys(): OnreadKeys | undefined {
  if (!KNOWN_RELEASES.includes(process.versions.node.split('.', 1)[0] as string)) return undefined
  const symbols = Object.getOwnPropertySymbols(new Socket())
  const named = (name: string): symbol | undefined => symbols.find(symbol => symbol.description === name)
  const [buffer, callback, next] = [named('kBuffer'), named('kBufferCb'), named('kBufferGen')]
  return buffer && callback && next ? { buffer, callback, next } : undefined
}

/** Key of the function that gets the bytes of a socket. */
const TAKE = Symbol('ws-tunnel.take')
/** Key of a flag: the socket's last read was a small one. */
const SMALL = Symbol('ws-tunnel.small')

/** The properties of a socket that this module uses. Those of Node are not documented. */
interface Internals {
  [name: symbol]: unknown
  [TAKE]?: TakeBytes
  [SMALL]?: boolean
  readonly _handle?: { useUserBuffer?(buffer: Buffer): void } | null
}

/**
 * Makes a socket read into buffers that are reused. Node would allocate a new buffer for each read, which is a third of
 * the cost of a tunnel. Node's documented option `onread` has the same effect. Only a new socket can get that option, but
 * this socket has already served an HTTP message. The socket no longer emits `data`; `end`, `error`, `pause()` and
 * `resume()` work as before.
 *
 * The socket must have nothing in its readable buffer. A second call replaces the function that gets the bytes.
 *
 * @returns `false` if this is not possible with this Node or this kind of stream
 */
export function readDirectly(socket: Duplex, take: TakeBytes): boolean {
  if (keys === undefined || !isPlain(socket) || socket.readableLength > 0 || hasReader(socket)) return false
  const internals = socket as unknown as Internals
  if (internals[TAKE] !== undefined) {
    internals[TAKE] = take
    return true
  }
  if (internals[keys.buffer] !== null || typeof internals._handle?.useUserBuffer !== 'function') return false
  internals[TAKE] = take
  internals[SMALL] = true
  internals[keys.buffer] = shared
  internals[keys.callback] = socketOnRead
  internals[keys.next] = nextBuffer
  internals._handle.useUserBuffer(shared)
  return true
}

/** The buffer for the next read of the socket that was read last; `undefined` for the same buffer again. */
let next: Buffer | undefined

/** Node calls it right after `socketOnRead`. */
const nextBuffer = (): Buffer | undefined => next

/**
 * One function for all sockets; Node calls it with the socket as `this`. A closure for each would cost memory in idle
 * tunnels.
 */
function socketOnRead(this: Duplex & Internals, length: number, buffer: Buffer): void {
  if (buffer === shared) {
    const copy = Buffer.allocUnsafe(length)
    shared.copy(copy, 0, 0, length)
    this[TAKE]?.(this, copy)
    next = length > MAX_COPY ? (spare.pop() ?? Buffer.allocUnsafeSlow(READ_SIZE)) : undefined
    return
  }
  const inUse = this[TAKE]?.(this, length === READ_SIZE ? buffer : buffer.subarray(0, length))
  const small = length <= MAX_COPY
  // Quiet means two small reads in a row: a series of large reads often ends with one small read.
  const quiet = this[SMALL] && small
  this[SMALL] = small
  if (quiet) next = shared
  else next = inUse ? (spare.pop() ?? Buffer.allocUnsafeSlow(READ_SIZE)) : undefined
  if (quiet && !inUse && spare.length < MAX_SPARE) spare.push(buffer)
}

/** Whether other code listens to the bytes of the socket. It would get none after {@link readDirectly}. */
export function hasReader(socket: Socket): boolean {
  return socket.listenerCount('data') + socket.listenerCount('readable') > 0
}

/** Whether a stream is a TCP or Unix connection without TLS: the kernel gets exactly the bytes that are written. */
export function isPlain(socket: Duplex): socket is Socket {
  return socket instanceof Socket && !('encrypted' in socket)
}
