import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'

// Reads of a socket into buffers of our own. Node's documented option `onread` of `net.Socket` does the same, but only a
// new socket can get it. The socket of a tunnel has served an HTTP message before, and the server made it.

/** Keys of the properties that Node sets for the option `onread`: the buffer, and its two callbacks. */
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

/** The properties of a socket that this module uses. Those of Node are not documented. */
interface Internals {
  [name: symbol]: unknown
  /** A `TCP`, a `Pipe` or a `TLSWrap`. Each of them has the method, because each is a `StreamBase` of Node. */
  readonly _handle?: { useUserBuffer?(buffer: Buffer): void } | null
}

/** What Node calls. It calls `next` right after `callback`; `undefined` means the same buffer again. */
export interface Onread {
  readonly callback: (this: Duplex, length: number, buffer: Buffer) => void
  readonly next: () => Buffer | undefined
}

/**
 * Makes a socket read into the buffer. It no longer emits `data`.
 *
 * @param buffer never empty: Node would not stop to offer the bytes of a TLS record.
 * @returns `false` if this is not possible with this Node or this kind of stream
 */
export function readInto(socket: Duplex, buffer: Buffer, onread: Onread): boolean {
  const internals = socket as unknown as Internals
  if (keys === undefined || internals[keys.buffer] !== null) return false
  if (typeof internals._handle?.useUserBuffer !== 'function') return false
  internals[keys.buffer] = buffer
  internals[keys.callback] = onread.callback
  internals[keys.next] = onread.next
  internals._handle.useUserBuffer(buffer)
  return true
}

/**
 * Gives the socket another buffer outside of a read. Node keeps 48 bytes for each call until the connection closes, so
 * this must be rare.
 *
 * @returns `false` if the connection is closed
 */
export function replaceBuffer(socket: Duplex, buffer: Buffer): boolean {
  const internals = socket as unknown as Internals
  if (keys === undefined || typeof internals._handle?.useUserBuffer !== 'function') return false
  internals[keys.buffer] = buffer
  internals._handle.useUserBuffer(buffer)
  return true
}

/** Whether a stream is a TCP or Unix connection without TLS: the kernel gets exactly the bytes that are written. */
export function isPlain(socket: Duplex): socket is Socket {
  return socket instanceof Socket && !('encrypted' in socket)
}

/** Whether a stream is one of Node's TLS sockets. */
export function isEncrypted(socket: Duplex): socket is TLSSocket {
  return socket instanceof TLSSocket
}
