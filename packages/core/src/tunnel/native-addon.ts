import { createRequire } from 'node:module'
import type { Server, Socket } from 'node:net'
import { getSystemErrorName } from 'node:util'
import type { Addon } from '@ws-tunnel/native'

/** Gets the events of one slot. */
export interface SlotListener {
  /** The arguments are those of `EventListener` in `@ws-tunnel/native`, without the slot. */
  onEvents(
    events: number,
    clientErrno: number,
    backendErrno: number,
    bytesFromClient: number,
    bytesFromBackend: number,
    response: string | undefined,
  ): void
}

/** The addon, the numbers of its events, and the listener of each slot. */
export interface NativeAddon {
  readonly addon: Addon
  readonly events: typeof import('@ws-tunnel/native').EVENTS
  /** Indexed by slot; slots are reused. A `Map` retained removed entries longer, as a `Set` does (see `LinkedSet`). */
  readonly listeners: (SlotListener | undefined)[]
}

let loaded: NativeAddon | null | undefined
let lastThread = 0
let isFlushing = false

/** Loads the optional package once; `null` where it is not installed, or not built for this platform. */
export function loadNativeAddon(): NativeAddon | null {
  if (loaded === undefined) loaded = load()
  return loaded
}

function load(): NativeAddon | null {
  try {
    // In a bundle of CommonJS modules there is no `import.meta.url`.
    const require = createRequire(import.meta.url ?? __filename)
    const { addon, EVENTS } = require('@ws-tunnel/native') as typeof import('@ws-tunnel/native')
    if (addon === undefined) return null
    const listeners: (SlotListener | undefined)[] = []
    addon.listen((slot, events, clientErrno, backendErrno, fromClient, fromBackend, response) =>
      listeners[slot]?.onEvents(events, clientErrno, backendErrno, fromClient, fromBackend, response),
    )
    return { addon, events: EVENTS, listeners }
  } catch {
    return null
  }
}

/** Has the threads do what they were told to. They are woken once, at the end of this turn of the event loop. */
export function flushSoon(): void {
  if (isFlushing) return
  isFlushing = true
  setImmediate(flush)
}

function flush(): void {
  isFlushing = false
  loaded?.addon.flush()
}

/** The seconds of a keep-alive in ms, for the addon. Less than a second is one. */
export const keepAliveSeconds = (ms: number): number => Math.ceil(ms / 1000)

/** Number of the thread for the next tunnel: all threads in turn. */
export function nextThread(threads: number): number {
  return ++lastThread % threads
}

/**
 * File descriptor of a plain TCP or Unix connection. `undefined` for TLS and for other kinds of sockets, because no
 * descriptor carries their plain bytes. Node does not document this property.
 */
export function descriptor(socket: Socket): number | undefined {
  const { _handle: handle } = socket as unknown as {
    _handle?: { readonly fd?: unknown; readonly constructor: { readonly name: string } } | null
  }
  const kind = handle?.constructor.name
  const fd = kind === 'TCP' || kind === 'Pipe' ? handle?.fd : undefined
  return typeof fd === 'number' && fd >= 0 ? fd : undefined
}

/** File descriptor of a server that listens; `undefined` if it does not. Node does not document this property. */
export function listeningDescriptor(server: Server | undefined): number | undefined {
  const fd = (server as { _handle?: { readonly fd?: unknown } | null } | undefined)?._handle?.fd
  return typeof fd === 'number' && fd >= 0 ? fd : undefined
}

/** The error that Node makes for this number. */
export function systemError(syscall: string, errno: number): NodeJS.ErrnoException {
  const code = getSystemErrorName(-errno)
  return Object.assign(new Error(`${syscall} ${code}`), { code, errno: -errno, syscall })
}
