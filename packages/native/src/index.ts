import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

/** What {@link Addon.listen}'s listener is told of a tunnel, as bits. */
export const TOLD = {
  clientFin: 1,
  backendFin: 2,
  clientBroken: 4,
  backendBroken: 8,
  /** The last thing that is told: the slot may belong to another tunnel afterwards. */
  closed: 16,
  /** The first bytes of a dialled backend. */
  answer: 32,
  /** The backend is broken because there was no connection in the first place. */
  unreached: 64,
} as const

/** Hears of a tunnel, on the JavaScript thread. The numbers of broken ends are those of `errno`, 0 for an end that is not. */
export type Listener = (
  slot: number,
  told: number,
  clientErrno: number,
  backendErrno: number,
  bytesFromClient: number,
  bytesFromBackend: number,
  answer: string | undefined,
) => void

/** The addon: tunnels are pumped by threads of its own, and known by the number of their slot. */
export interface Addon {
  /** Says who is told; once for each JavaScript thread. */
  listen(listener: Listener): void
  /**
   * Pumps between copies of two descriptors, which the caller then closes. While a tunnel is open the process does not exit.
   *
   * @param fromClient bytes that were received from the client before, and go to the backend ahead of all others
   * @param thread which of the threads, from 0 to 63; it is started when it is first named
   * @returns the slot
   * @throws {Error} if a descriptor is no socket, or descriptors, memory or threads have run out; nothing has changed then
   */
  adopt(clientFd: number, backendFd: number, fromClient: Buffer, fromBackend: Buffer, thread: number): number
  /**
   * Connects to a backend, sends it the head of a request and reads once. The listener is told either of the `answer`, after
   * which nothing more is read, or that the backend broke or has sent its FIN, and that the slot is closed.
   *
   * @param address of IPv4 or IPv6, in digits
   * @param question the head, in latin1
   * @param keepAlive s without a byte until the kernel asks whether the peer is there; 0 is never
   * @returns the slot
   * @throws {Error} if that is no address, or memory or threads have run out
   */
  dial(address: string, port: number, question: string, keepAlive: number, thread: number): number
  /** Whether the backend has accepted the connection; of a slot that was dialled. */
  connected(slot: number): boolean
  /**
   * After the answer: pumps between the backend and a copy of the client's descriptor.
   *
   * @param fromClient bytes that were received from the client before
   * @param headSize bytes of the answer that are not for the client
   * @throws {Error} as `adopt`
   */
  join(slot: number, clientFd: number, fromClient: Buffer, headSize: number): void
  /** After the answer: the backend's descriptor, which is the caller's now. The slot is closed. */
  takeBack(slot: number): number
  /** Delivers what was received, then FIN to both sides; the tunnel closes when both have answered with theirs. */
  end(slot: number): void
  /** Closes both sockets at once. */
  cut(slot: number): void
  /** Bytes received from the client so far. */
  bytesFromClient(slot: number): number
  /** Bytes received from the backend so far. */
  bytesFromBackend(slot: number): number
  /** ms without a byte either way. */
  idle(slot: number): number
}

function load(): { addon: Addon } | { error: Error } {
  const require = createRequire(import.meta.url)
  try {
    return { addon: require('node-gyp-build')(fileURLToPath(new URL('..', import.meta.url))) }
  } catch (error) {
    return { error: error as Error }
  }
}

const loaded = load()

/** The addon, or `undefined` where there is none for this platform. */
export const addon: Addon | undefined = 'addon' in loaded ? loaded.addon : undefined

/** Why there is no addon. */
export const unavailable: Error | undefined = 'error' in loaded ? loaded.error : undefined
