import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { isEncrypted, isPlain, type Onread, readInto } from './onread.ts'
import { PlainReader } from './plain-reader.ts'
import { sharedBuffer } from './read-buffers.ts'
import { RecordReader } from './record-reader.ts'
import type { BytesTaker, SocketReader } from './socket-reader.ts'

/** Key of the reader of a socket. */
const READER = Symbol('ws-tunnel.reader')

type DirectlyRead = Duplex & { [READER]?: SocketReader }

/** The buffer for the next read of the socket that was read last; `undefined` for the same buffer again. */
let next: Buffer | undefined

/** Two functions for all sockets. A closure for each would cost memory in idle tunnels. */
const ONREAD: Onread = {
  callback(this: DirectlyRead, length: number, buffer: Buffer): void {
    next = this[READER]?.read(length, buffer)
  },
  next: () => next,
}

/**
 * Makes a TCP, Unix or TLS socket read into buffers that are reused. Node would allocate a new buffer for each read,
 * which is a third of the cost of a tunnel, and each record of TLS in its own `ArrayBuffer` makes the garbage collector
 * run again and again. The socket no longer emits `data`; `end`, `error`, `pause()` and `resume()` work as before.
 *
 * The socket must have nothing in its readable buffer. A second call replaces the taker.
 *
 * @returns `undefined` if this is not possible with this Node or this kind of stream
 */
export function readDirectly(socket: Duplex, taker: BytesTaker): SocketReader | undefined {
  const encrypted = isEncrypted(socket)
  if (!(encrypted || isPlain(socket)) || socket.readableLength > 0 || hasReader(socket)) return undefined
  const read: DirectlyRead = socket
  if (read[READER] !== undefined) {
    read[READER].taker = taker
    return read[READER]
  }
  if (!readInto(socket, sharedBuffer, ONREAD)) return undefined
  read[READER] = encrypted ? new RecordReader(socket, taker) : new PlainReader(socket, taker)
  return read[READER]
}

/** Whether other code listens to the bytes of the socket. It would get none after {@link readDirectly}. */
export function hasReader(socket: Socket): boolean {
  return socket.listenerCount('data') + socket.listenerCount('readable') > 0
}
