import type { Socket } from 'node:net'
import { hasReader } from './direct-read.ts'
import type { TunnelEnds } from './engine.ts'
import { descriptor, loadNativeAddon } from './native-addon.ts'

/** Whether a thread can ever move the bytes of these ends. To be called before the tunnel adds listeners to them. */
export function canOffload({ client, backend, response }: TunnelEnds): boolean {
  if (response === undefined || hasReader(client) || hasReader(backend)) return false
  if (descriptor(client) === undefined || descriptor(backend) === undefined) return false
  return loadNativeAddon() !== null
}

/** Whether the client's connection can be given to a thread that has the backend's connection. */
export function canOffloadClient({ client, response }: Pick<TunnelEnds, 'client' | 'response'>): boolean {
  return response !== undefined && !hasReader(client) && descriptor(client) !== undefined && isReadyEnd(client)
}

/**
 * Whether a thread can take these ends now: both are open, and no byte waits to be written. {@link canOffload} must have
 * accepted them.
 */
export function isReady({ client, backend }: TunnelEnds): boolean {
  return isReadyEnd(client) && isReadyEnd(backend)
}

const isReadyEnd = ({ destroyed, readableEnded, writable, writableLength }: Socket): boolean =>
  !destroyed && !readableEnded && writable && writableLength === 0

/** Reads the bytes that a socket has received so far. */
export function unread(socket: Socket): Buffer[] {
  const chunks: Buffer[] = []
  for (let chunk = socket.read(); chunk !== null; chunk = socket.read()) chunks.push(chunk)
  return chunks
}
