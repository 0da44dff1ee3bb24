import { createHash, type Hash } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { upgradeRequest } from '../client.ts'

/** A small generator of numbers from 0 to 1, so that a failed run can be repeated. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** One end of a tunnel, and the hashes of what it has sent and received. */
class End {
  readonly sent: Hash = createHash('sha256')
  readonly received: Hash = createHash('sha256')
  bytes = 0

  /** Sends random bytes in random chunks with random pauses, then FIN; reads everything, also with pauses. */
  async run(socket: Socket, random: () => number, lifetime: number): Promise<void> {
    const ended = once(socket, 'end')
    socket.on('data', chunk => {
      this.received.update(chunk)
      this.bytes += chunk.length
      if (random() < 0.05) {
        socket.pause()
        setTimeout(() => socket.resume(), random() * 60)
      }
    })
    socket.resume()
    const until = performance.now() + lifetime * (0.5 + random())
    while (performance.now() < until) {
      const size = random() < 0.05 ? 300_000 * random() : 2_000 * random()
      const chunk = Buffer.alloc(Math.ceil(size), Math.floor(random() * 256))
      this.sent.update(chunk)
      if (!socket.write(chunk)) await once(socket, 'drain')
      await delay(random() * 40)
    }
    socket.end()
    await ended
  }
}

/** What became of the tunnels. */
export interface Tally {
  opened: number
  finished: number
  failedConnects: number
  cut: number
  /** Tunnels whose bytes differ from those that were sent. */
  corrupted: number
  bytes: number
  /** The longest time that a connect took, ms. */
  slowestConnect: number
  /** What went wrong, in words. */
  readonly faults: string[]
}

/** Tunnels through one port, whose bytes are checked in both directions at both ends. A tunnel that has finished is replaced. */
export class Streams {
  readonly tally: Tally = {
    opened: 0,
    finished: 0,
    failedConnects: 0,
    cut: 0,
    corrupted: 0,
    bytes: 0,
    slowestConnect: 0,
    faults: [],
  }
  readonly #backend: Server
  readonly #ends = new Map<string, Promise<End>>()
  readonly #seed: number
  #lifetime = 1_000
  #isStopping = false
  #lastId = 0

  constructor(seed: number) {
    this.#seed = seed
    this.#backend = createServer({ allowHalfOpen: true, noDelay: true }, socket => void this.#serve(socket))
  }

  async listen(): Promise<number> {
    this.#backend.listen(0, '127.0.0.1')
    await once(this.#backend, 'listening')
    return (this.#backend.address() as AddressInfo).port
  }

  /** Keeps so many tunnels open, each for about `lifetime` ms, until {@link stop}. */
  async keep(count: number, port: number, lifetime: number): Promise<void> {
    this.#lifetime = lifetime
    await Promise.all(
      Array.from({ length: count }, async () => {
        while (!this.#isStopping) await this.#tunnel(port)
      }),
    )
  }

  /** Opens no more tunnels. {@link keep} resolves when those that are open have finished. */
  stop(): void {
    this.#isStopping = true
  }

  close(): void {
    this.#backend.close()
  }

  #randomOf(id: string, end: number): () => number {
    return randomOf(this.#seed * 1_000_003 + Number(id) * 2 + end)
  }

  async #tunnel(port: number): Promise<void> {
    const id = `${++this.#lastId}`
    const begin = performance.now()
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    const failed = (what: 'failedConnects' | 'cut', error: unknown): void => {
      this.tally[what]++
      this.tally.faults.push(`${what} ${id}: ${(error as Error).message}`)
    }
    try {
      socket.write(upgradeRequest(`/${id}`))
      await readHead(socket, /^HTTP\/1\.1 101 /)
    } catch (error) {
      failed('failedConnects', error)
      socket.destroy()
      return
    }
    this.tally.opened++
    this.tally.slowestConnect = Math.max(this.tally.slowestConnect, performance.now() - begin)
    const client = new End()
    try {
      await client.run(socket, this.#randomOf(id, 1), this.#lifetime)
      const backend = await (this.#ends.get(id) as Promise<End>)
      const isSame = (from: End, to: End): boolean => from.sent.digest('hex') === to.received.digest('hex')
      if (!isSame(client, backend) || !isSame(backend, client)) {
        this.tally.corrupted++
        this.tally.faults.push(`corrupted ${id}`)
      }
      this.tally.finished++
      this.tally.bytes += client.bytes + backend.bytes
    } catch (error) {
      failed('cut', error)
    }
    this.#ends.delete(id)
    socket.destroy()
  }

  async #serve(socket: Socket): Promise<void> {
    socket.on('error', () => {})
    const head = await readHead(socket, /^GET /).catch(() => undefined)
    const id = /^GET \/(\d+) /.exec(head ?? '')?.[1]
    if (id === undefined) {
      socket.destroy()
      return
    }
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    const end = new End()
    const run = end.run(socket, this.#randomOf(id, 2), this.#lifetime).then(() => end)
    run.catch(() => socket.destroy())
    this.#ends.set(id, run)
  }
}

/** Reads the head of a message. What follows it stays in the socket. */
async function readHead(socket: Socket, expected: RegExp): Promise<string> {
  let head = ''
  for (;;) {
    const chunk = socket.read() as Buffer | null
    if (chunk === null) {
      await once(socket, 'readable')
      if (socket.readableEnded || socket.destroyed) throw new Error(`no response: ${head}`)
      continue
    }
    head += chunk.toString('latin1')
    const end = head.indexOf('\r\n\r\n')
    if (end === -1) continue
    socket.removeAllListeners('readable')
    if (end + 4 < head.length) socket.unshift(Buffer.from(head.slice(end + 4), 'latin1'))
    if (!expected.test(head)) throw new Error(head.split('\r\n', 1)[0])
    return head
  }
}
