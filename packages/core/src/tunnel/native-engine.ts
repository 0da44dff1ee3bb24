import type { Server, Socket } from 'node:net'
import type { DialledEnds, Engine, EngineListener, TunnelEnds } from './engine.ts'
import { type Door, descriptor, type Ear, nextThread, openDoor, systemError } from './native-addon.ts'

/** What is known of a socket beyond its documented face; all of it is looked for before it is used. */
interface Innards {
  _server?: (Server & { _connections?: unknown; _emitCloseIfDrained?: () => void }) | null
}

/** Whether these ends, to which nobody listens yet, can ever leave JavaScript. */
export function canOffload({ client, backend, detach }: TunnelEnds): boolean {
  if (detach === undefined || isReadAlong(client) || isReadAlong(backend)) return false
  if (descriptor(client) === undefined || descriptor(backend) === undefined) return false
  return openDoor() !== null
}

const isReadAlong = (socket: Socket): boolean => socket.listenerCount('data') + socket.listenerCount('readable') > 0

const isReadyEnd = ({ destroyed, readableEnded, writable, writableLength }: Socket): boolean =>
  !destroyed && !readableEnded && writable && writableLength === 0

/** Whether these ends can leave JavaScript now, if they can at all: nothing waits to be written. */
export function isReady({ client, backend }: TunnelEnds): boolean {
  return isReadyEnd(client) && isReadyEnd(backend)
}

function unread(socket: Socket): Buffer[] {
  const chunks: Buffer[] = []
  for (let chunk = socket.read(); chunk !== null; chunk = socket.read()) chunks.push(chunk)
  return chunks
}

/** The ends with what their sockets have received put behind the heads. */
export function withUnread(ends: TunnelEnds): TunnelEnds {
  return {
    ...ends,
    clientHead: [...ends.clientHead, ...unread(ends.client)],
    backendHead: [...ends.backendHead, ...unread(ends.backend)],
  }
}

/**
 * Moves a tunnel out of JavaScript; both of its sockets are destroyed then, and their connections live on.
 *
 * @param ends for which {@link canOffload} and {@link isReady} hold, and whose sockets have nothing unread
 * @param threads over how many threads tunnels are spread
 * @returns the ends, untouched, if descriptors or memory have run out.
 */
export function offload(ends: TunnelEnds, threads: number, listener: EngineListener): NativeEngine | TunnelEnds {
  const { client, clientHead, backend, backendHead, detach } = ends
  const door = openDoor() as Door
  let slot: number
  try {
    slot = door.addon.adopt(
      descriptor(client) as number,
      descriptor(backend) as number,
      Buffer.concat(clientHead),
      Buffer.concat(backendHead),
      nextThread(threads),
    )
  } catch {
    return ends
  }
  const engine = new NativeEngine(door, slot, listener)
  door.ears[slot] = engine
  engine.take(client, clientHead, detach)
  backend.destroy()
  return engine
}

/** Brings the client to a backend that a thread has. @returns the ends in JavaScript, if the client cannot leave it. */
export function join(ends: DialledEnds, listener: EngineListener): NativeEngine | TunnelEnds {
  const { client, dial, detach, headSize } = ends
  let { clientHead } = ends
  if (detach !== undefined && !isReadAlong(client) && descriptor(client) !== undefined && isReadyEnd(client)) {
    clientHead = [...clientHead, ...unread(client)]
    const engine = new NativeEngine(dial.door, dial.slot, listener)
    if (dial.join(client, Buffer.concat(clientHead), headSize, engine)) {
      engine.take(client, clientHead, detach)
      return engine
    }
  }
  return { client, clientHead, backend: dial.takeBack(headSize), backendHead: [], detach }
}

/** Two connections that a thread of `@ws-tunnel/native` pumps. */
export class NativeEngine implements Engine, Ear {
  readonly #door: Door
  readonly #slot: number
  readonly #listener: EngineListener
  #left: readonly (() => void)[] = []
  #carried: Carried | undefined
  #open = true
  #bytesFromClient = 0
  #bytesFromBackend = 0

  constructor(door: Door, slot: number, listener: EngineListener) {
    this.#door = door
    this.#slot = slot
    this.#listener = listener
  }

  /** Destroys the client's socket, whose connection lives on here. */
  take(client: Socket, received: readonly Buffer[], detach: TunnelEnds['detach']): void {
    // Node forgets the address of a connection with its descriptor, unless it was asked for; loggers ask at the end.
    void client.remoteAddress
    this.#carried = keepCounts(client, this, received)
    this.#left = [keepPlace(client), ...(detach === undefined ? [] : [detach()])]
    client.destroy()
  }

  get bytesFromClient(): number {
    return this.#open ? this.#door.addon.bytesFromClient(this.#slot) : this.#bytesFromClient
  }

  get bytesFromBackend(): number {
    return this.#open ? this.#door.addon.bytesFromBackend(this.#slot) : this.#bytesFromBackend
  }

  get idle(): number {
    return this.#open ? this.#door.addon.idle(this.#slot) : 0
  }

  end(): void {
    if (this.#open) this.#door.addon.end(this.#slot)
  }

  cut(): void {
    if (this.#open) this.#door.addon.cut(this.#slot)
  }

  /** What the thread has seen, in the order in which it can have happened. */
  hear(told: number, clientErrno: number, backendErrno: number, fromClient: number, fromBackend: number): void {
    const { told: bits, ears } = this.#door
    if (told & bits.closed) {
      this.#open = false
      this.#bytesFromClient = fromClient
      this.#bytesFromBackend = fromBackend
      ears[this.#slot] = undefined
    }
    if (told & bits.clientFin) this.#listener.onFin('client')
    if (told & bits.backendFin) this.#listener.onFin('backend')
    if (told & bits.clientBroken) this.#listener.onBroken('client', systemError('tunnel', clientErrno))
    if (told & bits.backendBroken) this.#listener.onBroken('backend', systemError('tunnel', backendErrno))
    if (this.#open) return
    for (const leave of this.#left) leave()
    this.#left = []
    this.#letGo()
    this.#listener.onClosed()
  }

  /** Who holds the socket yet need not hold all of the tunnel. */
  #letGo(): void {
    if (this.#carried === undefined) return
    this.#carried.engine = { bytesFromClient: this.#bytesFromClient, bytesFromBackend: this.#bytesFromBackend }
    this.#carried = undefined
  }
}

/** The client's connection goes on to count at its server, for `close`, `getConnections` and `maxConnections`. */
function keepPlace(client: Socket): () => void {
  const socket = client as unknown as Innards
  const { _server: server } = socket
  if (!server || typeof server._connections !== 'number') return () => {}
  socket._server = null
  return placeAt(server)
}

function placeAt(server: NonNullable<Innards['_server']>): () => void {
  return () => {
    ;(server._connections as number)--
    server._emitCloseIfDrained?.()
  }
}

const CARRIED = Symbol('carried')

/** What a connection carried, without what its engine moves now. */
interface Carried {
  engine: Pick<Engine, 'bytesFromClient' | 'bytesFromBackend'>
  readonly read: number
  readonly written: number
}

/** A client's socket that tells of an engine. */
type Telling = Socket & { [CARRIED]: Carried }

/** The same for each socket, so that V8 need not make a class of its own for every one. */
const COUNTS = {
  bytesRead: {
    get(this: Telling): number {
      const { engine, read } = this[CARRIED]
      return read + engine.bytesFromClient
    },
  },
  bytesWritten: {
    get(this: Telling): number {
      const { engine, written } = this[CARRIED]
      return written + engine.bytesFromBackend
    },
  },
}

/** The client's socket goes on to tell what its connection carried, to who logs that at the end. */
function keepCounts(client: Socket, engine: Engine, received: readonly Buffer[]): Carried {
  const read = client.bytesRead - received.reduce((bytes, { length }) => bytes + length, 0)
  const carried: Carried = { engine, read, written: client.bytesWritten }
  ;(client as Telling)[CARRIED] = carried
  Object.defineProperties(client, COUNTS)
  return carried
}
