import type { ServerResponse } from 'node:http'
import { writeHead } from '../http/responses.ts'
import { Refusal } from '../util/refusal.ts'
import type { TunnelQuery } from './state.ts'

/** ms without an event after which a client gets a sign of life, so that nothing on the way thinks it dead. */
const HEARTBEAT = 15_000

/** Bytes that may wait for a client until it is written to no more. */
const MAX_WAITING = 65_536

/** ms a client may leave what it was sent unread. */
const PATIENCE = 30_000

/** One event of the stream. */
export interface ServerEvent {
  name: 'history' | 'sample' | 'state'
  /** JSON, in one line. */
  data: string
}

interface Client {
  readonly res: ServerResponse
  readonly query: TunnelQuery
  /** Whether its visitor may still see what it sees. */
  readonly allowed: () => Promise<boolean>
  lastState: string
  lastWrite: number
  /** Since when it has not read; 0 is not at all. */
  stuckSince: number
}

/** Those who watch live (server-sent events). Who does not read is not written to, and let go after a while. */
export class Events {
  readonly #clients = new Set<Client>()
  readonly #maxClients: number

  constructor(maxClients: number) {
    this.#maxClients = maxClients
  }

  get size(): number {
    return this.#clients.size
  }

  /** @throws {Refusal} 503 where too many watch already. */
  add(res: ServerResponse, query: TunnelQuery, allowed: () => Promise<boolean>, first: ServerEvent[]): void {
    // It may have left while authorize was asked, and its close would not be heard.
    if (res.destroyed || res.req.socket.destroyed) return
    if (this.#clients.size >= this.#maxClients)
      throw new Refusal(503, `${this.#maxClients} pages watch already`, { 'Retry-After': '30' })
    const client: Client = { res, query, allowed, lastState: '', lastWrite: 0, stuckSince: 0 }
    this.#clients.add(client)
    res.on('close', () => this.#clients.delete(client))
    writeHead(res, 200, { 'Content-Type': 'text/event-stream; charset=utf-8', 'X-Accel-Buffering': 'no' })
    for (const event of first) this.#write(client, event)
  }

  /** Tells everybody: what is the same for all, and the state that each asked for if it has changed. */
  tell(same: readonly ServerEvent[], stateOf: (query: TunnelQuery) => string): void {
    const states = new Map<string, string>()
    for (const client of this.#clients) {
      if (this.#stuck(client)) continue
      for (const event of same) this.#write(client, event)
      const key = JSON.stringify(client.query)
      const state = states.get(key) ?? stateOf(client.query)
      states.set(key, state)
      if (state !== client.lastState) this.#write(client, { name: 'state', data: state })
      client.lastState = state
      if (performance.now() - client.lastWrite >= HEARTBEAT) this.#put(client, ': still here\n\n')
    }
  }

  /** Asks again whether those who watch may, and lets the others go. */
  async check(): Promise<void> {
    await Promise.all(
      Array.from(this.#clients, async client => {
        if (!(await client.allowed().catch(() => false))) this.#letGo(client)
      }),
    )
  }

  close(): void {
    for (const client of this.#clients) this.#letGo(client)
  }

  /** At once: it is open until its last byte is read, and a write would be an error by now. */
  #letGo(client: Client): void {
    const { res } = client
    this.#clients.delete(client)
    res.end()
    // One that does not read would hold the server for as long as it likes.
    if (res.writableLength > 0) res.destroy()
  }

  #write(client: Client, { name, data }: ServerEvent): void {
    this.#put(client, `event: ${name}\ndata: ${data}\n\n`)
  }

  #put(client: Client, text: string): void {
    client.lastWrite = performance.now()
    client.res.write(text)
  }

  #stuck(client: Client): boolean {
    if (client.res.writableLength <= MAX_WAITING) {
      client.stuckSince = 0
      return false
    }
    const now = performance.now()
    if (client.stuckSince === 0) client.stuckSince = now
    if (now - client.stuckSince > PATIENCE) client.res.destroy()
    return true
  }
}
