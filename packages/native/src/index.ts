import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

/** The events of a tunnel, as bits. The same numbers are in c/tunnel.h. */
export const EVENTS = {
  /** The client has sent its FIN. */
  clientFin: 1,
  /** The backend has sent its FIN. */
  backendFin: 2,
  /** The client was reset, or its socket failed. */
  clientBroken: 4,
  /** The backend was reset, or its socket failed. */
  backendBroken: 8,
  /** Both sockets are closed. This is the last event. Afterwards the slot may belong to another tunnel. */
  closed: 16,
  /** The backend has sent the first bytes after {@link Addon.connect}. */
  response: 32,
  /** Comes with `backendBroken` if the backend has not accepted the connection. */
  connectFailed: 64,
  /** {@link Addon.look} has looked. A tunnel that has closed before does not get this event. */
  looked: 128,
  /** {@link Addon.detach} was executed. A tunnel that has closed before does not get this event. */
  detached: 256,
} as const

/** What has ended already in a tunnel that changes its process, as bits. The same numbers are in c/handover.c. */
export const DONE = {
  /** The FIN of the client was read. */
  clientRead: 1,
  /** Our FIN was sent to the client. */
  clientWrite: 2,
  /** The FIN of the backend was read. */
  backendRead: 4,
  /** Our FIN was sent to the backend. */
  backendWrite: 8,
} as const

/** A tunnel that no thread touches. */
export interface DetachedTunnel {
  /** Descriptor of the client's socket. It belongs to the tunnel. */
  readonly clientFd: number
  /** Descriptor of the backend's socket. It belongs to the tunnel. */
  readonly backendFd: number
  /** Bytes that the client has sent and the backend has not got. */
  readonly fromClient: Buffer
  /** Bytes that the backend has sent and the client has not got. */
  readonly fromBackend: Buffer
  /** Bits of {@link DONE}. */
  readonly done: number
  /** The states of the frames in both directions, as {@link Addon.adopt} takes them, if they are followed. */
  readonly frames?: Buffer
}

/**
 * Called on the JavaScript thread with the events of one tunnel.
 *
 * @param events bits of {@link EVENTS}: what has happened since the last call for this tunnel
 * @param clientErrno number of the system error that broke the client's end; 0 if none did
 * @param backendErrno the same for the backend's end
 * @param response the bytes of the event `response`, as latin1
 */
export type EventListener = (
  slot: number,
  events: number,
  clientErrno: number,
  backendErrno: number,
  bytesFromClient: number,
  bytesFromBackend: number,
  response: string | undefined,
) => void

/**
 * The addon. Its threads move the bytes of tunnels between sockets. A tunnel is identified by the number of its slot.
 *
 * A function that gets a slot without a tunnel throws a `RangeError`. What a function has a thread do may wait for
 * {@link Addon.flush}.
 */
export interface Addon {
  /** Sets the listener for the events of all tunnels. To be called once in each JavaScript thread, before any other function. */
  listen(listener: EventListener): void
  /**
   * Starts a tunnel between copies of two descriptors. The caller then closes its own descriptors. While a tunnel is open,
   * the process does not exit.
   *
   * @param fromClient bytes already received from the client; the backend gets them first
   * @param fromBackend bytes already received from the backend; the client gets them first
   * @param keepAlive s without a byte until the kernel probes whether a peer is there; 0 is never. The thread sets it when
   * the tunnel is about a second old.
   * @param thread number of the thread, 0 to 63; its first use starts it
   * @param frames 48 bytes: where the frames of a WebSocket are in the bytes of the client, and in those of the backend, before the bytes
   * given here. The thread follows them, for {@link Addon.end}. `undefined` follows none, and long transfers cost less.
   * @returns the slot
   * @throws {Error} if a descriptor is not a socket, or descriptors, memory or threads have run out. Nothing has changed
   * then.
   */
  adopt(
    clientFd: number,
    backendFd: number,
    fromClient: Buffer,
    fromBackend: Buffer,
    keepAlive: number,
    thread: number,
    frames?: Buffer,
  ): number
  /**
   * Connects to a backend, sends the head of a request and reads once. Either the event `response` follows, and nothing
   * more is read. Or `backendBroken` or `backendFin` follows, before `closed` or together with it.
   *
   * @param address IPv4 or IPv6 address, not a host name
   * @param requestHead as latin1
   * @param keepAlive as in {@link Addon.adopt}, for both ends
   * @param thread as in {@link Addon.adopt}
   * @returns the slot
   * @throws {Error} if `address` is not an IP address, or memory or threads have run out
   */
  connect(address: string, port: number, requestHead: string, keepAlive: number, thread: number): number
  /** Whether the backend has accepted the connection that {@link Addon.connect} makes. */
  connected(slot: number): boolean
  /**
   * After the event `response`: starts the tunnel between the backend and a copy of the client's descriptor.
   *
   * @param fromClient bytes already received from the client
   * @param headSize bytes of the response that are not for the client
   * @param head what the client gets before the rest of the response, as latin1. It is sent at once.
   * @param frames as in {@link Addon.adopt}
   * @throws {Error} as {@link Addon.adopt}. Nothing was sent then.
   */
  attachClient(
    slot: number,
    clientFd: number,
    fromClient: Buffer,
    headSize: number,
    head: string,
    frames?: Buffer,
  ): void
  /**
   * After the event `response`: closes the tunnel, except for the backend's descriptor, which then belongs to the caller.
   *
   * @returns the descriptor
   */
  releaseBackend(slot: number): number
  /**
   * Wakes the threads that sleep and have something to do. To be called after `adopt`, `connect`, `attachClient`,
   * `releaseBackend`, `end`, `close`, `look`, `detach` and `resume`: once for all calls in one turn of the event loop.
   */
  flush(): void
  /**
   * Delivers what was received, then FIN to both ends. The tunnel closes when both ends have sent their FIN.
   *
   * @param frame whether a Close frame with the code 1001 goes before the FIN, where the frames are followed and one has ended
   */
  end(slot: number, frame?: boolean): void
  /** Closes both sockets now. */
  close(slot: number): void
  /**
   * Has the thread read what waits in the sockets, whether epoll has reported it or not. The event `looked` follows, or
   * `closed`. After the process stood still, {@link Addon.idle} is only reliable after that.
   */
  look(slot: number): void
  /** Bytes received from the client so far. */
  bytesFromClient(slot: number): number
  /** Bytes received from the backend so far. */
  bytesFromBackend(slot: number): number
  /** ms without a byte in either direction. */
  idle(slot: number): number
  /**
   * Has the thread stop the tunnel, so that another process can take it over. The event `detached` follows, or `closed`.
   * Until {@link Addon.resume} or {@link Addon.close}, nothing else may be done with the tunnel.
   */
  detach(slot: number): void
  /** After the event `detached`: the tunnel; `undefined` if it was not detached, because it was about to end. */
  detached(slot: number): DetachedTunnel | undefined
  /**
   * Takes over a tunnel that another process has detached. It waits for {@link Addon.resume}.
   *
   * @param clientFd belongs to the tunnel from now on, and `backendFd` too
   * @param done bits of {@link DONE}
   * @param bytesFromClient those that were read in the other process
   * @param idle ms without a byte so far
   * @param keepAlive as in {@link Addon.adopt}
   * @param thread as in {@link Addon.adopt}
   * @returns the slot
   * @throws {Error} if memory or threads have run out. The descriptors then still belong to the caller.
   */
  adoptDetached(
    clientFd: number,
    backendFd: number,
    fromClient: Buffer,
    fromBackend: Buffer,
    done: number,
    bytesFromClient: number,
    bytesFromBackend: number,
    idle: number,
    keepAlive: number,
    thread: number,
    frames?: Buffer,
  ): number
  /** Starts a detached tunnel. */
  resume(slot: number): void
  /**
   * Sends copies of descriptors through a unix stream socket, with one byte of data.
   *
   * @param fds 1 to 253 descriptors
   * @throws {Error} if the socket does not take them now
   */
  sendDescriptors(socketFd: number, fds: readonly number[]): void
  /**
   * Receives what {@link Addon.sendDescriptors} has sent in one call. No other code may read the socket.
   *
   * @returns the descriptors, which belong to the caller; none at the end of the stream
   * @throws {Error} if there is no message yet
   */
  receiveDescriptors(socketFd: number): number[]
  /** Number of the user at the other end of a unix socket, at the time of the connect (SO_PEERCRED). */
  peerUser(socketFd: number): number
  /**
   * Sends a datagram to a unix socket, as `sd_notify` does. Node has no such sockets.
   *
   * @param path of the socket; one that begins with `@` is in the abstract namespace
   * @param message fewer than 512 bytes
   * @throws {Error} if the datagram cannot be sent
   */
  notify(path: string, message: string): void
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

/** The addon, or `undefined` if there is none for this platform. */
export const addon: Addon | undefined = 'addon' in loaded ? loaded.addon : undefined

/** Why there is no addon. */
export const unavailable: Error | undefined = 'error' in loaded ? loaded.error : undefined
