import type { EventEmitter } from 'node:events'
import type { Socket, TcpNetConnectOpts } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import { BackendConnection } from './backend-connection.ts'
import { dial, type PeerTls } from './dial.ts'

/** Idle connections that are kept. */
const MAX_IDLE = 256

/** The connections to one backend that no request uses. */
export class ConnectionPool {
  readonly #options: ConnectionOptions & TcpNetConnectOpts
  readonly #tls: PeerTls | undefined
  /** The one that was used last is used first, so that surplus ones become old and close. */
  #idle: BackendConnection[] = []
  /** Idle connections that belong to one client. */
  readonly #owned = new Map<EventEmitter, BackendConnection[]>()
  #isClosed = false

  /** @param tls is given for a backend with TLS. */
  constructor(options: ConnectionOptions & TcpNetConnectOpts, tls: PeerTls | undefined) {
    this.#options = options
    this.#tls = tls
  }

  /** An idle connection for a client. The one that the backend has authenticated for it comes first. */
  take(client: EventEmitter): BackendConnection | undefined {
    const own = this.#owned.size === 0 ? undefined : this.#owned.get(client)
    return (own && takeUsable(own)) ?? takeUsable(this.#idle)
  }

  /** Keeps a connection for the next request. */
  put(connection: BackendConnection): void {
    connection.release()
    const { owner } = connection
    const list = owner === undefined ? this.#idle : this.#listOf(owner)
    if (this.#isClosed || list === undefined || list.length >= MAX_IDLE) connection.destroy()
    else list.push(connection)
  }

  /** The idle connections of a client, which close with its own. */
  #listOf(owner: EventEmitter): BackendConnection[] | undefined {
    const known = this.#owned.get(owner)
    if (known !== undefined) return known
    if ((owner as Partial<Pick<Socket, 'destroyed'>>).destroyed) return undefined
    const list: BackendConnection[] = []
    this.#owned.set(owner, list)
    owner.once('close', () => {
      this.#owned.delete(owner)
      for (const connection of list) connection.destroy()
    })
    return list
  }

  /**
   * Opens a connection.
   *
   * @throws what `tls.connect` throws for TLS options.
   */
  open(onConnected: (connection: BackendConnection) => void, onFailed: (error: Error) => void): Socket {
    return dial(this.#options, this.#tls, socket => onConnected(this.#connectionOn(socket)), onFailed)
  }

  /** Keeps a connection that was established elsewhere. */
  adopt(socket: Socket): void {
    this.put(this.#connectionOn(socket))
  }

  #connectionOn(socket: Socket): BackendConnection {
    const connection = new BackendConnection(socket)
    socket.on('close', () => this.#forget(connection))
    return connection
  }

  #forget(connection: BackendConnection): void {
    const { owner } = connection
    const list = owner === undefined ? this.#idle : this.#owned.get(owner)
    const at = list?.indexOf(connection) ?? -1
    if (at !== -1) list?.splice(at, 1)
  }

  /** Closes the idle connections. */
  dropIdle(): void {
    const all = [this.#idle, ...this.#owned.values()].flatMap(list => list.splice(0))
    for (const connection of all) connection.destroy()
  }

  /** Closes the idle connections now, and those in use when their requests end. */
  close(): void {
    this.#isClosed = true
    this.dropIdle()
  }
}

function takeUsable(list: BackendConnection[]): BackendConnection | undefined {
  for (let connection = list.pop(); connection !== undefined; connection = list.pop()) {
    const { destroyed, readableEnded } = connection.socket
    if (!destroyed && !readableEnded) return connection
  }
  return undefined
}
