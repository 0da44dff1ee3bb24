/**
 * Size of a read buffer. It holds five TLS records of maximum size: Node decrypts up to that many after one read of the
 * connection.
 */
export const BUFFER_SIZE = 81_920

/** Maximum of buffers that are kept for busy sockets after the sockets that used them have become quiet. */
const MAX_SPARE = 32

const spare: Buffer[] = []

/** All quiet sockets read into this buffer. Its bytes are copied out in the turn in which they were read. */
export const sharedBuffer: Buffer = Buffer.allocUnsafeSlow(BUFFER_SIZE)

export const obtainBuffer = (): Buffer => spare.pop() ?? Buffer.allocUnsafeSlow(BUFFER_SIZE)

/** Keeps a buffer that nothing uses any more for another socket. */
export function recycleBuffer(buffer: Buffer): void {
  if (spare.length < MAX_SPARE) spare.push(buffer)
}
