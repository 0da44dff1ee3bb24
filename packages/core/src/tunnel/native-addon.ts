import { createRequire } from 'node:module'
import type { Socket } from 'node:net'
import { getSystemErrorName } from 'node:util'
import type { Addon } from '@ws-tunnel/native'

/** Who hears what a thread tells of one slot. */
export interface Ear {
  hear(
    told: number,
    clientErrno: number,
    backendErrno: number,
    fromClient: number,
    fromBackend: number,
    answer: string | undefined,
  ): void
}

/** The addon, and who hears of which slot. */
export interface Door {
  readonly addon: Addon
  readonly told: typeof import('@ws-tunnel/native').TOLD
  /** By slot; slots are used again. A Map kept what had left it longer, as a Set does (see `LinkedSet`). */
  readonly ears: (Ear | undefined)[]
}

let door: Door | null | undefined
let lastThread = 0

/** The optional package; `null` where it is not installed, or not for this platform. */
export function openDoor(): Door | null {
  if (door === undefined) door = load()
  return door
}

function load(): Door | null {
  try {
    const { addon, TOLD } = createRequire(import.meta.url)('@ws-tunnel/native') as typeof import('@ws-tunnel/native')
    if (addon === undefined) return null
    const ears: (Ear | undefined)[] = []
    addon.listen((slot, ...message) => ears[slot]?.hear(...message))
    return { addon, told: TOLD, ears }
  } catch {
    return null
  }
}

/** The threads in turn. */
export function nextThread(threads: number): number {
  return ++lastThread % threads
}

/** Descriptor of a plain connection; TLS, and sockets made of something else, have none that carries their bytes. */
export function descriptor(socket: Socket): number | undefined {
  const { _handle: handle } = socket as unknown as {
    _handle?: { readonly fd?: unknown; readonly constructor: { readonly name: string } } | null
  }
  const kind = handle?.constructor.name
  const fd = kind === 'TCP' || kind === 'Pipe' ? handle?.fd : undefined
  return typeof fd === 'number' && fd >= 0 ? fd : undefined
}

/** What Node would have said. */
export function systemError(syscall: string, errno: number): NodeJS.ErrnoException {
  const code = getSystemErrorName(-errno)
  return Object.assign(new Error(`${syscall} ${code}`), { code, errno: -errno, syscall })
}
