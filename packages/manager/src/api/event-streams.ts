import type { ServerResponse } from 'node:http'
import { writeHead } from '../http/responses.ts'
import { Refusal } from '../util/refusal.ts'
import type { TunnelQuery } from './tunnel-query.ts'

/**
 * Milliseconds without an event after which a client gets a comment, so that no proxy on the way closes an idle stream.
 */
const HEARTBEAT = 15_000

/** A client with more unread bytes than this gets no further events. */
const MAX_UNREAD = 65_536

/** Milliseconds until a client that does not read is disconnected. */
const MAX_STALL = 30_000

/** An event of the stream. */
export interface ServerEvent {
  name: 'history' | 'sample' | 'failures' | 'state'
  /** JSON, in one line. */
  data: string
}

/** Who reads a stream. */
interface Reader {
  readonly mayChange: boolean
  /** Whether the visitor may still see the stream. */
  readonly isAllowed: () => Promise<boolean>
}

interface Client extends Reader {
  readonly res: ServerResponse
  readonly query: TunnelQuery
  lastState: string
  lastWrite: number
  /** When the client stopped reading; 0 for a client that reads. */
  stalledSince: number
}

/**
 * The open live streams (server-sent events). A client that does not read gets no events, and is disconnected after a
 * while.
 */
export class EventStreams {
  readonly #clients = new Set<Client>()
  readonly #maxClients: number

  constructor(maxClients: number) {
    this.#maxClients = maxClients
  }

  /**
   * Visitors who may only view have a limit of their own, so that they cannot take the streams of operators.
   *
   * @throws {Refusal} 503 if the limit of streams is reached.
   */
  add(res: ServerResponse, query: TunnelQuery, reader: Reader, first: ServerEvent[]): void {
    // The client may have disconnected while `authorize` ran. Then `close` was emitted already, and would not remove it.
    if (res.destroyed || res.req.socket.destroyed) return
    const { mayChange, isAllowed } = reader
    let open = 0
    for (const client of this.#clients) if (client.mayChange === mayChange) open++
    if (open >= this.#maxClients)
      throw new Refusal(503, `The limit of ${this.#maxClients} live pages is reached`, { 'Retry-After': '30' })
    const client: Client = { res, query, mayChange, isAllowed, lastState: '', lastWrite: 0, stalledSince: 0 }
    this.#clients.add(client)
    res.on('close', () => this.#clients.delete(client))
    writeHead(res, 200, { 'Content-Type': 'text/event-stream; charset=utf-8', 'X-Accel-Buffering': 'no' })
    for (const event of first) this.#send(client, event)
  }

  /** Sends the events of `common` to every client, and the state for a client's query if that state has changed. */
  send(common: readonly ServerEvent[], stateOf: (query: TunnelQuery) => string): void {
    const states = new Map<string, string>()
    for (const client of this.#clients) {
      if (this.#isStalled(client)) continue
      for (const event of common) this.#send(client, event)
      const key = JSON.stringify(client.query)
      const state = states.get(key) ?? stateOf(client.query)
      states.set(key, state)
      if (state !== client.lastState) this.#send(client, { name: 'state', data: state })
      client.lastState = state
      if (performance.now() - client.lastWrite >= HEARTBEAT) this.#write(client, ': heartbeat\n\n')
    }
  }

  /** Ends the streams of visitors that `authorize` no longer allows. */
  async recheck(): Promise<void> {
    await Promise.all(
      Array.from(this.#clients, async client => {
        if (!(await client.isAllowed().catch(() => false))) this.#end(client)
      }),
    )
  }

  close(): void {
    for (const client of this.#clients) this.#end(client)
  }

  /**
   * Removes the client at once. Its response closes when the last byte is read, and a write before that is an error.
   */
  #end(client: Client): void {
    const { res } = client
    this.#clients.delete(client)
    res.end()
    // A client that does not read would keep the server open.
    if (res.writableLength > 0) res.destroy()
  }

  #send(client: Client, { name, data }: ServerEvent): void {
    this.#write(client, `event: ${name}\ndata: ${data}\n\n`)
  }

  #write(client: Client, text: string): void {
    client.lastWrite = performance.now()
    client.res.write(text)
  }

  #isStalled(client: Client): boolean {
    if (client.res.writableLength <= MAX_UNREAD) {
      client.stalledSince = 0
      return false
    }
    const now = performance.now()
    if (client.stalledSince === 0) client.stalledSince = now
    if (now - client.stalledSince > MAX_STALL) client.res.destroy()
    return true
  }
}
