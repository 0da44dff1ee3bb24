import { createRequire } from 'node:module'
import type { Server, Socket } from 'node:net'
import { getSystemErrorName } from 'node:util'
import type { Addon } from '@ws-tunnel/native'
import type { Engine, EngineListener, TunnelEnds } from './engine.ts'

/** What is known of a socket beyond its documented face; all of it is looked for before it is used. */
interface Innards {
  readonly _handle?: { readonly fd?: unknown; readonly constructor: { readonly name: string } } | null
  _server?: (Server & { _connections?: unknown; _emitCloseIfDrained?: () => void }) | null
}

interface Door {
  readonly addon: Addon
  readonly told: typeof import('@ws-tunnel/native').TOLD
  readonly engines: Map<number, NativeEngine>
}

let door: Door | null | undefined
let lastThread = 0

/** The optional package; `null` where it is not installed, or not for this platform. */
function openDoor(): Door | null {
  try {
    const { addon, TOLD } = createRequire(import.meta.url)('@ws-tunnel/native') as typeof import('@ws-tunnel/native')
    if (addon === undefined) return null
    const engines = new Map<number, NativeEngine>()
    addon.listen((slot, ...message) => engines.get(slot)?.hear(...message))
    return { addon, told: TOLD, engines }
  } catch {
    return null
  }
}

/** Descriptor of a plain connection; TLS, and sockets made of something else, have none that carries their bytes. */
function descriptor(socket: Socket): number | undefined {
  const { _handle: handle } = socket as unknown as Innards
  const kind = handle?.constructor.name
  const fd = kind === 'TCP' || kind === 'Pipe' ? handle?.fd : undefined
  return typeof fd === 'number' && fd >= 0 ? fd : undefined
}

/** Whether these ends, to which nobody listens yet, can ever leave JavaScript. */
export function canOffload({ client, backend, detach }: TunnelEnds): boolean {
  if (detach === undefined || isReadAlong(client) || isReadAlong(backend)) return false
  if (descriptor(client) === undefined || descriptor(backend) === undefined) return false
  door ??= openDoor()
  return door !== null
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
  try {
    return new NativeEngine(door as Door, ends, ++lastThread % threads, listener)
  } catch {
    return ends
  }
}

/** Two connections that a thread of `@ws-tunnel/native` pumps. */
export class NativeEngine implements Engine {
  readonly #door: Door
  readonly #slot: number
  readonly #listener: EngineListener
  readonly #left: readonly (() => void)[]
  #open = true
  #bytesFromClient = 0
  #bytesFromBackend = 0

  constructor(
    door: Door,
    { client, clientHead, backend, backendHead, detach }: TunnelEnds,
    thread: number,
    listener: EngineListener,
  ) {
    this.#door = door
    this.#listener = listener
    this.#slot = door.addon.adopt(
      descriptor(client) as number,
      descriptor(backend) as number,
      Buffer.concat(clientHead),
      Buffer.concat(backendHead),
      thread,
    )
    door.engines.set(this.#slot, this)
    // Node forgets the address of a connection with its descriptor, unless it was asked for; loggers ask at the end.
    void client.remoteAddress
    keepCounts(client, this, clientHead)
    this.#left = [keepPlace(client), ...(detach === undefined ? [] : [detach()])]
    client.destroy()
    backend.destroy()
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
    const { told: bits, engines } = this.#door
    if (told & bits.closed) {
      this.#open = false
      this.#bytesFromClient = fromClient
      this.#bytesFromBackend = fromBackend
      engines.delete(this.#slot)
    }
    if (told & bits.clientFin) this.#listener.onFin('client')
    if (told & bits.backendFin) this.#listener.onFin('backend')
    if (told & bits.clientBroken) this.#listener.onBroken('client', socketError(clientErrno))
    if (told & bits.backendBroken) this.#listener.onBroken('backend', socketError(backendErrno))
    if (this.#open) return
    for (const leave of this.#left) leave()
    this.#listener.onClosed()
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

/** The client's socket goes on to tell what its connection carried, to who logs that at the end. */
function keepCounts(client: Socket, engine: Engine, received: readonly Buffer[]): void {
  const { bytesRead, bytesWritten } = client
  const fresh = bytesRead - received.reduce((bytes, { length }) => bytes + length, 0)
  Object.defineProperties(client, {
    bytesRead: { get: () => fresh + engine.bytesFromClient },
    bytesWritten: { get: () => bytesWritten + engine.bytesFromBackend },
  })
}

function socketError(errno: number): NodeJS.ErrnoException {
  const code = getSystemErrorName(-errno)
  return Object.assign(new Error(`tunnel ${code}`), { code, errno: -errno, syscall: 'tunnel' })
}
