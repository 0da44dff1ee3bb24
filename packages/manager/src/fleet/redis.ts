import { setTimeout as delay } from 'node:timers/promises'
import { createClient, type RedisClientOptions } from 'redis'
import { generationKey, READ, REMOVE, SAVE } from './redis-scripts.ts'
import { latest } from './setting.ts'
import type { Entry, OpenStore, Store, StoreEvents } from './store.ts'

/** A client of the package `redis`: that of `createClient`, `createCluster` or `createSentinel`. */
export interface RedisStoreClient {
  /** A client with the same options, and a connection of its own. */
  duplicate(): unknown
}

/** Options of the Redis store: its own, and those of `createClient` of the package `redis`. */
export type RedisStoreOptions = Omit<RedisClientOptions, 'RESP' | 'disableOfflineQueue'> & {
  /**
   * The name of the hash that holds the settings, and of the channel that announces changes.
   *
   * @default 'ws-tunnel'
   */
  key?: string
  /**
   * Milliseconds between two reads of all settings, which also check that Redis still responds. 100 to 3600000.
   *
   * @default 5000
   */
  interval?: number
  /**
   * The client of a Redis Cluster or of Sentinel, in place of the options of `createClient`. The store connects duplicates
   * of it.
   */
  client?: RedisStoreClient
}

/** What the store uses of a client. */
interface Client {
  readonly isOpen: boolean
  on(event: 'error' | 'end', listener: (error: Error) => void): this
  connect(): Promise<unknown>
  subscribe(channel: string, listener: () => void): Promise<unknown>
  eval(script: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>
  destroy(): unknown
}

/** Creates a client that is not connected. */
type CreateClient = () => Client

/**
 * The wait before a new connection, in ms. It doubles after each failure, from `first` to `longest`, less a random part
 * of up to one half. After a connection that lasted longer than `longest` it is `first` again.
 */
const BACK_OFF = { first: 100, longest: 5_000 }

/** Milliseconds after which a reply of Redis is too late. */
const REPLY_TIMEOUT = 5_000

/** The largest number of entries in one call. */
const PAGE = 500

/**
 * Shares settings through Redis 6 or later. It has one connection, and opens a new one when the connection is lost.
 * Needs the package `redis`.
 *
 * @throws {TypeError} for wrong options.
 */
export function redisStore(options: RedisStoreOptions = {}): Store {
  const { key = 'ws-tunnel', interval = 5_000, client, ...others } = options
  if (typeof key !== 'string' || !/^(?:[^{}]+|[^{}]*\{[^{}]+\}[^{}]*)$/.test(key))
    throw new TypeError('Expected `key` to be text that is not empty, with at most one hash tag such as {fleet}')
  if (!Number.isInteger(interval) || interval < 100 || interval > 3_600_000)
    throw new TypeError(`Expected \`interval\` to be a whole number from 100 to 3600000, got ${interval}`)
  // The message does not show the URL, because it may contain a password.
  if (others.url !== undefined && !/^rediss?:$/.test(URL.parse(others.url)?.protocol ?? ''))
    throw new TypeError('Expected `url` to be a URL such as redis://localhost:6379')
  if (client !== undefined && typeof client?.duplicate !== 'function')
    throw new TypeError('Expected `client` to be a client of createClient, createCluster or createSentinel')
  const [other] = Object.keys(others)
  if (client !== undefined && other !== undefined)
    throw new TypeError(`Expected \`${other}\` to be an option of the client, because \`client\` is given`)
  const create: CreateClient = client === undefined ? () => createOwn(others) : () => client.duplicate() as Client
  return { name: 'redis', open: events => new OpenRedisStore(create, key, interval, events) }
}

/** A client that reports an error at once. The store opens a new one. */
function createOwn({ socket, ...options }: RedisClientOptions): Client {
  return createClient({
    ...options,
    RESP: 3,
    disableOfflineQueue: true,
    socket: { connectTimeout: REPLY_TIMEOUT, ...socket, reconnectStrategy: false } as RedisClientOptions['socket'],
  }) as unknown as Client
}

class OpenRedisStore implements OpenStore {
  readonly #create: CreateClient
  readonly #key: string
  readonly #interval: number
  readonly #events: StoreEvents
  readonly #stop = new AbortController()
  readonly #ended: Promise<void>
  #session: Session | undefined
  /** The generation of the settings that were read last; `undefined` before. */
  #generation: number | undefined

  constructor(create: CreateClient, key: string, interval: number, events: StoreEvents) {
    this.#create = create
    this.#key = key
    this.#interval = interval
    this.#events = events
    this.#ended = this.#stayConnected()
  }

  async save(entries: readonly Entry[]): Promise<void> {
    if (this.#session === undefined) throw new Error('Redis is away')
    await this.#session.save(entries, this.#generation ?? 0)
  }

  async remove(entries: readonly Entry[]): Promise<void> {
    await this.#session?.remove(entries)
  }

  #sessionOnRead({ entries, generation, exists }: Reading): void {
    const known = this.#generation
    const wasDeleted = known !== undefined && generation !== undefined && (generation > known || !exists)
    this.#generation = generation ?? known
    this.#events.all(entries, wasDeleted)
  }

  async close(): Promise<void> {
    this.#stop.abort()
    this.#session?.end(new Error('The store is closed'))
    await this.#ended
  }

  async #stayConnected(): Promise<void> {
    const { signal } = this.#stop
    let failures = 0
    while (!signal.aborted) {
      const start = performance.now()
      this.#session = new Session(this.#create(), this.#key)
      try {
        await this.#session.watch(
          this.#interval,
          () => this.#generation ?? 0,
          reading => this.#sessionOnRead(reading),
        )
      } catch (error) {
        if (signal.aborted) return
        this.#session = undefined
        this.#events.away(error as Error)
      }
      const { first, longest } = BACK_OFF
      failures = performance.now() - start > longest ? 0 : failures + 1
      const wait = Math.min(first * 2 ** failures, longest) * (0.5 + Math.random() / 2)
      await delay(wait, undefined, { signal }).catch(() => {})
    }
  }
}

/** All entries, as they were read. */
interface Reading {
  readonly entries: Entry[]
  /** `undefined` if Redis has none. */
  readonly generation: number | undefined
  readonly exists: boolean
}

/** One connection, until its first error. */
class Session {
  readonly #client: Client
  readonly #key: string
  readonly #keys: string[]
  readonly #lost = Promise.withResolvers<never>()

  constructor(client: Client, key: string) {
    this.#client = client
    this.#key = key
    this.#keys = [key, generationKey(key)]
    this.#client.on('error', this.end).on('end', () => this.end(new Error('The connection ended')))
    this.#lost.promise.catch(() => {})
  }

  readonly end = (error: Error): void => this.#lost.reject(error)

  /**
   * Reads all entries, at every change and at every interval.
   *
   * @throws {Error} when the connection ends.
   */
  async watch(interval: number, generation: () => number, onRead: (reading: Reading) => void): Promise<never> {
    try {
      await this.#reply(this.#client.connect())
      let changed = Promise.withResolvers<void>()
      await this.#reply(this.#client.subscribe(this.#key, () => changed.resolve()))
      for (;;) {
        changed = Promise.withResolvers<void>()
        onRead(await this.#read(String(generation())))
        const timer = setTimeout(changed.resolve, interval)
        await Promise.race([changed.promise, this.#lost.promise]).finally(() => clearTimeout(timer))
      }
    } finally {
      // The client of Sentinel returns a promise.
      if (this.#client.isOpen) void Promise.resolve(this.#client.destroy()).catch(() => {})
    }
  }

  async #read(known: string): Promise<Reading> {
    const entries: Entry[] = []
    let cursor = '0'
    let last: [cursor: string, generation: string, exists: string, texts: string[]]
    do {
      last = (await this.#call(READ, [cursor, known])) as typeof last
      const [, , , texts] = last
      for (let i = 0; i < texts.length; i += 2) entries.push([texts[i] as string, texts[i + 1] as string])
      ;[cursor] = last
    } while (cursor !== '0')
    const [, generation, exists] = last
    const isThere = exists === '1'
    return {
      entries: isThere ? entries : [],
      generation: generation === '' ? undefined : Number(generation),
      exists: isThere,
    }
  }

  async save(entries: readonly Entry[], generation: number): Promise<void> {
    try {
      for (let at = 0; at < entries.length; at += PAGE)
        await this.#call(SAVE, [
          String(latest()),
          this.#key,
          String(generation),
          ...entries.slice(at, at + PAGE).flat(),
        ])
    } catch (error) {
      this.end(error as Error)
      throw error
    }
  }

  async remove(entries: readonly Entry[]): Promise<void> {
    for (let at = 0; at < entries.length; at += PAGE) await this.#call(REMOVE, entries.slice(at, at + PAGE).flat())
  }

  #call(script: string, given: string[]): Promise<unknown> {
    return this.#reply(this.#client.eval(script, { keys: this.#keys, arguments: given }))
  }

  /** Awaits a reply. Ends the connection if the reply is late. Rejects when the connection ends. */
  async #reply<T>(reply: Promise<T>): Promise<T> {
    const timeout = Object.assign(new Error('Redis does not respond'), { code: 'ETIMEDOUT' })
    const timer = setTimeout(this.end, REPLY_TIMEOUT, timeout)
    try {
      return await Promise.race([reply, this.#lost.promise])
    } finally {
      clearTimeout(timer)
    }
  }
}
