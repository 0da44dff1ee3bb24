import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Resolves as the promise does, or rejects after `ms` with `what` in the message. */
export async function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    const error = new Error(`waited ${ms} ms for ${what}`)
    timer = setTimeout(() => reject(error), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Calls `check` until it neither throws nor returns `false`. Rejects with the last failure after `ms`. */
export async function eventually<T>(check: () => T | Promise<T>, ms = 3_000): Promise<T> {
  const deadline = performance.now() + ms
  for (;;) {
    try {
      const value = await check()
      if (value !== false) return value
      if (performance.now() > deadline) throw new Error(`still false after ${ms} ms: ${check}`)
    } catch (error) {
      if (performance.now() > deadline) throw error
    }
    await new Promise(resolve => setTimeout(resolve, 5))
  }
}

/** The number of handles of each kind that keep this process alive (`TCPSocketWrap`, `Timeout`, ...). */
export function openHandles(): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const kind of process.getActiveResourcesInfo()) counts[kind] = (counts[kind] ?? 0) + 1
  return counts
}

/** A port of 127.0.0.1 for a program that cannot choose one itself. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** A port of 127.0.0.1 at which nothing listens, so that a connect is refused. */
export async function closedPort(): Promise<number> {
  // A port that was just freed could be assigned to another test. Low ports are never assigned for port 0.
  for (let port = 1; port < 1024; port++) if (await refuses(port)) return port
  throw new Error('no port below 1024 refuses connections')
}

function refuses(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    socket.on('connect', () => {
      socket.destroy()
      resolve(false)
    })
    socket.on('error', () => resolve(true))
  })
}

/** A path for a unix socket, in a new directory that `remove` deletes. */
export async function socketPath(): Promise<{ path: string; remove: () => Promise<void> }> {
  const directory = await mkdtemp(join(tmpdir(), 'ws-tunnel-'))
  return { path: join(directory, 's.sock'), remove: () => rm(directory, { recursive: true, force: true }) }
}
