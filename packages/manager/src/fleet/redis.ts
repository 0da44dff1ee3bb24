import { setTimeout as delay } from 'node:timers/promises'
import { createClient, type RedisClientOptions } from 'redis'
import { latest, MAX_LENGTH } from './setting.ts'
import type { Entry, OpenStore, Store, StoreEvents } from './store.ts'

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
}

/**
 * The wait before a new connection, in ms. It doubles after each failure, from `first` to `longest`, less a random part
 * of up to one half. After a connection that lasted longer than `longest` it is `first` again.
 */
const BACK_OFF = { first: 100, longest: 5_000 }

/** Milliseconds after which a reply of Redis is too late. */
const REPLY_TIMEOUT = 5_000

/** The largest number of settings in a hash. A larger hash is an error. */
const MAX_SETTINGS = 10_000

/**
 * Reads all entries. A text that is too long is cut, so that it cannot fill the memory. A cut text is wrong, and
 * ignored.
 */
const READ = `
if redis.call('HLEN', KEYS[1]) > ${MAX_SETTINGS} then return redis.error_reply('TOOMANY more than ${MAX_SETTINGS} settings') end
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all do if #all[i] > ${MAX_LENGTH} then all[i] = string.sub(all[i], 1, 80) end end
return all`

/**
 * Saves entries. The newer of two texts stays. A text without a time, or with a time in the future, counts as the
 * oldest.
 */
const SAVE = `
local function stamp(text)
  if not text or #text > ${MAX_LENGTH} then return -1 end
  local time, writer = string.match(text, '^(%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d) (%x%x%x%x%x%x%x%x) ')
  if not time or tonumber(time) > tonumber(ARGV[1]) then return -1 end
  return tonumber(time), writer
end
local changed = false
for i = 3, #ARGV, 2 do
  local time, writer = stamp(redis.call('HGET', KEYS[1], ARGV[i]))
  local newTime, newWriter = stamp(ARGV[i + 1])
  if newTime > time or (newTime == time and newWriter > writer) then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
    changed = true
  end
end
if changed then redis.call('PUBLISH', ARGV[2], '') end`

/**
 * Shares settings through Redis 6 or later. It has one connection, and opens a new one when the connection is lost.
 * Needs the package `redis`.
 *
 * @throws {TypeError} for wrong options.
 */
export function redisStore(options: RedisStoreOptions = {}): Store {
  const { key = 'ws-tunnel', interval = 5_000, ...client } = options
  if (typeof key !== 'string' || key === '') throw new TypeError('Expected `key` to be text that is not empty')
  if (!Number.isInteger(interval) || interval < 100 || interval > 3_600_000)
    throw new TypeError(`Expected \`interval\` to be a whole number from 100 to 3600000, got ${interval}`)
  // The message does not show the URL, because it may contain a password.
  if (client.url !== undefined && !/^rediss?:$/.test(URL.parse(client.url)?.protocol ?? ''))
    throw new TypeError('Expected `url` to be a URL such as redis://localhost:6379')
  return { name: 'redis', open: events => new OpenRedisStore(client, key, interval, events) }
}

class OpenRedisStore implements OpenStore {
  readonly #options: RedisClientOptions
  readonly #key: string
  readonly #interval: number
  readonly #events: StoreEvents
  readonly #stop = new AbortController()
  readonly #ended: Promise<void>
  #session: Session | undefined

  constructor(options: RedisClientOptions, key: string, interval: number, events: StoreEvents) {
    this.#options = options
    this.#key = key
    this.#interval = interval
    this.#events = events
    this.#ended = this.#stayConnected()
  }

  async save(entries: readonly Entry[]): Promise<void> {
    if (this.#session === undefined) throw new Error('Redis is away')
    await this.#session.save(entries)
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
      this.#session = new Session(this.#options, this.#key)
      try {
        await this.#session.watch(this.#interval, entries => this.#events.all(entries))
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

/** One connection, until its first error. */
class Session {
  readonly #client: ReturnType<typeof createClient>
  readonly #key: string
  readonly #lost = Promise.withResolvers<never>()

  constructor({ socket, ...options }: RedisClientOptions, key: string) {
    this.#key = key
    this.#client = createClient({
      ...options,
      RESP: 3,
      disableOfflineQueue: true,
      socket: { connectTimeout: REPLY_TIMEOUT, ...socket, reconnectStrategy: false } as RedisClientOptions['socket'],
    })
    this.#client.on('error', this.end).on('end', () => this.end(new Error('The connection ended')))
    this.#lost.promise.catch(() => {})
  }

  readonly end = (error: Error): void => this.#lost.reject(error)

  /**
   * Reads all entries, at every change and at every interval.
   *
   * @throws {Error} when the connection ends.
   */
  async watch(interval: number, onEntries: (entries: Entry[]) => void): Promise<never> {
    try {
      await this.#reply(this.#client.connect())
      let changed = Promise.withResolvers<void>()
      await this.#reply(this.#client.subscribe(this.#key, () => changed.resolve()))
      for (;;) {
        changed = Promise.withResolvers<void>()
        const flat = (await this.#reply(this.#client.eval(READ, { keys: [this.#key] }))) as string[]
        onEntries(Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i] as string, flat[2 * i + 1] as string]))
        const timer = setTimeout(changed.resolve, interval)
        await Promise.race([changed.promise, this.#lost.promise]).finally(() => clearTimeout(timer))
      }
    } finally {
      if (this.#client.isOpen) this.#client.destroy()
    }
  }

  async save(entries: readonly Entry[]): Promise<void> {
    const options = { keys: [this.#key], arguments: [String(latest()), this.#key, ...entries.flat()] }
    try {
      await this.#reply(this.#client.eval(SAVE, options))
    } catch (error) {
      this.end(error as Error)
      throw error
    }
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
