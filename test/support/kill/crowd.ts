import { setTimeout as sleep } from 'node:timers/promises'
import { connect, type RawClient, upgradeRequest } from '../client.ts'
import { now } from './clock.ts'
import type { Failure } from './gateway-process.ts'

/** One attempt to open a tunnel. */
export interface Attempt {
  begunAt: number
  /** ms until the response. */
  took: number
  /** The backend that accepted it, if it became a tunnel. */
  backend?: string
  failure?: Failure
}

/** A tunnel that its client did not end. */
export interface Cut {
  at: number
  backend: string
}

/** ms between two lines of a tunnel, on average. */
const BEAT = 500

/** ms within which clients that have lost their tunnel open another, as those of a real page do. */
const COME_BACK = 500

interface Talk {
  readonly client: RawClient
  readonly backend: string
  readonly id: number
  said: number
}

/**
 * Clients of one gateway. Each tunnel sends a line from time to time, and checks that its backend sends back exactly that
 * line.
 */
export class Crowd {
  readonly attempts: Attempt[] = []
  readonly cuts: Cut[] = []
  /** Lines that came back changed. */
  readonly wrong: string[] = []
  /** Lines that came back as they were sent. */
  lines = 0
  /** Tunnels that their own clients ended. */
  finished = 0
  /** Clients that always have or open a tunnel. */
  clients = 0
  readonly #port: number
  readonly #open = new Set<Talk>()
  readonly #running: Promise<void>[] = []
  #last = 0
  #stopping = false

  constructor(port: number) {
    this.#port = port
  }

  /** Tunnels that are open now, by backend. */
  openAt(backend?: string): number {
    return [...this.#open].filter(talk => backend === undefined || talk.backend === backend).length
  }

  /**
   * Starts clients that have or open a tunnel until `stop`.
   *
   * @param lifetime ms after which each ends its tunnel by itself and opens another, on average
   */
  stay(clients: number, lifetime = Number.POSITIVE_INFINITY): void {
    const one = async (): Promise<void> => {
      while (!this.#stopping) {
        const talk = await this.#try()
        if (talk !== undefined && (await this.#talk(talk, now() + lifetime * (0.5 + Math.random())))) continue
        if (!this.#stopping) await sleep(Math.random() * COME_BACK)
      }
    }
    this.clients += clients
    for (let i = 0; i < clients; i++) this.#running.push(one())
  }

  /** Starts a new client every `interval` ms, which opens a tunnel, sends one line and ends it. */
  passBy(interval: number): void {
    const begin = now()
    const one = async (): Promise<void> => {
      const talk = await this.#try()
      if (talk !== undefined) await this.#talk(talk, 0)
    }
    const every = async (): Promise<void> => {
      for (let n = 1; !this.#stopping; n++) {
        this.#running.push(one())
        await sleep(Math.max(0, begin + n * interval - now()))
      }
    }
    this.#running.push(every())
  }

  /** Ends all tunnels. Resolves when no client is left. */
  async stop(): Promise<void> {
    this.#stopping = true
    for (const { client } of this.#open) client.destroy()
    while (this.#running.length > 0) await Promise.all(this.#running.splice(0))
  }

  async #try(): Promise<Talk | undefined> {
    const attempt: Attempt = { begunAt: now(), took: 0 }
    let client: RawClient | undefined
    try {
      client = await connect(this.#port, { allowHalfOpen: false })
      client.send(upgradeRequest('/'))
      const reply = await client.responseHead()
      if (reply.statusCode !== 101) {
        attempt.failure = JSON.parse((await client.body(reply)).toString()) as Failure
        return undefined
      }
      attempt.backend = reply.header('x-backend') ?? ''
      return { client, backend: attempt.backend, id: ++this.#last, said: 0 }
    } catch (error) {
      attempt.failure = { code: String(error), selectedAt: now() }
      return undefined
    } finally {
      attempt.took = now() - attempt.begunAt
      this.attempts.push(attempt)
      if (attempt.backend === undefined) client?.destroy()
    }
  }

  /** @returns whether its client had ended it at that time. */
  async #talk(talk: Talk, until: number): Promise<boolean> {
    const { client, backend } = talk
    this.#open.add(talk)
    let ending = false
    const closed = client.closed.then(() => {
      this.#open.delete(talk)
      if (!ending && !this.#stopping) this.cuts.push({ at: now(), backend })
    })
    try {
      for (;;) {
        await this.#say(talk)
        if (now() >= until || this.#stopping) break
        await Promise.race([sleep(BEAT * (0.5 + Math.random())), closed])
      }
      ending = !client.ended
      if (ending) this.finished++
      client.end()
      await closed
    } catch {
      client.destroy()
      await closed
    }
    return ending
  }

  async #say(talk: Talk): Promise<void> {
    const { client, backend, id } = talk
    const line = `${id} ${talk.said++} ${'x'.repeat(Math.random() * 100)}\n`
    client.send(line)
    const reply = (await client.readThrough('\n', 0)).toString('latin1')
    if (reply === `${backend} ${line}`) this.lines++
    else this.wrong.push(reply)
  }
}
