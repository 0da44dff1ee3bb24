import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/** Most bytes of one read. */
const READ_SIZE = 65_536

/** Up to here a read is copied out of the buffer that all sockets share; beyond, a socket is given one of its own. */
const COPIED = 16_384

/** Buffers of sockets that went quiet, for the next that get busy. */
const MAX_SPARE = 32

const spare: Buffer[] = []
const shared = Buffer.allocUnsafeSlow(READ_SIZE)

/**
 * Gets the bytes of one read of a socket, and says whether they are still in use when it returns: then their buffer is not
 * read into again.
 */
export type TakeBytes = (socket: Duplex, bytes: Buffer) => boolean

/** What Node makes of the option `onread` of `net.Socket`: where it keeps the buffer, and whom it calls. */
interface Place {
  readonly buffer: symbol
  readonly callback: symbol
  readonly next: symbol
}

/** The releases of Node that were tested; another may mean something else by the same names. */
const KNOWN_RELEASES = ['22', '24', '26']

const place = findPlace()

function findPlace(): Place | undefined {
  if (!KNOWN_RELEASES.includes(process.versions.node.split('.', 1)[0] as string)) return undefined
  const symbols = Object.getOwnPropertySymbols(new Socket())
  const named = (name: string): symbol | undefined => symbols.find(symbol => symbol.description === name)
  const [buffer, callback, next] = [named('kBuffer'), named('kBufferCb'), named('kBufferGen')]
  return buffer && callback && next ? { buffer, callback, next } : undefined
}

/** Whom a socket's bytes go to that is read directly. */
const TAKE = Symbol('ws-tunnel.take')
/** Whether its last read was a small one. */
const SMALL = Symbol('ws-tunnel.small')

/** A socket's insides, as far as `readDirectly` touches them. */
interface Inside {
  [name: symbol]: unknown
  [TAKE]?: TakeBytes
  [SMALL]?: boolean
  readonly _handle?: { useUserBuffer?(buffer: Buffer): void } | null
}

/**
 * Has the socket read into buffers that are used again, instead of into a new one each time, which is a third of what a
 * tunnel costs. It is what Node's documented `onread` does, which only a new socket can be given; here the socket has
 * served an HTTP message before. Its `data` event comes no more; `end`, `error`, `pause()` and `resume()` are as ever.
 *
 * The socket must have nothing in its readable buffer. Called again, it changes who gets the bytes.
 *
 * @returns `false` where this Node, or this kind of stream, does not have it.
 */
export function readDirectly(socket: Duplex, take: TakeBytes): boolean {
  if (place === undefined || !isPlain(socket) || socket.readableLength > 0 || isReadAlong(socket)) return false
  const inside = socket as unknown as Inside
  if (inside[TAKE] !== undefined) {
    inside[TAKE] = take
    return true
  }
  if (inside[place.buffer] !== null || typeof inside._handle?.useUserBuffer !== 'function') return false
  inside[TAKE] = take
  inside[SMALL] = true
  inside[place.buffer] = shared
  inside[place.callback] = socketOnRead
  inside[place.next] = nextBuffer
  inside._handle.useUserBuffer(shared)
  return true
}

/** What the socket that was read last is to read into next, if not the same again. */
let next: Buffer | undefined

/** Node asks for it as soon as `socketOnRead` has returned. */
const nextBuffer = (): Buffer | undefined => next

/** One function for all sockets, each of which Node calls it on: what is made for each is what an idle tunnel costs. */
function socketOnRead(this: Duplex & Inside, length: number, buffer: Buffer): void {
  if (buffer === shared) {
    const copy = Buffer.allocUnsafe(length)
    shared.copy(copy, 0, 0, length)
    this[TAKE]?.(this, copy)
    next = length > COPIED ? (spare.pop() ?? Buffer.allocUnsafeSlow(READ_SIZE)) : undefined
    return
  }
  const inUse = this[TAKE]?.(this, length === READ_SIZE ? buffer : buffer.subarray(0, length))
  const small = length <= COPIED
  // Two small reads in a row: what comes in bulk often ends its rows with a small one.
  const quiet = this[SMALL] && small
  this[SMALL] = small
  if (quiet) next = shared
  else next = inUse ? (spare.pop() ?? Buffer.allocUnsafeSlow(READ_SIZE)) : undefined
  if (quiet && !inUse && spare.length < MAX_SPARE) spare.push(buffer)
}

/** Somebody else listens to the bytes, who would hear nothing. */
const isReadAlong = (socket: Socket): boolean => socket.listenerCount('data') + socket.listenerCount('readable') > 0

/** A TCP connection or a Unix socket, which has its bytes from the kernel and hands them to it. */
export function isPlain(socket: Duplex): socket is Socket {
  return socket instanceof Socket && !('encrypted' in socket)
}
