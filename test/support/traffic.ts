import { createHash, type Hash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'

/** Random numbers in [0, 1); the same seed gives the same numbers. */
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

/** The bytes that are sent are slices of this. */
const POOL = randomBytes(4 * MAX_CHUNK)

/** Writes `total` bytes in pieces of 1 B to 128 KiB, as fast as the socket takes them except for some pauses, then FIN. */
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

export const GIGABYTE = 2 ** 30

/** Offers a gigabyte. @returns how many bytes the socket had taken when it took none for 300 ms. */
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
