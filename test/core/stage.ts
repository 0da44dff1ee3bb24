import { createHash, type Hash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import type { Tunnel, WsTunnelOptions } from '@ws-tunnel/core'
import { type Backend, type BackendConnection, type Script, startBackend } from '../support/backend.ts'
import { openTunnel, type RawClient } from '../support/client.ts'
import { socketPath } from '../support/gate.ts'
import * as certificates from '../support/tls.ts'
import { type Gateway, startGateway } from './gateway.ts'

export type Wire = 'TCP' | 'TLS' | 'unix'

export interface Stage {
  gateway: Gateway
  backend: Backend
  /** Opens one more tunnel. */
  open: () => Promise<{ client: RawClient; connection: BackendConnection; tunnel: Tunnel }>
}

export interface StageOptions extends Omit<WsTunnelOptions & object, 'target' | 'routes'> {
  front?: Wire
  back?: Wire
  /** Both ends answer FIN with FIN. */
  polite?: boolean
}

/** A backend and a gateway before it, over the wires asked for. */
export async function stage(
  t: TestContext,
  script: Script,
  { front = 'TCP', back = 'TCP', polite: isPolite = false, ...options }: StageOptions = {},
): Promise<Stage> {
  const frontSocket = front === 'unix' ? await socketPath() : undefined
  const backSocket = back === 'unix' ? await socketPath() : undefined
  const clients: RawClient[] = []
  const backend = await startBackend(script, {
    ...(back === 'TLS' ? { tls: certificates.server } : {}),
    ...(backSocket === undefined ? {} : { path: backSocket.path }),
  })
  t.after(async () => {
    for (const client of clients) client.destroy()
    await backend.close()
    await frontSocket?.remove()
    await backSocket?.remove()
  })
  const target = {
    TCP: `ws://127.0.0.1:${backend.port}/`,
    TLS: `wss://localhost:${backend.port}/`,
    unix: `unix:${backSocket?.path}|ws://backend/`,
  }[back]
  const gateway = await startGateway(t, { ...options, target, tls: { ca: certificates.ca } } as WsTunnelOptions, {
    ...(front === 'TLS' ? { tls: certificates.server } : {}),
    ...(frontSocket === undefined ? {} : { path: frontSocket.path }),
  })
  const open: Stage['open'] = async () => {
    const n = gateway.opened.length
    const { client } = await openTunnel(gateway.port, '/', {
      ...(front === 'TLS' ? { tls: { ca: certificates.ca, servername: 'localhost' } } : {}),
      ...(frontSocket === undefined ? {} : { unixPath: frontSocket.path }),
    })
    clients.push(client)
    const connection = await backend.connection(n)
    if (isPolite) polite({ client, connection })
    return { client, connection, tunnel: gateway.opened[n] as Tunnel }
  }
  return { gateway, backend, open }
}

export const WIRES: [front: Wire, back: Wire][] = [
  ['TCP', 'TCP'],
  ['TLS', 'TCP'],
  ['TCP', 'TLS'],
  ['TLS', 'TLS'],
  ['unix', 'unix'],
]

/** Numbers in [0, 1) that a seed repeats. */
export function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export const MAX_CHUNK = 128 * 1024

/** What is sent is cut out of this. */
const POOL = randomBytes(4 * MAX_CHUNK)

/** Writes `total` bytes in pieces of 1 B to 128 KiB, as fast as the socket takes them but for some pauses, then FIN. */
export async function sendRandomly(socket: Socket, total: number, random: () => number): Promise<string> {
  const hash = createHash('sha256')
  for (let left = total; left > 0; ) {
    const size = Math.min(left, Math.max(1, Math.floor(MAX_CHUNK ** random())))
    const from = Math.floor(random() * (POOL.length - size))
    const chunk = POOL.subarray(from, from + size)
    hash.update(chunk)
    left -= size
    if (!socket.write(chunk)) await once(socket, 'drain')
    const dice = random()
    if (dice < 0.05) await sleep(dice * 100)
    else if (dice < 0.3) await turn()
  }
  socket.end()
  return hash.digest('hex')
}

/** Reads until FIN, with pauses. */
export async function receiveRandomly(
  socket: Socket,
  random: () => number,
): Promise<{ digest: string; bytes: number }> {
  const hash: Hash = createHash('sha256')
  let bytes = 0
  socket.on('data', chunk => {
    hash.update(chunk)
    bytes += chunk.length
    const dice = random()
    if (dice > 0.05) return
    socket.pause()
    setTimeout(() => socket.resume(), dice * 200)
  })
  socket.resume()
  await once(socket, 'end')
  return { digest: hash.digest('hex'), bytes }
}

export type End = RawClient | BackendConnection

/** Answers FIN with FIN, as a peer does that has no more to say. */
export function polite({ client, connection }: { client: RawClient; connection: BackendConnection }): void {
  for (const { socket } of [client, connection]) {
    if (socket.readableEnded) socket.end()
    else socket.once('end', () => socket.end())
  }
}

export const ended = (
  { client, connection }: { client: RawClient; connection: BackendConnection },
  first: 'client' | 'backend',
): [End, End] => (first === 'client' ? [client, connection] : [connection, client])

export const GIGABYTE = 2 ** 30

/** Offers a gigabyte; gives how much was taken when nothing has been for 300 ms. */
export async function offer(socket: Socket): Promise<number> {
  const chunk = Buffer.alloc(MAX_CHUNK, 'x')
  let taken = 0
  while (taken < GIGABYTE) {
    taken += chunk.length
    if (socket.write(chunk)) continue
    const drained = await Promise.race([once(socket, 'drain'), sleep(300)])
    if (drained === undefined) return taken
  }
  return taken
}
